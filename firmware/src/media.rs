//! Answers and candidates on their way to the studio: in order within a session, and one session never waits for
//! another.

use std::collections::HashMap;

use dais_protocol::{IceCandidateInit, Reason, RpcError};
use dais_studio::MediaError;
use dais_studio::api::IceCandidate;
use tokio::sync::mpsc;

use crate::control::Envelope;
use crate::plane::Plane;

/// Messages of one session that wait: an answer and a burst of candidates.
const QUEUE: usize = 256;

/// What a client sent for its session.
pub enum Signal {
    Answer(String),
    Candidate(Option<IceCandidateInit>),
}

/// The result of a [`Signal`], to be answered.
pub struct Done {
    pub to: Envelope,
    pub result: Result<(), RpcError>,
}

pub struct Signals {
    plane: Plane,
    done: mpsc::UnboundedSender<Done>,
    queues: HashMap<String, mpsc::Sender<(Envelope, Signal)>>,
}

impl Signals {
    pub fn new(plane: Plane, done: mpsc::UnboundedSender<Done>) -> Self {
        Self {
            plane,
            done,
            queues: HashMap::new(),
        }
    }

    pub fn open(&mut self, session: &str) {
        let (queue, mut signals) = mpsc::channel::<(Envelope, Signal)>(QUEUE);
        self.queues.insert(session.to_owned(), queue);
        let (plane, done, session) = (self.plane.clone(), self.done.clone(), session.to_owned());
        tokio::spawn(async move {
            while let Some((to, signal)) = signals.recv().await {
                let result = match signal {
                    Signal::Answer(sdp) => plane.answer(&session, &sdp).await,
                    Signal::Candidate(candidate) => {
                        plane.candidate(&session, candidate.map(to_studio)).await
                    }
                };
                let _ = done.send(Done {
                    to,
                    result: result.map_err(to_rpc),
                });
            }
        });
    }

    pub fn close(&mut self, session: &str) {
        self.queues.remove(session);
    }

    pub fn send(&self, session: &str, to: Envelope, signal: Signal) -> Result<(), RpcError> {
        let Some(queue) = self.queues.get(session) else {
            return Err(RpcError::bad_param(
                "session",
                "there is no such session, or it has ended",
            ));
        };
        queue.try_send((to, signal)).map_err(|_| {
            RpcError::new(
                Reason::Unavailable,
                "The box is still busy with what this session sent before.",
            )
        })
    }
}

fn to_studio(init: IceCandidateInit) -> IceCandidate {
    IceCandidate {
        candidate: init.candidate,
        sdp_mid: init.sdp_mid,
        sdp_m_line_index: init.sdp_m_line_index,
    }
}

pub fn to_wire(candidate: IceCandidate) -> IceCandidateInit {
    IceCandidateInit {
        candidate: candidate.candidate,
        sdp_mid: candidate.sdp_mid,
        sdp_m_line_index: candidate.sdp_m_line_index,
        username_fragment: None,
    }
}

fn to_rpc(error: MediaError) -> RpcError {
    match error {
        MediaError::Bad { what } => RpcError::new(Reason::BadMedia, what),
        MediaError::NoSuchSession { .. } => {
            RpcError::bad_param("session", "there is no such session, or it has ended")
        }
        MediaError::Unavailable { why } => RpcError::new(Reason::Unavailable, why),
    }
}
