//! The HTTP side: the offer goes out in a POST, the answer comes back, a DELETE ends it. All of it bounded.

use std::time::{Duration, Instant};

use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body, Error, tls};
use url::Url;

use super::link::IceServers;
use crate::config::Secret;

/// For one offer with its redirects, and its answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Who stops a destination does not wait long for a server that is gone.
const FAREWELL: Duration = Duration::from_secs(3);
/// An answer has 1 to 8 KiB.
const MAX_ANSWER: u64 = 64 * 1024;
const MAX_REDIRECTS: usize = 5;
/// Of what a server says besides its status, as much as a person reads.
const MAX_WORDS: usize = 120;

/// Why a connection came to nothing, or to its end.
pub(super) enum Refusal {
    /// The same request would be refused again.
    ForGood(String),
    ForNow(String),
    /// No way through the network was found; STUN and TURN servers may help.
    NoPath(String),
}

pub(super) struct Answered {
    pub sdp: String,
    /// What a DELETE ends.
    pub resource: Option<Url>,
    pub ice_servers: IceServers,
}

pub(super) struct Door {
    agent: Agent,
    key: Option<Secret>,
}

impl Door {
    pub fn new(key: Option<Secret>) -> Door {
        // The one TLS implementation of this process; the second call finds it named.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let tls = tls::TlsConfig::builder().root_certs(tls::RootCerts::PlatformVerifier);
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            // They are followed here: with the key, and a POST stays a POST.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("dais/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls.build())
            .build();
        Door {
            agent: agent.into(),
            key,
        }
    }

    pub fn post(&self, endpoint: &Url, offer: &str) -> Result<Answered, Refusal> {
        let until = Instant::now() + TIMEOUT;
        let mut url = endpoint.clone();
        for _ in 0..=MAX_REDIRECTS {
            let left = until.saturating_duration_since(Instant::now());
            let mut request = self
                .agent
                .post(url.as_str())
                .config()
                .timeout_global(Some(left.max(Duration::from_millis(1))))
                .build()
                .header("content-type", "application/sdp")
                .header("accept", "application/sdp");
            if let Some(key) = &self.key {
                request = request.header("authorization", format!("Bearer {}", key.reveal()));
            }
            let mut response = request
                .send(offer)
                .map_err(|e| Refusal::ForNow(reason(&e)))?;
            match response.status() {
                StatusCode::CREATED | StatusCode::OK => return answered(&url, &mut response),
                StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => {
                    url = location(&url, &response)
                        .map_err(Refusal::ForNow)?
                        .ok_or_else(|| {
                            Refusal::ForNow("the server redirects and does not say where to".into())
                        })?;
                }
                status => return Err(refused(status, &mut response)),
            }
        }
        Err(Refusal::ForNow(format!(
            "the server redirected more than {MAX_REDIRECTS} times"
        )))
    }

    /// Ends a session on the server.
    pub fn delete(&self, resource: &Url) -> Result<(), String> {
        let mut request = self
            .agent
            .delete(resource.as_str())
            .config()
            .timeout_global(Some(FAREWELL))
            .build();
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {}", key.reveal()));
        }
        let status = request.call().map_err(|e| reason(&e))?.status();
        // 404: it has ended already.
        if status.is_success() || status == StatusCode::NOT_FOUND {
            Ok(())
        } else {
            Err(format!("the server answered {status}"))
        }
    }
}

fn answered(url: &Url, response: &mut Response<Body>) -> Result<Answered, Refusal> {
    let resource = location(url, response).map_err(Refusal::ForNow)?;
    let links = response.headers().get_all("link");
    let ice_servers = IceServers::parse(links.iter().filter_map(|link| link.to_str().ok()));
    let body = response.body_mut().with_config().limit(MAX_ANSWER);
    let sdp = body
        .read_to_string()
        .map_err(|e| Refusal::ForNow(reason(&e)))?;
    Ok(Answered {
        sdp,
        resource,
        ice_servers,
    })
}

/// Where a response points to. The key goes there too, so it may not leave TLS.
fn location(url: &Url, response: &Response<Body>) -> Result<Option<Url>, String> {
    let Some(location) = response.headers().get("location") else {
        return Ok(None);
    };
    let target = location.to_str().ok().and_then(|l| url.join(l).ok());
    match target {
        Some(target) if target.scheme() == url.scheme() || target.scheme() == "https" => {
            Ok(Some(target))
        }
        _ => Err("the server points to an address that can't be used".into()),
    }
}

fn refused(status: StatusCode, response: &mut Response<Body>) -> Refusal {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Refusal::ForGood(format!(
            "the server refuses the key ({}). Stop this destination and start it again with the right key",
            status.as_u16()
        )),
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Refusal::ForNow(format!(
            "there is no WHIP endpoint at this address ({})",
            status.as_u16()
        )),
        _ => {
            let body = response.body_mut().with_config().limit(MAX_ANSWER);
            let words: String = body.read_to_string().unwrap_or_default();
            let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
            let words: String = words
                .chars()
                .filter(|c| !c.is_control())
                .take(MAX_WORDS)
                .collect();
            let colon = if words.is_empty() { "" } else { ": " };
            Refusal::ForNow(format!("the server answered {status}{colon}{words}"))
        }
    }
}

/// For a person, without the address.
fn reason(error: &Error) -> String {
    match error {
        Error::Timeout(_) => "the server did not answer in time".into(),
        Error::HostNotFound => "no server of this name is known".into(),
        Error::ConnectionFailed => "the server could not be reached".into(),
        Error::Io(error) => format!("the connection to the server failed: {error}"),
        Error::Rustls(error) => format!("no secure connection to the server came about: {error}"),
        Error::BodyExceedsLimit(_) => format!(
            "the server's answer is larger than {} KiB",
            MAX_ANSWER / 1024
        ),
        other => format!("the server could not be asked: {other}"),
    }
}
