//! One peer connection: its pipeline, offer and answer.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gst::glib;
use gst::prelude::*;
use gst_webrtc::{
    WebRTCBundlePolicy, WebRTCICEConnectionState, WebRTCICEGatheringState,
    WebRTCPeerConnectionState, WebRTCRTPTransceiver, WebRTCRTPTransceiverDirection, WebRTCSDPType,
    WebRTCSessionDescription, WebRTCSignalingState,
};

use crate::api::{Event, IceCandidate, SessionKind, Source};
use crate::element::tell_latency;
use crate::error::{MediaError, StudioError};
use crate::rt;
use crate::slot::Slot;
use crate::studio::Shared;

use super::answer::Answer;
use super::candidate::{self, Remote};
use super::ending::Ending;
use super::returns::Returns;
use super::vitals::{Before, Vitals};
use super::watch::Call;
use super::{answer, ice, incoming, lock};

/// How long packets of the picture are held back behind one that is missing, for it to be sent once more: on networks of up to 150 ms
/// there and back. What comes in order passes at once (GStreamer leaves waiting to sinks), so that this delays nothing else. The sound has
/// its own (`incoming::SOUND_HELD_MS`).
const PICTURE_HELD_MS: u32 = 200;
/// Sound, picture and their retransmissions, with some to spare for a browser that starts anew. A stranger could open
/// thousands, each with threads of its own.
const MAX_STREAMS: u32 = 8;
/// webrtcbin answers within 10 ms; on a machine that is overloaded, seconds.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) const AUDIO_LINE: u32 = 0;
pub(crate) const VIDEO_LINE: u32 = 1;

const TWCC: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

pub(super) struct Peer {
    pub id: String,
    pub kind: SessionKind,
    pub vitals: Arc<Vitals>,
    pub rates: Mutex<Before>,
    pub pipeline: gst::Pipeline,
    pub webrtc: gst::Element,
    pub slot: Arc<Slot>,
    pub shared: Shared,
    pub incoming: incoming::Pads,
    negotiation: Mutex<Negotiation>,
    remote_candidates: AtomicUsize,
    returns: Mutex<Option<Returns>>,
    certificate_ok: AtomicBool,
}

enum Negotiation {
    /// The offer is being made.
    Offering,
    Offered {
        sdp: String,
    },
    Answering,
    Answered {
        fingerprint: [u8; 32],
    },
    Closed,
}

impl Peer {
    pub fn new(
        id: String,
        kind: SessionKind,
        shared: Shared,
        calls: Sender<Call>,
    ) -> Result<Arc<Peer>, StudioError> {
        let pipeline = gst::Pipeline::with_name(&format!("session-{id}"));
        shared.time.adopt(&pipeline);
        let webrtc = webrtcbin()?;
        ice::set_up(&webrtc, &shared.config.ice)?;
        pipeline
            .add(&webrtc)
            .map_err(|e| StudioError::pipeline("session", e))?;
        let slot = shared.slots.add(Source::Session(id.clone()));
        if let SessionKind::View { of } = &kind {
            // It is new: there is no other.
            let _ = slot.listens_to.set(Source::Session(of.clone()));
        }
        Ok(Arc::new(Peer {
            vitals: Arc::new(Vitals::new(
                id.clone(),
                kind.clone(),
                shared.clone(),
                slot.clone(),
                calls,
            )),
            id,
            kind,
            rates: Mutex::default(),
            pipeline,
            webrtc,
            slot,
            shared,
            incoming: incoming::Pads::default(),
            negotiation: Mutex::new(Negotiation::Offering),
            remote_candidates: AtomicUsize::new(0),
            returns: Mutex::new(None),
            certificate_ok: AtomicBool::new(false),
        }))
    }

    /// Starts the pipeline and asks webrtcbin for the offer.
    pub fn start(self: &Arc<Self>) -> Result<(), StudioError> {
        self.listen();
        add_lines(&self.webrtc, &self.kind)?;
        self.pipeline
            .set_state(gst::State::Playing)
            .map_err(|e| StudioError::pipeline("session", e))?;
        let weak = Arc::downgrade(self);
        create_offer(&self.webrtc, move |offer| {
            let Some(peer) = weak.upgrade() else { return };
            match offer {
                Ok(offer) => peer.offer(&offer),
                Err(reason) => peer.vitals.fail(reason),
            }
        });
        Ok(())
    }

