//! What a level display shows for one input, and whether somebody speaks there.

use crate::Block;

/// Blocks in the level's window: 100 ms.
const WINDOW: usize = 10;
/// Speech begins here (dBFS, RMS over 100 ms): a quiet voice at arm's length lies around -35.
const SPEAK_DB: f32 = -40.0;
/// And has ended when the level stayed below this …
const SILENT_DB: f32 = -46.0;
/// … for so many blocks (400 ms): pauses between words don't blink.
const HANG: u32 = 40;
/// The peak falls back by 20 dB a second.
const PEAK_FALL_DB: f32 = 0.2;
/// The lowest figure shown; silence is this, not minus infinity, which JSON can't carry.
pub const FLOOR_DB: f32 = -100.0;

/// Fed with one block every 10 ms.
#[derive(Debug, Clone)]
pub struct Meter {
    squares: [f32; WINDOW],
    next: usize,
    level_db: f32,
    block_peak: f32,
    peak_db: f32,
    speaking: bool,
    silent_for: u32,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            squares: [0.0; WINDOW],
            next: 0,
            level_db: FLOOR_DB,
            block_peak: 0.0,
            peak_db: FLOOR_DB,
            speaking: false,
            silent_for: 0,
        }
    }
}

impl Meter {
    pub fn feed(&mut self, block: &Block) {
        // Eight sums side by side, or the additions would wait for one another.
        let (mut squares, mut peaks) = ([0.0_f32; 8], [0.0_f32; 8]);
        for eight in block.as_chunks::<8>().0 {
            for i in 0..8 {
                squares[i] += eight[i] * eight[i];
                let size = eight[i].abs();
                peaks[i] = if size > peaks[i] { size } else { peaks[i] };
            }
        }
        self.squares[self.next] = squares.iter().sum::<f32>() / block.len() as f32;
        self.next = (self.next + 1) % WINDOW;
        let mean = self.squares.iter().sum::<f32>() / WINDOW as f32;
        self.level_db = (10.0 * mean.log10()).max(FLOOR_DB);
        let peak = peaks.iter().fold(0.0_f32, |m, x| m.max(*x));
        self.block_peak = peak;
        let peak_db = (20.0 * peak.log10()).max(FLOOR_DB);
        self.peak_db = peak_db.max(self.peak_db - PEAK_FALL_DB).max(FLOOR_DB);
        self.silent_for = if self.level_db < SILENT_DB {
            self.silent_for.saturating_add(1)
        } else {
            0
        };
        self.speaking = if self.speaking {
            self.silent_for < HANG
        } else {
            self.level_db >= SPEAK_DB
        };
    }

    /// The largest sample of the last block.
    pub(crate) fn block_peak(&self) -> f32 {
        self.block_peak
    }

    /// RMS over the last 100 ms, dBFS (a full-scale sine is -3).
    pub fn level_db(&self) -> f32 {
        self.level_db
    }

    /// Sample peak, held and falling by 20 dB a second, dBFS.
    pub fn peak_db(&self) -> f32 {
        self.peak_db
    }

    pub fn speaking(&self) -> bool {
        self.speaking
    }
}
