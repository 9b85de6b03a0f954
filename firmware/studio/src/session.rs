//! Sessions: one WebRTC peer connection and one pipeline for each guest on air or waiting, for each watcher, and for each
//! console that looks at one guest alone.
//!
//! ```text
//! webrtcbin ─▶ depay ─▶ decoder ─▶ appsink ─▶ slot        (pictures: the newest; sound: a short queue)
//! feed of the return ─▶ appsrc ─▶ payloader ─▶ webrtcbin  (encoded once for all)
//! mix-minus of the slot ─▶ appsrc ─▶ Opus ─▶ payloader ─▶ webrtcbin
//! ```
//!
//! The box offers: it knows what it decodes best. What the other side answers is read by code of ours and written anew
//! ([`answer`], [`candidate`]) before webrtcbin sees it. One pipeline for all would be simpler, but there one peer's error
//! stopped the programme; and webrtcbin has no ICE restart, so a new network means a new session.

pub(crate) mod answer;
mod candidate;
mod ending;
pub(crate) mod ice;
mod incoming;
pub(crate) mod peer;
mod returns;
mod sdp;
pub(crate) mod sending;
pub(crate) mod stats;
mod view;
mod vitals;
mod watch;

use std::collections::HashMap;
use std::mem::discriminant;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::api::{IceCandidate, SessionKind, SessionSpec, Source};
use crate::error::{MediaError, StudioError};
use crate::studio::Shared;

pub use stats::SessionHealth;

use ending::Ending;
use peer::Peer;
use watch::Call;

/// Nine seats, their replacements after a changed network, and those who wait with an offer made early.
const MAX_GUESTS: usize = 32;
/// Each encodes a picture of its own.
const MAX_VIEWS: usize = 4;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All sessions of the studio.
pub struct Sessions {
    registry: Arc<Registry>,
    calls: Sender<Call>,
    warm_up: Mutex<Option<JoinHandle<()>>>,
}

struct Registry {
    shared: Shared,
    open: Mutex<HashMap<String, Arc<Peer>>>,
    /// Sessions that failed, and when; their slots keep the last picture for a while.
    ended: Mutex<HashMap<String, Instant>>,
    ending: Ending,
}

impl Sessions {
    pub fn new(shared: Shared) -> Result<Sessions, StudioError> {
        ice::check(&shared.config.ice)?;
        let registry = Arc::new(Registry {
            shared,
            open: Mutex::default(),
            ended: Mutex::default(),
            ending: Ending::default(),
        });
        let (calls, received) = channel();
        let weak = Arc::downgrade(&registry);
        std::thread::Builder::new()
            .name("session-watch".into())
            .spawn(move || watch::run(&weak, &received))
            .map_err(StudioError::Thread)?;
        let ending = registry.ending.clone();
        // The first offer of a process takes 190 to 750 ms: plugins are loaded, the DTLS certificate is made.
        let warm_up = std::thread::Builder::new()
            .name("session-warm".into())
            .spawn(move || peer::warm_up(&ending))
            .map_err(StudioError::Thread)?;
        Ok(Sessions {
            registry,
            calls,
            warm_up: Mutex::new(Some(warm_up)),
        })
    }

    /// Makes a session; its offer and candidates come as events.
    pub fn open(&self, spec: SessionSpec) -> Result<(), StudioError> {
        let SessionSpec { session, kind } = spec;
        let shared = &self.registry.shared;
        {
            let open = lock(&self.registry.open);
            if open.contains_key(&session) {
                return Err(StudioError::SessionExists { session });
            }
            let alike = |other: &SessionKind| discriminant(other) == discriminant(&kind);
            let count = open.values().filter(|p| alike(&p.kind)).count();
            let (limit, what) = match &kind {
                SessionKind::Watch => (shared.config.sessions.max_watchers, "watchers"),
                SessionKind::Guest { .. } => (MAX_GUESTS, "guests' connections"),
                SessionKind::View { .. } => (MAX_VIEWS, "private views"),
            };
            if count >= limit {
                return Err(StudioError::Unavailable {
                    why: format!("the box serves {limit} {what}; all are taken"),
                });
            }
        }
        if let SessionKind::View { of } = &kind
            && shared.slots.get(&Source::Session(of.clone())).is_none()
        {
            return Err(StudioError::Unavailable {
                why: "the guest's session has ended".into(),
            });
        }
        lock(&self.registry.ended).remove(&session);
        let peer = Peer::new(session.clone(), kind, shared.clone(), self.calls.clone())?;
        lock(&self.registry.open).insert(session.clone(), peer.clone());
        if let Err(error) = peer.start() {
            self.close(&session);
            return Err(error);
        }
        Ok(())
    }

    /// What a guest has muted holds for private views, too; and of whom no picture comes, sound alone is enough.
    pub fn set_own_mutes(&self, session: &str, sound: bool, picture: bool) {
        let source = Source::Session(session.to_owned());
        if let Some(slot) = self.registry.shared.slots.get(&source) {
            slot.silent.store(sound, Relaxed);
            slot.dark.store(picture, Relaxed);
        }
    }

    fn peer(&self, session: &str) -> Result<Arc<Peer>, MediaError> {
        let found = lock(&self.registry.open).get(session).cloned();
        found.ok_or_else(|| MediaError::NoSuchSession {
            session: session.chars().take(64).collect(),
        })
    }

    pub async fn answer(&self, session: &str, sdp: &str) -> Result<(), MediaError> {
        self.peer(session)?.answer(sdp).await
    }

    pub fn candidate(
        &self,
        session: &str,
        candidate: Option<&IceCandidate>,
    ) -> Result<(), MediaError> {
        let peer = self.peer(session)?;
        match candidate {
            Some(candidate) => peer.candidate(candidate),
            None => Ok(()),
        }
    }

    /// Returns at once.
    pub fn close(&self, session: &str) {
        lock(&self.registry.ended).remove(session);
        let peer = lock(&self.registry.open).remove(session);
        if let Some(peer) = peer {
            peer.vitals.close();
            self.registry.end(peer);
        }
        self.registry
            .shared
            .slots
            .remove(&Source::Session(session.to_owned()));
    }

    pub fn health(&self) -> Vec<SessionHealth> {
        let peers: Vec<_> = lock(&self.registry.open).values().cloned().collect();
        let mut health: Vec<_> = peers.iter().map(|p| stats::of(p)).collect();
        health.sort_by(|a, b| a.session.cmp(&b.session));
        health
    }

    fn close_all(&self) {
        let ids: Vec<_> = lock(&self.registry.open).keys().cloned().collect();
        for id in ids {
            self.close(&id);
        }
    }

    /// Closes all and waits, at most 5 s, until their pipelines are gone.
    pub fn shut_down(&self) {
        self.close_all();
        // OpenSSL frees its state when the process ends: a certificate that is still being made then would crash it.
        if let Some(warm_up) = lock(&self.warm_up).take() {
            let _ = warm_up.join();
        }
        self.registry.ending.wait(Duration::from_secs(5));
    }
}

impl Drop for Sessions {
    fn drop(&mut self) {
        self.close_all();
    }
}

impl Registry {
    /// Cuts a session off from slots and feeds, and takes its pipeline down in a thread of its own.
    fn end(&self, peer: Arc<Peer>) {
        self.ending.end(peer.cut_off());
    }
}
