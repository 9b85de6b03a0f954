//! What carries media out through a webrtcbin: sources, payloaders, and the way of a keyframe request back to the encoder.

use std::sync::Arc;

use gst::prelude::*;

use crate::element::make;
use crate::error::StudioError;
use crate::feed::Feed;

/// As browsers do: room for SRTP, TURN and a tunnel under 1280.
const MTU: u32 = 1200;
/// 30 s of stereo take 150 ms of a 2.6 GHz core, at 10 they take 210 ms, and on speech nobody hears the difference.
const OPUS_COMPLEXITY: i32 = 5;

/// Where access units or blocks of sound come in.
pub(crate) fn source() -> gst_app::AppSrc {
    gst_app::AppSrc::builder()
        .is_live(true)
        .format(gst::Format::Time)
        .min_latency(0)
        .build()
}

/// The same for the sound that the studio mixes.
pub(crate) fn sound_source() -> gst_app::AppSrc {
    let appsrc = source();
    let caps = gst_audio::AudioCapsBuilder::new_interleaved()
        .format(gst_audio::AudioFormat::F32le)
        .rate(48_000)
        .channels(2)
        .build();
    appsrc.set_caps(Some(&caps));
    appsrc
}

/// From access units of H.264 to packets of the offered payload type.
pub(crate) fn h264_payloader(payload: u8) -> Result<[gst::Element; 2], StudioError> {
    let payloader = make("rtph264pay")?;
    payloader.set_property("pt", u32::from(payload));
    payloader.set_property("mtu", MTU);
    payloader.set_property("config-interval", -1);
    payloader.set_property_from_str("aggregate-mode", "zero-latency");
    // The encoder writes its own profile-level-id (42c01f …), which is no other stream, but other caps than the offer's:
    // without this, not-negotiated. `replace` must be false: else no keyframe request came through.
    let setter = make("capssetter")?;
    setter.set_property("join", true);
    setter.set_property("replace", false);
    let caps = gst::Caps::builder("application/x-rtp")
        .field("packetization-mode", "1")
        .field("profile-level-id", "42e01f")
        .build();
    setter.set_property("caps", caps);
    Ok([payloader, setter])
}

pub(crate) fn vp8_payloader(payload: u8) -> Result<gst::Element, StudioError> {
    let payloader = make("rtpvp8pay")?;
    payloader.set_property("pt", u32::from(payload));
    payloader.set_property("mtu", MTU);
    // Receivers tell a lost picture from a dropped one by its number.
    payloader.set_property_from_str("picture-id-mode", "15-bit");
    Ok(payloader)
}

/// From the studio's sound to packets of Opus.
pub(crate) fn opus_payloader(payload: u8, bps: i32) -> Result<[gst::Element; 3], StudioError> {
    let convert = make("audioconvert")?;
    let encoder = make("opusenc")?;
    encoder.set_property("bitrate", bps);
    encoder.set_property("complexity", OPUS_COMPLEXITY);
    // At these rates Opus has no in-band FEC (only its speech modes do), and told to expect 5 % loss it predicts less: 15 dB
    // more noise.
    encoder.set_property("inband-fec", false);
    encoder.set_property("packet-loss-percentage", 0);
    encoder.set_property("dtx", false);
    encoder.set_property_from_str("frame-size", "20");
    let payloader = make("rtpopuspay")?;
    payloader.set_property("pt", u32::from(payload));
    payloader.set_property("mtu", MTU);
    Ok([convert, encoder, payloader])
}

/// A keyframe request ends at `appsrc`, where the pipeline ends, and is carried to the encoder by hand.
pub(crate) fn carry_keyframe_requests(
    appsrc: &gst_app::AppSrc,
    feed: &Arc<Feed>,
    asked: impl Fn() + Send + Sync + 'static,
) {
    let Some(pad) = appsrc.static_pad("src") else {
        return;
    };
    let feed = Arc::downgrade(feed);
    pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
        let Some(gst::PadProbeData::Event(event)) = &info.data else {
            return gst::PadProbeReturn::Ok;
        };
        if !gst_video::ForceKeyUnitEvent::is(event) {
            return gst::PadProbeReturn::Ok;
        }
        asked();
        if let Some(feed) = feed.upgrade() {
            feed.request_keyframe();
        }
        // Not `Drop`: GStreamer 1.22 then releases the event that the bindings have released.
        gst::PadProbeReturn::Handled
    });
}

/// Adds `chain`, ending at the webrtcbin's pad of `line`, and lets it run.
pub(crate) fn join(
    pipeline: &gst::Pipeline,
    webrtc: &gst::Element,
    chain: &[gst::Element],
    line: u32,
) -> Result<(), StudioError> {
    let broken = |what: &dyn std::fmt::Display| StudioError::pipeline("session", what);
    pipeline.add_many(chain).map_err(|e| broken(&e))?;
    gst::Element::link_many(chain).map_err(|e| broken(&e))?;
    let src = chain.last().and_then(|e| e.static_pad("src"));
    let sink = webrtc.static_pad(&format!("sink_{line}"));
    let (Some(src), Some(sink)) = (src, sink) else {
        return Err(broken(&"a pad is missing"));
    };
    src.link(&sink).map_err(|e| broken(&e))?;
    for element in chain.iter().rev() {
        element.sync_state_with_parent().map_err(|e| broken(&e))?;
    }
    Ok(())
}
