//! The formats of pads, and the one that is mixed: stereo of 32-bit floats.

use crate::{BLOCK_FRAMES, Block, RATE};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Format {
    float: bool,
    mono: bool,
}

impl Format {
    /// All formats that pads speak, the best first.
    pub(super) fn template() -> gst::Caps {
        gst::Caps::builder("audio/x-raw")
            .field("format", gst::List::new(["F32LE", "S16LE"]))
            .field("rate", RATE as i32)
            .field("channels", gst::IntRange::new(1, 2))
            .field("layout", "interleaved")
            .build()
    }

    pub(super) fn from_caps(caps: &gst::CapsRef) -> Option<Self> {
        let info = gst_audio::AudioInfo::from_caps(caps).ok()?;
        if info.rate() != RATE || info.layout() != gst_audio::AudioLayout::Interleaved {
            return None;
        }
        let float = match info.format() {
            gst_audio::AudioFormat::F32le => true,
            gst_audio::AudioFormat::S16le => false,
            _ => return None,
        };
        let mono = match info.channels() {
            1 => true,
            2 => false,
            _ => return None,
        };
        Some(Self { float, mono })
    }

    /// The best of what a peer takes: floats, stereo.
    pub(super) fn choose(allowed: gst::Caps) -> Option<gst::Caps> {
        let mut allowed = allowed.truncate_to_best()?;
        {
            let caps = allowed.make_mut();
            let first = caps.structure_mut(0)?;
            first.fixate_field_str("format", "F32LE");
            first.fixate_field_nearest_int("channels", 2);
        }
        allowed.fixate();
        Some(allowed)
    }

    fn sample_bytes(self) -> usize {
        if self.float { 4 } else { 2 }
    }

    pub(super) fn frame_bytes(self) -> usize {
        self.sample_bytes() * if self.mono { 1 } else { 2 }
    }

    /// Replaces `frames` by the sound of a buffer; part of a frame at its end is ignored.
    pub(super) fn read(self, bytes: &[u8], frames: &mut Vec<[f32; 2]>) {
        frames.clear();
        let float = |b: &[u8; 4]| f32::from_le_bytes(*b);
        let short = |b: &[u8; 2]| f32::from(i16::from_le_bytes(*b)) / 32_768.0;
        match (self.float, self.mono) {
            (true, true) => frames.extend(bytes.as_chunks().0.iter().map(|b| [float(b); 2])),
            (false, true) => frames.extend(bytes.as_chunks().0.iter().map(|b| [short(b); 2])),
            (true, false) => {
                let pairs = bytes.as_chunks().0.as_chunks::<2>().0.iter();
                frames.extend(pairs.map(|[l, r]| [float(l), float(r)]));
            }
            (false, false) => {
                let pairs = bytes.as_chunks().0.as_chunks::<2>().0.iter();
                frames.extend(pairs.map(|[l, r]| [short(l), short(r)]));
            }
        }
    }

    /// `bytes` holds one block. What is mono hears the mean of both sides.
    pub(super) fn write(self, block: &Block, bytes: &mut [u8]) {
        debug_assert_eq!(bytes.len(), BLOCK_FRAMES * self.frame_bytes());
        // Limited sound never reaches 32,767.
        let short = |x: f32| ((x * 32_768.0).round() as i16).to_le_bytes();
        let frames = block.as_chunks::<2>().0;
        match (self.float, self.mono) {
            (true, false) => {
                for (to, x) in bytes.as_chunks_mut().0.iter_mut().zip(block) {
                    *to = x.to_le_bytes();
                }
            }
            (false, false) => {
                for (to, x) in bytes.as_chunks_mut().0.iter_mut().zip(block) {
                    *to = short(*x);
                }
            }
            (true, true) => {
                for (to, [l, r]) in bytes.as_chunks_mut().0.iter_mut().zip(frames) {
                    *to = (0.5 * (l + r)).to_le_bytes();
                }
            }
            (false, true) => {
                for (to, [l, r]) in bytes.as_chunks_mut().0.iter_mut().zip(frames) {
                    *to = short(0.5 * (l + r));
                }
            }
        }
    }
}

trait TruncateToBest: Sized {
    fn truncate_to_best(self) -> Option<Self>;
}

impl TruncateToBest for gst::Caps {
    /// Its first structure that allows floats, or else its first.
    fn truncate_to_best(self) -> Option<Self> {
        if self.is_empty() || self.is_any() {
            return None;
        }
        let float = gst::Caps::builder("audio/x-raw")
            .field("format", "F32LE")
            .build();
        let best = self.intersect_with_mode(&float, gst::CapsIntersectMode::First);
        let mut chosen = if best.is_empty() { self } else { best };
        chosen.truncate();
        Some(chosen)
    }
}
