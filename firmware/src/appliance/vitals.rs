//! How the box is: measured once a second, published as `health`.

use std::collections::BTreeMap;
use std::path::Path;

use dais_broker::Link;
use dais_protocol::{Alarm, CameraSignal, EncoderHealth, GuestHealth, Health, Latency, Seat};
use dais_studio::StudioHealth;
use dais_studio::capture::Signal;
use dais_studio::config::ProgrammeConfig;
use dais_studio::session::SessionHealth;
use tokio::sync::watch;

use super::connections::Connections;
use crate::clock::Clock;
use crate::machine::{self, CpuMeter};

/// A host wants to know before a show's second half does not fit.
const DISK_LOW_BYTES: u64 = 2 << 30;
/// Fewer frames than this part of the wanted rate, for so many seconds in a row, is a programme that stutters.
const FPS_FLOOR: f32 = 0.9;
const STUTTER_S: u32 = 3;
const FIRST_RATE_MS: u64 = 2_500;

pub(super) struct Vitals {
    clock: Clock,
    cpu: CpuMeter,
    alarms: BTreeMap<String, (u64, String)>,
    slow_seconds: u32,
    newest: Option<Health>,
    connections: Connections,
    /// For the next `health`.
    guests: Vec<GuestHealth>,
    /// The programme's frames a second, as it is set.
    wanted_fps: f32,
    /// What a second of recording weighs, as the programme is set.
    bytes_per_s: u64,
    out: watch::Sender<Option<Health>>,
    moving: watch::Sender<bool>,
    moving_since: Option<u64>,
}

impl Vitals {
    pub fn new(
        clock: Clock,
        out: watch::Sender<Option<Health>>,
        moving: watch::Sender<bool>,
        programme: &ProgrammeConfig,
    ) -> Self {
        Self {
            clock,
            cpu: CpuMeter::default(),
            alarms: BTreeMap::new(),
            slow_seconds: 0,
            newest: None,
            connections: Connections::default(),
            guests: Vec::new(),
            wanted_fps: programme.fps as f32,
            bytes_per_s: u64::from(programme.bitrate_kbps + programme.audio_kbps) * 125,
            out,
            moving,
            moving_since: None,
        }
    }

    /// The first programme frame left the encoder.
    pub fn moves(&mut self, now: u64) {
        self.moving_since.get_or_insert(now);
        self.moving.send_replace(true);
    }

    /// Whether this is news.
    pub fn alarm(&mut self, what: &str, advice: String, now: u64) -> bool {
        self.alarms
            .insert(
                what.into(),
                (
                    self.alarms.get(what).map_or(now, |(since, _)| *since),
                    advice,
                ),
            )
            .is_none()
    }

    pub fn over(&mut self, what: &str) {
        if self.alarms.remove(what).is_some() {
            tracing::info!(what, "the alarm is over");
        }
    }

    pub fn disk_free(&self) -> Option<u64> {
        self.newest
            .as_ref()
            .and_then(|health| health.disk_free_bytes)
    }

    pub fn health(&self) -> Health {
        self.newest.clone().unwrap_or_else(|| self.blank(0))
    }

    /// How the connections of those who have a seat do, with which session.
    pub fn look_at_connections(&mut self, sessions: &[SessionHealth], seated: &[(Seat, String)]) {
        self.guests = self.connections.look(sessions, seated);
    }

