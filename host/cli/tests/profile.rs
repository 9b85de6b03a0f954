//! A guest behind a bad network, seen from the other side of it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::mpsc;
use std::time::{Duration, Instant};

use dais_cli::guest::{Codec, Peer, PeerEvent, PeerSetup, Profile, Want};
use gst::prelude::*;
use gst_webrtc::{
    WebRTCICEGatheringState, WebRTCRTPTransceiver, WebRTCRTPTransceiverDirection, WebRTCSDPType,
    WebRTCSessionDescription,
};

const PATIENCE: Duration = Duration::from_secs(90);

/// Receives one guest, as the box does.
struct Receiver {
    pipeline: gst::Pipeline,
    webrtc: gst::Element,
    /// Width and height of the picture.
    sizes: mpsc::Receiver<(i32, i32)>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

impl Receiver {
    fn new() -> Receiver {
        let pipeline = gst::Pipeline::new();
        let webrtc = gst::ElementFactory::make("webrtcbin")
            .property_from_str("bundle-policy", "max-bundle")
            .build()
            .unwrap();
        pipeline.add(&webrtc).unwrap();
        let ice = webrtc.property::<gst_webrtc::WebRTCICE>("ice-agent");
        assert!(ice.emit_by_name::<bool>("add-local-ip-address", &[&"127.0.0.1"]));
        for (media, encoding, rate, payload) in [
            ("audio", "OPUS", 48_000, 111),
            ("video", "H264", 90_000, 96),
        ] {
            let mut caps = gst::Caps::builder("application/x-rtp")
                .field("media", media)
                .field("encoding-name", encoding)
                .field("clock-rate", rate)
                .field("payload", payload);
            if media == "video" {
                caps = caps
                    .field("packetization-mode", "1")
                    .field("profile-level-id", "42e01f");
            }
            webrtc.emit_by_name::<WebRTCRTPTransceiver>(
                "add-transceiver",
                &[&WebRTCRTPTransceiverDirection::Recvonly, &caps.build()],
            );
        }
        let (tell, sizes) = mpsc::channel();
        let weak = pipeline.downgrade();
        webrtc.connect_pad_added(move |_, pad| {
            let Some(pipeline) = weak.upgrade() else {
                return;
            };
            let caps = pad.current_caps().unwrap();
            let is_picture = caps.structure(0).unwrap().get::<&str>("media") == Ok("video");
            let sink = "fakesink name=sink sync=false async=false";
            let chain = if is_picture {
                format!("rtph264depay ! h264parse ! {sink}")
            } else {
                sink.into()
            };
            let chain = gst::parse::bin_from_description(&chain, true).unwrap();
            let end = chain.by_name("sink").unwrap().static_pad("sink").unwrap();
            let tell = tell.clone();
            end.connect_notify(Some("caps"), move |pad, _| {
                let caps = pad.property::<Option<gst::Caps>>("caps");
                if let Some(s) = caps.as_ref().and_then(|c| c.structure(0))
                    && let (Ok(w), Ok(h)) = (s.get("width"), s.get("height"))
                {
                    let _ = tell.send((w, h));
                }
            });
            pipeline.add(&chain).unwrap();
            chain.sync_state_with_parent().unwrap();
            pad.link(&chain.static_pad("sink").unwrap()).unwrap();
        });
        pipeline.set_state(gst::State::Playing).unwrap();
        Receiver {
            pipeline,
            webrtc,
            sizes,
        }
    }

    /// The offer, with its candidates in it.
    fn offer(&self) -> String {
        let promise = gst::Promise::new();
        self.webrtc
            .emit_by_name::<()>("create-offer", &[&None::<gst::Structure>, &promise]);
        promise.wait();
        let reply = promise.get_reply().unwrap();
        let offer = reply.get::<WebRTCSessionDescription>("offer").unwrap();
        let (gathered, all) = mpsc::channel();
        self.webrtc
            .connect_notify(Some("ice-gathering-state"), move |webrtc, _| {
                let state = webrtc.property::<WebRTCICEGatheringState>("ice-gathering-state");
                if state == WebRTCICEGatheringState::Complete {
                    let _ = gathered.send(());
                }
            });
        self.webrtc
            .emit_by_name::<()>("set-local-description", &[&offer, &None::<gst::Promise>]);
        all.recv_timeout(PATIENCE).unwrap();
        let local = self
            .webrtc
            .property::<WebRTCSessionDescription>("local-description");
        local.sdp().as_text().unwrap()
    }

