//! Where a broker is, and how bytes get there.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::tokio_rustls::TlsConnector;
use rumqttc::v5::MqttOptions;
use rumqttc::{TlsConfiguration, Transport};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A local network answers in milliseconds, a far one within seconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A broker's address, and the TLS settings if it wants TLS.
#[derive(Clone)]
pub struct Endpoint {
    /// Name or address of the broker's machine.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Present if the connection is by TLS.
    pub tls: Option<Arc<rustls::ClientConfig>>,
}

/// Which certificates vouch for a broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TlsRoots {
    /// Those that this machine trusts.
    #[default]
    System,
    /// Those in a PEM file.
    File(PathBuf),
}

/// A byte stream to a broker, plain or TLS.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// What is wrong with a broker's address. All of it is the user's.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// Not a URL of a broker.
    #[error(
        "`{0}` is not a broker's address: write `mqtt://host:port` or, for TLS, `mqtts://host:port`."
    )]
    Url(String),
    /// The MQTT library can't verify an IPv6 address.
    #[error("`{0}`: TLS to a broker needs its name or IPv4 address; give the broker a name.")]
    TlsNeedsName(String),
    /// The CA file can't be read or holds no certificate.
    #[error(
        "The CA file {path} can't be used: {why}. It must hold at least one certificate in PEM form."
    )]
    Ca {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// No trusted certificates on this machine.
    #[error(
        "This machine has no trusted certificates ({0}). Install `ca-certificates` or name a CA file."
    )]
    NoRoots(String),
    /// The TLS library refused its settings.
    #[error("TLS to the broker can't be set up: {0}.")]
    Tls(#[from] rustls::Error),
}

impl Endpoint {
    /// A plain TCP endpoint.
    #[must_use]
    pub fn tcp(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            tls: None,
        }
    }

    /// Reads `mqtt://host[:1883]` or `mqtts://host[:8883]`.
    ///
    /// # Errors
    /// If the URL has another form, or the trusted certificates can't be loaded.
    pub fn from_url(url: &str, roots: &TlsRoots) -> Result<Self, EndpointError> {
        let bad = || EndpointError::Url(url.to_owned());
        let (secure, rest) = match url.split_once("://") {
            Some(("mqtt", rest)) => (false, rest),
            Some(("mqtts", rest)) => (true, rest),
            _ => return Err(bad()),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        // No path, query or credentials: those have keys of their own in the configuration.
        if authority.contains(['/', '?', '#', '@', ' ']) {
            return Err(bad());
        }
        let default = if secure { 8883 } else { 1883 };
        let (host, port) = match authority.strip_prefix('[') {
            // An IPv6 address stands in brackets, because it has colons of its own.
            Some(v6) => {
                let (host, after) = v6.split_once(']').ok_or_else(bad)?;
                let port = match after.strip_prefix(':') {
                    Some(port) => port.parse().map_err(|_| bad())?,
                    None if after.is_empty() => default,
                    None => return Err(bad()),
                };
                (host, port)
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, port.parse().map_err(|_| bad())?),
                None => (authority, default),
            },
        };
        if host.is_empty() || port == 0 {
            return Err(bad());
        }
        if secure && host.contains(':') {
            return Err(EndpointError::TlsNeedsName(url.to_owned()));
        }
        let tls = if secure {
            Some(Arc::new(client_config(roots)?))
        } else {
            None
        };
        Ok(Self {
            host: host.to_owned(),
            port,
            tls,
        })
    }

    /// Opens a byte stream to the broker, with TLS if it wants that.
    ///
    /// # Errors
    /// If nobody answers within 5 s, or the certificate is not trusted.
    pub async fn connect(&self) -> io::Result<Box<dyn Connection>> {
        let open = async {
            let tcp = TcpStream::connect((self.host.as_str(), self.port)).await?;
            tcp.set_nodelay(true)?;
            let Some(tls) = &self.tls else {
                return Ok(Box::new(tcp) as Box<dyn Connection>);
            };
            let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other)?;
            let stream = TlsConnector::from(Arc::clone(tls))
                .connect(name, tcp)
                .await?;
            Ok(Box::new(stream) as Box<dyn Connection>)
        };
        match tokio::time::timeout(CONNECT_TIMEOUT, open).await {
            Ok(done) => done,
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("{self} did not answer within 5 s"),
            )),
        }
    }

    /// Settings of an MQTT client that connects here.
    pub(crate) fn mqtt_options(&self, client_id: &str) -> MqttOptions {
        let mut options = MqttOptions::new(client_id, self.host_for_authority(), self.port);
        if let Some(tls) = &self.tls {
            options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(
                Arc::clone(tls),
            )));
        }
        options
    }

    /// `host`, with brackets if it is an IPv6 address.
    fn host_for_authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls.is_some() { "mqtts" } else { "mqtt" };
        write!(f, "{scheme}://{}:{}", self.host_for_authority(), self.port)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The crypto provider is named here, so that it does not matter which others are linked into the program.
fn client_config(roots: &TlsRoots) -> Result<rustls::ClientConfig, EndpointError> {
    let mut store = rustls::RootCertStore::empty();
    match roots {
        TlsRoots::System => {
            let found = rustls_native_certs::load_native_certs();
            store.add_parsable_certificates(found.certs);
            if store.is_empty() {
                let why: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
                return Err(EndpointError::NoRoots(why.join("; ")));
            }
        }
        TlsRoots::File(path) => {
            let bad = |why: String| EndpointError::Ca {
                path: path.clone(),
                why,
            };
            let certs = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|e| bad(e.to_string()))?;
            store.add_parsable_certificates(certs);
            if store.is_empty() {
                return Err(bad("it holds no certificate".to_owned()));
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(store)
        .with_no_client_auth())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_broker_address_is_read_as_written() {
        for (url, host, port, tls) in [
            ("mqtt://broker", "broker", 1883, false),
            ("mqtt://10.0.0.2:1884/", "10.0.0.2", 1884, false),
            ("mqtt://[::1]:1885", "::1", 1885, false),
            ("mqtt://[fe80::1]", "fe80::1", 1883, false),
        ] {
            let e = Endpoint::from_url(url, &TlsRoots::System).unwrap();
            assert_eq!(
                (e.host.as_str(), e.port, e.tls.is_some()),
                (host, port, tls),
                "{url}"
            );
        }
    }

    #[test]
    fn an_address_of_another_form_is_refused_with_what_to_write() {
        for url in [
            "",
            "broker:1883",
            "http://b",
            "mqtt://",
            "mqtt://b:x",
            "mqtt://b:0",
            "mqtt://u:p@b",
            "mqtt://b/topic",
            "mqtt://[::1",
        ] {
            let e = Endpoint::from_url(url, &TlsRoots::System).unwrap_err();
            assert!(e.to_string().contains("mqtts://host:port"), "{url}: {e}");
        }
    }

    #[test]
    fn a_ca_file_that_is_missing_or_empty_is_named() {
        let e = Endpoint::from_url("mqtts://b", &TlsRoots::File("/nonexistent/ca.pem".into()))
            .unwrap_err();
        assert!(e.to_string().contains("/nonexistent/ca.pem"), "{e}");
        let empty = tempfile::NamedTempFile::new().unwrap();
        let e = Endpoint::from_url("mqtts://b", &TlsRoots::File(empty.path().into())).unwrap_err();
        assert!(e.to_string().contains("no certificate"), "{e}");
    }
}
