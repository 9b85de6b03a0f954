//! AAC: the first encoder that gives blocks here and now.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Encoding;
use crate::error::StudioError;
use crate::time::StudioTime;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    Av,
    Vo,
    Fdk,
}

impl Codec {
    pub fn name(self) -> &'static str {
        match self {
            Codec::Av => "avenc_aac",
            Codec::Vo => "voaacenc",
            Codec::Fdk => "fdkaacenc",
        }
    }
}

/// How long an encoder may take for its first block: they need 50 ms.
const TRIAL: Duration = Duration::from_secs(3);

pub(crate) fn choose_sound(kbps: u32) -> Result<Codec, StudioError> {
    let mut tried = Vec::new();
    for codec in [Codec::Fdk, Codec::Av, Codec::Vo] {
        match try_out(codec, kbps) {
            Ok(()) => {
                tracing::info!(encoder = codec.name(), "this AAC encoder works here");
                return Ok(codec);
            }
            Err(error) => tried.push(format!("{}: {error}", codec.name())),
        }
    }
    Err(StudioError::NoEncoder {
        codec: "AAC",
        tried: tried.join("; "),
    })
}

/// 100 ms of silence.
fn try_out(codec: Codec, kbps: u32) -> Result<(), StudioError> {
    let units = Arc::new(AtomicU64::new(0));
    let count = units.clone();
    let encoding = Encoding::sound(codec, kbps, &StudioTime::start(), move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    })?;
    for n in 0..10 {
        let mut buffer = gst::Buffer::from_slice(vec![0u8; 480 * 8]);
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(gst::ClockTime::from_mseconds(n * 10));
            buffer.set_duration(gst::ClockTime::from_mseconds(10));
        }
        encoding
            .appsrc
            .push_buffer(buffer)
            .map_err(|e| StudioError::pipeline("encoder", e))?;
    }
    let began = Instant::now();
    while units.load(Ordering::Relaxed) == 0 {
        if let Some(error) = encoding.error() {
            return Err(StudioError::pipeline("encoder", error));
        }
        if began.elapsed() > TRIAL {
            return Err(StudioError::pipeline(
                "encoder",
                "nothing came out of it in 3 s",
            ));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
