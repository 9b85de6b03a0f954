//! What comes from a guest: unpacked, decoded and put into its slot. All of it runs in the thread of the jitter buffer;
//! nothing of it can reach the programme but through the slot.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use gst::prelude::*;
use gstdais::elements::packets::without_header_extensions;

use crate::error::StudioError;
use crate::rt;

use super::peer::Peer;

/// A tile is a part of a 1080p programme; more would only cost the decoder. Portrait pictures too.
const MAX_SIDE: i32 = 1920;
const MAX_PIXELS: i64 = 1920 * 1088;
/// How long sound is held back behind a packet that is missing, which may have been overtaken: nobody sends it once more. The slot's queue
/// has to wait for as long.
const SOUND_HELD_MS: u32 = 20;
/// Streams past the first of each kind go nowhere; a browser that restarts its encoder may open one more.
const MAX_SPARE: usize = 6;

#[derive(Default)]
pub(super) struct Pads {
    video: AtomicBool,
    audio: AtomicBool,
    spare: AtomicUsize,
    /// Where packets of the picture go in, and requests for a keyframe come out.
    video_sink: OnceLock<gst::glib::WeakRef<gst::Pad>>,
}

impl Pads {
    pub fn ask_for_keyframe(&self) {
        if let Some(sink) = self.video_sink.get().and_then(|sink| sink.upgrade()) {
            sink.push_event(gst_video::UpstreamForceKeyUnitEvent::builder().build());
        }
    }
}

/// Counts what the network brings, as it enters.
pub(super) fn bound(peer: &Arc<Peer>) {
    let vitals = Arc::downgrade(&peer.vitals);
    let Some(bin) = peer.webrtc.downcast_ref::<gst::Bin>() else {
        return;
    };
    bin.connect_deep_element_added(move |_, _, element| {
        if element.factory().is_none_or(|f| f.name() != "nicesrc") {
            return;
        }
        let (Some(pad), vitals) = (element.static_pad("src"), vitals.clone()) else {
            return;
        };
        pad.add_probe(
            gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST,
            move |_, info| {
                let size = match &info.data {
                    Some(gst::PadProbeData::Buffer(buffer)) => buffer.size(),
                    Some(gst::PadProbeData::BufferList(list)) => {
                        list.iter().map(gst::BufferRef::size).sum()
                    }
                    _ => 0,
                };
                if let Some(vitals) = vitals.upgrade() {
                    vitals.packet(size);
                }
                gst::PadProbeReturn::Ok
            },
        );
    });
}

pub(super) fn pad_added(peer: &Arc<Peer>, pad: &gst::Pad) {
    if pad.direction() != gst::PadDirection::Src {
        return;
    }
    if !peer.certificate_ok() {
        peer.vitals
            .fail("the certificate of the connection is not the one that the answer named");
        return;
    }
    if let Err(error) = decode(peer, pad) {
        peer.vitals.fail(error.to_string());
    }
}

fn decode(peer: &Arc<Peer>, pad: &gst::Pad) -> Result<(), StudioError> {
    let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
    let encoding = caps
        .structure(0)
        .and_then(|s| s.get::<&str>("encoding-name").ok())
        .unwrap_or_default();
    match encoding {
        "H264" | "VP8" if !peer.incoming.video.swap(true, Relaxed) => video(peer, pad, encoding),
        "OPUS" if !peer.incoming.audio.swap(true, Relaxed) => audio(peer, pad),
        _ if peer.incoming.spare.fetch_add(1, Relaxed) < MAX_SPARE => {
            let sink = make("fakesink", "gstreamer1.0-plugins-base")?;
            sink.set_property("sync", false);
            sink.set_property("async", false);
            join(peer, pad, &[&sink])
        }
        _ => Err(StudioError::pipeline(
            "session",
            "the guest opened more streams than a guest has",
        )),
    }
}

pub(super) fn make(element: &str, package: &'static str) -> Result<gst::Element, StudioError> {
    gst::ElementFactory::make(element)
        .build()
        .map_err(|_| StudioError::MissingElement {
            element: element.into(),
            package,
        })
}