    /// Measures, and says what is newly wrong as `(what, advice)`.
    pub fn measure(
        &mut self,
        studio: Option<&StudioHealth>,
        disk: &Path,
        watchers: usize,
        refused: u64,
        link: &Link,
        rev: u64,
    ) -> Vec<(String, String)> {
        let now = self.clock.now_ms();
        let (running, blank) = (studio.is_some(), StudioHealth::default());
        let studio = studio.unwrap_or(&blank);
        // The folder of recordings is made with the first one: until then, its parent tells.
        let free = disk.ancestors().find_map(machine::disk_free_bytes);
        let counters = link.counters();
        let mut health = self.blank(rev);
        health.fps = studio.encoded_fps;
        health.frames = studio.frames;
        health.cpu = self.cpu.cores(now);
        health.disk_free_bytes = free;
        health.disk_free_s = free.and_then(|free| free.checked_div(self.bytes_per_s));
        health.guests = std::mem::take(&mut self.guests);
        health.watchers = watchers as u32;
        health.camera = studio.signal.map(to_wire);
        health.encoders = studio.encoders.iter().map(of_line).collect();
        let mut dropped = |place: &str, count: u64| {
            *health.dropped.entry(place.to_owned()).or_default() += count;
        };
        dropped("mix", studio.ticks_missed);
        dropped("encoder", studio.encoder_dropped);
        dropped("host_frames", studio.host_skipped);
        dropped("sound", studio.blocks_missed);
        dropped("host_sound", studio.host_sound_torn);
        dropped("guests_sound", studio.guests_sound_torn);
        dropped("microphone_xruns", studio.microphone_xruns);
        dropped("monitor_xruns", studio.monitor_xruns);
        dropped("screen", studio.screen_dropped);
        dropped("requests", refused + counters.dropped_requests);
        dropped("mqtt", counters.dropped_qos0 + counters.dropped_qos1);
        for output in &studio.outputs {
            dropped("outputs", output.dropped);
        }
        for (stage, latency) in [
            ("capture_to_mix", studio.capture_to_mix),
            ("mix_to_encoded", studio.mix_to_encoded),
            ("capture_to_encoded", studio.capture_to_encoded),
        ] {
            health.latency.insert(
                stage.into(),
                Latency {
                    p50_ms: latency.p50_ms,
                    p99_ms: latency.p99_ms,
                },
            );
        }
        let mut troubles = Vec::new();
        let mut watch = |this: &mut Self, what: &str, wrong: bool, advice: String| {
            if wrong {
                troubles.push((what.to_owned(), advice));
            } else {
                this.over(what);
            }
        };
        let low = free.is_some_and(|free| free < DISK_LOW_BYTES);
        watch(
            self,
            "disk",
            low,
            format!(
                "Only {} MB are free for recordings. Remove old ones.",
                free.unwrap_or(0) >> 20
            ),
        );
        // The rate is of whole seconds: it is 0 in the first one.
        if self
            .moving_since
            .is_some_and(|since| now > since + FIRST_RATE_MS)
        {
            self.moving
                .send_if_modified(|moving| std::mem::replace(moving, health.fps > 0.0) != *moving);
        }
        self.slow_seconds = if running && health.fps < FPS_FLOOR * self.wanted_fps {
            self.slow_seconds + 1
        } else {
            0
        };
        let slow = self.slow_seconds >= STUTTER_S;
        watch(
            self,
            "frame_rate",
            slow,
            format!(
                "The programme moves at {:.0} frames a second only. Close other programs, or lower [programme] width, height or fps.",
                health.fps
            ),
        );
        health.alarms = self
            .alarms
            .iter()
            .map(|(what, (since, advice))| Alarm {
                what: what.clone(),
                since_ms: now - since,
                advice: advice.clone(),
            })
            .collect();
        self.newest = Some(health.clone());
        self.out.send_replace(Some(health));
        troubles
    }

    fn blank(&self, rev: u64) -> Health {
        Health {
            rev,
            uptime_ms: self.clock.now_ms(),
            fps: 0.0,
            frames: 0,
            dropped: BTreeMap::new(),
            latency: BTreeMap::new(),
            cpu: 0.0,
            memory_bytes: machine::memory_bytes(),
            temperature_c: machine::temperature_c(),
            disk_free_bytes: None,
            disk_free_s: None,
            watchers: 0,
            guests: Vec::new(),
            camera: None,
            encoders: Vec::new(),
            alarms: Vec::new(),
        }
    }
}

fn to_wire(signal: Signal) -> CameraSignal {
    match signal {
        Signal::Ok => CameraSignal::Ok,
        Signal::NoCamera => CameraSignal::NoCamera,
        Signal::NoCable => CameraSignal::NoCable,
        Signal::NoSignal => CameraSignal::NoSignal,
        Signal::NoSync => CameraSignal::NoSync,
        Signal::Unsupported => CameraSignal::Unsupported,
    }
}

fn of_line(encoder: &dais_studio::health::EncoderHealth) -> EncoderHealth {
    EncoderHealth {
        line: encoder.line.into(),
        element: encoder.element.clone(),
        left: encoder.left.clone(),
    }
}
