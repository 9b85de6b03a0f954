use std::sync::{LazyLock, Mutex, PoisonError};

use gst::glib;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;

use crate::elements::filter;
use crate::elements::samples::{self, Shape};
use crate::elements::time_source::{TimeSource, stamped};
use crate::tone::Voice;

const DEFAULT_SOURCE: u32 = 0;
/// -20 dBFS: ten at once don't clip.
const DEFAULT_VOLUME: f32 = 0.1;

#[derive(Clone, Copy, PartialEq)]
struct Settings {
    source: u32,
    volume: f32,
    time_source: TimeSource,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            source: DEFAULT_SOURCE,
            volume: DEFAULT_VOLUME,
            time_source: TimeSource::default(),
        }
    }
}

struct State {
    shape: Shape,
    voice: Voice,
    source: u32,
    /// For the time source `now`: what it was ahead of the timestamp, held so that the burst does not waver with the scheduler.
    ahead: Option<i64>,
}

#[derive(Default)]
pub struct ToneStamp {
    settings: Mutex<Settings>,
    // Only the streaming thread takes it.
    state: Mutex<Option<State>>,
}

/// Seconds count from the clock's start; a timestamp before it is no time of it.
fn shifted(time: u64, ahead: i64) -> u64 {
    time.saturating_add_signed(ahead)
}

impl ToneStamp {
    fn settings(&self) -> Settings {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn time(&self, settings: &Settings, state: &mut State, buffer: &gst::BufferRef) -> Option<u64> {
        let element = self.obj();
        let running_time = filter::running_time(&*element, buffer);
        let time = stamped(settings.time_source, element.upcast_ref(), running_time)?;
        let Some(running_time) = running_time.filter(|_| settings.time_source == TimeSource::Now)
        else {
            return Some(time);
        };
        if buffer.flags().contains(gst::BufferFlags::DISCONT) {
            state.ahead = None;
        }
        let ahead = state
            .ahead
            .get_or_insert(time.wrapping_sub(running_time.nseconds()) as i64);
        Some(shifted(running_time.nseconds(), *ahead))
    }
}

#[glib::object_subclass]
impl ObjectSubclass for ToneStamp {
    const NAME: &'static str = "GstDaisToneStamp";
    type Type = super::ToneStamp;
    type ParentType = gst_base::BaseTransform;
}

impl ObjectImpl for ToneStamp {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            vec![
                glib::ParamSpecUInt::builder("source-id")
                    .nick("Source")
                    .blurb("Number of this source, in each marker; sources that sound at once should differ modulo 16")
                    .maximum(255)
                    .default_value(DEFAULT_SOURCE)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecFloat::builder("volume")
                    .nick("Volume")
                    .blurb("Amplitude of the marker (1 = full scale, 0 = none)")
                    .minimum(0.0)
                    .maximum(1.0)
                    .default_value(DEFAULT_VOLUME)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecEnum::builder_with_default("time-source", TimeSource::default())
                    .nick("Time source")
                    .blurb("Whose whole seconds are marked")
                    .mutable_playing()
                    .build(),
            ]
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        match pspec.name() {
            "source-id" => settings.source = value.get().unwrap_or(DEFAULT_SOURCE),
            "volume" => settings.volume = value.get().unwrap_or(DEFAULT_VOLUME),
            "time-source" => settings.time_source = value.get().unwrap_or_default(),
            _ => {}
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let settings = self.settings();
        match pspec.name() {
            "source-id" => settings.source.to_value(),
            "volume" => settings.volume.to_value(),
            _ => settings.time_source.to_value(),
        }
    }
}

impl GstObjectImpl for ToneStamp {}

impl ElementImpl for ToneStamp {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Dais sound marker",
                "Filter/Effect/Audio",
                "Adds a marker with time and source to the sound each second, for daistoneread",
                "Dais",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> =
            LazyLock::new(|| filter::pad_templates(&samples::caps()));
        &TEMPLATES
    }
}

impl BaseTransformImpl for ToneStamp {
    const MODE: gst_base::subclass::BaseTransformMode =
        gst_base::subclass::BaseTransformMode::AlwaysInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn set_caps(&self, incaps: &gst::Caps, _outcaps: &gst::Caps) -> Result<(), gst::LoggableError> {
        let shape = Shape::from_caps(incaps)
            .ok_or_else(|| gst::loggable_error!(gst::CAT_RUST, "no sound: {incaps}"))?;
        let source = self.settings().source;
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Some(State {
            shape,
            voice: Voice::new(source as u8),
            source,
            ahead: None,
        });
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }

    fn transform_ip(
        &self,
        buffer: &mut gst::BufferRef,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let settings = self.settings();
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = guard.as_mut().ok_or(gst::FlowError::NotNegotiated)?;
        if state.source != settings.source {
            state.source = settings.source;
            state.voice = Voice::new(settings.source as u8);
        }
        // Without a timestamp it goes on where it was.
        if let Some(time) = self.time(&settings, state, buffer) {
            state.voice.at(time);
        }
        let State { shape, voice, .. } = state;
        let mut map = buffer.map_writable().map_err(|_| gst::FlowError::Error)?;
        shape.add(map.as_mut_slice(), || settings.volume * voice.next_sample());
        Ok(gst::FlowSuccess::Ok)
    }
}
