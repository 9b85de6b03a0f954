//! Whether a session lives: fed by decoded media, not by what ICE says. A closed or frozen page changes neither ICE's
//! nor DTLS's state for minutes.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::Sender;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::api::{Event, SessionKind};
use crate::slot::Slot;
use crate::studio::Shared;

use super::watch::Call;

/// Without any packet, or without any decoded media after it was lost, a session is given up. Longer than the room's grace
/// (10 s), so that a page that was frozen for a moment resumes by itself.
const GIVE_UP: Duration = Duration::from_secs(15);
/// From the answer until DTLS is through; a second on a slow path.
const CONNECT: Duration = Duration::from_secs(30);
/// Offers that nobody answers cost a pipeline each. A guest's may be made when its request is opened, and answered when that is
/// accepted, at most 300 s later.
const ANSWER_GUEST: Duration = Duration::from_secs(330);
const ANSWER_WATCH: Duration = Duration::from_secs(30);
/// A keyframe that was asked for is here by then, on a path of any length. The request travels once, and may be lost: browsers send
/// no keyframe unasked, so that the picture would stand for ever.
const STUCK_MS: u64 = 1000;
/// A camera sends at most 60 pictures a second; some encoders send a burst after a stall.
const MAX_UNITS_PER_S: u64 = 240;
/// Browsers overshoot `max_kbps` while they measure the network; a flood goes far past that.
const MAX_KBPS_FACTOR: u64 = 8;
const MIN_FLOOD_KBPS: u64 = 12_000;

/// What the streaming threads count. No lock, no allocation but for the event of a change.
pub(super) struct Vitals {
    session: String,
    kind: SessionKind,
    shared: Shared,
    slot: Arc<Slot>,
    calls: Sender<Call>,
    started: Instant,
    /// Milliseconds since `started`; 0: never.
    media_ms: AtomicU64,
    packet_ms: AtomicU64,
    alive: AtomicBool,
    closed: AtomicBool,
    failed: OnceLock<String>,
    answered_ms: AtomicU64,
    connected: AtomicBool,
    /// The guest's answer has no picture to send.
    voice_only: AtomicBool,
    pub pictures: AtomicU64,
    picture_ms: AtomicU64,
    video_packet_ms: AtomicU64,
    /// When the guest was last asked for a keyframe because nothing could be decoded, or first sent anything.
    unstuck_ms: AtomicU64,
    pub sound_packets: AtomicU64,
    pub sound_frames: AtomicU64,
    /// Access units that came for decoding.
    pub units: AtomicU64,
    /// Packets and bytes from the network, encrypted, RTCP too.
    pub packets: AtomicU64,
    pub bytes: AtomicU64,
    pub width: AtomicU32,
    pub height: AtomicU32,
    pub keyframes_asked: AtomicU64,
}

/// Counts at the last look, for rates.
#[derive(Clone, Copy, Default)]
pub(super) struct Before {
    at_ms: u64,
    pictures: u64,
    units: u64,
    bytes: u64,
    floods: u32,
    pub fps: f32,
    pub kbps: u32,
}

impl Vitals {
    pub fn new(
        session: String,
        kind: SessionKind,
        shared: Shared,
        slot: Arc<Slot>,
        calls: Sender<Call>,
    ) -> Vitals {
        Vitals {
            session,
            kind,
            shared,
            slot,
            calls,
            started: Instant::now(),
            media_ms: AtomicU64::new(0),
            packet_ms: AtomicU64::new(0),
            alive: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            failed: OnceLock::new(),
            answered_ms: AtomicU64::new(0),
            connected: AtomicBool::new(false),
            voice_only: AtomicBool::new(false),
            pictures: AtomicU64::new(0),
            picture_ms: AtomicU64::new(0),
            video_packet_ms: AtomicU64::new(0),
            unstuck_ms: AtomicU64::new(0),
            sound_packets: AtomicU64::new(0),
            sound_frames: AtomicU64::new(0),
            units: AtomicU64::new(0),
            packets: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            width: AtomicU32::new(0),
            height: AtomicU32::new(0),
            keyframes_asked: AtomicU64::new(0),
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis())
            .unwrap_or(u64::MAX)
            .max(1)
    }

    pub fn tell(&self, event: Event) {
        if !self.closed.load(Relaxed) {
            self.shared.tell(event);
        }
    }

    pub fn picture(&self) {
        let now = self.now_ms();
        self.pictures.fetch_add(1, Relaxed);
        self.picture_ms.store(now, Relaxed);
        self.media_ms.store(now, Relaxed);
        self.live();
    }

    /// A packet of the picture, in order.
    pub fn video_packet(&self) {
        let now = self.now_ms();
        self.video_packet_ms.store(now, Relaxed);
        let _ = self.unstuck_ms.compare_exchange(0, now, Relaxed, Relaxed);
    }

    /// Whether the guest must be asked for a keyframe once more: pictures come, and none could be decoded for a while.
    pub fn is_stuck(&self) -> bool {
        let now = self.now_ms();
        let since = |last: &AtomicU64| now.saturating_sub(last.load(Relaxed));
        let stuck = self.unstuck_ms.load(Relaxed) > 0
            && since(&self.video_packet_ms) < STUCK_MS
            && since(&self.picture_ms).min(since(&self.unstuck_ms)) >= STUCK_MS;
        if stuck {
            self.unstuck_ms.store(now, Relaxed);
        }
        stuck
    }

