//! Where a box is: its web origin or its MQTT port, as a person types it.

use std::sync::Arc;

use rumqttc::{TlsConfiguration, Transport, v5::MqttOptions};
use rustls::ClientConfig;
use rustls_platform_verifier::ConfigVerifierExt;
use url::Url;

#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    #[error(
        "\"{text}\" is no address of a box: {why}. Write http://host:port, https://host, mqtt://host:port or mqtts://host:port"
    )]
    Bad { text: String, why: String },
    #[error(
        "the certificates that this system trusts cannot be used: {0}. Install the package ca-certificates, or name the box's own with --ca"
    )]
    Trust(#[from] rustls::Error),
}

/// How to reach a box's broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The URL of a WebSocket, or the bare host of a TCP port, as `rumqttc` wants it.
    target: String,
    port: u16,
    websocket: bool,
    tls: bool,
}

impl Address {
    /// A web origin stands for the WebSocket at its `/mqtt`.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let bad = |why: String| AddressError::Bad {
            text: text.into(),
            why,
        };
        let url = Url::parse(text).map_err(|error| bad(error.to_string()))?;
        let (websocket, tls, usual) = match url.scheme() {
            "http" | "ws" => (true, false, 80),
            "https" | "wss" => (true, true, 443),
            "mqtt" | "tcp" => (false, false, 1883),
            "mqtts" | "ssl" => (false, true, 8883),
            other => return Err(bad(format!("{other}:// is not known"))),
        };
        let host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .ok_or_else(|| bad("it has no host".into()))?;
        let port = url.port().unwrap_or(usual);
        let target = if websocket {
            let path = if url.scheme().starts_with("ws") && url.path() != "/" {
                url.path()
            } else {
                "/mqtt"
            };
            format!("{}://{host}:{port}{path}", if tls { "wss" } else { "ws" })
        } else {
            host.to_owned()
        };
        Ok(Self {
            target,
            port,
            websocket,
            tls,
        })
    }

    /// `ca`: certificates in PEM to trust instead of the system's.
    pub(crate) fn mqtt_options(
        &self,
        client_id: String,
        ca: Option<&[u8]>,
    ) -> Result<MqttOptions, AddressError> {
        let mut options = MqttOptions::new(client_id, &self.target, self.port);
        let trust = || match ca {
            Some(ca) => Ok(TlsConfiguration::Simple {
                ca: ca.to_vec(),
                alpn: None,
                client_auth: None,
            }),
            // Not rumqttc's default, which panics on a system whose certificates cannot be read.
            None => ClientConfig::with_platform_verifier()
                .map(|config| TlsConfiguration::Rustls(Arc::new(config))),
        };
        if self.tls {
            choose_tls();
        }
        options.set_transport(match (self.websocket, self.tls) {
            (true, true) => Transport::Wss(trust()?),
            (true, false) => Transport::Ws,
            (false, true) => Transport::Tls(trust()?),
            (false, false) => Transport::Tcp,
        });
        Ok(options)
    }
}

/// Names the one TLS implementation of this process, for MQTT and HTTP alike. The second call finds it named.
pub(crate) fn choose_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_origin_stands_for_the_websocket_at_its_mqtt() {
        for (text, target, port) in [
            ("http://127.0.0.1:8080", "ws://127.0.0.1:8080/mqtt", 8080),
            (
                "http://127.0.0.1:8080/join?invite=x",
                "ws://127.0.0.1:8080/mqtt",
                8080,
            ),
            ("https://dais.local", "wss://dais.local:443/mqtt", 443),
            (
                "wss://broker.example/mqtt/v5",
                "wss://broker.example:443/mqtt/v5",
                443,
            ),
            ("mqtt://127.0.0.1:1884", "127.0.0.1", 1884),
            ("mqtts://broker.example", "broker.example", 8883),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(
                (address.target.as_str(), address.port),
                (target, port),
                "{text}"
            );
        }
    }

    #[test]
    fn an_address_that_cannot_be_used_is_told_with_the_reason() {
        for text in ["", "dais.local", "ftp://dais.local", "mqtt://"] {
            let error = Address::parse(text).unwrap_err().to_string();
            assert!(error.contains("http://host:port"), "{error}");
        }
    }
}
