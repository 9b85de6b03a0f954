//! The MQTT broker of a Dais, and the box's own client.
//!
//! The rest of the firmware sees a [`Broker`]: where clients connect, and how a credential is given and taken. The
//! embedded broker ([`start_embedded`]) runs in this process, asks [`Authenticate`] for every connection and the
//! access table of `dais-room` for every packet. A broker of the studio's own ([`ExternalBroker`]) is told the same
//! table as roles, or decides itself.
//!
//! [`Link`] is the box's client of either: it carries requests in and replies, notifications and snapshots out, and
//! it is the only place that knows the faults of its MQTT library.

mod embedded;
mod endpoint;
mod external;
mod link;

use async_trait::async_trait;
use dais_room::access::Identity;

pub use embedded::{EmbeddedBroker, EmbeddedConfig, Limits, start_embedded};
pub use endpoint::{Connection, Endpoint, EndpointError, TlsRoots};
pub use external::{ExternalBroker, ExternalConfig, Provisioning};
pub use link::{Incoming, Link, LinkConfig, LinkCounters, Publish, Qos, Request};

/// The longest payload of the contract.
pub const MAX_PAYLOAD: usize = 64 * 1024;

/// The longest MQTT packet: a payload, and room for its topic and properties.
pub const MAX_PACKET: u32 = MAX_PAYLOAD as u32 + 4 * 1024;

/// A broker that serves this box, wherever it runs.
#[async_trait]
pub trait Broker: Send + Sync {
    /// Where a client connects, by TCP or through the web origin's `/mqtt`, which carries the same bytes.
    fn endpoint(&self) -> Endpoint;

    /// Makes a credential work. The embedded broker has nothing to do: it asks [`Authenticate`].
    async fn grant(&self, who: &Identity, password: &str) -> Result<(), BrokerError>;

    /// Ends a credential and its live sessions at once.
    ///
    /// For the embedded broker [`Authenticate`] must refuse the credential before this is called: a connection that
    /// is being made meanwhile is asked for once more.
    async fn revoke(&self, who: &Identity) -> Result<(), BrokerError>;

    /// Ends the broker, if it is ours, and every connection to it.
    async fn stop(&self);
}

/// Who a user name and a password belong to, and who comes and goes. Called on the broker's threads, the last two with its table of
/// sessions locked: it must be quick.
pub trait Authenticate: Send + Sync + 'static {
    /// The identity, or `None` for an unknown user or a wrong password. Asked at every connection.
    fn authenticate(&self, username: &str, password: &[u8]) -> Option<Identity>;

    /// A connection of this user stands, and nothing that comes by it was read yet. One that it took over has ended before.
    fn arrived(&self, who: &Identity);

    /// One of this user's connections has ended, in whichever way: a client that says a plain good-bye leaves no will. So
    /// many are left.
    fn departed(&self, who: &Identity, left: usize);
}

/// What a broker could not do, and what helps.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The machine's: the port is taken or not allowed.
    #[error(
        "The MQTT broker could not listen on {bind}: {source}. Choose another `[mqtt]` port (0 takes a free one) or stop what uses it."
    )]
    Bind {
        /// The address that was asked for.
        bind: std::net::SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The machine's: no threads, or no loopback.
    #[error(
        "The MQTT broker could not start: {0}. Check the limits on threads and open files of the service."
    )]
    Start(String),
    /// The user's: a box id out of form.
    #[error("The box id `{0}` is not 1 to 32 of `a-z 0-9 -`. Correct it in the configuration.")]
    BoxId(String),
    /// The user's: the address of the external broker.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The other side's: the external broker did not do what was asked.
    #[error("The external broker at {broker} did not {what}: {why}.")]
    External {
        /// `host:port` of the broker.
        broker: String,
        /// The action, as a verb phrase.
        what: &'static str,
        /// What it said instead.
        why: String,
    },
    /// Ours or the caller's: the broker was stopped.
    #[error("The MQTT broker has been stopped.")]
    Stopped,
}