    fn listen(self: &Arc<Self>) {
        if let Some(bus) = self.pipeline.bus() {
            let (vitals, pipeline) = (Arc::downgrade(&self.vitals), self.pipeline.downgrade());
            bus.set_sync_handler(move |_, message| {
                rt::raise_network(message);
                tell_latency(&pipeline, message);
                if let gst::MessageView::Error(error) = message.view()
                    && let Some(vitals) = vitals.upgrade()
                {
                    let source = error
                        .src()
                        .map(|s| s.name().to_string())
                        .unwrap_or_default();
                    tracing::debug!(debug = ?error.debug(), "a session's pipeline failed");
                    vitals.fail(format!(
                        "the media pipeline failed in {source}: {}",
                        error.error()
                    ));
                }
                gst::BusSyncReply::Drop
            });
        }
        let weak = Arc::downgrade(self);
        self.webrtc.connect_pad_added(move |_, pad| {
            if let Some(peer) = weak.upgrade() {
                incoming::pad_added(&peer, pad);
            }
        });
        let vitals = self.vitals.clone();
        let id = self.id.clone();
        self.webrtc.connect_closure(
            "on-ice-candidate",
            false,
            glib::closure!(move |_: &gst::Element, line: u32, candidate: &str| {
                let candidate = IceCandidate {
                    candidate: candidate.to_owned(),
                    sdp_mid: None,
                    sdp_m_line_index: Some(line),
                };
                vitals.tell(Event::Candidate {
                    session: id.clone(),
                    candidate: Some(candidate),
                });
            }),
        );
        let vitals = self.vitals.clone();
        let id = self.id.clone();
        self.webrtc
            .connect_notify(Some("ice-gathering-state"), move |webrtc, _| {
                if webrtc.property::<WebRTCICEGatheringState>("ice-gathering-state")
                    == WebRTCICEGatheringState::Complete
                {
                    vitals.tell(Event::Candidate {
                        session: id.clone(),
                        candidate: None,
                    });
                }
            });
        let vitals = self.vitals.clone();
        self.webrtc
            .connect_notify(Some("ice-connection-state"), move |webrtc, _| {
                if webrtc.property::<WebRTCICEConnectionState>("ice-connection-state")
                    == WebRTCICEConnectionState::Failed
                {
                    vitals.fail("no network path to the other side was found (ICE)");
                }
            });
        let weak = Arc::downgrade(self);
        self.webrtc
            .connect_notify(Some("connection-state"), move |webrtc, _| {
                let Some(peer) = weak.upgrade() else { return };
                match webrtc.property::<WebRTCPeerConnectionState>("connection-state") {
                    WebRTCPeerConnectionState::Connected => peer.vitals.connected(),
                    WebRTCPeerConnectionState::Failed => {
                        peer.vitals
                            .fail("the encrypted connection to the other side failed (DTLS)");
                    }
                    _ => {}
                }
            });
        incoming::bound(self);
    }

    fn offer(&self, offer: &WebRTCSessionDescription) {
        let Ok(sdp) = offer.sdp().as_text() else {
            self.vitals
                .fail("webrtcbin made an offer that can't be written");
            return;
        };
        {
            let mut negotiation = lock(&self.negotiation);
            if !matches!(*negotiation, Negotiation::Offering) {
                return;
            }
            *negotiation = Negotiation::Offered { sdp: sdp.clone() };
        }
        // This runs on webrtcbin's own thread, so the description is set only after the return: no candidate overtakes its
        // offer. And it is in the queue before the offer is out: no answer overtakes it.
        self.webrtc
            .emit_by_name::<()>("set-local-description", &[offer, &None::<gst::Promise>]);
        self.vitals.tell(Event::Offer {
            session: self.id.clone(),
            sdp,
        });
    }

