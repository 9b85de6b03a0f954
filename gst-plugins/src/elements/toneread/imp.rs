use std::sync::{LazyLock, Mutex, PoisonError};

use gst::glib;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;

use crate::elements::filter;
use crate::elements::samples::{self, Shape};
use crate::tone::{Ear, Heard};

/// Timestamps that are further off than this begin a new stream.
const JUMP: gst::ClockTime = gst::ClockTime::from_mseconds(10);

struct State {
    shape: Shape,
    ear: Ear,
    /// Running time of the first sample the ear heard.
    from: Option<gst::ClockTime>,
    samples: u64,
    mono: Vec<f32>,
}

impl State {
    fn new(shape: Shape) -> State {
        State {
            shape,
            ear: Ear::new(),
            from: None,
            samples: 0,
            mono: Vec::new(),
        }
    }

    fn now(&self) -> Option<gst::ClockTime> {
        let passed = self.samples * 1_000_000_000 / u64::from(crate::RATE);
        self.from
            .map(|from| from + gst::ClockTime::from_nseconds(passed))
    }
}

#[derive(Default)]
pub struct ToneRead {
    // Only the streaming thread takes it.
    state: Mutex<Option<State>>,
}

fn message(heard: &Heard, from: Option<gst::ClockTime>) -> gst::Structure {
    let at = heard.sample * 1e9 / f64::from(crate::RATE);
    let running_time = from.map(|from| from.nseconds().saturating_add_signed(at.round() as i64));
    gst::Structure::builder("dais-tone")
        .field("source", u32::from(heard.source))
        .field("second", heard.second)
        .field(
            "running-time",
            running_time.map(gst::ClockTime::from_nseconds),
        )
        .field("likeness", f64::from(heard.likeness))
        .build()
}

#[glib::object_subclass]
impl ObjectSubclass for ToneRead {
    const NAME: &'static str = "GstDaisToneRead";
    type Type = super::ToneRead;
    type ParentType = gst_base::BaseTransform;
}

impl ObjectImpl for ToneRead {}
impl GstObjectImpl for ToneRead {}

impl ElementImpl for ToneRead {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Dais sound marker reader",
                "Filter/Analyzer/Audio",
                "Hears the markers of daistonestamp, to the millisecond",
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

impl BaseTransformImpl for ToneRead {
    const MODE: gst_base::subclass::BaseTransformMode =
        gst_base::subclass::BaseTransformMode::AlwaysInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = true;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = true;

    fn set_caps(&self, incaps: &gst::Caps, _outcaps: &gst::Caps) -> Result<(), gst::LoggableError> {
        let shape = Shape::from_caps(incaps)
            .ok_or_else(|| gst::loggable_error!(gst::CAT_RUST, "no sound: {incaps}"))?;
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Some(State::new(shape));
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }

    fn transform_ip_passthrough(
        &self,
        buffer: &gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let element = self.obj();
        let running_time = filter::running_time(&*element, buffer);
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = guard.as_mut().ok_or(gst::FlowError::NotNegotiated)?;
        let jumped = match (state.now(), running_time) {
            (Some(expected), Some(now)) => expected.max(now) - expected.min(now) > JUMP,
            (None, now) => now.is_some(),
            (Some(_), None) => false,
        };
        if jumped {
            *state = State {
                from: running_time,
                mono: std::mem::take(&mut state.mono),
                ..State::new(state.shape)
            };
        }
        let map = buffer.map_readable().map_err(|_| gst::FlowError::Error)?;
        state.mono.clear();
        state.shape.mono(map.as_slice(), &mut state.mono);
        state.samples += state.mono.len() as u64;
        for heard in state.ear.push(&state.mono) {
            let message = gst::message::Element::builder(message(heard, state.from))
                .src(&*element)
                .build();
            // Nobody listens while there is no bus. No property of this element is behind the lock that is held.
            let _ = element.post_message(message);
        }
        Ok(gst::FlowSuccess::Ok)
    }
}
