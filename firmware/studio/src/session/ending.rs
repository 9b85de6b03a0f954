//! Takes pipelines down, each in a thread that nothing waits for: going to NULL took 4 to 97 ms, and a peer that hangs
//! there must hold up nobody. At most four at once; the rest wait their turn.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use gst::prelude::*;

use super::lock;

const MAX_THREADS: usize = 4;

#[derive(Clone, Default)]
pub(super) struct Ending(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    done: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<gst::Pipeline>,
    threads: usize,
}

impl Ending {
    pub fn end(&self, pipeline: gst::Pipeline) {
        let mut state = lock(&self.0.state);
        state.waiting.push_back(pipeline);
        if state.threads == MAX_THREADS {
            return;
        }
        let inner = self.0.clone();
        match std::thread::Builder::new()
            .name("session-end".into())
            .spawn(move || inner.work())
        {
            Ok(_) => state.threads += 1,
            // The pipeline stays in the queue for the next one: better than to block here.
            Err(error) => {
                tracing::error!(%error, "a session could not be taken down: no thread could be started")
            }
        }
    }

    /// Waits until all are down, at most `limit`.
    pub fn wait(&self, limit: Duration) {
        let until = Instant::now() + limit;
        let mut state = lock(&self.0.state);
        while state.threads > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                tracing::error!(
                    "{} sessions did not end within {limit:?}",
                    state.threads + state.waiting.len()
                );
                return;
            }
            state = self
                .0
                .done
                .wait_timeout(state, left)
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .0;
        }
    }
}

impl Inner {
    fn work(&self) {
        loop {
            let pipeline = {
                let mut state = lock(&self.state);
                match state.waiting.pop_front() {
                    Some(pipeline) => pipeline,
                    None => {
                        state.threads -= 1;
                        self.done.notify_all();
                        return;
                    }
                }
            };
            if let Err(error) = pipeline.set_state(gst::State::Null) {
                tracing::error!(%error, pipeline = %pipeline.name(), "a session could not be taken down");
            }
        }
    }
}
