//! The WebRTC side: one peer connection that sends the programme, with a pipeline of its own.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use gst::prelude::*;
use gst_webrtc::{
    WebRTCICEConnectionState, WebRTCICEGatheringState, WebRTCPeerConnectionState,
    WebRTCRTPTransceiver, WebRTCRTPTransceiverDirection, WebRTCSessionDescription,
};

use super::door::Refusal;
use super::link::IceServers;
use crate::element::{make, posted_error, tell_latency};
use crate::error::StudioError;
use crate::feed::Subscription;
use crate::output::report::{LOOK, Report};
use crate::session::answer::Answer;
use crate::session::peer::{
    AUDIO_LINE, VIDEO_LINE, certificate_fits, create_offer, give_answer, webrtcbin,
};
use crate::session::stats::rtp_sources;
use crate::session::{ice, sending};

/// webrtcbin offers and takes an answer within 10 ms; on a machine that is overloaded, seconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// A STUN server that does not answer is waited for 2 to 7 s; what there is by then is offered.
const GATHER: Duration = Duration::from_secs(5);
const AUDIO_PAYLOAD: u8 = 111;
const VIDEO_PAYLOAD: u8 = 96;
/// Blocks of 10 ms that may wait for the Opus encoder.
const SOUND_BLOCKS: u64 = 50;

enum Happened {
    Offered(Result<WebRTCSessionDescription, String>),
    Gathered,
    Taken(Result<(), String>),
    Connected,
    Failed(&'static str),
}

/// What flows, as the RTP session counts it.
pub(super) struct Flow {
    /// Payload that was sent, in bytes.
    pub sent_bytes: u64,
    /// Changes with each report of the server that more came in.
    pub received: u64,
}

pub(super) struct Peer {
    pipeline: gst::Pipeline,
    webrtc: gst::Element,
    happened: Receiver<Happened>,
    happens: Sender<Happened>,
    feeds: Vec<Subscription>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.feeds.clear();
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

impl Peer {
    pub fn new(report: &Report, servers: &IceServers) -> Result<Peer, StudioError> {
        let shared = &report.shared;
        let pipeline = gst::Pipeline::with_name(&format!("whip-{}", report.output_id));
        shared.time.adopt(&pipeline);
        let webrtc = webrtcbin()?;
        ice::set_up(&webrtc, &shared.config.ice)?;
        if let Some(stun) = &servers.stun {
            ice::use_stun(&webrtc, stun);
        }
        for turn in &servers.turn {
            ice::use_turn(&webrtc, turn);
        }
        pipeline
            .add(&webrtc)
            .map_err(|e| StudioError::pipeline("output", e))?;
        let (happens, happened) = channel();
        let peer = Peer {
            pipeline,
            webrtc,
            happened,
            happens,
            feeds: Vec::new(),
        };
        peer.listen();
        peer.add_line(AUDIO_LINE, &sound_preferences())?;
        peer.add_line(VIDEO_LINE, &picture_preferences())?;
        Ok(peer)
    }

    fn listen(&self) {
        if let Some(bus) = self.pipeline.bus() {
            let pipeline = self.pipeline.downgrade();
            bus.set_sync_handler(move |_, message| {
                tell_latency(&pipeline, message);
                gst::BusSyncReply::Pass
            });
        }
        // Whoever listened may be gone: the output was stopped.
        let say = |to: &Sender<Happened>, what| drop(to.send(what));
        let to = self.happens.clone();
        self.webrtc
            .connect_notify(Some("ice-gathering-state"), move |webrtc, _| {
                if webrtc.property::<WebRTCICEGatheringState>("ice-gathering-state")
                    == WebRTCICEGatheringState::Complete
                {
                    say(&to, Happened::Gathered);
                }
            });
        let to = self.happens.clone();
        self.webrtc
            .connect_notify(Some("ice-connection-state"), move |webrtc, _| {
                if webrtc.property::<WebRTCICEConnectionState>("ice-connection-state")
                    == WebRTCICEConnectionState::Failed
                {
                    say(
                        &to,
                        Happened::Failed("no network path to the server was found (ICE)"),
                    );
                }
            });
        let to = self.happens.clone();
        self.webrtc
            .connect_notify(Some("connection-state"), move |webrtc, _| {
                match webrtc.property::<WebRTCPeerConnectionState>("connection-state") {
                    WebRTCPeerConnectionState::Connected => say(&to, Happened::Connected),
                    WebRTCPeerConnectionState::Failed => {
                        say(&to, Happened::Failed("the connection to the server failed"));
                    }
                    WebRTCPeerConnectionState::Closed => {
                        say(&to, Happened::Failed("the server closed the connection"));
                    }
                    _ => {}
                }
            });
        // Nothing was asked for. What comes all the same goes nowhere, instead of ending the pipeline as not linked.
        let pipeline = self.pipeline.downgrade();
        self.webrtc.connect_pad_added(move |_, pad| {
            let (Some(pipeline), Ok(sink)) = (pipeline.upgrade(), make("fakesink")) else {
                return;
            };
            if pad.direction() != gst::PadDirection::Src || pipeline.add(&sink).is_err() {
                return;
            }
            sink.set_property("async", false);
            let _ = sink.sync_state_with_parent();
            if let Some(end) = sink.static_pad("sink") {
                let _ = pad.link(&end);
            }
        });
    }

