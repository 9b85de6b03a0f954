//! The box's certificates: made on the first start, made anew when an address or the clock changes, or brought by the studio.
//!
//! Browsers give camera and microphone to `https://` and `localhost` alone, so without this no phone could be a guest.

mod authority;
mod leaf;
mod names;
#[cfg(test)]
mod tests;
mod validity;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dais_protocol::Id;
use rustls::ServerConfig;
use tokio::sync::watch;

use authority::Authority;
pub use authority::Root;
pub use leaf::{Fault, Leaf};
use names::Names;
pub use names::is_private;
use validity::Window;
pub use validity::known;

use crate::store::{self, StoreError};

/// How often addresses, the clock and the studio's own files are looked at: a phone that follows the box to a new address
/// waits no longer than this.
const LOOK_EVERY: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("The box could not make a certificate: {0}.")]
    Make(#[from] rcgen::Error),
    #[error("The box could not use its certificate: {0}.")]
    Use(#[from] rustls::Error),
    #[error("The box could not read what it had made itself.")]
    Unreadable,
}

/// The two files of a certificate of the studio's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// What the doors use.
#[derive(Clone)]
pub struct Tls {
    /// The newest settings of the server, for each connection that comes.
    pub server: watch::Receiver<Arc<ServerConfig>>,
    /// What a phone must trust, unless the studio brought a certificate that phones trust already.
    pub root: Option<Arc<Root>>,
}

/// The certificates of a box, and what they were made from.
pub struct Certificates {
    folder: PathBuf,
    box_id: Id,
    authority: Authority,
    leaf: Leaf,
    own: Option<Own>,
    /// The files as they were when they were read last.
    seen: Option<Stamp>,
    /// Whether the studio's own certificate is served.
    own_serves: bool,
    out: watch::Sender<Arc<ServerConfig>>,
}

/// When both files were written; `None` for one that is not there.
type Stamp = [Option<SystemTime>; 2];

impl Certificates {
    /// Opens those of `data`, and makes what is missing.
    pub fn open(data: &Path, box_id: &Id, own: Option<Own>) -> Result<(Self, Tls), TlsError> {
        let names = Names::of_this_machine(box_id);
        Self::open_at(data, box_id, own, SystemTime::now(), names)
    }

    fn open_at(
        data: &Path,
        box_id: &Id,
        own: Option<Own>,
        now: SystemTime,
        names: Names,
    ) -> Result<(Self, Tls), TlsError> {
        let folder = data.join("tls");
        std::fs::create_dir_all(&folder).map_err(StoreError::write(&folder))?;
        let authority = Authority::open(&folder, box_id.as_str(), &names)?;
        // For programs on this machine: `dais guest --ca`.
        let root_file = folder.join("ca.pem");
        if std::fs::read_to_string(&root_file).ok().as_ref() != Some(&authority.root().pem) {
            store::replace(&root_file, authority.root().pem.as_bytes())
                .map_err(StoreError::write(&root_file))?;
        }
        let kept = std::fs::read_to_string(folder.join("server.pem"))
            .ok()
            .and_then(|pem| Leaf::parse(&pem))
            .filter(|leaf| leaf.is_of(&authority));
        let leaf = match kept {
            Some(leaf) => leaf,
            None => issue(&authority, &folder, &names, now)?,
        };
        let (out, server) = watch::channel(leaf.server()?);
        let root = own.is_none().then(|| Arc::new(authority.root().clone()));
        let mut this = Self {
            folder,
            box_id: box_id.clone(),
            authority,
            leaf,
            own,
            seen: None,
            own_serves: false,
            out,
        };
        this.look(now, &names);
        Ok((this, Tls { server, root }))
    }

    /// Keeps them good for as long as the box runs.
    pub async fn keep(mut self) {
        let mut turn = tokio::time::interval(LOOK_EVERY);
        turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            turn.tick().await;
            // Reads and syncs files.
            let looked = tokio::task::spawn_blocking(move || {
                let names = Names::of_this_machine(&self.box_id);
                self.look(SystemTime::now(), &names);
                self
            });
            match looked.await {
                Ok(certificates) => self = certificates,
                Err(error) => {
                    tracing::error!(%error, "certificates are no longer renewed");
                    return;
                }
            }
        }
    }

    fn look(&mut self, now: SystemTime, names: &Names) {
        let wanted = names.clone().within(self.authority.zones());
        if !self.leaf.names.cover(&wanted) || !self.leaf.window.serves(now) {
            match issue(&self.authority, &self.folder, names, now) {
                Ok(leaf) => {
                    self.leaf = leaf;
                    if !self.own_serves {
                        self.serve_the_boxs_own();
                    }
                }
                Err(error) => tracing::error!(%error, "the certificate could not be renewed"),
            }
        }
        self.look_at_the_studios(now);
    }

    fn look_at_the_studios(&mut self, now: SystemTime) {
        let Some(own) = &self.own else { return };
        let written = |path: &Path| path.metadata().and_then(|m| m.modified()).ok();
        let stamp = [written(&own.certificate), written(&own.key)];
        if self.seen == Some(stamp) {
            return;
        }
        self.seen = Some(stamp);
        let loaded = Leaf::load(&own.certificate, &own.key);
        let usable = loaded.and_then(|leaf| {
            let server = leaf
                .server()
                .map_err(|error| Fault::Certificate(error.to_string()))?;
            Ok((leaf, server))
        });
        match usable {
            Ok((leaf, server)) => {
                self.own_serves = true;
                self.out.send_replace(server);
                let file = own.certificate.display();
                match known(now).and_then(|now| leaf.time_fault(now)) {
                    None => {
                        tracing::info!(%file, names = ?leaf.names.hosts, "the studio's own certificate is served")
                    }
                    Some(fault) => {
                        tracing::error!(%file, fault, "the studio's own certificate is served, and browsers refuse it")
                    }
                }
            }
            // Both files are rarely written in one instant: the old pair serves until the new one is whole.
            Err(fault) => {
                let instead = if self.own_serves {
                    "the one before"
                } else {
                    "the box's own"
                };
                tracing::error!(%fault, "the studio's own certificate cannot be used, and {instead} is served");
            }
        }
    }

    fn serve_the_boxs_own(&self) {
        match self.leaf.server() {
            Ok(server) => drop(self.out.send_replace(server)),
            Err(error) => tracing::error!(%error, "the new certificate cannot be used"),
        }
    }
}

fn issue(
    authority: &Authority,
    folder: &Path,
    names: &Names,
    now: SystemTime,
) -> Result<Leaf, TlsError> {
    let leaf = authority.issue(names, Window::at(now))?;
    let path = folder.join("server.pem");
    store::replace(&path, leaf.secret_pem().as_bytes()).map_err(StoreError::write(&path))?;
    tracing::info!(hosts = ?leaf.names.hosts, addresses = ?leaf.names.addresses, "made a server certificate");
    Ok(leaf)
}
