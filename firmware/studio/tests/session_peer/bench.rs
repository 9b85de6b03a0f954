//! A studio and the wire between it and its peers.

use std::time::{Duration, Instant};

use dais_studio::api::{Event, IceCandidate, SessionKind, SessionSpec};
use dais_studio::{MediaError, Studio, StudioConfig};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

use super::{PeerProcess, Setup};

/// Generous: the machine may be busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub const GUEST: SessionKind = SessionKind::Guest { camera: true };

/// A studio that offers 127.0.0.1, and what it tells.
pub struct Bench {
    pub studio: Studio,
    pub events: UnboundedReceiver<Event>,
}

pub fn start() -> Bench {
    start_with(|_| {})
}

pub fn start_with(change: impl Fn(&mut StudioConfig)) -> Bench {
    let mut config = StudioConfig::default();
    config.ice.loopback = true;
    config.programme.width = 640;
    config.programme.height = 360;
    config.sessions.stall_ms = 1000;
    change(&mut config);
    let (tell, events) = tokio::sync::mpsc::unbounded_channel();
    Bench {
        studio: Studio::start(config, tell).unwrap(),
        events,
    }
}

impl Bench {
    pub async fn next(&mut self) -> Event {
        tokio::time::timeout(PATIENCE, self.events.recv())
            .await
            .expect("an event in time")
            .unwrap()
    }

    pub async fn offer(&mut self, id: &str, kind: SessionKind) -> String {
        self.studio
            .open(SessionSpec {
                session: id.into(),
                kind,
            })
            .unwrap();
        loop {
            match self.next().await {
                Event::Offer { session, sdp } if session == id => return sdp,
                Event::Failed { reason, .. } => panic!("{reason}"),
                _ => {}
            }
        }
    }

    /// Carries answer and candidates to and fro until `done` of an event or of a message of the peer.
    pub async fn carry(
        &mut self,
        id: &str,
        peer: &mut PeerProcess,
        done: impl Fn(Result<&Event, &Value>) -> bool,
    ) {
        let until = Instant::now() + PATIENCE;
        loop {
            tokio::select! {
                event = self.events.recv() => {
                    let event = event.unwrap();
                    match &event {
                        Event::Candidate { session, candidate: Some(c) } if session == id => {
                            peer.0.tell(&json!({ "candidate": c.candidate }));
                        }
                        _ => {}
                    }
                    if done(Ok(&event)) { return }
                    if let Event::Failed { session, reason } = &event { panic!("{session} failed: {reason}") }
                }
                message = peer.0.messages.recv() => {
                    let message = message.expect("the peer lives");
                    if let Some(sdp) = message["answer"].as_str() {
                        self.studio.answer(id, sdp).await.unwrap();
                    } else if let Some(text) = message["candidate"].as_str() {
                        let c = IceCandidate { candidate: text.into(), sdp_mid: None, sdp_m_line_index: Some(0) };
                        match self.studio.candidate(id, Some(c)).await {
                            // It ended meanwhile; the event that says why is on its way.
                            Ok(()) | Err(MediaError::NoSuchSession { .. }) => {}
                            Err(error) => panic!("{text}: {error}"),
                        }
                    }
                    if done(Err(&message)) { return }
                }
                () = tokio::time::sleep_until(until.into()) => panic!("not within {PATIENCE:?}: {:#}", self.health(id)),
            }
        }
    }

    pub fn health(&self, id: &str) -> Value {
        let sessions = serde_json::to_value(self.studio.health().sessions).unwrap();
        sessions
            .as_array()
            .unwrap()
            .iter()
            .find(|s| s["session"] == id)
            .cloned()
            .unwrap_or(Value::Null)
    }

    /// Until `key` of the session's health has come to so many.
    pub async fn until_counted(
        &mut self,
        id: &str,
        peer: &mut PeerProcess,
        (key, count): (&str, u64),
        began: Instant,
    ) {
        while self.health(id)[key].as_u64() < Some(count) {
            assert!(began.elapsed() < PATIENCE, "{:#}", self.health(id));
            self.carry(id, peer, |seen| seen.is_err()).await;
        }
    }

    pub async fn join(&mut self, id: &str, kind: SessionKind, setup: &Setup) -> PeerProcess {
        let watch = !matches!(kind, SessionKind::Guest { .. });
        let offer = self.offer(id, kind).await;
        let mut peer = PeerProcess::start(setup, &offer);
        self.carry(id, &mut peer, |seen| match seen {
            Ok(Event::Alive { session }) => session == id,
            Err(message) => watch && message["pictures"].as_u64() > Some(0),
            Ok(_) => false,
        })
        .await;
        peer
    }
}
