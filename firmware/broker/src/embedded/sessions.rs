//! Whose client id is whose, how fast each client publishes, and whether a connection began before a revocation.
//!
//! MQTT lets a new connection take over the session of an old one with the same client id. Client ids are the
//! clients' own choice, so without this table any guest could throw the host off, or inherit the host's queue.
//!
//! A take-over by the same user waits here until the old connection is gone: `rmqtt` refuses the new one (0x88) if it
//! comes while the old one ends, which is just what a reloaded page does.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rmqtt::types::Id;
use tokio::sync::Notify;

use super::Limits;

pub(super) struct Sessions {
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
    /// Until then nobody else may have the client id although there is no session yet.
    reserved_until: Instant,
    /// Revocations that had happened when this connection was authenticated.
    revocations_seen: u64,
    allowance: Allowance,
}

/// Whether a connection of this user lives, or has just logged in and is about to take over an older one.
fn is_connected(all: &HashMap<String, Holder>, username: &str) -> bool {
    let now = Instant::now();
    all.values().any(|holder| {
        let live = holder.session.is_some() && !holder.offline;
        holder.username == username && (live || holder.reserved_until > now)
    })
}

/// A token bucket: one second's worth of packets at most.
struct Allowance {
    left: f64,
    at: Instant,
}

impl Sessions {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            by_client_id: Mutex::default(),
            ended: Notify::new(),
            revocations: AtomicU64::new(0),
            handshake: limits.handshake_timeout,
            publishes_per_s: limits.publishes_per_s.max(1),
            tidy_at: limits.max_sessions.saturating_mul(2),
        }
    }

    /// Sets the client id aside for this user; false if it is another user's.
    pub(super) fn reserve(&self, client_id: &str, username: &str) -> bool {
        let now = Instant::now();
        let mut all = self.lock();
        if all.len() >= self.tidy_at {
            all.retain(|_, holder| holder.session.is_some() || holder.reserved_until > now);
        }
        if let Some(holder) = all.get_mut(client_id) {
            let free = holder.session.is_none() && holder.reserved_until <= now;
            if holder.username != username && !free {
                return false;
            }
        }
        let holder = all.entry(client_id.to_owned()).or_insert_with(|| Holder {
            username: String::new(),
            session: None,
            offline: false,
            reserved_until: now,
            revocations_seen: 0,
            allowance: Allowance {
                left: f64::from(self.publishes_per_s),
                at: now,
            },
        });
        holder.username = username.to_owned();
        holder.reserved_until = now + self.handshake;
        holder.revocations_seen = self.revocations.load(Ordering::SeqCst);
        true
    }

    /// Where the connection comes from that holds this client id now.
    pub(super) fn live(&self, client_id: &str) -> Option<SocketAddr> {
        let all = self.lock();
        let holder = all.get(client_id).filter(|holder| !holder.offline)?;
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
        holder.reserved_until = Instant::now();
        holder.revocations_seen != self.revocations.load(Ordering::SeqCst)
    }

    /// The connection is over; the session may wait for its client to come back. True if it was its user's last one.
    pub(super) fn disconnected(&self, id: &Id) -> bool {
        let mut all = self.lock();
        let mut last = false;
        if let Some(holder) = all.get_mut(&*id.client_id)
            && holder.session.as_ref() == Some(id)
            && !holder.offline
        {
            holder.offline = true;
            let username = holder.username.clone();
            last = !is_connected(&all, &username);
        }
        drop(all);
        self.ended.notify_waiters();
        last
    }

    /// The session is over. A session that was taken over by the same user's next one leaves the entry to that.
    /// True if it had a connection, and that was its user's last one.
    pub(super) fn terminated(&self, id: &Id) -> bool {
        let last = self.disconnected(id);
        let mut all = self.lock();
        if let Some(holder) = all.get_mut(&*id.client_id)
            && holder.session.as_ref() == Some(id)
        {
            holder.session = None;
            if holder.reserved_until <= Instant::now() {
                all.remove(&*id.client_id);
            }
        }
        drop(all);
        self.ended.notify_waiters();
        last
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
