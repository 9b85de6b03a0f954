//! Under which addresses people and programs reach this box.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, header};
use dais_protocol::Id;

/// How often it is asked whether the box's name is known in the network: a name service starts in its own time.
const ASK_EVERY: Duration = Duration::from_secs(30);
/// Longer than any name service of a local network takes.
const ANSWER: Duration = Duration::from_secs(5);

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reach(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    http: SocketAddr,
    https: Option<SocketAddr>,
    public_url: Option<String>,
    /// Whether `name` leads here.
    named: AtomicBool,
}

impl Reach {
    /// `https`: where it listens, if it does. `public_url` wins over all that the box can know.
    pub fn new(
        box_id: &Id,
        http: SocketAddr,
        https: Option<SocketAddr>,
        public_url: Option<&str>,
    ) -> Self {
        Self(Arc::new(Inner {
            name: format!("{box_id}.local"),
            http,
            https,
            public_url: public_url.map(|url| url.trim_end_matches('/').to_owned()),
            named: AtomicBool::new(false),
        }))
    }

    /// For programs on this machine; `localhost` wherever that leads here.
    pub fn programs(&self) -> String {
        let host = match self.0.http.ip() {
            ip if ip.is_loopback() || ip.is_unspecified() => "localhost".to_owned(),
            ip => host_of(ip),
        };
        format!("http://{host}:{}", self.0.http.port())
    }

    /// The origin of the pages by `https://`, from this machine where the box listens to nobody else.
    pub fn https(&self) -> Option<String> {
        let https = self.0.https?;
        let host = if https.ip().is_loopback() {
            "localhost".to_owned()
        } else {
            self.host(https.ip())?
        };
        Some(origin("https", &host, https.port(), 443))
    }

    /// The origin that invites name: where browsers of others get a camera, if there is such a one.
    pub fn people(&self) -> String {
        if let Some(url) = &self.0.public_url {
            return url.clone();
        }
        let shared = self.0.https.filter(|https| !https.ip().is_loopback());
        if shared.is_some()
            && let Some(origin) = self.https()
        {
            return origin;
        }
        match self.0.http.ip() {
            // Without https:// the address of this machine is the best there is.
            ip if ip.is_unspecified() && self.0.https.is_none() => self
                .host(ip)
                .map_or_else(|| self.programs(), |host| self.plain(&host)),
            _ => self.programs(),
        }
    }

    /// Where a phone gets the box's certificate, before it trusts it.
    pub fn trust(&self) -> Option<String> {
        self.0.https?;
        let host = self.host(self.0.http.ip())?;
        Some(format!("{}/ca", self.plain(&host)))
    }

    /// The `https://` origin for a request that came by another: under the same name, for that is one that the client knows.
    pub fn secure_origin(&self, headers: &HeaderMap) -> Option<String> {
        let https = self.0.https?;
        if let Some(url) = self
            .0
            .public_url
            .as_ref()
            .filter(|url| url.starts_with("https://"))
        {
            return Some(url.clone());
        }
        let asked = headers
            .get(header::HOST)
            .and_then(|host| Authority::try_from(host.as_bytes()).ok())
            // Names and addresses alone: this is written into a header and a page.
            .filter(|host| {
                let plain = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
                !host.host().is_empty() && host.as_str().chars().all(plain)
            });
        match asked {
            Some(host) => Some(origin("https", host.host(), https.port(), 443)),
            None => self.https(),
        }
    }

    fn plain(&self, host: &str) -> String {
        origin("http", host, self.0.http.port(), 80)
    }

    /// What others call this machine, if they can reach a socket that is bound so.
    fn host(&self, bound: IpAddr) -> Option<String> {
        match bound {
            ip if ip.is_loopback() => None,
            _ if self.0.named.load(Ordering::Relaxed) => Some(self.0.name.clone()),
            ip if ip.is_unspecified() => lan_address().map(host_of),
            ip => Some(host_of(ip)),
        }
    }

