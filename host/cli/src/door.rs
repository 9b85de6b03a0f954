//! The box's HTTP doors: pairing a console, joining with an invite.

use dais_protocol::{Credential, HttpError, JoinRequest, Name, PairRequest, Token};
use serde::Serialize;
use std::time::Duration;
use ureq::{Agent, tls};
use url::Url;

/// A box answers at once; a person waits no longer.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    #[error("\"{text}\" is no web address of a box: {why}")]
    Url { text: String, why: String },
    #[error("\"{0}\" is no invite link: it has no ?invite=… in it")]
    NoInvite(String),
    #[error("{url} refused ({status}): {message}")]
    Refused {
        url: String,
        status: u16,
        message: String,
    },
    #[error("no answer from {url}: {why}")]
    Unreachable { url: String, why: String },
    #[error("{url} answered with something this version does not know: {why}")]
    Unexpected { url: String, why: String },
}

/// The invite in a link like `https://dais.local/join?invite=…`, and the origin to join at.
pub fn invite_of(link: &str) -> Result<(String, Token), DoorError> {
    let url = Url::parse(link).map_err(|error| DoorError::Url {
        text: link.into(),
        why: error.to_string(),
    })?;
    let invite = url
        .query_pairs()
        .find(|(key, _)| key == "invite")
        .and_then(|(_, value)| value.parse().ok());
    let invite = invite.ok_or_else(|| DoorError::NoInvite(link.into()))?;
    Ok((url.origin().ascii_serialization(), invite))
}

/// `POST /api/pair`. `ca`: certificates in PEM to trust instead of the system's.
pub async fn pair(
    origin: &str,
    code: &str,
    name: Option<Name>,
    ca: Option<Vec<u8>>,
) -> Result<Credential, DoorError> {
    post(
        origin,
        "api/pair",
        PairRequest {
            code: code.into(),
            name,
        },
        ca,
    )
    .await
}

/// `POST /api/join`
pub async fn join(
    origin: &str,
    invite: Token,
    name: Name,
    ca: Option<Vec<u8>>,
) -> Result<Credential, DoorError> {
    let invite = invite.into();
    post(origin, "api/join", JoinRequest { invite, name }, ca).await
}

async fn post<B: Serialize + Send + 'static>(
    origin: &str,
    path: &str,
    body: B,
    ca: Option<Vec<u8>>,
) -> Result<Credential, DoorError> {
    let url = Url::parse(origin).and_then(|origin| origin.join(&format!("/{path}")));
    let url = url
        .map_err(|error| DoorError::Url {
            text: origin.into(),
            why: error.to_string(),
        })?
        .to_string();
    let at = url.clone();
    // ureq blocks; a thread of the pool waits for it.
    tokio::task::spawn_blocking(move || exchange(&url, &body, ca.as_deref()))
        .await
        .unwrap_or_else(|error| {
            Err(DoorError::Unreachable {
                url: at,
                why: error.to_string(),
            })
        })
}

fn exchange<B: Serialize>(url: &str, body: &B, ca: Option<&[u8]>) -> Result<Credential, DoorError> {
    let unreachable = |error: ureq::Error| DoorError::Unreachable {
        url: url.into(),
        why: error.to_string(),
    };
    crate::address::choose_tls();
    let roots = match ca {
        None => tls::RootCerts::PlatformVerifier,
        Some(pem) => {
            let certificates = tls::parse_pem(pem).filter_map(|item| match item {
                Ok(tls::PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            });
            tls::RootCerts::from(certificates)
        }
    };
    let agent: Agent = Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .http_status_as_error(false)
        .tls_config(tls::TlsConfig::builder().root_certs(roots).build())
        .build()
        .into();
    let mut answer = agent.post(url).send_json(body).map_err(unreachable)?;
    let status = answer.status().as_u16();
    let text = answer.body_mut().read_to_string().map_err(unreachable)?;
    if answer.status().is_success() {
        serde_json::from_str(&text).map_err(|error| DoorError::Unexpected {
            url: url.into(),
            why: error.to_string(),
        })
    } else {
        let message = serde_json::from_str::<HttpError>(&text).map_or(text, |error| error.message);
        Err(DoorError::Refused {
            url: url.into(),
            status,
            message,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// A door that answers one request with this, and the origin where it stands.
    async fn answering(status: &'static str, body: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"}") {
                assert!(socket.read_buf(&mut asked).await.unwrap() > 0);
            }
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            socket.write_all((head + body).as_bytes()).await.unwrap();
        });
        origin
    }

    async fn joining(status: &'static str, body: &'static str) -> Result<Credential, DoorError> {
        join(
            &answering(status, body).await,
            "abc".parse().unwrap(),
            "Ana".parse().unwrap(),
            None,
        )
        .await
    }

    #[tokio::test]
    async fn the_credential_of_an_open_door_is_read() {
        let body =
            r#"{"user_id":"b7","username":"guest-b7","password":"p","box":"dev","ice_servers":[]}"#;
        let credential = joining("200 OK", body).await.unwrap();
        assert_eq!(
            (credential.username.as_str(), credential.ice_servers),
            ("guest-b7", Some(Vec::new()))
        );
    }

    #[tokio::test]
    async fn a_closed_door_says_why() {
        let refused = joining("403 Forbidden", r#"{"message":"This invite has expired."}"#)
            .await
            .unwrap_err();
        assert!(
            matches!(&refused, DoorError::Refused { status: 403, message, .. } if message == "This invite has expired."),
            "{refused}"
        );
        let proxy = joining("502 Bad Gateway", "no box {}")
            .await
            .unwrap_err()
            .to_string();
        assert!(proxy.contains("502") && proxy.contains("no box"), "{proxy}");
        let odd = joining("200 OK", r#"{"hello":1}"#).await.unwrap_err();
        assert!(matches!(odd, DoorError::Unexpected { .. }), "{odd}");
    }

    #[test]
    fn an_invite_link_names_its_origin_and_its_invite() {
        let (origin, invite) = invite_of("http://localhost:8080/join?invite=4f6c1a").unwrap();
        assert_eq!(
            (origin.as_str(), invite.as_str()),
            ("http://localhost:8080", "4f6c1a")
        );
        for link in [
            "http://localhost:8080/join",
            "http://h/join?invite=",
            "4f6c1a",
        ] {
            assert!(invite_of(link).is_err(), "{link}");
        }
    }
}
