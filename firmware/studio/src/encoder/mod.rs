//! Encoders: which there are, which works here, and one that runs.
//!
//! | module | what it is |
//! |---|---|
//! | [`rung`] | an encoder by its element's name, with its settings and what it needs around it |
//! | [`encoding`] | one that runs: raw buffers in at one end, access units out at the other |
//! | [`trial`] | what one does with a moving picture: right, fast, prompt, obedient? |
//! | [`passport`] | what trials found, kept for the next start |
//! | [`ladder`] | the rungs that this machine has, the best first, and where the box stands on them |
//! | [`sound`] | the same for AAC, which any machine encodes in software |
//!
//! **When what is tried.** The programme shall move within two seconds of a restart, so a start measures only what it must:
//!
//! - A *hardware* rung with a good passport has only to give a picture (five frames), a software rung not even that. One with a
//!   bad passport is not touched.
//! - A *hardware* rung without a passport is tried in full before the programme starts: it may garble or hang, and nobody
//!   shall see that. This costs up to four seconds for the programme's shape and for the returns', once for a kernel, driver, GStreamer and
//!   setting.
//! - A *software* rung without a passport has only to give a picture. It is tried in full when the programme
//!   moves, at a fifth of its speed: what is found there, that it garbles say, makes the box leave it.
//!
//! Hardware is never tried beside a running programme, which may be in the same hardware. AAC's encoder is chosen beside the
//! pictures' and not after them.

mod encoding;
mod ladder;
mod passport;
mod pictures;
mod rung;
mod sound;
mod trial;

use serde::{Deserialize, Serialize};

use crate::error::StudioError;

pub(crate) use encoding::{Encoding, Unit, raw_sound_caps, request_keyframe};
pub(crate) use ladder::{Ladder, find, rungs};
pub(crate) use passport::Passports;
pub use passport::{Key, Passport};
pub(crate) use rung::{Rung, SOFTWARE};
pub(crate) use sound::choose_sound;
pub use trial::Figures;
pub(crate) use trial::{Patience, Terms, try_out};

/// What a video encoder has to make.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VideoShape {
    pub width: u32,
    pub height: u32,
    pub fps: u32,
    pub kbps: u32,
    /// Longest distance of keyframes, in frames.
    pub keyframe: u32,
    /// For browsers: constrained baseline.
    pub baseline: bool,
}

impl VideoShape {
    /// The programme's.
    pub(crate) fn of_programme(config: &crate::StudioConfig) -> VideoShape {
        let p = &config.programme;
        VideoShape {
            width: p.width,
            height: p.height,
            fps: p.fps,
            kbps: p.bitrate_kbps,
            keyframe: p.fps * p.keyframe_s,
            baseline: false,
        }
    }

    /// What guests and previews see.
    pub(crate) fn of_returns(config: &crate::StudioConfig) -> VideoShape {
        let (r, fps) = (&config.returns, config.returns_fps());
        VideoShape {
            width: r.width,
            height: r.height,
            fps,
            kbps: r.bitrate_kbps,
            keyframe: fps * 10,
            baseline: true,
        }
    }
}

pub(crate) fn raw_video_caps(
    width: u32,
    height: u32,
    fps: u32,
) -> Result<gst_video::VideoInfo, StudioError> {
    gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, width, height)
        .fps(gst::Fraction::new(fps as i32, 1))
        .par(gst::Fraction::new(1, 1))
        .colorimetry(&gst_video::VideoColorimetry::new(
            gst_video::VideoColorRange::Range16_235,
            gst_video::VideoColorMatrix::Bt709,
            gst_video::VideoTransferFunction::Bt709,
            gst_video::VideoColorPrimaries::Bt709,
        ))
        .build()
        .map_err(|e| StudioError::pipeline("encoder", e))
}
