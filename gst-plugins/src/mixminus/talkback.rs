//! A voice for one listener alone, and what that listener hears otherwise lowered meanwhile (interrupted foldback, IFB).

use super::{RAMP_FRAMES, bounded, factor};
use crate::{BLOCK_SAMPLES, Block};

/// How far a return is lowered under the voice: it stands clear, and the cue to come back is still heard.
pub const TALKBACK_DUCK_DB: f32 = -12.0;

/// What one return gets beside the mix.
#[derive(Default)]
pub(super) struct Talkback {
    /// The input that speaks, or spoke last.
    from: usize,
    on: bool,
    /// 0: the return as it is. 1: the whole voice, and the rest lowered.
    level: f32,
    remaining: u32,
}

impl Talkback {
    pub(super) fn set(&mut self, from: Option<usize>) {
        if self.on == from.is_some() && from.is_none_or(|from| from == self.from) {
            return;
        }
        self.on = from.is_some();
        self.from = from.unwrap_or(self.from);
        self.remaining = RAMP_FRAMES;
    }

    /// Lays the voice over a return; how far it can reach beyond what the return was.
    pub(super) fn apply(&mut self, out: &mut Block, blocks: &[Option<&Block>]) -> f32 {
        if !self.on && self.remaining == 0 {
            return 0.0;
        }
        const SILENCE: Block = [0.0; BLOCK_SAMPLES];
        let voice = blocks.get(self.from).copied().flatten().unwrap_or(&SILENCE);
        let (target, under) = (f32::from(u8::from(self.on)), factor(TALKBACK_DUCK_DB));
        let mut peak: f32 = 0.0;
        let frames = out.as_chunks_mut::<2>().0.iter_mut();
        for (out, voice) in frames.zip(voice.as_chunks::<2>().0) {
            if self.remaining > 0 {
                self.level += (target - self.level) / self.remaining as f32;
                self.remaining -= 1;
            }
            let rest = 1.0 - self.level * (1.0 - under);
            for (out, voice) in out.iter_mut().zip(voice) {
                let voice = bounded(*voice) * self.level;
                peak = peak.max(voice.abs());
                *out = *out * rest + voice;
            }
        }
        peak
    }
}
