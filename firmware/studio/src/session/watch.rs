//! The thread that looks after all sessions: liveness every 100 ms, and the end of those that failed.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::api::{Event, Source};

use super::vitals::Before;
use super::{Registry, lock};

const LOOK: Duration = Duration::from_millis(100);
/// The last picture of a session that failed is shown dimmed while the room waits for its guest (10 s).
const KEEP_SLOT: Duration = Duration::from_secs(30);

pub(super) enum Call {
    Failed { session: String },
}

/// Ends when the sessions are gone.
pub(super) fn run(registry: &Weak<Registry>, calls: &Receiver<Call>) {
    let mut due = Instant::now() + LOOK;
    let mut rates: HashMap<String, Before> = HashMap::new();
    loop {
        let call = calls.recv_timeout(due.saturating_duration_since(Instant::now()));
        let Some(registry) = registry.upgrade() else {
            return;
        };
        match call {
            Ok(Call::Failed { session }) => fail(&registry, &session),
            Err(RecvTimeoutError::Timeout) => {
                look(&registry, &mut rates);
                due = Instant::now() + LOOK;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn look(registry: &Registry, rates: &mut HashMap<String, Before>) {
    let sessions: Vec<_> = lock(&registry.open).values().cloned().collect();
    rates.retain(|id, _| sessions.iter().any(|s| s.id == *id));
    for session in &sessions {
        let before = rates.entry(session.id.clone()).or_default();
        session.vitals.look(before);
        if session.vitals.is_stuck() {
            tracing::debug!(
                session = session.id,
                "nothing can be decoded; a keyframe is asked for again"
            );
            session.incoming.ask_for_keyframe();
        }
        *lock(&session.rates) = *before;
    }
    let over: Vec<_> = {
        let mut ended = lock(&registry.ended);
        let over = ended
            .iter()
            .filter(|(_, at)| at.elapsed() > KEEP_SLOT)
            .map(|(id, _)| id.clone())
            .collect();
        ended.retain(|_, at| at.elapsed() <= KEEP_SLOT);
        over
    };
    for session in over {
        registry.shared.slots.remove(&Source::Session(session));
    }
}

fn fail(registry: &Arc<Registry>, id: &str) {
    let Some(session) = lock(&registry.open).remove(id) else {
        return;
    };
    let reason = session.vitals.failure().unwrap_or("unknown").to_owned();
    tracing::warn!(session = id, reason, "a session failed");
    lock(&registry.ended).insert(id.to_owned(), Instant::now());
    session.vitals.close();
    registry.end(session);
    registry.shared.tell(Event::Failed {
        session: id.to_owned(),
        reason,
    });
}
