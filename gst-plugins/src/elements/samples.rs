//! The sound that the marker elements take: 48 kHz, interleaved, F32 or S16.

use gst_audio::AudioFormat;

pub(super) fn caps() -> gst::Caps {
    gst_audio::AudioCapsBuilder::new_interleaved()
        .format_list([gst_audio::AUDIO_FORMAT_F32, gst_audio::AUDIO_FORMAT_S16])
        .rate(crate::RATE as i32)
        .build()
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    F32,
    S16,
}

/// What a buffer's bytes are.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub format: Format,
    pub channels: usize,
}

impl Shape {
    pub fn from_caps(caps: &gst::Caps) -> Option<Shape> {
        let info = gst_audio::AudioInfo::from_caps(caps).ok()?;
        let format = match info.format() {
            AudioFormat::F32le | AudioFormat::F32be => Format::F32,
            AudioFormat::S16le | AudioFormat::S16be => Format::S16,
            _ => return None,
        };
        Some(Shape {
            format,
            channels: (info.channels() as usize).max(1),
        })
    }

    fn sample_bytes(self) -> usize {
        match self.format {
            Format::F32 => 4,
            Format::S16 => 2,
        }
    }

    pub fn frame_bytes(self) -> usize {
        self.sample_bytes() * self.channels
    }

    /// Adds one value to all channels of each frame.
    pub fn add(self, bytes: &mut [u8], mut next: impl FnMut() -> f32) {
        for frame in bytes.chunks_exact_mut(self.frame_bytes()) {
            let value = next();
            for sample in frame.chunks_exact_mut(self.sample_bytes()) {
                match self.format {
                    Format::F32 => {
                        if let Ok(old) = <[u8; 4]>::try_from(&*sample) {
                            let sum = f32::from_ne_bytes(old) + value;
                            sample.copy_from_slice(&sum.to_ne_bytes());
                        }
                    }
                    Format::S16 => {
                        if let Ok(old) = <[u8; 2]>::try_from(&*sample) {
                            let sum = f32::from(i16::from_ne_bytes(old)) + value * 32_768.0;
                            // A float becomes the nearest integer that there is.
                            sample.copy_from_slice(&(sum.round() as i16).to_ne_bytes());
                        }
                    }
                }
            }
        }
    }

    /// The mean of each frame's channels.
    pub fn mono(self, bytes: &[u8], out: &mut Vec<f32>) {
        let share = 1.0 / self.channels as f32;
        for frame in bytes.chunks_exact(self.frame_bytes()) {
            let sum: f32 = frame
                .chunks_exact(self.sample_bytes())
                .map(|sample| match (self.format, sample) {
                    (Format::F32, &[a, b, c, d]) => f32::from_ne_bytes([a, b, c, d]),
                    (Format::S16, &[a, b]) => f32::from(i16::from_ne_bytes([a, b])) / 32_768.0,
                    _ => 0.0,
                })
                .sum();
            out.push(sum * share);
        }
    }
}
