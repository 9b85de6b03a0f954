//! The pads: sink pads with the settings and meters of an input, src pads that count what downstream left lying.

use std::sync::{Arc, LazyLock};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::input::{Input, Settings};
use super::output::Output;
use crate::meter::FLOOR_DB;

#[derive(Default)]
pub struct SinkPad {
    pub(super) input: Arc<Input>,
}

#[glib::object_subclass]
impl ObjectSubclass for SinkPad {
    const NAME: &'static str = "DaisMixMinusSinkPad";
    type Type = super::DaisMixMinusSinkPad;
    type ParentType = gst::Pad;
}

fn setting(name: &str, blurb: &str, range: [f64; 2], default: f64) -> glib::ParamSpec {
    glib::ParamSpecDouble::builder(name)
        .blurb(blurb)
        .minimum(range[0])
        .maximum(range[1])
        .default_value(default)
        .mutable_playing()
        .controllable()
        .build()
}

fn switch(name: &str, blurb: &str) -> glib::ParamSpec {
    glib::ParamSpecBoolean::builder(name)
        .blurb(blurb)
        .mutable_playing()
        .controllable()
        .build()
}

fn shown(name: &str, blurb: &str, range: [f64; 2]) -> glib::ParamSpec {
    glib::ParamSpecDouble::builder(name)
        .blurb(blurb)
        .minimum(range[0])
        .maximum(range[1])
        .default_value(range[0].max(if range[0] == f64::from(FLOOR_DB) {
            range[0]
        } else {
            0.0
        }))
        .read_only()
        .build()
}

fn count(name: &str, blurb: &str) -> glib::ParamSpec {
    glib::ParamSpecUInt64::builder(name)
        .blurb(blurb)
        .read_only()
        .build()
}

impl ObjectImpl for SinkPad {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let floor = f64::from(FLOOR_DB);
            let duck = Settings::default().ducking;
            vec![
                setting("gain-db", "Gain in dB", [-60.0, 12.0], 0.0),
                switch("mute", "Nobody hears this input"),
                setting(
                    "pan",
                    "-1 is left, 1 is right; constant power, stereo is balanced",
                    [-1.0, 1.0],
                    0.0,
                ),
                switch(
                    "duck-key",
                    "While this input speaks, those with duck-db go down",
                ),
                setting(
                    "duck-db",
                    "How far this input goes down while an input with duck-key speaks; 0 is off",
                    [0.0, 60.0],
                    0.0,
                ),
                setting(
                    "duck-attack-ms",
                    "How fast it goes down: 63 % of the way",
                    [10.0, 5_000.0],
                    duck.attack_ms.into(),
                ),
                setting(
                    "duck-release-ms",
                    "How fast it comes up again: 63 % of the way",
                    [10.0, 20_000.0],
                    duck.release_ms.into(),
                ),
                switch(
                    "levelling",
                    "Bring this input slowly to -16 LUFS (EBU R128), by at most 12 dB",
                ),
                shown(
                    "level-db",
                    "RMS over 100 ms after gain, dBFS",
                    [floor, 60.0],
                ),
                shown(
                    "peak-db",
                    "Peak, falling by 20 dB a second, dBFS",
                    [floor, 60.0],
                ),
                shown(
                    "trim-db",
                    "What ducking and levelling do at the moment",
                    [-100.0, 100.0],
                ),
                shown(
                    "drift-ppm",
                    "How much faster than the pipeline's clock this input plays (live)",
                    [-1_000.0, 1_000.0],
                ),
                shown(
                    "queue-ms",
                    "Sound that waits, smoothed over a second (live)",
                    [0.0, 10_000.0],
                ),
                glib::ParamSpecBoolean::builder("speaking")
                    .blurb("Somebody speaks on this input")
                    .read_only()
                    .build(),
                count("dropped", "Frames that came too late or were too many"),
                count(
                    "silent-blocks",
                    "Blocks of 10 ms in which this input had nothing, or not enough",
                ),
            ]
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        // GObject has checked type and range.
        let number = || value.get::<f64>().unwrap_or_default();
        let on = || value.get::<bool>().unwrap_or_default();
        self.input.set(|s| match pspec.name() {
            "gain-db" => s.gain_db = number(),
            "mute" => s.mute = on(),
            "pan" => s.pan = number(),
            "duck-key" => s.duck_key = on(),
            "duck-db" => s.ducking.depth_db = number() as f32,
            "duck-attack-ms" => s.ducking.attack_ms = number() as f32,
            "duck-release-ms" => s.ducking.release_ms = number() as f32,
            "levelling" => s.levelling = on(),
            _ => {}
        });
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let (set, shown) = (self.input.settings(), &self.input.shown);
        match pspec.name() {
            "gain-db" => set.gain_db.to_value(),
            "mute" => set.mute.to_value(),
            "pan" => set.pan.to_value(),
            "duck-key" => set.duck_key.to_value(),
            "duck-db" => f64::from(set.ducking.depth_db).to_value(),
            "duck-attack-ms" => f64::from(set.ducking.attack_ms).to_value(),
            "duck-release-ms" => f64::from(set.ducking.release_ms).to_value(),
            "levelling" => set.levelling.to_value(),
            "level-db" => shown.level_db().to_value(),
            "peak-db" => shown.peak_db().to_value(),
            "trim-db" => shown.trim_db().to_value(),
            "drift-ppm" => shown.drift_ppm().to_value(),
            "queue-ms" => shown.queue_ms().to_value(),
            "speaking" => shown.speaking().to_value(),
            "dropped" => shown.dropped().to_value(),
            "silent-blocks" => shown.silent_blocks().to_value(),
            _ => pspec.default_value().clone(),
        }
    }
}

impl GstObjectImpl for SinkPad {}
impl PadImpl for SinkPad {}

#[derive(Default)]
pub struct SrcPad {
    pub(super) output: Arc<Output>,
}

#[glib::object_subclass]
impl ObjectSubclass for SrcPad {
    const NAME: &'static str = "DaisMixMinusSrcPad";
    type Type = super::DaisMixMinusSrcPad;
    type ParentType = gst::Pad;
}

impl ObjectImpl for SrcPad {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            vec![count(
                "dropped",
                "Blocks that downstream was too slow for (live)",
            )]
        });
        &PROPERTIES
    }

    fn property(&self, _id: usize, _pspec: &glib::ParamSpec) -> glib::Value {
        self.output.dropped().to_value()
    }
}

impl GstObjectImpl for SrcPad {}
impl PadImpl for SrcPad {}
