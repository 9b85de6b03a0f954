//! Brings each voice to the same loudness, slowly, as a sound engineer's hand would.

use crate::Block;
use crate::loudness::{Loudness, lufs};

/// What a voice is brought to: the usual loudness of speech that is heard on phones and laptops.
pub const DEFAULT_TARGET_LUFS: f32 = -16.0;
/// No voice is raised or lowered by more: beyond it, a microphone is wrongly set, and noise would come up with it.
const MOST_DB: f32 = 12.0;
/// In blocks of 10 ms: 2 dB a second up, and 6 down, for too loud annoys more than too quiet.
const UP_DB: f32 = 0.02;
const DOWN_DB: f32 = 0.06;
/// A difference to leave alone.
const DEAD_DB: f32 = 0.5;
/// Below this over 400 ms nobody speaks (LUFS): a whisper at a good microphone lies above it, a room's noise below.
const SILENT_LUFS: f32 = -50.0;
/// And what lies so far below the voice is its pause, or another's voice from afar.
const PAUSE_LU: f32 = 10.0;
/// Voice that is averaged: 3 s, in steps of 100 ms.
const STEPS: usize = 30;
const BLOCKS_PER_STEP: u32 = 10;
/// Voice heard before the gain moves at all: 500 ms.
const ENOUGH: usize = 5;

pub(crate) struct Levelling {
    target_lufs: f32,
    loudness: Loudness,
    /// Momentary loudness (as energy) of the last steps in which somebody spoke.
    spoken: [f64; STEPS],
    next: usize,
    known: usize,
    blocks: u32,
    gain_db: f32,
    moving: bool,
}

impl Levelling {
    pub(crate) fn new(target_lufs: f32) -> Self {
        Self {
            target_lufs,
            loudness: Loudness::default(),
            spoken: [0.0; STEPS],
            next: 0,
            known: 0,
            blocks: 0,
            gain_db: 0.0,
            moving: false,
        }
    }

    pub(crate) fn set_target_lufs(&mut self, target_lufs: f32) {
        self.target_lufs = target_lufs;
    }

    /// Hears a block before any gain. The gain for it in dB.
    pub(crate) fn feed(&mut self, block: &Block) -> f32 {
        self.loudness.feed(block);
        let momentary = self.loudness.momentary();
        let voice = self.voice_lufs();
        let speaks = momentary > SILENT_LUFS && momentary > voice.unwrap_or(momentary) - PAUSE_LU;
        self.blocks += 1;
        if self.blocks.is_multiple_of(BLOCKS_PER_STEP) && momentary > SILENT_LUFS {
            // A pause of a loud voice isn't counted; a quieter person who took the seat is, in the end.
            let energy = 10.0_f64.powf((f64::from(momentary) + 0.691) / 10.0);
            if speaks {
                self.spoken[self.next] = energy;
                self.next = (self.next + 1) % STEPS;
                self.known = (self.known + 1).min(STEPS);
            } else if let Some(loudest) =
                (0..self.known).max_by(|a, b| self.spoken[*a].total_cmp(&self.spoken[*b]))
                && self.blocks.is_multiple_of(BLOCKS_PER_STEP * 10)
            {
                self.spoken[loudest] = energy;
            }
        }
        if speaks && self.known >= ENOUGH {
            let wanted =
                (self.target_lufs - voice.unwrap_or(self.target_lufs)).clamp(-MOST_DB, MOST_DB);
            let off = wanted - self.gain_db;
            // Once it moves it goes all the way, or it would stay at the edge of the dead zone.
            self.moving = off.abs() > if self.moving { 0.05 } else { DEAD_DB };
            if self.moving {
                self.gain_db += off.clamp(-DOWN_DB, UP_DB);
            }
        }
        self.gain_db
    }

    fn voice_lufs(&self) -> Option<f32> {
        let sum: f64 = self.spoken[..self.known].iter().sum();
        (self.known > 0).then(|| lufs(sum / self.known as f64))
    }

    pub(crate) fn gain_db(&self) -> f32 {
        self.gain_db
    }

    pub(crate) fn loudness(&self) -> &Loudness {
        &self.loudness
    }
}
