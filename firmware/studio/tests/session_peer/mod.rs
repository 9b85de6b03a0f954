//! The other side of a session, in a process of its own: the test `peer_process`.
#![allow(dead_code)] // each of the test programs uses a part

pub mod bench;

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use gst::glib;
use gst::prelude::*;
use gst_webrtc::{
    WebRTCRTPTransceiver, WebRTCRTPTransceiverDirection, WebRTCSDPType, WebRTCSessionDescription,
};
use serde_json::{Value, json};

use crate::child::{Child, say};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Codec {
    H264,
    Vp8,
}

#[derive(Clone, Debug)]
pub struct Setup {
    pub codec: Codec,
    pub width: i32,
    pub height: i32,
    pub fps: i32,
    /// No fragmented unit of H.264 says that it ends, as when the wrong packets are lost.
    pub endless: bool,
    /// Some packets are lost, and the request for a keyframe that this leads to is lost, too.
    pub deaf: bool,
    /// Its answer offers a picture, and none comes; or offers none.
    pub dark: bool,
    pub voice_only: bool,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            codec: Codec::H264,
            width: 320,
            height: 240,
            fps: 15,
            endless: false,
            deaf: false,
            dark: false,
            voice_only: false,
        }
    }
}

/// A peer process as the test sees it.
pub struct PeerProcess(pub Child);

impl PeerProcess {
    pub fn start(setup: &Setup, offer: &str) -> PeerProcess {
        let mut child = Child::start("peer_process", &[]);
        child.tell(&json!({
            "offer": offer, "vp8": setup.codec == Codec::Vp8,
            "width": setup.width, "height": setup.height, "fps": setup.fps,
            "endless": setup.endless, "deaf": setup.deaf,
            "dark": setup.dark, "voice_only": setup.voice_only,
        }));
        PeerProcess(child)
    }

    pub fn signal(&self, name: &str) {
        let done = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.0.id().to_string())
            .status()
            .unwrap();
        assert!(done.success());
    }
}

