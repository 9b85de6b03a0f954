//! How much sound has to wait for the network that it comes through.
//!
//! Packets come late by what lies between them and the sender: half a millisecond of cable, 10 ms of Wi-Fi, 100 ms behind three walls; and
//! behind one that was lost the others are held back for a moment. A queue that is longer than that never runs dry,
//! and one that is much longer delays for nothing. So what is waited for follows what was seen: it grows at once when the sound broke
//! off, and shrinks slowly.

use super::{PER_MS, TAPS};
use crate::BLOCK_FRAMES;

/// What is left at the lowest level, beside the block that is played then.
const SPARE: usize = 8 * PER_MS;
/// The longest lateness that was seen is forgotten by so much with each look (2 s): the queue's level follows without a sound.
const FORGETS: usize = PER_MS;

/// All in frames.
#[derive(Debug, Clone)]
pub(super) struct Network {
    least: usize,
    most: usize,
    needs: usize,
    /// Since sound broke off: what was not there to be played, and how much waited then.
    broken: Option<(usize, usize)>,
}

impl Network {
    pub fn new(least: usize, most: usize) -> Self {
        Self {
            least,
            most,
            needs: least,
            broken: None,
        }
    }

    pub fn target(&self) -> usize {
        self.needs.clamp(self.least, self.most)
    }

    /// Playing went on for a while: how much waited as blocks were asked for, on average and at least.
    pub fn saw(&mut self, mean: usize, lowest: usize) {
        let late = mean.saturating_sub(lowest);
        let needs = late + BLOCK_FRAMES + TAPS + SPARE;
        self.needs = needs.max(self.target().saturating_sub(FORGETS));
    }

    /// So many frames were not there, and so many were left.
    pub fn broke_off(&mut self, missing: usize, left: usize) {
        self.broken = Some((missing, left));
    }

    /// A block was asked for while so much waited for playing to begin. Once sound comes again, its lateness is known, and waited for from
    /// then on; what took longer than is ever waited for was no lateness.
    pub fn waits(&mut self, waiting: usize, level: usize) {
        let Some((missing, left)) = &mut self.broken else {
            return;
        };
        if waiting <= *left {
            *missing += BLOCK_FRAMES;
            return;
        }
        let missing = *missing;
        self.broken = None;
        if missing <= self.most {
            self.needs = level.max(self.target()) + missing + SPARE;
        }
    }

    pub fn forget(&mut self) {
        *self = Self::new(self.least, self.most);
    }
}