    pub async fn answer(self: &Arc<Self>, text: &str) -> Result<(), MediaError> {
        let answer = {
            let mut negotiation = lock(&self.negotiation);
            let offer = match &*negotiation {
                Negotiation::Offered { sdp } => sdp,
                Negotiation::Offering => return bad("the session has made no offer yet"),
                Negotiation::Answering | Negotiation::Answered { .. } => {
                    return bad("the session's offer has been answered already");
                }
                Negotiation::Closed => {
                    return Err(MediaError::NoSuchSession {
                        session: self.id.clone(),
                    });
                }
            };
            let answer = answer::check(offer, text).map_err(|what| MediaError::Bad { what })?;
            *negotiation = Negotiation::Answering;
            answer
        };
        let taken = self.take(&answer).await;
        if let Err(error) = &taken {
            // webrtcbin can't take a second answer after one that it half took.
            self.vitals.fail(error.to_string());
        }
        taken
    }

    async fn take(self: &Arc<Self>, answer: &Answer) -> Result<(), MediaError> {
        let unavailable = |why: &str| MediaError::Unavailable { why: why.into() };
        let (done, taken) = tokio::sync::oneshot::channel();
        // Before the first packet can come: its certificate is compared with this.
        *lock(&self.negotiation) = Negotiation::Answered {
            fingerprint: answer.fingerprint,
        };
        give_answer(&self.webrtc, answer, move |taken| {
            // Nobody may wait for it any more.
            let _ = done.send(taken);
        });
        match tokio::time::timeout(PATIENCE, taken).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => {
                return bad(format!("the answer does not fit the offer: {error}"));
            }
            _ => {
                return Err(unavailable(
                    "the media engine did not take the answer in time",
                ));
            }
        }
        if self
            .webrtc
            .property::<WebRTCSignalingState>("signaling-state")
            != WebRTCSignalingState::Stable
        {
            return bad("the answer does not fit the offer");
        }
        self.vitals.answered(answer.sends_picture);
        for candidate in &answer.candidates {
            self.add_remote(candidate)?;
        }
        let returns =
            Returns::start(self, answer).map_err(|error| unavailable(&error.to_string()))?;
        let mut negotiation = lock(&self.negotiation);
        if matches!(*negotiation, Negotiation::Closed) {
            drop(negotiation);
            returns.cut_off(&self.slot);
            return Err(MediaError::NoSuchSession {
                session: self.id.clone(),
            });
        }
        *negotiation = Negotiation::Answered {
            fingerprint: answer.fingerprint,
        };
        *lock(&self.returns) = Some(returns);
        Ok(())
    }

    pub fn candidate(&self, init: &IceCandidate) -> Result<(), MediaError> {
        match candidate::check_init(init).map_err(|what| MediaError::Bad { what })? {
            Remote::Use(text) => self.add_remote(&text),
            Remote::Ignore => Ok(()),
        }
    }

    fn add_remote(&self, candidate: &str) -> Result<(), MediaError> {
        if self.remote_candidates.fetch_add(1, Relaxed) >= candidate::MAX_REMOTE {
            return bad(format!(
                "the session has had {} candidates; more are not taken",
                candidate::MAX_REMOTE
            ));
        }
        // All lines share the transport of the first; webrtcbin keeps what comes before the answer.
        self.webrtc
            .emit_by_name::<()>("add-ice-candidate", &[&AUDIO_LINE, &candidate]);
        Ok(())
    }

    /// Asked before the first packet is decoded.
    pub fn certificate_ok(&self) -> bool {
        if self.certificate_ok.load(Relaxed) {
            return true;
        }
        let Negotiation::Answered {
            fingerprint: expected,
        } = *lock(&self.negotiation)
        else {
            return false;
        };
        let ok = certificate_fits(&self.webrtc, &expected);
        self.certificate_ok.store(ok, Relaxed);
        ok
    }

    /// Takes the session out of slots and feeds; what is left is the pipeline.
    pub fn cut_off(&self) -> gst::Pipeline {
        *lock(&self.negotiation) = Negotiation::Closed;
        self.slot.sound_out.set(None);
        if let Some(returns) = lock(&self.returns).take() {
            returns.cut_off(&self.slot);
        }
        self.pipeline.clone()
    }
}

fn bad<T>(what: impl Into<String>) -> Result<T, MediaError> {
    Err(MediaError::Bad { what: what.into() })
}