    fn answered(&self, answer: &str) {
        let answer = gst_sdp::SDPMessage::parse_buffer(answer.as_bytes()).unwrap();
        let answer = WebRTCSessionDescription::new(WebRTCSDPType::Answer, answer);
        self.webrtc
            .emit_by_name::<()>("set-remote-description", &[&answer, &None::<gst::Promise>]);
    }

    /// Packets that came, packets that were lost on the way, and the greatest jitter in ms.
    fn counted(&self) -> Option<(u64, i64, f64)> {
        let rtpbin = self.webrtc.downcast_ref::<gst::Bin>()?.by_name("rtpbin")?;
        let session =
            rtpbin.emit_by_name::<Option<gst::glib::Object>>("get-internal-session", &[&0u32])?;
        let stats = session.property::<gst::Structure>("stats");
        #[allow(deprecated)] // GValueArray: what rtpsession gives
        let sources = stats.get::<gst::glib::ValueArray>("source-stats").ok()?;
        let mut counted = (0, 0, 0.0f64);
        for source in sources
            .iter()
            .filter_map(|v| v.get::<gst::Structure>().ok())
            .filter(|s| s.get::<bool>("internal") == Ok(false))
        {
            counted.0 += source.get::<u64>("packets-received").unwrap_or(0);
            counted.1 += i64::from(source.get::<i32>("packets-lost").unwrap_or(0));
            let rate = source.get::<i32>("clock-rate").ok().filter(|r| *r > 0);
            if let (Some(rate), Ok(jitter)) = (rate, source.get::<u32>("jitter")) {
                counted.2 = counted.2.max(f64::from(jitter) * 1000.0 / f64::from(rate));
            }
        }
        Some(counted)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_on_a_bad_network_sends_a_smaller_picture_late_and_with_losses() {
    gst::init().unwrap();
    let receiver = Receiver::new();
    let setup = PeerSetup {
        number: 1,
        video: "test".parse().unwrap(),
        audio: "test".parse().unwrap(),
        codec: Codec::H264,
        want: Want {
            width: 640,
            height: 360,
            max_fps: 30,
            max_kbps: 1200,
        },
        ice_servers: Vec::new(),
        loopback: true,
        profile: Some(Profile::Mobile3g),
    };
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let peer = Peer::new(&setup, &receiver.offer(), tell).unwrap();
    let mut connected = false;
    while !connected {
        let event = tokio::time::timeout(PATIENCE, told.recv()).await;
        match event.expect("the guest connects").unwrap() {
            PeerEvent::Answer(answer) => receiver.answered(&answer),
            PeerEvent::Candidate(Some((line, text))) => receiver
                .webrtc
                .emit_by_name::<()>("add-ice-candidate", &[&line, &text]),
            PeerEvent::Connected => connected = true,
            PeerEvent::Failed(why) => panic!("{why}"),
            PeerEvent::Candidate(None) | PeerEvent::FirstPicture => {}
        }
    }
    assert_eq!(receiver.sizes.recv_timeout(PATIENCE).unwrap(), (320, 180));
    // Of 100 packets, 87 times in 100 at least one is lost; of 1,000, always.
    let end = Instant::now() + PATIENCE;
    loop {
        let (came, lost, jitter_ms) = receiver.counted().unwrap_or_default();
        if came >= 200 && lost >= 2 && jitter_ms > 10.0 {
            break;
        }
        assert!(
            Instant::now() < end,
            "{came} packets, {lost} lost, {jitter_ms} ms"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    drop(peer);
}
