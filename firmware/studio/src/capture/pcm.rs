//! A sound device opened as it is: what it can is asked of it, and the best of that is taken, so that nothing on the way
//! converts behind our back. Used by the microphone and by the monitor output.

use alsa::pcm::{Access, Format, HwParams, PCM};
use alsa::{Direction, ValueOr};
use gst_audio::AudioFormat;

use gstdais::RATE;

/// 10 ms: one block of the mix.
const PERIODS_A_SECOND: u32 = 100;

/// The best first. ALSA calls 24 bits in four bytes S24_LE and in three S24_3LE; GStreamer S24_32LE and S24LE.
const FORMATS: [(Format, AudioFormat); 5] = [
    (Format::S32LE, AudioFormat::S32le),
    (Format::FloatLE, AudioFormat::F32le),
    (Format::S24LE, AudioFormat::S2432le),
    (Format::S243LE, AudioFormat::S24le),
    (Format::S16LE, AudioFormat::S16le),
];

pub(crate) struct Pcm {
    pub pcm: PCM,
    pub format: AudioFormat,
    pub rate: u32,
    pub channels: usize,
    /// Frames that are read or written at once.
    pub period: usize,
    pub buffer: usize,
}

/// What a device was set to.
struct Setup {
    format: AudioFormat,
    rate: u32,
    channels: u32,
    period: i64,
    buffer: i64,
}

impl Pcm {
    /// `name` as ALSA knows it. `buffer_ms` is how much waits at most in the device.
    pub fn open(name: &str, direction: Direction, buffer_ms: u32) -> Result<Pcm, String> {
        // Non-blocking: a device that another program holds says so instead of waiting for it.
        let pcm = PCM::new(name, direction, true).map_err(|e| said(&e))?;
        let Some(setup) = set(&pcm, buffer_ms).map_err(|e| said(&e))? else {
            return Err("it has none of the formats S32, F32, S24 and S16".into());
        };
        let Setup {
            format,
            rate,
            channels,
            period,
            buffer,
        } = setup;
        if !(8_000..=384_000).contains(&rate) || !(1..=64).contains(&channels) || period < 1 {
            return Err(format!(
                "{channels} channels at {rate} Hz can't be used: try \"alsa:plug{name}\""
            ));
        }
        tracing::info!(name, %format, rate, channels, period, buffer, "sound device opened");
        Ok(Pcm {
            pcm,
            format,
            rate,
            channels: channels as usize,
            period: period as usize,
            buffer: buffer as usize,
        })
    }

    pub fn sample_bytes(&self) -> usize {
        match self.format {
            AudioFormat::S16le => 2,
            AudioFormat::S24le => 3,
            _ => 4,
        }
    }

    /// The card that it is on; a plugin's PCM (pulse) is on none.
    pub fn number(&self) -> Option<i32> {
        let card = self.pcm.info().ok()?.get_card();
        (card >= 0).then_some(card)
    }

    /// Waits at most `ms` for a period to read, or for room for one.
    pub fn ready(&self, ms: u32) -> alsa::Result<bool> {
        // Some plugins (pulse) do not wake whoever waits after their server was late.
        Ok(self.pcm.wait(Some(ms))? || self.pcm.avail_update()? >= self.period as i64)
    }

    /// Goes on after an error of the device. `Ok(true)`: its buffer had run over or dry.
    pub fn recover(&self, error: alsa::Error) -> Result<bool, String> {
        match error.errno().abs() {
            EAGAIN | EINTR => Ok(false),
            EPIPE => self.pcm.prepare().map(|()| true).map_err(|e| said(&e)),
            ESTRPIPE => self
                .pcm
                .recover(-ESTRPIPE, true)
                .map(|()| false)
                .map_err(|e| said(&e)),
            _ => Err(said(&error)),
        }
    }
}

