//! Whose client id is whose, who has come and gone, how fast each client publishes, and whether a connection began before a
//! revocation.
//!
//! MQTT lets a new connection take over the session of an old one with the same client id. Client ids are the
//! clients' own choice, so without this table any guest could throw the host off, or inherit the host's queue.
//!
//! A take-over by the same user waits here until the old connection is gone: `rmqtt` refuses the new one (0x88) if it
//! comes while the old one ends, which is just what a reloaded page does. So the old one is told as departed before the new
//! one is told as arrived; both are told with the table locked, in the order in which they happened.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dais_room::access::Identity;
use rmqtt::types::Id;
use tokio::sync::Notify;

use super::Limits;
use crate::Authenticate;

pub(super) struct Sessions {
    auth: Arc<dyn Authenticate>,
    by_client_id: Mutex<HashMap<String, Holder>>,
    /// Told whenever a connection has ended.
    ended: Notify,
    revocations: AtomicU64,
    handshake: Duration,
    publishes_per_s: u32,
    /// Past this many entries, those that never became a session are looked for and dropped.
    tidy_at: usize,
}

struct Holder {
    username: String,
    /// The session, once its handshake was complete.
    session: Option<Id>,
    /// The session's client is away.
    offline: bool,
    /// The newest connection that logged in, and until when nobody else may have the client id although it has no session yet.
    reserved: (Id, Instant),
    /// Revocations that had happened when this connection was authenticated.
    revocations_seen: u64,
    allowance: Allowance,
}

impl Holder {
    fn is_connected(&self) -> bool {
        self.session.is_some() && !self.offline
    }

    fn is_reserved(&self) -> bool {
        self.reserved.1 > Instant::now()
    }
}

/// A token bucket: one second's worth of packets at most.
struct Allowance {
    left: f64,
    at: Instant,
}

impl Sessions {
    pub(super) fn new(limits: &Limits, auth: Arc<dyn Authenticate>) -> Self {
        Self {
            auth,
            by_client_id: Mutex::default(),
            ended: Notify::new(),
            revocations: AtomicU64::new(0),
            handshake: limits.handshake_timeout,
            publishes_per_s: limits.publishes_per_s.max(1),
            tidy_at: limits.max_sessions.saturating_mul(2),
        }
    }

    /// Sets the client id aside for the user of this connection; false if it is another user's.
    pub(super) fn reserve(&self, id: &Id) -> bool {
        let now = Instant::now();
        let username = id.username_ref();
        let reserved = (id.clone(), now + self.handshake);
        let mut all = self.lock();
        if all.len() >= self.tidy_at {
            all.retain(|_, holder| holder.session.is_some() || holder.is_reserved());
        }
        if let Some(holder) = all.get_mut(&*id.client_id) {
            if holder.username != username && (holder.session.is_some() || holder.is_reserved()) {
                return false;
            }
            username.clone_into(&mut holder.username);
            holder.reserved = reserved;
            holder.revocations_seen = self.revocations.load(Ordering::SeqCst);
            return true;
        }
        let holder = Holder {
            username: username.to_owned(),
            session: None,
            offline: false,
            reserved,
            revocations_seen: self.revocations.load(Ordering::SeqCst),
            allowance: Allowance {
                left: f64::from(self.publishes_per_s),
                at: now,
            },
        };
        all.insert(id.client_id.to_string(), holder);
        true
    }

    /// Where the connection comes from that holds this client id now.
    pub(super) fn live(&self, client_id: &str) -> Option<SocketAddr> {
        let all = self.lock();
        let holder = all.get(client_id).filter(|holder| holder.is_connected())?;
        holder.session.as_ref()?.remote_addr
    }

