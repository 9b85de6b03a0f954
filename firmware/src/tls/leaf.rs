//! A certificate chain with its key, as a TLS server needs it: the box's own, or one that the studio brought.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::authority::Authority;
use super::names::Names;
use super::validity::Window;

/// It does not print: the key is in it.
pub struct Leaf {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    pub names: Names,
    pub window: Window,
    pem: String,
}

/// What is wrong with a certificate of the studio's own, and in which of its two files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("{0}")]
    Certificate(String),
    #[error("{0}")]
    Key(String),
}

impl Leaf {
    /// Chain and key in one text.
    pub fn parse(pem: &str) -> Option<Self> {
        let chain = CertificateDer::pem_slice_iter(pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .ok()?;
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).ok()?;
        let (names, window) = read(chain.first()?)?;
        let leaf = Self {
            chain,
            key,
            names,
            window,
            pem: pem.to_owned(),
        };
        leaf.server().ok()?;
        Some(leaf)
    }

    /// Whether this authority made it, and not one that was set aside since.
    pub fn is_of(&self, authority: &Authority) -> bool {
        self.chain.get(1) == Some(authority.issuer_der())
    }

    /// The text that [`Leaf::parse`] reads. For the box's own file alone.
    pub fn secret_pem(&self) -> &str {
        &self.pem
    }

    /// A certificate of the studio's own. That its time is over or still to come is [`Leaf::time_fault`]'s to say: a box that does
    /// not know the time must serve it all the same.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, Fault> {
        let shown = |path: &Path| path.display().to_string();
        let text = |path: &Path| {
            std::fs::read_to_string(path)
                .map_err(|error| format!("{} cannot be read: {error}", shown(path)))
        };
        let chain_pem = text(certificate).map_err(Fault::Certificate)?;
        let chain = CertificateDer::pem_slice_iter(chain_pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| format!("{} is no PEM: {error}", shown(certificate)))
            .map_err(Fault::Certificate)?;
        let (names, window) = chain.first().and_then(read).ok_or_else(|| {
            Fault::Certificate(format!("{} has no certificate in it", shown(certificate)))
        })?;
        let key_pem = text(key).map_err(Fault::Key)?;
        // Without the parser's words: they may quote what it found.
        let key_der = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(|_| {
            Fault::Key(format!(
                "{} has no private key in it that can be read (PEM, not encrypted)",
                shown(key)
            ))
        })?;
        let leaf = Self {
            chain,
            key: key_der,
            names,
            window,
            pem: String::new(),
        };
        leaf.server().map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => Fault::Key(format!(
                "{} does not belong to the certificate in {}",
                shown(key),
                shown(certificate)
            )),
            other => Fault::Key(format!(
                "{} and {} cannot be used: {other}",
                shown(certificate),
                shown(key)
            )),
        })?;
        Ok(leaf)
    }

    /// Why a client whose clock shows this does not take it.
    pub fn time_fault(&self, now: u64) -> Option<String> {
        let days = |seconds: u64| seconds / 86_400;
        if now > self.window.until {
            let ago = days(now - self.window.until);
            Some(format!("it expired {ago} days ago; renew it"))
        } else if now < self.window.from {
            let ahead = days(self.window.from - now);
            Some(format!(
                "it is good only {ahead} days from now; is this machine's clock right?"
            ))
        } else {
            None
        }
    }

    /// What a TLS listener uses.
    pub fn server(&self) -> Result<Arc<ServerConfig>, rustls::Error> {
        // The provider is named here, so that it does not matter which others are linked into the program.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key.clone_key())?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn read(certificate: &CertificateDer<'static>) -> Option<(Names, Window)> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let seconds = |time: i64| u64::try_from(time).unwrap_or(0);
    let window = Window {
        from: seconds(parsed.validity().not_before.timestamp()),
        until: seconds(parsed.validity().not_after.timestamp()),
    };
    let mut names = Names::default();
    let alternative = parsed.subject_alternative_name().ok().flatten();
    for name in alternative.iter().flat_map(|a| &a.value.general_names) {
        match name {
            GeneralName::DNSName(host) => names.hosts.push((*host).to_owned()),
            GeneralName::IPAddress(bytes) => names.addresses.extend(address(bytes)),
            _ => {}
        }
    }
    Some((names, window))
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}