/// Takes the best that a device offers; `None`: it has no format that we know.
fn set(pcm: &PCM, buffer_ms: u32) -> alsa::Result<Option<Setup>> {
    let params = HwParams::any(pcm)?;
    // A PCM of ALSA's plugins would else convert the rate by a resampler of its own. `hw:` has none.
    let _ = params.set_rate_resample(false);
    params.set_access(Access::RWInterleaved)?;
    let mut known = FORMATS.into_iter();
    let Some((alsa_format, format)) = known.find(|(format, _)| params.test_format(*format).is_ok())
    else {
        return Ok(None);
    };
    params.set_format(alsa_format)?;
    let channels = match params.test_channels(2) {
        Ok(()) => 2,
        // Mono, or a mixing desk with many.
        Err(_) => params.get_channels_min()?,
    };
    params.set_channels(channels)?;
    let rate = params.set_rate_near(RATE, ValueOr::Nearest)?;
    let period = i64::from(rate / PERIODS_A_SECOND);
    let period = params.set_period_size_near(period, ValueOr::Nearest)?;
    let wanted = i64::from(rate) * i64::from(buffer_ms) / 1000;
    let buffer = params.set_buffer_size_near(wanted.max(2 * period))?;
    pcm.hw_params(&params)?;
    let software = pcm.sw_params_current()?;
    software.set_avail_min(period)?;
    // A playback begins with two periods in it; a capture is started by hand.
    software.set_start_threshold(2 * period)?;
    pcm.sw_params(&software)?;
    pcm.prepare()?;
    Ok(Some(Setup {
        format,
        rate,
        channels,
        period,
        buffer,
    }))
}

const EINTR: i32 = 4;
const EAGAIN: i32 = 11;
const EPIPE: i32 = 32;
const ESTRPIPE: i32 = 86;

/// What went wrong, for a person.
pub(crate) fn said(error: &alsa::Error) -> String {
    let why = std::io::Error::from_raw_os_error(error.errno().abs());
    match error.errno().abs() {
        2 | 19 => "it is not there".into(),
        16 => "another program uses it".into(),
        13 => "this user may not use it: add it to the group audio".into(),
        _ => why.to_string(),
    }
}

/// Stereo at full scale 1.0 as the samples of a playback device. Mono is both channels' mean; further channels are silent.
pub(crate) fn pack(samples: &[f32], format: AudioFormat, channels: usize, out: &mut Vec<u8>) {
    out.clear();
    for [left, right] in samples.as_chunks::<2>().0 {
        for channel in 0..channels {
            let x = match (channels, channel) {
                (1, _) => (left + right) / 2.0,
                (_, 0) => *left,
                (_, 1) => *right,
                _ => 0.0,
            };
            let scaled = |full: f64| (f64::from(x.clamp(-1.0, 1.0)) * full) as i32;
            match format {
                AudioFormat::F32le => out.extend(x.to_le_bytes()),
                AudioFormat::S16le => out.extend((scaled(32_767.0) as i16).to_le_bytes()),
                AudioFormat::S24le => out.extend(&scaled(8_388_607.0).to_le_bytes()[..3]),
                AudioFormat::S2432le => out.extend(scaled(8_388_607.0).to_le_bytes()),
                _ => out.extend(scaled(2_147_483_647.0).to_le_bytes()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_packed_as_the_device_wants_them() {
        let packed = |format, channels| {
            let mut out = vec![9; 3];
            pack(&[0.5, -1.0], format, channels, &mut out);
            out
        };
        assert_eq!(packed(AudioFormat::S16le, 2), [0xff, 0x3f, 0x01, 0x80]);
        assert_eq!(
            packed(AudioFormat::S24le, 2),
            [0xff, 0xff, 0x3f, 1, 0, 0x80]
        );
        let wide = [0xff, 0xff, 0x3f, 0, 1, 0, 0x80, 0xff];
        assert_eq!(packed(AudioFormat::S2432le, 2), wide);
        let full = [0xff, 0xff, 0xff, 0x3f, 1, 0, 0, 0x80];
        assert_eq!(packed(AudioFormat::S32le, 2), full);
        assert_eq!(packed(AudioFormat::F32le, 1), (-0.25f32).to_le_bytes());
        assert_eq!(packed(AudioFormat::S16le, 4)[4..], [0; 4]);
    }

    #[test]
    fn a_device_that_is_not_there_says_so() {
        let why = Pcm::open("hw:NoSuchCard", Direction::Capture, 80).err();
        assert!(why.is_some_and(|why| why.contains("not there")));
    }
}