pub(crate) fn webrtcbin() -> Result<gst::Element, StudioError> {
    let webrtc = gst::ElementFactory::make("webrtcbin")
        .property("bundle-policy", WebRTCBundlePolicy::MaxBundle)
        .property("latency", PICTURE_HELD_MS)
        .build()
        .map_err(|_| StudioError::MissingElement {
            element: "webrtcbin".into(),
            package: "gstreamer1.0-plugins-bad",
        })?;
    if gst::ElementFactory::find("nicesrc").is_none() {
        return Err(StudioError::MissingElement {
            element: "nicesrc".into(),
            package: "gstreamer1.0-nice",
        });
    }
    if let Some(rtpbin) = webrtc
        .downcast_ref::<gst::Bin>()
        .and_then(|b| b.by_name("rtpbin"))
    {
        rtpbin.set_property("max-streams", MAX_STREAMS);
        // The decoder of the sound hides what is lost only if it is told of it.
        rtpbin.set_property("do-lost", true);
        rtpbin.set_property("drop-on-latency", true);
        // Lips are moved together by no time stamps here; what rtpbin shifts for them (up to 190 ms were seen), a missing packet is waited
        // for longer. Shifts above a nanosecond are not made.
        rtpbin.set_property("max-ts-offset", 1i64);
    }
    Ok(webrtc)
}

fn audio_preferences() -> gst::Caps {
    gst::Caps::builder("application/x-rtp")
        .field("media", "audio")
        .field("encoding-name", "OPUS")
        .field("clock-rate", 48_000)
        .field("payload", 111)
        .field("encoding-params", "2")
        .field("minptime", "10")
        .field("useinbandfec", "1")
        .build()
}

fn video_preferences() -> gst::Caps {
    let codec = |name: &str, payload: i32| {
        gst::Structure::builder("application/x-rtp")
            .field("media", "video")
            .field("encoding-name", name)
            .field("clock-rate", 90_000)
            .field("payload", payload)
            .field("rtcp-fb-nack-pli", true)
            .field("rtcp-fb-ccm-fir", true)
            .field("rtcp-fb-transport-cc", true)
            .field("extmap-5", TWCC)
    };
    // Every browser has to have both (RFC 7742); H.264 costs phones the least.
    let h264 = codec("H264", 96)
        .field("packetization-mode", "1")
        .field("profile-level-id", "42e01f")
        .field("level-asymmetry-allowed", "1");
    [h264.build(), codec("VP8", 97).build()]
        .into_iter()
        .collect()
}

/// One line of sound, one of picture, each with a pad: the pads must be there before the offer, what flows into them need not.
fn add_lines(webrtc: &gst::Element, kind: &SessionKind) -> Result<(), StudioError> {
    use WebRTCRTPTransceiverDirection::{Sendonly, Sendrecv};
    let (audio, video) = match kind {
        SessionKind::Guest { camera: true } => (Sendrecv, Sendrecv),
        SessionKind::Guest { camera: false } => (Sendrecv, Sendonly),
        SessionKind::Watch | SessionKind::View { .. } => (Sendonly, Sendonly),
    };
    let Some(template) = webrtc.pad_template("sink_%u") else {
        return Err(StudioError::pipeline(
            "session",
            "webrtcbin has no pads to send",
        ));
    };
    for (line, direction, preferences) in [
        (AUDIO_LINE, audio, audio_preferences()),
        (VIDEO_LINE, video, video_preferences()),
    ] {
        let Some(pad) =
            webrtc.request_pad(&template, Some(&format!("sink_{line}")), Some(&preferences))
        else {
            return Err(StudioError::pipeline(
                "session",
                format!("webrtcbin gave no pad for line {line}"),
            ));
        };
        let transceiver = pad.property::<WebRTCRTPTransceiver>("transceiver");
        transceiver.set_property("direction", direction);
        transceiver.set_property("codec-preferences", &preferences);
        // On the sound it made an ssrc-group that Chromium refuses.
        transceiver.set_property("do-nack", line == VIDEO_LINE);
    }
    Ok(())
}