/// Adds and links `chain`, and lets `pad` flow into it last.
fn join(peer: &Peer, pad: &gst::Pad, chain: &[&gst::Element]) -> Result<(), StudioError> {
    let broken = |what: &dyn std::fmt::Display| StudioError::pipeline("session", what);
    peer.pipeline.add_many(chain).map_err(|e| broken(&e))?;
    gst::Element::link_many(chain).map_err(|e| broken(&e))?;
    for element in chain.iter().rev() {
        element.sync_state_with_parent().map_err(|e| broken(&e))?;
    }
    let sink = chain.first().and_then(|e| e.static_pad("sink"));
    let Some(sink) = sink else {
        return Err(broken(&"an element has no sink"));
    };
    without_header_extensions(&sink);
    pad.link(&sink).map_err(|e| broken(&e))?;
    Ok(())
}

fn appsink(caps: &gst::Caps, callbacks: gst_app::AppSinkCallbacks) -> gst_app::AppSink {
    gst_app::AppSink::builder()
        .caps(caps)
        .sync(false)
        .async_(false)
        .enable_last_sample(false)
        .max_buffers(2)
        .drop(true)
        .callbacks(callbacks)
        .build()
}

fn video(peer: &Arc<Peer>, pad: &gst::Pad, encoding: &str) -> Result<(), StudioError> {
    let mut chain = Vec::new();
    let depay = if encoding == "H264" {
        "rtph264depay"
    } else {
        "rtpvp8depay"
    };
    let depay = make(depay, "gstreamer1.0-plugins-good")?;
    // Lost packets: ask for a keyframe, and show nothing torn until it comes.
    depay.set_property("request-keyframe", true);
    depay.set_property("wait-for-keyframe", true);
    if let Some(sink) = depay.static_pad("sink") {
        let vitals = peer.vitals.clone();
        let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
        sink.add_probe(kinds, move |_, _| {
            vitals.video_packet();
            gst::PadProbeReturn::Ok
        });
        let _ = peer.incoming.video_sink.set(sink.downgrade());
    }
    chain.push(depay);
    if encoding == "H264" {
        chain.push(make("h264parse", "gstreamer1.0-plugins-bad")?);
    }
    if let Some(src) = chain.last().and_then(|e| e.static_pad("src")) {
        watch_units(peer, &src);
    }
    chain.push(decoder(encoding)?);
    let vitals = peer.vitals.clone();
    let slot = Arc::downgrade(&peer.slot);
    let callbacks = gst_app::AppSinkCallbacks::builder()
        .new_sample(move |sink| {
            if let (Ok(sample), Some(slot)) = (sink.pull_sample(), slot.upgrade()) {
                slot.video.put(&sample);
                vitals.picture();
            }
            // A slot that is gone is no error of the peer's pipeline: it is on its way down.
            Ok(gst::FlowSuccess::Ok)
        })
        .build();
    let caps = gst_video::VideoCapsBuilder::new()
        .format(gst_video::VideoFormat::I420)
        .build();
    let sink = appsink(&caps, callbacks);
    if let Some(pad) = sink.static_pad("sink") {
        // The decoder may then hand out its own frames, rows padded as it likes, uncopied.
        pad.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, |_, info| {
            if let Some(query) = info.query_mut()
                && let gst::QueryViewMut::Allocation(allocation) = query.view_mut()
            {
                allocation.add_allocation_meta::<gst_video::VideoMeta>(None);
                return gst::PadProbeReturn::Handled;
            }
            gst::PadProbeReturn::Ok
        });
    }
    chain.push(sink.upcast());
    join(peer, pad, &chain.iter().collect::<Vec<_>>())
}