/// The life of the process: first line the offer, then candidates, until stdin ends.
pub fn run() {
    gst::init().unwrap();
    let mut lines = std::io::stdin().lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let (pipeline, webrtc, counts) = answer(&serde_json::from_str(&first).unwrap());
    std::thread::spawn(move || {
        loop {
            say(&json!({
                "pictures": counts.pictures.load(Relaxed), "sounds": counts.sounds.load(Relaxed),
                "brightest": counts.brightest.load(Relaxed), "loudest": counts.loudest.swap(0, Relaxed),
            }));
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    for line in lines {
        let message: Value = serde_json::from_str(&line).unwrap();
        if let Some(candidate) = message["candidate"].as_str() {
            webrtc.emit_by_name::<()>("add-ice-candidate", &[&0u32, &candidate]);
        }
    }
    let _ = pipeline.set_state(gst::State::Null);
}

#[derive(Default)]
struct Counts {
    pictures: AtomicU64,
    sounds: AtomicU64,
    /// The brightest of the last picture's samples.
    brightest: AtomicU64,
    /// The peak since the last report, 16 bits.
    loudest: AtomicU64,
}

/// After a hundred packets five are lost, before anything could send them again; and so is the next request for a keyframe.
fn lose_some(src: &gst::GhostPad) {
    const LOST: std::ops::Range<u64> = 100..105;
    let sent = AtomicU64::new(0);
    let lost = Arc::new(AtomicBool::new(false));
    let tell = lost.clone();
    src.add_probe(
        gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST,
        move |_, _| {
            let lose = LOST.contains(&sent.fetch_add(1, Relaxed));
            tell.fetch_or(lose, Relaxed);
            if lose {
                gst::PadProbeReturn::Drop
            } else {
                gst::PadProbeReturn::Ok
            }
        },
    );
    src.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
        let request = info
            .event()
            .is_some_and(|e| gst_video::ForceKeyUnitEvent::is(e));
        if request && lost.swap(false, Relaxed) {
            say(&json!({ "unheard": true }));
            return gst::PadProbeReturn::Drop;
        }
        gst::PadProbeReturn::Ok
    });
}

/// `a=rtpmap:PT NAME/…` of an offered line.
fn payload_of(media: &gst_sdp::SDPMediaRef, name: &str) -> Option<i32> {
    media
        .attributes()
        .filter(|a| a.key() == "rtpmap")
        .find_map(|a| {
            let (pt, rest) = a.value()?.split_once(' ')?;
            rest.to_ascii_lowercase()
                .starts_with(&name.to_ascii_lowercase())
                .then(|| pt.parse().ok())?
        })
}

fn answer(setup: &Value) -> (gst::Pipeline, gst::Element, Arc<Counts>) {
    let offer = setup["offer"].as_str().unwrap();
    let offer = gst_sdp::SDPMessage::parse_buffer(offer.as_bytes()).unwrap();
    let pipeline = gst::Pipeline::new();
    let webrtc = gst::ElementFactory::make("webrtcbin")
        .property_from_str("bundle-policy", "max-bundle")
        .property("latency", 50u32)
        .build()
        .unwrap();
    pipeline.add(&webrtc).unwrap();
    let ice = webrtc.property::<gst_webrtc::WebRTCICE>("ice-agent");
    assert!(ice.emit_by_name::<bool>("add-local-ip-address", &[&"127.0.0.1"]));
    let counts = Arc::new(Counts::default());
    receive(&webrtc, &pipeline, &counts);
    webrtc.connect_closure(
        "on-ice-candidate",
        false,
        glib::closure!(|_: &gst::Element, _: u32, candidate: &str| say(
            &json!({ "candidate": candidate })
        )),
    );
    let (got_caps, caps) = mpsc::channel();
    let mut senders = 0;
    for (index, media) in offer.medias().enumerate() {
        let kind = media.media().unwrap();
        let box_receives = !media
            .attributes()
            .any(|a| matches!(a.key(), "sendonly" | "inactive"));
        let vp8 = setup["vp8"] == true;
        let endless = setup["endless"] == true;
        let name = if kind == "audio" {
            "OPUS"
        } else if vp8 {
            "VP8"
        } else {
            "H264"
        };
        let payload = payload_of(media, name).unwrap();
        let mut preferences = gst::Caps::builder("application/x-rtp")
            .field("media", kind)
            .field("encoding-name", name)
            .field("clock-rate", if kind == "audio" { 48_000 } else { 90_000 })
            .field("payload", payload);
        if name == "H264" {
            preferences = preferences
                .field("packetization-mode", "1")
                .field("profile-level-id", "42e01f");
        }
        let preferences = preferences.build();
        if !box_receives || setup["voice_only"] == true && kind == "video" {
            let receive = WebRTCRTPTransceiverDirection::Recvonly;
            let transceiver = webrtc
                .emit_by_name::<WebRTCRTPTransceiver>("add-transceiver", &[&receive, &preferences]);
            transceiver.set_property("codec-preferences", &preferences);
            continue;
        }
        let template = webrtc.pad_template("sink_%u").unwrap();
        let pad = webrtc
            .request_pad(
                &template,
                Some(&format!("sink_{index}")),
                Some(&preferences),
            )
            .unwrap();
        let transceiver = pad.property::<WebRTCRTPTransceiver>("transceiver");
        transceiver.set_property("codec-preferences", &preferences);
        transceiver.set_property("direction", WebRTCRTPTransceiverDirection::Sendrecv);
        let source = if kind == "audio" {
            format!(
                "audiotestsrc is-live=true freq=500 volume=0.3 samplesperbuffer=960 ! audio/x-raw,rate=48000,channels=1 \
                 ! opusenc ! rtpopuspay pt={payload} ! identity name=last"
            )
        } else {
            let (w, h, fps) = (&setup["width"], &setup["height"], &setup["fps"]);
            // Small enough that even this picture's keyframes need fragments.
            let mtu = if endless { 300 } else { 1400 };
            let codec = if vp8 {
                format!(
                    "vp8enc deadline=1 cpu-used=8 keyframe-max-dist=3000 target-bitrate=400000 ! rtpvp8pay pt={payload} picture-id-mode=15-bit"
                )
            } else {
                format!(
                    "x264enc tune=zerolatency speed-preset=ultrafast bitrate=400 key-int-max=3000 threads=1 \
                     ! video/x-h264,profile=constrained-baseline \
                     ! rtph264pay pt={payload} mtu={mtu} config-interval=-1 aggregate-mode=zero-latency \
                     ! capssetter join=true replace=false caps=\"application/x-rtp,packetization-mode=(string)1,profile-level-id=(string)42e01f\""
                )
            };
            let dark = setup["dark"] == true;
            format!(
                "videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width={w},height={h},framerate={fps}/1 ! {codec} \
                 ! valve drop={dark} drop-mode=forward-sticky-events ! identity name=last"
            )
        };
        let chain = gst::parse::bin_from_description(&source, false).unwrap();
        let last = chain.by_name("last").unwrap();
        let src = gst::GhostPad::with_target(&last.static_pad("src").unwrap()).unwrap();
        chain.add_pad(&src).unwrap();
        if endless && name == "H264" {
            gstdais::elements::packets::change_each(&src, never_end);
        }
        if setup["deaf"] == true && kind == "video" {
            lose_some(&src);
        }
        pipeline.add(&chain).unwrap();
        src.link(&pad).unwrap();
        senders += 1;
        let got_caps = got_caps.clone();
        pad.connect_notify(Some("caps"), move |_, _| {
            let _ = got_caps.send(());
        });
    }
    pipeline.set_state(gst::State::Playing).unwrap();
    // An answer made before the pads have their caps is NULL.
    for _ in 0..senders {
        caps.recv_timeout(Duration::from_secs(20)).unwrap();
    }
    let description = WebRTCSessionDescription::new(WebRTCSDPType::Offer, offer);
    webrtc.emit_by_name::<()>(
        "set-remote-description",
        &[&description, &None::<gst::Promise>],
    );
    let bin = webrtc.clone();
    let promise = gst::Promise::with_change_func(move |reply| {
        let answer = reply
            .unwrap()
            .unwrap()
            .get::<WebRTCSessionDescription>("answer")
            .unwrap();
        say(&json!({ "answer": answer.sdp().as_text().unwrap() }));
        bin.emit_by_name::<()>("set-local-description", &[&answer, &None::<gst::Promise>]);
    });
    webrtc.emit_by_name::<()>("create-answer", &[&None::<gst::Structure>, &promise]);
    (pipeline, webrtc, counts)
}

/// Clears the end bit of a fragment (RFC 6184, 5.8), and gives the packet a header extension (RFC 8285), as browsers do.
fn never_end(packet: &mut gst::Buffer) {
    let mut bytes = packet.map_readable().unwrap().to_vec();
    let start = 12 + 4 * usize::from(bytes[0] & 0x0f);
    if bytes[start] & 0x1f == 28 {
        bytes[start + 1] &= !0x40;
    }
    bytes[0] |= 0x10;
    bytes.splice(start..start, [0xbe, 0xde, 0, 1, 0x51, 0, 1, 0]);
    let mut longer = gst::Buffer::from_mut_slice(bytes);
    let what = gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::TIMESTAMPS;
    packet
        .copy_into(longer.make_mut(), what, ..)
        .expect("a copy");
    *packet = longer;
}

fn receive(webrtc: &gst::Element, pipeline: &gst::Pipeline, counts: &Arc<Counts>) {
    let (pipeline, counts) = (pipeline.downgrade(), counts.clone());
    webrtc.connect_pad_added(move |_, pad| {
        let Some(pipeline) = pipeline.upgrade().filter(|_| pad.direction() == gst::PadDirection::Src) else { return };
        let caps = pad.current_caps().unwrap();
        let name = caps.structure(0).unwrap().get::<String>("encoding-name").unwrap();
        let sink = "fakesink name=sink sync=false async=false";
        let chain = match name.as_str() {
            "H264" => format!("rtph264depay request-keyframe=true wait-for-keyframe=true ! avdec_h264 max-threads=1 ! {sink}"),
            "VP8" => format!("rtpvp8depay request-keyframe=true wait-for-keyframe=true ! vp8dec ! {sink}"),
            _ => format!("rtpopusdepay ! opusdec ! {sink}"),
        };
        let chain = gst::parse::bin_from_description(&chain, true).unwrap();
        let counts = counts.clone();
        let sink = chain.by_name("sink").unwrap().static_pad("sink").unwrap();
        sink.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let map = info.buffer().unwrap().map_readable().unwrap();
            if name == "OPUS" {
                let peak = map.as_chunks::<2>().0.iter().map(|s| i16::from_le_bytes(*s).unsigned_abs()).max();
                counts.loudest.fetch_max(peak.unwrap_or(0).into(), Relaxed);
                counts.sounds.fetch_add(1, Relaxed);
            } else {
                let luma = &map[..map.len() / 2];
                counts.brightest.store(luma.iter().copied().max().unwrap_or(0).into(), Relaxed);
                counts.pictures.fetch_add(1, Relaxed);
            }
            gst::PadProbeReturn::Ok
        });
        pipeline.add(&chain).unwrap();
        chain.sync_state_with_parent().unwrap();
        pad.link(&chain.static_pad("sink").unwrap()).unwrap();
    });
}
