//! The box's own MQTT client, on `rumqttc`.
//!
//! Three tasks' worth of work, kept apart because of what the library does when they are not:
//!
//! ```text
//! publish() ─▶ outbox ─▶ feed ─▶ rumqttc's channel ─▶ poll ─▶ broker
//!                                                      └────▶ Incoming
//! ```
//!
//! - The task that polls never publishes and never waits for anything else: rumqttc stalls otherwise (its #1025).
//! - An event loop is used for one connection. After any error, silence or panic a new one is made, with back-off:
//!   reconnecting the old one can livelock (#1014, #1056) or get stuck on a collision of packet ids.
//! - QoS 0 and 1 only (its PUBREL storm, PR 1053).
//!
//! What the library had not sent, or had sent without an answer, goes back into the [`outbox`].

mod outbox;
mod session;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dais_room::access::Identity;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::Endpoint;
use outbox::Outbox;

pub use outbox::LinkCounters;

/// Requests that wait for `control`. At 20 a second from each of ten people it is five seconds' worth.
const INCOMING: usize = 1024;
/// Places that requests may not take, so that `Connected` and `Disconnected` always find one.
const INCOMING_RESERVE: usize = 32;
/// How long `stop` waits for the broker to take what is left.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// How the box connects to its broker.
#[derive(Clone)]
pub struct LinkConfig {
    /// Where the broker is.
    pub endpoint: Endpoint,
    /// `box` on the embedded broker.
    pub username: String,
    /// The box's password.
    pub password: String,
    /// `{box}` in every topic.
    pub box_id: String,
    /// What `online` says after the box is gone.
    pub will_payload: Bytes,
    /// What `online` says while it is there; published at each connection.
    pub birth_payload: Bytes,
}

/// At most once or at least once; the contract needs no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qos {
    /// May be lost.
    AtMostOnce,
    /// May come twice.
    AtLeastOnce,
}

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Full topic.
    pub topic: String,
    /// JSON, at most 64 KiB.
    pub payload: Bytes,
    /// Delivery.
    pub qos: Qos,
    /// Keep it on the broker: the newest of each topic is also sent again after each reconnect.
    pub retain: bool,
    /// Seconds after which nobody wants it.
    pub expiry_s: Option<u32>,
    /// What the request carried.
    pub correlation_data: Option<Bytes>,
}

/// What comes from the broker.
#[derive(Clone, Debug, PartialEq)]
pub enum Incoming {
    /// Connected and subscribed: from now on requests arrive.
    Connected,
    /// The connection ended or could not be made. The link goes on trying.
    Disconnected {
        /// A sentence for the log.
        why: String,
    },
    /// Somebody wants something.
    Request(Request),
}

/// A message on somebody's `up`.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Whose `up` it came from, which the broker lets nobody else publish to.
    pub from: Identity,
    /// Not looked at yet.
    pub payload: Bytes,
    /// It was published with the retain flag, which the contract refuses.
    pub retain: bool,
    /// When it stops being wanted.
    pub expires_at: Option<Instant>,
    /// Where the sender wants its reply.
    pub response_topic: Option<String>,
    /// What the reply must repeat.
    pub correlation_data: Option<Bytes>,
}

impl Request {
    /// True if it is too late to act on this.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        self.expires_at.is_some_and(|at| Instant::now() >= at)
    }
}

/// The running client. Cloning gives another handle to the same connection.
#[derive(Clone)]
pub struct Link {
    outbox: Arc<Outbox>,
    /// DISCONNECT discards the will, so its message is sent by hand.
    farewell: Publish,
    stop: watch::Sender<bool>,
    task: Arc<tokio::sync::Mutex<Option<JoinHandle<()>>>>,
}

impl Link {
    /// Starts connecting, and goes on until [`Link::stop`]. Must be called on a tokio runtime.
    #[must_use]
    pub fn start(config: LinkConfig) -> (Self, mpsc::Receiver<Incoming>) {
        let outbox = Arc::new(Outbox::default());
        let (incoming, received) = mpsc::channel(INCOMING);
        let (stop, stopping) = watch::channel(false);
        let farewell = session::online(&config, config.will_payload.clone());
        let task = tokio::spawn(session::run(
            config,
            Arc::clone(&outbox),
            incoming,
            stopping,
        ));
        let link = Self {
            outbox,
            farewell,
            stop,
            task: Arc::new(tokio::sync::Mutex::new(Some(task))),
        };
        (link, received)
    }

    /// Sends a message now, or after the next reconnect; never waits.
    ///
    /// Without a connection, QoS 0 is dropped, QoS 1 waits for at most 10 s, and of retained messages the newest of
    /// each topic waits for as long as it takes. [`Link::counters`] counts what was dropped.
    pub fn publish(&self, message: Publish) {
        self.outbox.push(message);
    }

    /// What was sent, received and dropped since the start.
    #[must_use]
    pub fn counters(&self) -> LinkCounters {
        self.outbox.counters()
    }

    /// Sends what is left, says that the box is offline, and disconnects. Takes 3 s at most.
    pub async fn stop(&self) {
        let Some(mut task) = self.task.lock().await.take() else {
            return;
        };
        let _ = self.stop.send(true);
        self.outbox.push(self.farewell.clone());
        if tokio::time::timeout(STOP_TIMEOUT + Duration::from_secs(1), &mut task)
            .await
            .is_err()
        {
            task.abort();
        }
    }
}
