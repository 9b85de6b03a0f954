//! What is known of a session's media, for `health`.

use std::sync::atomic::Ordering::Relaxed;

use gst::prelude::*;

use crate::api::SessionKind;

use super::lock;
use super::peer::Peer;

/// One session, since its start unless said otherwise.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct SessionHealth {
    pub session: String,
    /// `guest`, `guest_without_camera` or `watch`.
    pub kind: &'static str,
    pub connected: bool,
    /// Media are being decoded.
    pub alive: bool,
    pub frames_decoded: u64,
    /// Decoded over the last second.
    pub fps: f32,
    pub width: u32,
    pub height: u32,
    pub sound_packets: u64,
    /// What came from the network over the last second.
    pub kbps: u32,
    pub bytes_received: u64,
    pub bytes_sent: u64,
    /// Packets of the guest that were lost on the way, in percent of all.
    pub loss_percent: f32,
    /// The same as counts, so that whoever looks again knows the loss in between.
    pub packets_lost: u64,
    pub packets_received: u64,
    /// Of what the box sends, as the other side reports it for its last interval.
    pub down_loss_percent: f32,
    /// As the other side's reports say; absent before the first.
    pub rtt_ms: Option<f32>,
    pub jitter_ms: f32,
    /// Keyframes that the other side asked for.
    pub keyframes_asked: u64,
}

pub(super) fn of(peer: &Peer) -> SessionHealth {
    let vitals = &peer.vitals;
    let rates = *lock(&peer.rates);
    let mut health = SessionHealth {
        session: peer.id.clone(),
        kind: match &peer.kind {
            SessionKind::Guest { camera: true } => "guest",
            SessionKind::Guest { camera: false } => "guest_without_camera",
            SessionKind::Watch => "watch",
            SessionKind::View { .. } => "view",
        },
        connected: vitals.is_connected(),
        alive: vitals.is_alive(),
        frames_decoded: vitals.pictures.load(Relaxed),
        fps: rates.fps,
        kbps: rates.kbps,
        width: vitals.width.load(Relaxed),
        height: vitals.height.load(Relaxed),
        sound_packets: vitals.sound_packets.load(Relaxed),
        bytes_received: vitals.bytes.load(Relaxed),
        keyframes_asked: vitals.keyframes_asked.load(Relaxed),
        ..SessionHealth::default()
    };
    from_rtp(peer, &mut health);
    health
}

/// What the RTP session of a peer connection knows: it counts by stream, ours (`internal`) and theirs.
pub(crate) fn rtp_sources(webrtc: &gst::Element) -> Option<Vec<gst::Structure>> {
    let rtpbin = webrtc.downcast_ref::<gst::Bin>()?.by_name("rtpbin")?;
    let session =
        rtpbin.emit_by_name::<Option<gst::glib::Object>>("get-internal-session", &[&0u32])?;
    let stats = session.property::<gst::Structure>("stats");
    #[allow(deprecated)] // GValueArray: what rtpsession gives
    let sources = stats.get::<gst::glib::ValueArray>("source-stats").ok()?;
    Some(sources.iter().filter_map(|v| v.get().ok()).collect())
}

fn from_rtp(peer: &Peer, health: &mut SessionHealth) -> Option<()> {
    let (mut lost, mut received) = (0i64, 0u64);
    for source in rtp_sources(&peer.webrtc)? {
        if source.get::<bool>("internal").unwrap_or(false) {
            health.bytes_sent += source.get::<u64>("octets-sent").unwrap_or(0);
        } else {
            lost += i64::from(source.get::<i32>("packets-lost").unwrap_or(0)).max(0);
            received += source.get::<u64>("packets-received").unwrap_or(0);
            let clock_rate = source.get::<i32>("clock-rate").ok().filter(|r| *r > 0);
            if let (Some(rate), Ok(jitter)) = (clock_rate, source.get::<u32>("jitter")) {
                health.jitter_ms = health.jitter_ms.max(jitter as f32 * 1000.0 / rate as f32);
            }
        }
        // Reports of the other side about our streams; the round trip is in units of 1/65536 s.
        if source.get::<bool>("have-rb").unwrap_or(false) {
            let fraction = source.get::<u32>("rb-fractionlost").unwrap_or(0) as f32 / 256.0;
            health.down_loss_percent = health.down_loss_percent.max(fraction * 100.0);
            if let Ok(round_trip) = source.get::<u32>("rb-round-trip")
                && round_trip > 0
            {
                health.rtt_ms = Some(round_trip as f32 * 1000.0 / 65_536.0);
            }
        }
    }
    health.packets_lost = lost.unsigned_abs();
    health.packets_received = received;
    if received > 0 {
        health.loss_percent = lost as f32 * 100.0 / (received as f32 + lost as f32);
    }
    Some(())
}