    fn add_line(&self, line: u32, preferences: &gst::Caps) -> Result<(), StudioError> {
        let pad = self.webrtc.pad_template("sink_%u").and_then(|template| {
            self.webrtc
                .request_pad(&template, Some(&format!("sink_{line}")), Some(preferences))
        });
        let Some(pad) = pad else {
            let what = format!("webrtcbin gave no pad for line {line}");
            return Err(StudioError::pipeline("output", what));
        };
        let transceiver = pad.property::<WebRTCRTPTransceiver>("transceiver");
        transceiver.set_property("direction", WebRTCRTPTransceiverDirection::Sendonly);
        transceiver.set_property("codec-preferences", preferences);
        // On the sound it made an ssrc-group that browsers refuse.
        transceiver.set_property("do-nack", line == VIDEO_LINE);
        Ok(())
    }

    /// The offer with its candidates.
    pub fn offer(&self, report: &Report) -> Result<String, Refusal> {
        self.pipeline
            .set_state(gst::State::Playing)
            .map_err(|_| Refusal::ForNow("the media pipeline did not start".into()))?;
        let to = self.happens.clone();
        create_offer(&self.webrtc, move |offer| {
            let _ = to.send(Happened::Offered(offer));
        });
        let late = "the media engine made no offer in time";
        let offer = self.wait(report, PATIENCE, late, |happened| match happened {
            Happened::Offered(offer) => Some(offer),
            _ => None,
        })?;
        let offer = offer.map_err(Refusal::ForNow)?;
        self.webrtc
            .emit_by_name::<()>("set-local-description", &[&offer, &None::<gst::Promise>]);
        let gathered = self.wait(report, GATHER, "", |happened| {
            matches!(happened, Happened::Gathered).then_some(())
        });
        if gathered.is_err() {
            tracing::debug!("not all ICE candidates were found in time");
        }
        let local = self
            .webrtc
            .property::<Option<WebRTCSessionDescription>>("local-description");
        local
            .and_then(|local| local.sdp().as_text().ok())
            .ok_or_else(|| Refusal::ForNow("the media engine's offer can't be written".into()))
    }

    /// Connects as the answer says, and lets the programme flow once it is sure with whom.
    pub fn connect(
        &mut self,
        report: &Report,
        answer: &Answer,
        limit: Duration,
    ) -> Result<(), Refusal> {
        let to = self.happens.clone();
        give_answer(&self.webrtc, answer, move |taken| {
            let _ = to.send(Happened::Taken(taken));
        });
        let late = "the media engine did not take the server's answer in time";
        self.wait(report, PATIENCE, late, |happened| match happened {
            Happened::Taken(taken) => Some(taken),
            _ => None,
        })?
        .map_err(|what| Refusal::ForNow(format!("the server's answer does not fit: {what}")))?;
        for candidate in &answer.candidates {
            self.webrtc
                .emit_by_name::<()>("add-ice-candidate", &[&AUDIO_LINE, candidate]);
        }
        let (Some(sound), Some(picture)) = (answer.audio, answer.video) else {
            let what = "the server does not take both picture and sound";
            return Err(Refusal::ForNow(what.into()));
        };
        let broken = |error: StudioError| Refusal::ForNow(error.to_string());
        let sources = [
            self.add_sound(report, sound.payload).map_err(broken)?,
            self.add_picture(report, picture.payload).map_err(broken)?,
        ];
        let late = "no network path to the server was found in time (ICE)";
        let connected = self.wait(report, limit, late, |happened| match happened {
            Happened::Connected => Some(Ok(())),
            Happened::Failed(why) => Some(Err(why.to_owned())),
            _ => None,
        });
        match connected {
            Ok(Ok(())) => {}
            Ok(Err(why)) | Err(Refusal::ForNow(why)) => return Err(Refusal::NoPath(why)),
            Err(other) => return Err(other),
        }
        if !certificate_fits(&self.webrtc, &answer.fingerprint) {
            let what = "the server's certificate is not the one that its answer names";
            return Err(Refusal::ForNow(what.into()));
        }
        let (feeds, id) = (&report.shared.feeds, &report.output_id);
        let [sound, picture] = &sources;
        let frames = u64::from(report.shared.config.programme.fps);
        self.feeds = vec![
            feeds.programme.feed_into(id, frames, picture),
            feeds.sound_raw.feed_into(id, SOUND_BLOCKS, sound),
        ];
        Ok(())
    }