    /// Finds out whether the name `{box}.local` leads here, for as long as the box runs. Without a name service on the machine
    /// it leads nowhere, and addresses are told instead.
    pub async fn keep(self) {
        if self.0.http.ip().is_loopback() && self.0.https.is_none_or(|a| a.ip().is_loopback()) {
            return;
        }
        let mut turn = tokio::time::interval(ASK_EVERY);
        loop {
            turn.tick().await;
            let found = tokio::net::lookup_host((self.0.name.as_str(), 0));
            let leads_here = match tokio::time::timeout(ANSWER, found).await {
                Ok(Ok(found)) => {
                    let own = if_addrs::get_if_addrs().unwrap_or_default();
                    // A line in /etc/hosts that says 127.0.1.1 helps nobody else.
                    found
                        .map(|address| address.ip())
                        .any(|ip| !ip.is_loopback() && own.iter().any(|i| i.ip() == ip))
                }
                _ => false,
            };
            if self.0.named.swap(leads_here, Ordering::Relaxed) != leads_here {
                tracing::info!(
                    name = self.0.name,
                    leads_here,
                    "the box's name in the network"
                );
            }
        }
    }
}

fn origin(scheme: &str, host: &str, port: u16, usual: u16) -> String {
    if port == usual {
        format!("{scheme}://{host}")
    } else {
        format!("{scheme}://{host}:{port}")
    }
}

fn host_of(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// The address that this machine would send from. Connecting a UDP socket sends nothing; the target is a documentation
/// address (RFC 5737).
fn lan_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).ok()?;
    socket.connect(("192.0.2.1", 9)).ok()?;
    socket
        .local_addr()
        .ok()
        .map(|address| address.ip())
        .filter(|ip| !ip.is_unspecified())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn reach(http: &str, https: Option<&str>, public_url: Option<&str>) -> Reach {
        let https = https.map(|address| address.parse().unwrap());
        let id = "dais".parse().unwrap();
        Reach::new(&id, http.parse().unwrap(), https, public_url)
    }

    fn asked(host: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        headers
    }

    #[test]
    fn on_a_pc_alone_everything_is_localhost() {
        let reach = reach("127.0.0.1:8080", Some("127.0.0.1:8443"), None);
        assert_eq!(reach.people(), "http://localhost:8080");
        assert_eq!(reach.https().unwrap(), "https://localhost:8443");
        assert_eq!(reach.trust(), None);
    }

    #[test]
    fn people_in_the_network_get_https_and_programs_localhost() {
        let reach = reach("0.0.0.0:8080", Some("10.0.0.5:443"), None);
        assert_eq!(reach.people(), "https://10.0.0.5");
        assert_eq!(reach.programs(), "http://localhost:8080");
        reach.0.named.store(true, Ordering::Relaxed);
        assert_eq!(reach.people(), "https://dais.local");
        assert_eq!(reach.trust().unwrap(), "http://dais.local:8080/ca");
    }

    #[test]
    fn a_public_url_wins_for_people_alone() {
        let reach = reach(
            "0.0.0.0:8080",
            Some("0.0.0.0:443"),
            Some("https://studio.example/"),
        );
        assert_eq!(reach.people(), "https://studio.example");
        assert_eq!(reach.programs(), "http://localhost:8080");
        let sent = reach.secure_origin(&asked("10.0.0.5:8080"));
        assert_eq!(sent.unwrap(), "https://studio.example");
    }

    #[test]
    fn a_browser_is_sent_on_under_the_name_that_it_used() {
        let reach = reach("0.0.0.0:8080", Some("10.0.0.5:8443"), None);
        for (host, origin) in [
            ("dais.local:8080", "https://dais.local:8443"),
            ("10.0.0.5", "https://10.0.0.5:8443"),
            ("[fd00::5]:8080", "https://[fd00::5]:8443"),
            // What is no name is not repeated.
            ("a\"b", "https://10.0.0.5:8443"),
            ("user@evil.example", "https://10.0.0.5:8443"),
            ("x<script>", "https://10.0.0.5:8443"),
        ] {
            assert_eq!(reach.secure_origin(&asked(host)).unwrap(), origin);
        }
    }

    #[test]
    fn without_https_nobody_is_sent_anywhere() {
        let reach = reach("10.0.0.5:8080", None, None);
        assert_eq!(reach.secure_origin(&asked("10.0.0.5:8080")), None);
        assert_eq!(reach.people(), "http://10.0.0.5:8080");
    }
}