    /// Waits until no connection holds this client id.
    pub(super) async fn free(&self, client_id: &str) {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            // Listen first, so that an end between the question and the wait is not missed.
            ended.as_mut().enable();
            if self.live(client_id).is_none() {
                return;
            }
            ended.await;
        }
    }

    /// The handshake is complete. True if somebody was revoked since it began: then ask again.
    pub(super) fn connected(&self, id: &Id) -> bool {
        let mut all = self.lock();
        let Some(holder) = all.get_mut(&*id.client_id) else {
            return true;
        };
        holder.session = Some(id.clone());
        holder.offline = false;
        // A later one of the same user may have logged in meanwhile: the client id stays set aside for that.
        if holder.reserved.0 == *id {
            holder.reserved.1 = Instant::now();
        }
        if let Some(who) = Identity::from_username(&holder.username) {
            tracing::debug!(%who, client_id = &*id.client_id, "an MQTT client has connected");
            self.auth.arrived(&who);
        }
        holder.revocations_seen != self.revocations.load(Ordering::SeqCst)
    }

    /// The connection is over; the session may wait for its client to come back.
    pub(super) fn disconnected(&self, id: &Id) {
        let mut all = self.lock();
        if let Some(holder) = all.get_mut(&*id.client_id)
            && holder.session.as_ref() == Some(id)
            && holder.is_connected()
        {
            holder.offline = true;
            let username = holder.username.clone();
            let left = all
                .values()
                .filter(|other| other.username == username && other.is_connected())
                .count();
            if let Some(who) = Identity::from_username(&username) {
                tracing::debug!(%who, client_id = &*id.client_id, left, "an MQTT client's connection has ended");
                self.auth.departed(&who, left);
            }
        }
        drop(all);
        self.ended.notify_waiters();
    }

    /// The session is over. A session that was taken over by the same user's next one leaves the entry to that.
    pub(super) fn terminated(&self, id: &Id) {
        self.disconnected(id);
        let mut all = self.lock();
        if let Some(holder) = all.get_mut(&*id.client_id)
            && holder.session.as_ref() == Some(id)
        {
            holder.session = None;
            if !holder.is_reserved() {
                all.remove(&*id.client_id);
            }
        }
        drop(all);
        self.ended.notify_waiters();
    }

    pub(super) fn note_revocation(&self) {
        self.revocations.fetch_add(1, Ordering::SeqCst);
    }

    /// Takes one packet from the client's allowance; if there is none, how long until there is.
    pub(super) fn spend(&self, client_id: &str) -> Result<(), Duration> {
        let now = Instant::now();
        let rate = f64::from(self.publishes_per_s);
        let mut all = self.lock();
        let Some(Holder { allowance, .. }) = all.get_mut(client_id) else {
            return Ok(());
        };
        let earned = now.saturating_duration_since(allowance.at).as_secs_f64() * rate;
        allowance.left = (allowance.left + earned).min(rate);
        allowance.at = now;
        if allowance.left >= 1.0 {
            allowance.left -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - allowance.left) / rate))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Holder>> {
        self.by_client_id
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Told(Mutex<Vec<&'static str>>);

    impl Authenticate for Told {
        fn authenticate(&self, _: &str, _: &[u8]) -> Option<Identity> {
            None
        }
        fn arrived(&self, _: &Identity) {
            self.0.lock().unwrap().push("arrived");
        }
        fn departed(&self, _: &Identity, _: usize) {
            self.0.lock().unwrap().push("departed");
        }
    }

    /// On a busy machine a client gives up a connection that is not answered, and makes another one, before the broker is
    /// done with the first.
    #[test]
    fn whoever_tries_twice_is_there_in_the_end() {
        let told = Arc::new(Told::default());
        let sessions = Sessions::new(&Limits::default(), told.clone());
        let connection = |port| {
            let from = Some(SocketAddr::from(([127, 0, 0, 1], port)));
            Id::new(1, 1, None, from, "page".into(), Some("guest-ana".into()))
        };
        let (first, second) = (connection(1), connection(2));
        assert!(sessions.reserve(&first));
        assert!(sessions.reserve(&second));
        sessions.connected(&first);
        sessions.terminated(&first);
        sessions.connected(&second);
        assert_eq!(*told.0.lock().unwrap(), ["arrived", "departed", "arrived"]);
    }
}
