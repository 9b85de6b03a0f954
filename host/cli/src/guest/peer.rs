//! One WebRTC peer connection of a synthetic guest: it answers the box's offer. Knows no MQTT.
//!
//! webrtcbin as the answering side has two traps, both seen: an answer made before the pads that send have their caps is
//! NULL, and an m-line whose pad is asked for after the offer is answered `recvonly`. So the pads are made first, from the
//! offer's text, and the offer is given to webrtcbin when all caps are there.

use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use gst::glib;
use gst::prelude::*;
use gst_webrtc::{
    WebRTCBundlePolicy, WebRTCPeerConnectionState, WebRTCRTPTransceiver,
    WebRTCRTPTransceiverDirection, WebRTCSDPType, WebRTCSessionDescription,
};
use tokio::sync::mpsc::UnboundedSender;

use super::profile::Profile;
use super::returned::{Ledger, Returned, decode};
use super::source::{Codec, Payload, Picture, Sound, Want};
use super::spec::{AudioSpec, VideoSpec, tone_hz};

/// A source gives its first buffer within 100 ms; a camera or a loaded machine, within seconds.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    #[error("GStreamer could not be started: {0}")]
    Gstreamer(#[from] glib::Error),
    #[error("a part of the guest's pipeline could not be built: {0}")]
    Pipeline(String),
    #[error("{path} can't be played: {what}")]
    File { path: PathBuf, what: String },
    #[error("the box's offer can't be answered: {0}")]
    Offer(String),
    #[error("the guest's own {0} gave nothing within 15 s")]
    Silent(&'static str),
}

/// What a guest sends, and how.
#[derive(Clone, Debug)]
pub struct PeerSetup {
    /// Counted from 1: chooses colour and tone where `video` and `audio` don't.
    pub number: u32,
    pub video: VideoSpec,
    pub audio: AudioSpec,
    pub codec: Codec,
    pub want: Want,
    /// `stun://host:port`, `turn://user:password@host:port`.
    pub ice_servers: Vec<String>,
    /// Offer 127.0.0.1 too: the box may be on this machine, which may have no network.
    pub loopback: bool,
    /// The network that the guest seems to be in.
    pub profile: Option<Profile>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum PeerEvent {
    Answer(String),
    /// A local candidate, with its m-line; `None` ends them.
    Candidate(Option<(u32, String)>),
    Connected,
    FirstPicture,
    Failed(String),
}

pub type Tell = UnboundedSender<PeerEvent>;

pub struct Peer {
    pipeline: gst::Pipeline,
    webrtc: gst::Element,
    picture: Option<Picture>,
    sound: Option<Sound>,
    ledger: Arc<Ledger>,
    profile: Option<Profile>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        // 4 to 97 ms, and nothing depends on when it is done.
        let pipeline = self.pipeline.clone();
        std::thread::spawn(move || pipeline.set_state(gst::State::Null));
    }
}

impl Peer {
    /// Blocks until the answer is on its way: up to seconds, where a camera starts slowly.
    pub fn new(setup: &PeerSetup, offer: &str, tell: Tell) -> Result<Peer, PeerError> {
        gst::init()?;
        let own_hz = match setup.audio {
            AudioSpec::Test {
                tone_hz: Some(hz), ..
            } => hz,
            _ => tone_hz(setup.number),
        };
        let offer = gst_sdp::SDPMessage::parse_buffer(offer.as_bytes())
            .map_err(|_| PeerError::Offer("it is no session description".into()))?;
        let mut peer = Peer {
            pipeline: gst::Pipeline::new(),
            webrtc: webrtcbin(setup)?,
            picture: None,
            sound: None,
            ledger: Arc::new(Ledger::new(own_hz)),
            profile: setup.profile,
        };
        if let Some(profile) = setup.profile {
            profile.apply(&peer.webrtc)?;
        }
        peer.pipeline
            .add(&peer.webrtc)
            .map_err(|e| PeerError::Pipeline(e.to_string()))?;
        peer.listen(&tell);
        let (caps_came, caps) = mpsc::channel();
        let mut waiting = Vec::new();
        for (line, media) in offer.medias().enumerate() {
            if peer.add_line(setup, line, media, &caps_came)? {
                waiting.push(if media.media() == Some("audio") {
                    "sound"
                } else {
                    "picture"
                });
            }
        }
        peer.pipeline
            .set_state(gst::State::Playing)
            .map_err(|e| PeerError::Pipeline(e.to_string()))?;
        for what in waiting {
            caps.recv_timeout(PATIENCE)
                .map_err(|_| PeerError::Silent(what))?;
        }
        peer.answer(offer, tell);
        Ok(peer)
    }

    fn listen(&self, tell: &Tell) {
        // Whoever listened may be gone: the guest left.
        let say = |tell: &Tell, event| drop(tell.send(event));
        let to = tell.clone();
        self.webrtc.connect_closure(
            "on-ice-candidate",
            false,
            glib::closure!(move |_: &gst::Element, line: u32, candidate: &str| {
                say(
                    &to,
                    PeerEvent::Candidate(Some((line, candidate.to_owned()))),
                );
            }),
        );
        let to = tell.clone();
        self.webrtc
            .connect_notify(Some("ice-gathering-state"), move |webrtc, _| {
                let state =
                    webrtc.property::<gst_webrtc::WebRTCICEGatheringState>("ice-gathering-state");
                if state == gst_webrtc::WebRTCICEGatheringState::Complete {
                    say(&to, PeerEvent::Candidate(None));
                }
            });
        let to = tell.clone();
        self.webrtc
            .connect_notify(Some("connection-state"), move |webrtc, _| {
                match webrtc.property::<WebRTCPeerConnectionState>("connection-state") {
                    WebRTCPeerConnectionState::Connected => say(&to, PeerEvent::Connected),
                    WebRTCPeerConnectionState::Failed => say(
                        &to,
                        PeerEvent::Failed("the connection to the box failed".into()),
                    ),
                    _ => {}
                }
            });
        if let Some(bus) = self.pipeline.bus() {
            let (to, pipeline) = (tell.clone(), self.pipeline.downgrade());
            bus.set_sync_handler(move |_, message| {
                match message.view() {
                    gst::MessageView::Error(error) => say(
                        &to,
                        PeerEvent::Failed(format!(
                            "the guest's pipeline failed: {}",
                            error.error()
                        )),
                    ),
                    // webrtcbin adds its transports late. Untold, rtpsession (1.26) makes no sender reports.
                    gst::MessageView::Latency(_) => {
                        if let Some(pipeline) = pipeline.upgrade() {
                            pipeline.call_async(|pipeline| drop(pipeline.recalculate_latency()));
                        }
                    }
                    _ => {}
                }
                gst::BusSyncReply::Drop
            });
        }
        let (pipeline, ledger, to) = (self.pipeline.downgrade(), self.ledger.clone(), tell.clone());
        self.webrtc.connect_pad_added(move |_, pad| {
            let Some(pipeline) = pipeline
                .upgrade()
                .filter(|_| pad.direction() == gst::PadDirection::Src)
            else {
                return;
            };
            let linked = decode(pad, &ledger, &to).and_then(|bin| {
                let broken = |what: &dyn std::fmt::Display| PeerError::Pipeline(what.to_string());
                pipeline.add(&bin).map_err(|e| broken(&e))?;
                bin.sync_state_with_parent().map_err(|e| broken(&e))?;
                let sink = bin
                    .static_pad("sink")
                    .ok_or_else(|| broken(&"the decoder has no pad"))?;
                pad.link(&sink).map_err(|e| broken(&e))
            });
            if let Err(error) = linked {
                say(&to, PeerEvent::Failed(error.to_string()));
            }
        });
    }

    /// Prepares the answer to one m-line; whether something is sent there, whose caps must be waited for.
    fn add_line(
        &mut self,
        setup: &PeerSetup,
        line: usize,
        media: &gst_sdp::SDPMediaRef,
        caps_came: &mpsc::Sender<()>,
    ) -> Result<bool, PeerError> {
        let kind = media.media().unwrap_or_default();
        let encoding = match (kind, setup.codec) {
            ("audio", _) => "OPUS",
            ("video", Codec::H264) => "H264",
            ("video", Codec::Vp8) => "VP8",
            _ => {
                return Err(PeerError::Offer(format!(
                    "line {line} is neither audio nor video"
                )));
            }
        };
        let Some(preferences) = offered(media, kind, encoding) else {
            return Err(PeerError::Offer(format!("line {line} has no {encoding}")));
        };
        let number = preferences
            .structure(0)
            .and_then(|s| s.get::<i32>("payload").ok())
            .unwrap_or(96);
        let broken = |what: &str| PeerError::Pipeline(what.to_owned());
        let set_up = |transceiver: &WebRTCRTPTransceiver,
                      direction: WebRTCRTPTransceiverDirection| {
            transceiver.set_property("codec-preferences", &preferences);
            transceiver.set_property("do-nack", kind == "video");
            transceiver.set_property("direction", direction);
        };
        if media
            .attributes()
            .any(|a| matches!(a.key(), "sendonly" | "inactive"))
        {
            // Without a pad: one that never gets caps makes webrtcbin complain of a NULL.
            let receive = WebRTCRTPTransceiverDirection::Recvonly;
            let transceiver = self
                .webrtc
                .emit_by_name::<Option<WebRTCRTPTransceiver>>(
                    "add-transceiver",
                    &[&receive, &preferences],
                )
                .ok_or_else(|| broken("webrtcbin gave no transceiver"))?;
            set_up(&transceiver, receive);
            return Ok(false);
        }
        let template = self
            .webrtc
            .pad_template("sink_%u")
            .ok_or_else(|| broken("webrtcbin has no pads to send"))?;
        let pad = self
            .webrtc
            .request_pad(&template, Some(&format!("sink_{line}")), Some(&preferences))
            .ok_or_else(|| broken("webrtcbin gave no pad"))?;
        set_up(
            &pad.property::<WebRTCRTPTransceiver>("transceiver"),
            WebRTCRTPTransceiverDirection::Sendrecv,
        );
        let payload = Payload {
            number: number.unsigned_abs(),
            fixed: fixed(&preferences),
        };
        let bin = if kind == "audio" {
            let sound = Sound::new(&setup.audio, setup.number, &payload)?;
            self.sound.insert(sound).bin.clone()
        } else {
            let picture = Picture::new(&setup.video, setup.number, setup.codec, &payload)?;
            picture.want(self.capped(setup.want));
            self.picture.insert(picture).bin.clone()
        };
        let caps_came = caps_came.clone();
        pad.connect_notify(Some("caps"), move |_, _| {
            // Later caps: the size changed; nobody waits.
            let _ = caps_came.send(());
        });
        self.pipeline
            .add(&bin)
            .map_err(|e| broken(&e.to_string()))?;
        let src = bin
            .static_pad("src")
            .ok_or_else(|| broken("the source has no pad"))?;
        src.link(&pad).map_err(|e| broken(&e.to_string()))?;
        Ok(true)
    }

    fn answer(&self, offer: gst_sdp::SDPMessage, tell: Tell) {
        let description = WebRTCSessionDescription::new(WebRTCSDPType::Offer, offer);
        self.webrtc.emit_by_name::<()>(
            "set-remote-description",
            &[&description, &None::<gst::Promise>],
        );
        let webrtc = self.webrtc.downgrade();
        let promise = gst::Promise::with_change_func(move |reply| {
            let answer = reply
                .ok()
                .flatten()
                .and_then(|r| r.get::<WebRTCSessionDescription>("answer").ok());
            let text = answer.as_ref().and_then(|a| a.sdp().as_text().ok());
            let (Some(answer), Some(text), Some(webrtc)) = (answer, text, webrtc.upgrade()) else {
                let _ = tell.send(PeerEvent::Failed(
                    "webrtcbin could not answer the box's offer".into(),
                ));
                return;
            };
            // Before the local description: candidates come from then on.
            let _ = tell.send(PeerEvent::Answer(text));
            webrtc.emit_by_name::<()>("set-local-description", &[&answer, &None::<gst::Promise>]);
        });
        self.webrtc
            .emit_by_name::<()>("create-answer", &[&None::<gst::Structure>, &promise]);
    }

    /// A candidate of the box.
    pub fn candidate(&self, line: u32, candidate: &str) {
        self.webrtc
            .emit_by_name::<()>("add-ice-candidate", &[&line, &candidate]);
    }

    pub fn want(&self, want: Want) {
        if let Some(picture) = &self.picture {
            picture.want(self.capped(want));
        }
    }

    fn capped(&self, want: Want) -> Want {
        self.profile.map_or(want, |profile| profile.cap(want))
    }

    pub fn mute(&self, audio: bool, video: bool) {
        if let Some(sound) = &self.sound {
            sound.mute(audio);
        }
        if let Some(picture) = &self.picture {
            picture.mute(video);
        }
    }

    pub fn returned(&self) -> Returned {
        self.ledger.look()
    }
}

fn webrtcbin(setup: &PeerSetup) -> Result<gst::Element, PeerError> {
    let webrtc = gst::ElementFactory::make("webrtcbin")
        .property("bundle-policy", WebRTCBundlePolicy::MaxBundle)
        .property("latency", 50u32)
        .build()
        .map_err(|_| {
            PeerError::Pipeline("install gstreamer1.0-plugins-bad and gstreamer1.0-nice".into())
        })?;
    let ice = webrtc.property::<gst_webrtc::WebRTCICE>("ice-agent");
    if ice.has_property("agent") {
        let agent = ice.property::<glib::Object>("agent");
        for name in ["ice-tcp", "upnp"] {
            if agent.has_property(name) {
                agent.set_property(name, false);
            }
        }
    }
    if setup.loopback {
        // libnice leaves 127.0.0.1 out; and once one address is named, it looks for no others.
        let others = if_addrs::get_if_addrs().unwrap_or_default();
        let others = others
            .iter()
            .filter(|i| !i.is_loopback() && !i.is_link_local())
            .map(|i| i.ip().to_string());
        for address in others.chain(["127.0.0.1".to_owned()]) {
            ice.emit_by_name::<bool>("add-local-ip-address", &[&address]);
        }
    }
    for server in &setup.ice_servers {
        if server.starts_with("stun") {
            webrtc.set_property("stun-server", server);
        } else {
            webrtc.emit_by_name::<bool>("add-turn-server", &[server]);
        }
    }
    Ok(webrtc)
}

/// The caps of one offered codec, with its payload type and its parameters.
fn offered(media: &gst_sdp::SDPMediaRef, kind: &str, encoding: &str) -> Option<gst::Caps> {
    let of = |name: &'static str, payload: &str| {
        media
            .attributes()
            .filter(move |a| a.key() == name)
            .find_map(|a| {
                let (pt, rest) = a.value()?.split_once(' ')?;
                (pt == payload).then(|| rest.to_owned())
            })
    };
    media.formats().find_map(|payload| {
        let rtpmap = of("rtpmap", payload)?;
        let mut parts = rtpmap.split('/');
        let (name, rate) = (parts.next()?, parts.next()?.parse::<i32>().ok()?);
        if !name.eq_ignore_ascii_case(encoding) {
            return None;
        }
        let mut caps = gst::Structure::builder("application/x-rtp")
            .field("media", kind)
            .field("encoding-name", encoding)
            .field("clock-rate", rate)
            .field("payload", payload.parse::<i32>().ok()?);
        if encoding == "H264" {
            for parameter in of("fmtp", payload).unwrap_or_default().split(';') {
                if let Some((name @ ("packetization-mode" | "profile-level-id"), value)) =
                    parameter.trim().split_once('=')
                {
                    caps = caps.field(name, value);
                }
            }
        }
        Some([caps.build()].into_iter().collect())
    })
}

/// The codec's parameters of the preferences: written over what the encoder says of itself.
fn fixed(preferences: &gst::Caps) -> gst::Caps {
    let mut caps = gst::Structure::builder("application/x-rtp");
    if let Some(s) = preferences.structure(0) {
        for name in ["packetization-mode", "profile-level-id"] {
            if let Ok(value) = s.get::<String>(name) {
                caps = caps.field(name, value);
            }
        }
    }
    [caps.build()].into_iter().collect()
}
