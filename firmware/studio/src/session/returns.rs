//! What goes to the other side: the programme's picture as it was encoded once for all, and a sound of its own.

use gst::prelude::*;

use crate::error::StudioError;
use crate::feed::Subscription;
use crate::slot::Slot;

use super::answer::{Answer, Codec, Down};
use super::incoming::make;
use super::peer::{AUDIO_LINE, Peer, VIDEO_LINE};

/// Access units that may wait for a session's payloader: a third of a second at 30 fps. It takes them at once unless it hangs.
const QUEUE: u64 = 10;
/// As browsers do: room for SRTP, TURN and a tunnel under 1280.
const MTU: u32 = 1200;
/// Speech of several people and some music, stereo.
const OPUS_BPS: i32 = 96_000;
/// 30 s of stereo take 150 ms of a 2.6 GHz core, at 10 they take 210 ms, and on speech nobody hears the difference.
const OPUS_COMPLEXITY: i32 = 5;

pub(super) struct Returns {
    picture: Option<Subscription>,
    sources: Vec<gst_app::AppSrc>,
}

impl Returns {
    pub fn start(peer: &Peer, answer: &Answer) -> Result<Returns, StudioError> {
        let mut returns = Returns {
            picture: None,
            sources: Vec::new(),
        };
        if let Some(down) = answer.audio {
            returns.sound(peer, down)?;
        }
        if let Some(down) = answer.video {
            returns.picture(peer, down)?;
        }
        Ok(returns)
    }

    fn picture(&mut self, peer: &Peer, down: Down) -> Result<(), StudioError> {
        let feeds = &peer.shared.feeds;
        let (feed, payloader) = match down.codec {
            Codec::Vp8 => (&feeds.return_vp8, "rtpvp8pay"),
            Codec::H264 | Codec::Opus => (&feeds.return_h264, "rtph264pay"),
        };
        let appsrc = source();
        let payloader = make(payloader, "gstreamer1.0-plugins-good")?;
        payloader.set_property("pt", u32::from(down.payload));
        payloader.set_property("mtu", MTU);
        let mut chain = vec![appsrc.clone().upcast(), payloader.clone()];
        if down.codec == Codec::Vp8 {
            // Receivers tell a lost picture from a dropped one by its number.
            payloader.set_property_from_str("picture-id-mode", "15-bit");
        } else {
            payloader.set_property("config-interval", -1);
            payloader.set_property_from_str("aggregate-mode", "zero-latency");
            // The encoder writes its own profile-level-id (42c01f …), which is no other stream, but other caps than the offer's:
            // without this, not-negotiated. `replace` must be false: else no keyframe request came through.
            let setter = make("capssetter", "gstreamer1.0-plugins-good")?;
            setter.set_property("join", true);
            setter.set_property("replace", false);
            let caps = gst::Caps::builder("application/x-rtp")
                .field("packetization-mode", "1")
                .field("profile-level-id", "42e01f")
                .build();
            setter.set_property("caps", caps);
            chain.push(setter);
        }
        if let Some(pad) = appsrc.static_pad("src") {
            let (feed, vitals) = (std::sync::Arc::downgrade(feed), peer.vitals.clone());
            // A keyframe request ends here, where the pipeline ends, and is carried to the encoder by hand.
            pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
                let Some(gst::PadProbeData::Event(event)) = &info.data else {
                    return gst::PadProbeReturn::Ok;
                };
                if !gst_video::ForceKeyUnitEvent::is(event) {
                    return gst::PadProbeReturn::Ok;
                }
                vitals
                    .keyframes_asked
                    .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if let Some(feed) = feed.upgrade() {
                    feed.request_keyframe();
                }
                // Not `Drop`: GStreamer 1.22 then releases the event that the bindings have released.
                gst::PadProbeReturn::Handled
            });
        }
        join(peer, &chain, VIDEO_LINE)?;
        self.picture = Some(feed.feed_into(format!("session {}", peer.id), QUEUE, &appsrc));
        self.sources.push(appsrc);
        Ok(())
    }

    fn sound(&mut self, peer: &Peer, down: Down) -> Result<(), StudioError> {
        let appsrc = source();
        let caps = gst_audio::AudioCapsBuilder::new_interleaved()
            .format(gst_audio::AudioFormat::F32le)
            .rate(48_000)
            .channels(2)
            .build();
        appsrc.set_caps(Some(&caps));
        let convert = make("audioconvert", "gstreamer1.0-plugins-base")?;
        let encoder = make("opusenc", "gstreamer1.0-plugins-base")?;
        encoder.set_property("bitrate", OPUS_BPS);
        encoder.set_property("complexity", OPUS_COMPLEXITY);
        // At this rate Opus has no in-band FEC (only its speech modes do), and told to expect 5 % loss it predicts less: 15 dB
        // more noise.
        encoder.set_property("inband-fec", false);
        encoder.set_property("packet-loss-percentage", 0);
        encoder.set_property("dtx", false);
        encoder.set_property_from_str("frame-size", "20");
        let payloader = make("rtpopuspay", "gstreamer1.0-plugins-good")?;
        payloader.set_property("pt", u32::from(down.payload));
        payloader.set_property("mtu", MTU);
        join(
            peer,
            &[appsrc.clone().upcast(), convert, encoder, payloader],
            AUDIO_LINE,
        )?;
        peer.slot.sound_out.set(Some(appsrc.clone()));
        self.sources.push(appsrc);
        Ok(())
    }

    /// Nothing is pushed into the pipeline after this.
    pub fn cut_off(self, slot: &Slot) {
        slot.sound_out.set(None);
        drop(self.picture);
        drop(self.sources);
    }
}

fn source() -> gst_app::AppSrc {
    gst_app::AppSrc::builder()
        .is_live(true)
        .format(gst::Format::Time)
        .min_latency(0)
        .build()
}

fn join(peer: &Peer, chain: &[gst::Element], line: u32) -> Result<(), StudioError> {
    let broken = |what: &dyn std::fmt::Display| StudioError::pipeline("session", what);
    peer.pipeline.add_many(chain).map_err(|e| broken(&e))?;
    gst::Element::link_many(chain).map_err(|e| broken(&e))?;
    let src = chain.last().and_then(|e| e.static_pad("src"));
    let sink = peer.webrtc.static_pad(&format!("sink_{line}"));
    let (Some(src), Some(sink)) = (src, sink) else {
        return Err(broken(&"a pad is missing"));
    };
    src.link(&sink).map_err(|e| broken(&e))?;
    for element in chain.iter().rev() {
        element.sync_state_with_parent().map_err(|e| broken(&e))?;
    }
    Ok(())
}