    fn add_picture(&self, report: &Report, payload: u8) -> Result<gst_app::AppSrc, StudioError> {
        let appsrc = sending::source();
        let mut chain = vec![appsrc.clone().upcast()];
        chain.extend(sending::h264_payloader(payload)?);
        sending::carry_keyframe_requests(&appsrc, &report.shared.feeds.programme, || {});
        sending::join(&self.pipeline, &self.webrtc, &chain, VIDEO_LINE)?;
        Ok(appsrc)
    }

    fn add_sound(&self, report: &Report, payload: u8) -> Result<gst_app::AppSrc, StudioError> {
        let appsrc = sending::sound_source();
        let mut chain = vec![appsrc.clone().upcast()];
        let bps = report.shared.config.programme.audio_kbps as i32 * 1000;
        chain.extend(sending::opus_payloader(payload, bps)?);
        sending::join(&self.pipeline, &self.webrtc, &chain, AUDIO_LINE)?;
        Ok(appsrc)
    }

    /// Waits for one thing to happen, for no longer than `limit` and not past the output's end.
    fn wait<T>(
        &self,
        report: &Report,
        limit: Duration,
        late: &str,
        mut pick: impl FnMut(Happened) -> Option<T>,
    ) -> Result<T, Refusal> {
        let until = Instant::now() + limit;
        while !report.stopped() {
            if let Some(error) = posted_error(&self.pipeline) {
                return Err(Refusal::ForNow(error.to_string()));
            }
            if let Ok(happened) = self.happened.recv_timeout(LOOK)
                && let Some(found) = pick(happened)
            {
                return Ok(found);
            }
            if Instant::now() >= until {
                return Err(Refusal::ForNow(late.into()));
            }
        }
        Err(Refusal::ForNow(String::new()))
    }

    /// Why the connection is over, if it is.
    pub fn broken(&self) -> Option<String> {
        let failed = self
            .happened
            .try_iter()
            .find_map(|happened| match happened {
                Happened::Failed(why) => Some(why.to_owned()),
                _ => None,
            });
        failed.or_else(|| posted_error(&self.pipeline).map(|e| e.to_string()))
    }

    /// Pictures and blocks of sound that found no place.
    pub fn dropped(&self) -> u64 {
        self.feeds.iter().map(Subscription::dropped).sum()
    }

    pub fn flow(&self) -> Flow {
        let mut flow = Flow {
            sent_bytes: 0,
            received: 0,
        };
        for source in rtp_sources(&self.webrtc).unwrap_or_default() {
            if source.get::<bool>("internal").unwrap_or(false) {
                flow.sent_bytes += source.get::<u64>("octets-sent").unwrap_or(0);
            }
            if source.get::<bool>("have-rb").unwrap_or(false) {
                let highest = source.get::<u32>("rb-exthighestseq").unwrap_or(0);
                flow.received = flow.received.wrapping_add(u64::from(highest));
            }
        }
        flow
    }
}

fn sound_preferences() -> gst::Caps {
    gst::Caps::builder("application/x-rtp")
        .field("media", "audio")
        .field("encoding-name", "OPUS")
        .field("clock-rate", 48_000)
        .field("payload", i32::from(AUDIO_PAYLOAD))
        .field("encoding-params", "2")
        .field("minptime", "10")
        .field("useinbandfec", "1")
        // Else receivers decode to mono.
        .field("stereo", "1")
        .field("sprop-stereo", "1")
        .build()
}

fn picture_preferences() -> gst::Caps {
    gst::Caps::builder("application/x-rtp")
        .field("media", "video")
        .field("encoding-name", "H264")
        .field("clock-rate", 90_000)
        .field("payload", i32::from(VIDEO_PAYLOAD))
        .field("rtcp-fb-nack-pli", true)
        .field("rtcp-fb-ccm-fir", true)
        .field("packetization-mode", "1")
        // What every server takes. The stream's own profile and level stand in its headers, which is where decoders look.
        .field("profile-level-id", "42e01f")
        .field("level-asymmetry-allowed", "1")
        .build()
}