pub(crate) fn create_offer(
    webrtc: &gst::Element,
    done: impl FnOnce(Result<WebRTCSessionDescription, String>) + Send + 'static,
) {
    let promise = gst::Promise::with_change_func(move |reply| {
        let offer = match reply {
            Ok(Some(reply)) => reply
                .get::<WebRTCSessionDescription>("offer")
                .map_err(|_| format!("webrtcbin could not make an offer: {reply}")),
            Ok(None) => Err("webrtcbin could not make an offer".to_owned()),
            Err(error) => Err(format!("webrtcbin could not make an offer: {error:?}")),
        };
        done(offer);
    });
    webrtc.emit_by_name::<()>("create-offer", &[&None::<gst::Structure>, &promise]);
}

/// Gives webrtcbin an answer that was checked. `done` hears what it says of it, on a thread of webrtcbin's.
pub(crate) fn give_answer(
    webrtc: &gst::Element,
    answer: &Answer,
    done: impl FnOnce(Result<(), String>) + Send + 'static,
) {
    let Ok(sdp) = gst_sdp::SDPMessage::parse_buffer(answer.sdp.as_bytes()) else {
        return done(Err(
            "GStreamer can't read the answer as this box wrote it".into()
        ));
    };
    let description = WebRTCSessionDescription::new(WebRTCSDPType::Answer, sdp);
    let promise = gst::Promise::with_change_func(move |reply| {
        let error = match reply {
            Ok(reply) => reply
                .and_then(|r| r.get::<glib::Error>("error").ok())
                .map(|e| e.to_string()),
            Err(error) => Some(format!("{error:?}")),
        };
        done(error.map_or(Ok(()), Err));
    });
    webrtc.emit_by_name::<()>("set-remote-description", &[&description, &promise]);
}

/// Whether the certificate of the DTLS handshake is the one that the answer named: webrtcbin 1.22 does not look.
pub(crate) fn certificate_fits(webrtc: &gst::Element, fingerprint: &[u8; 32]) -> bool {
    remote_certificate(webrtc)
        .and_then(|pem| fingerprint_of(&pem))
        .is_some_and(|shown| shown == *fingerprint)
}

fn remote_certificate(webrtc: &gst::Element) -> Option<String> {
    let pad = webrtc.static_pad(&format!("sink_{AUDIO_LINE}"))?;
    let transceiver = pad.property::<WebRTCRTPTransceiver>("transceiver");
    let receiver = transceiver.property::<Option<gst_webrtc::WebRTCRTPReceiver>>("receiver")?;
    let transport = receiver.property::<Option<gst_webrtc::WebRTCDTLSTransport>>("transport")?;
    transport.property::<Option<String>>("remote-certificate")
}

fn fingerprint_of(pem: &str) -> Option<[u8; 32]> {
    let body: String = pem.lines().filter(|l| !l.starts_with("-----")).collect();
    let der = glib::base64_decode(&body);
    let hex = glib::compute_checksum_for_data(glib::ChecksumType::Sha256, &der)?;
    let mut bytes = [0; 32];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// Makes an offer and throws it away.
pub(super) fn warm_up(ending: &Ending) {
    let Ok(webrtc) = webrtcbin() else { return };
    let pipeline = gst::Pipeline::with_name("session-warm-up");
    if pipeline.add(&webrtc).is_err()
        || add_lines(&webrtc, &SessionKind::Guest { camera: true }).is_err()
    {
        return;
    }
    let (done, made) = std::sync::mpsc::channel();
    if pipeline.set_state(gst::State::Playing).is_ok() {
        create_offer(&webrtc, move |offer| {
            // Too late: nobody waits any more.
            let _ = done.send(offer.is_ok());
        });
        if made.recv_timeout(PATIENCE) != Ok(true) {
            tracing::warn!(
                "the first offer was not made within 10 s: this machine is overloaded, or its webrtcbin does not work"
            );
        }
    }
    for name in [
        "rtph264depay",
        "h264parse",
        "opusdec",
        "opusenc",
        "rtph264pay",
        "rtpopuspay",
        "capssetter",
    ] {
        // Loads the plugin; what is missing is said when it is needed.
        let _ = gst::ElementFactory::make(name).build();
    }
    ending.end(pipeline);
}
