//! Threads that scale tiles. They are made once, and work is handed to them by moving it there and back, so that no frame allocates.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::Scaled;
use crate::frame::I420Ref;

/// A picture that other threads can look at.
pub trait Source: Send + Sync {
    /// `None` shows nothing.
    fn view(&self) -> Option<I420Ref<'_>>;
}

/// A tile to be scaled.
pub(super) struct Job {
    pub source: Arc<dyn Source>,
    pub scaled: Box<Scaled>,
    /// Whose it is.
    pub place: usize,
}

impl Job {
    fn run(&mut self) {
        let Some(view) = self.source.view() else {
            return;
        };
        if (view.width(), view.height()) == self.scaled.scaler.src() {
            self.scaled.run(&view);
        }
    }
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Job>,
    done: Vec<Job>,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// There is work, or none will come.
    work: Condvar,
    /// A job is done.
    done: Condvar,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn labour(&self) {
        let mut queue = self.queue();
        loop {
            if let Some(mut job) = queue.waiting.pop() {
                drop(queue);
                // A tile may be lost, not the mixer: it waits for each job.
                let _ = catch_unwind(AssertUnwindSafe(|| job.run()));
                queue = self.queue();
                queue.done.push(job);
                self.done.notify_one();
            } else if queue.closed {
                return;
            } else {
                queue = wait(&self.work, queue);
            }
        }
    }
}

fn wait<'a>(condition: &Condvar, queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
    condition
        .wait(queue)
        .unwrap_or_else(PoisonError::into_inner)
}

/// A fixed number of threads besides the one that mixes.
pub struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Jobs of the frame at hand, until they are handed over.
    next: Vec<Job>,
}

impl Pool {
    /// As many helpers as the system gives, at most `helpers`.
    pub fn new(helpers: usize) -> Self {
        let shared = Arc::<Shared>::default();
        let threads = (0..helpers)
            .map_while(|n| {
                let shared = shared.clone();
                std::thread::Builder::new()
                    .name(format!("tilemix-{n}"))
                    .spawn(move || shared.labour())
                    .ok()
            })
            .collect();
        Self {
            shared,
            threads,
            next: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, job: Job) {
        self.next.push(job);
    }

    /// Does all jobs, the calling thread helping, and gives each back.
    pub(super) fn finish(&mut self, mut back: impl FnMut(Job)) {
        let mut open = self.next.len();
        if open == 0 {
            return;
        }
        let mut queue = self.shared.queue();
        queue.waiting.append(&mut self.next);
        // One is for this thread.
        for _ in 0..(open - 1).min(self.threads.len()) {
            self.shared.work.notify_one();
        }
        while open > 0 {
            if let Some(job) = queue.done.pop() {
                open -= 1;
                back(job);
            } else if let Some(mut job) = queue.waiting.pop() {
                drop(queue);
                job.run();
                open -= 1;
                back(job);
                queue = self.shared.queue();
            } else {
                queue = wait(&self.shared.done, queue);
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.queue().closed = true;
        self.shared.work.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Fit, Style, Tile, TileMixer};
    use super::*;
    use crate::blend::Rect;
    use crate::frame::I420;

    impl Source for I420 {
        fn view(&self) -> Option<I420Ref<'_>> {
            Some(self.as_ref())
        }
    }

    #[test]
    fn threads_change_no_byte_and_leave_nothing_undone() {
        let sources: Vec<Arc<I420>> = (0..10)
            .map(|n| {
                let colour = crate::blend::Yuv::from_rgb(25 * n, 200 - 20 * n, 90);
                Arc::new(I420::of_colour(90 + 7 * usize::from(n), 60, colour))
            })
            .collect();
        let shared: Vec<Arc<dyn Source>> = sources
            .iter()
            .map(|s| s.clone() as Arc<dyn Source>)
            .collect();
        let tiles = |serial: u64| -> Vec<Tile<'_>> {
            (0..10)
                .map(|n| Tile {
                    id: n as u64,
                    frame: I420::as_ref(&sources[n]),
                    // Some are new, some are not.
                    serial: serial / (1 + n as u64 % 3),
                    rect: Rect::new((n as i32 % 4) * 60, (n as i32 / 4) * 40, 58, 39),
                    z: 0,
                    fit: Fit::Cover,
                    dim: false,
                    overlays: &[],
                    style: Style::default(),
                })
                .collect()
        };
        for helpers in [0, 1, 3] {
            let mut pool = Pool::new(helpers);
            let (mut alone, mut together) = (TileMixer::new(240, 120), TileMixer::new(240, 120));
            let (mut a, mut b) = (I420::blank(240, 120), I420::blank(240, 120));
            for serial in 0..100 {
                alone.mix(&mut a.as_mut(), &tiles(serial));
                together.mix_with(&mut b.as_mut(), &tiles(serial), &shared, &mut pool);
                assert!(a == b, "frame {serial}");
            }
            assert_eq!(alone.scaled(), together.scaled());
        }
    }

    #[test]
    fn a_source_that_is_not_its_tiles_frame_does_no_harm() {
        let (small, large) = (I420::blank(30, 20), Arc::new(I420::blank(90, 60)));
        let tile = Tile {
            id: 1,
            frame: small.as_ref(),
            serial: 1,
            rect: Rect::new(0, 0, 50, 40),
            z: 0,
            fit: Fit::Cover,
            dim: false,
            overlays: &[],
            style: Style::default(),
        };
        let mut mixer = TileMixer::new(64, 64);
        let mut out = I420::blank(64, 64);
        let sources = [large as Arc<dyn Source>];
        mixer.mix_with(&mut out.as_mut(), &[tile], &sources, &mut Pool::new(1));
    }
}