/// Refuses a picture that is too large before anything is allocated for it, and counts what is to be decoded.
fn watch_units(peer: &Arc<Peer>, src: &gst::Pad) {
    let vitals = Arc::downgrade(&peer.vitals);
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    src.add_probe(kinds, move |_, info| {
        let Some(vitals) = vitals.upgrade() else { return gst::PadProbeReturn::Handled };
        match &info.data {
            Some(gst::PadProbeData::Buffer(_)) => {
                vitals.units.fetch_add(1, Relaxed);
                if vitals.failure().is_some() {
                    return gst::PadProbeReturn::Handled;
                }
            }
            Some(gst::PadProbeData::Event(event)) => {
                if let gst::EventView::Caps(caps) = event.view()
                    && let Some(s) = caps.caps().structure(0)
                    && let (Ok(width), Ok(height)) = (s.get::<i32>("width"), s.get::<i32>("height"))
                {
                    let pixels = i64::from(width) * i64::from(height);
                    if width.max(height) > MAX_SIDE || pixels > MAX_PIXELS {
                        vitals.fail(format!("the guest's picture is {width}x{height}; 1920x1080 is the largest that is taken"));
                        return gst::PadProbeReturn::Handled;
                    }
                    vitals.width.store(width.unsigned_abs(), Relaxed);
                    vitals.height.store(height.unsigned_abs(), Relaxed);
                }
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
}

fn decoder(encoding: &str) -> Result<gst::Element, StudioError> {
    let decoder = if encoding == "VP8" {
        let decoder = make("vp8dec", "gstreamer1.0-plugins-good")?;
        decoder.set_property("threads", 1u32);
        decoder
    } else if let Ok(decoder) = gst::ElementFactory::make("avdec_h264").build() {
        // One thread: a tile needs no more, and each further one delays by a frame.
        decoder.set_property("max-threads", 1);
        decoder.set_property("output-corrupt", false);
        decoder
    } else {
        make(
            "openh264dec",
            "gstreamer1.0-plugins-bad or gstreamer1.0-libav",
        )?
    };
    for name in ["discard-corrupted-frames", "automatic-request-sync-points"] {
        if decoder.has_property(name) {
            decoder.set_property(name, true);
        }
    }
    // However much garbage comes: it is the decoder's to skip, never an error of the pipeline.
    if decoder.has_property("max-errors") {
        decoder.set_property("max-errors", -1);
    }
    Ok(decoder)
}

/// What puts packets in order: in webrtcbin's rtpbin, above a demultiplexer and what mends packets.
fn jitter_buffer(pad: &gst::Pad) -> Option<gst::Element> {
    let mut pad = pad.clone();
    while let Some(ghost) = pad.downcast_ref::<gst::GhostPad>() {
        pad = ghost.target()?;
    }
    let mut element = pad.parent_element()?;
    while element.factory()?.name() != "rtpjitterbuffer" {
        element = element.static_pad("sink")?.peer()?.parent_element()?;
    }
    Some(element)
}

fn audio(peer: &Arc<Peer>, pad: &gst::Pad) -> Result<(), StudioError> {
    match jitter_buffer(pad) {
        Some(buffer) => {
            // webrtcbin waits for the sound as for the picture, with which it shares its transport, and takes a packet that is late for one
            // that is lost. In a burst none is to be thrown away; the slot's queue is bounded.
            buffer.set_property("do-retransmission", false);
            buffer.set_property("drop-on-latency", false);
            buffer.set_property("latency", SOUND_HELD_MS);
        }
        None => tracing::warn!("the sound of a guest has no jitter buffer that is known"),
    }
    let depay = make("rtpopusdepay", "gstreamer1.0-plugins-good")?;
    let decoder = make("opusdec", "gstreamer1.0-plugins-base")?;
    decoder.set_property("plc", true);
    decoder.set_property("use-inband-fec", true);
    let arrived = Arc::new(AtomicU64::new(0));
    if let Some(src) = depay.static_pad("src") {
        let arrived = arrived.clone();
        let vitals = peer.vitals.clone();
        src.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            rt::raise_sound();
            arrived.fetch_add(1, Relaxed);
            vitals.sound_packets.fetch_add(1, Relaxed);
            gst::PadProbeReturn::Ok
        });
    }
    let vitals = peer.vitals.clone();
    let slot = Arc::downgrade(&peer.slot);
    let mut seen = 0;
    let mut samples: Vec<f32> = Vec::new();
    let callbacks = gst_app::AppSinkCallbacks::builder()
        .new_sample(move |sink| {
            let (Ok(sample), Some(slot)) = (sink.pull_sample(), slot.upgrade()) else {
                return Ok(gst::FlowSuccess::Ok);
            };
            if let Some(Ok(map)) = sample.buffer().map(gst::BufferRef::map_readable) {
                samples.clear();
                let pcm = map.as_chunks::<2>().0;
                samples.extend(
                    pcm.iter()
                        .map(|&s| f32::from(i16::from_le_bytes(s)) / 32_768.0),
                );
                slot.audio.push(&samples);
            }
            let now = arrived.load(Relaxed);
            vitals.sound(now != seen);
            seen = now;
            Ok(gst::FlowSuccess::Ok)
        })
        .build();
    let caps = gst_audio::AudioCapsBuilder::new_interleaved()
        .format(gst_audio::AudioFormat::S16le)
        .rate(48_000)
        .channels(2)
        .build();
    let sink = appsink(&caps, callbacks);
    // Every packet's sound counts: none may be dropped here, and nothing can pile up, for the callback takes each at once.
    sink.set_property("drop", false);
    join(peer, pad, &[&depay, &decoder, sink.upcast_ref()])
}