    /// `arrived`: the decoded sound came out of a packet and was not made up for a lost one.
    pub fn sound(&self, arrived: bool) {
        self.sound_frames.fetch_add(1, Relaxed);
        if arrived {
            self.media_ms.store(self.now_ms(), Relaxed);
            if !self.awaits_picture() {
                self.live();
            }
        }
    }

    /// A camera that was promised must show a picture first; once it did, or when the guest turned it off, sound alone keeps the
    /// session.
    fn awaits_picture(&self) -> bool {
        self.kind == (SessionKind::Guest { camera: true })
            && self.pictures.load(Relaxed) == 0
            && !self.voice_only.load(Relaxed)
            && !self.slot.dark.load(Relaxed)
    }

    fn live(&self) {
        if !self.alive.load(Relaxed) && !self.alive.swap(true, Relaxed) {
            self.tell(Event::Alive {
                session: self.session.clone(),
            });
        }
    }

    pub fn packet(&self, bytes: usize) {
        self.packets.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
        self.packet_ms.store(self.now_ms(), Relaxed);
    }

    pub fn answered(&self, sends_picture: bool) {
        self.voice_only.store(!sends_picture, Relaxed);
        self.answered_ms.store(self.now_ms(), Relaxed);
    }

    /// Silence counts from here.
    pub fn connected(&self) {
        let now = self.now_ms();
        self.packet_ms.store(now, Relaxed);
        if self.media_ms.load(Relaxed) == 0 {
            self.media_ms.store(now, Relaxed);
        }
        self.connected.store(true, Relaxed);
    }

    pub fn is_connected(&self) -> bool {
        self.connected.load(Relaxed)
    }

    /// Ends the session, for the first reason that is given. From any thread: the pipeline is taken down elsewhere.
    pub fn fail(&self, reason: impl Into<String>) {
        if !self.closed.load(Relaxed) && self.failed.set(reason.into()).is_ok() {
            // The watch is gone only with the whole studio.
            let _ = self.calls.send(Call::Failed {
                session: self.session.clone(),
            });
        }
    }

    pub fn close(&self) {
        self.closed.store(true, Relaxed);
    }

    pub fn failure(&self) -> Option<&str> {
        self.failed.get().map(String::as_str)
    }

    pub fn is_alive(&self) -> bool {
        self.alive.load(Relaxed)
    }

    /// One look of the watch, every 100 ms.
    pub fn look(&self, before: &mut Before) {
        let now = self.now_ms();
        self.measure(now, before);
        let give_up = GIVE_UP.as_millis() as u64;
        if !self.is_connected() {
            let answered = self.answered_ms.load(Relaxed);
            if answered > 0 && now.saturating_sub(answered) > CONNECT.as_millis() as u64 {
                self.fail(format!(
                    "no connection came about within {} s of the answer",
                    CONNECT.as_secs()
                ));
            } else if answered == 0 && now > self.patience().as_millis() as u64 {
                self.fail(format!(
                    "the offer was not answered within {} s",
                    self.patience().as_secs()
                ));
            }
            return;
        }
        let silent = |last: &AtomicU64| now.saturating_sub(last.load(Relaxed));
        if self.only_receives() {
            if silent(&self.packet_ms) > give_up {
                self.fail(format!(
                    "nothing came from the watcher for {} s",
                    GIVE_UP.as_secs()
                ));
            }
            return;
        }
        let stall = self.shared.config.sessions.stall_ms;
        let silence = silent(&self.media_ms);
        if silence > stall && self.alive.swap(false, Relaxed) {
            self.tell(Event::Lost {
                session: self.session.clone(),
            });
        }
        if silence > stall.saturating_add(give_up) {
            self.fail(format!(
                "nothing that could be decoded came from the guest for {} s",
                silence / 1000
            ));
        }
    }

    fn only_receives(&self) -> bool {
        !matches!(self.kind, SessionKind::Guest { .. })
    }

    fn patience(&self) -> Duration {
        if self.only_receives() {
            ANSWER_WATCH
        } else {
            ANSWER_GUEST
        }
    }

    fn measure(&self, now: u64, before: &mut Before) {
        let elapsed = now - before.at_ms;
        if elapsed < 1000 {
            return;
        }
        let rate = |count: u64, was: u64| count.saturating_sub(was).saturating_mul(1000) / elapsed;
        let (pictures, units, bytes) = (
            self.pictures.load(Relaxed),
            self.units.load(Relaxed),
            self.bytes.load(Relaxed),
        );
        let kbps = rate(bytes, before.bytes) / 125;
        let limit = (u64::from(self.shared.config.sessions.up.max_kbps) * MAX_KBPS_FACTOR)
            .max(MIN_FLOOD_KBPS);
        let units_per_s = rate(units, before.units);
        let floods = if kbps > limit || units_per_s > MAX_UNITS_PER_S {
            before.floods + 1
        } else {
            0
        };
        // One second may be a burst after a stall.
        if floods == 2 {
            self.fail(format!(
                "the guest floods the box with {kbps} kbit/s and {units_per_s} pictures a second; {limit} and {MAX_UNITS_PER_S} are allowed"
            ));
        }
        let fps = pictures.saturating_sub(before.pictures) as f32 * 1000.0 / elapsed as f32;
        *before = Before {
            at_ms: now,
            pictures,
            units,
            bytes,
            floods,
            fps,
            kbps: u32::try_from(kbps).unwrap_or(u32::MAX),
        };
    }
}
