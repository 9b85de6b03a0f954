use std::sync::{LazyLock, Mutex, PoisonError};

use gst::glib;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;
use gst_video::prelude::*;
use gst_video::subclass::prelude::*;

use crate::elements::filter;
use crate::elements::time_source::{TimeSource, read_at};
use crate::mark::{Luma, Mark, Reader, Sighting, Step, Tally};

const DEFAULT_INTERVAL_MS: u32 = 1000;
const DEFAULT_MOST_MARKS: u32 = 16;
const DEFAULT_TIME_SOURCE: TimeSource = TimeSource::Now;

#[derive(Clone, Copy)]
struct Settings {
    interval_ms: u32,
    most_marks: u32,
    time_source: TimeSource,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            interval_ms: DEFAULT_INTERVAL_MS,
            most_marks: DEFAULT_MOST_MARKS,
            time_source: DEFAULT_TIME_SOURCE,
        }
    }
}

struct Source {
    id: u8,
    tally: Tally,
    rect: [f32; 4],
    /// Last, least and greatest, in milliseconds; the two since the last message.
    latency: Option<[f64; 3]>,
    /// A message told the least and the greatest; the next frame begins anew.
    told: bool,
}

struct State {
    reader: Reader,
    sources: Vec<Source>,
    frames: u64,
    unmarked: u64,
    running_time: Option<gst::ClockTime>,
    posted: Option<gst::ClockTime>,
}

impl State {
    fn new(most_marks: u32) -> State {
        State {
            reader: Reader::new(most_marks as usize),
            sources: Vec::with_capacity(most_marks as usize),
            frames: 0,
            unmarked: 0,
            running_time: None,
            posted: None,
        }
    }

    fn structure(&self) -> gst::Structure {
        let sources = self.sources.iter().map(|source| {
            let tally = &source.tally;
            let mut one = gst::Structure::builder("dais-source")
                .field("source", u32::from(source.id))
                .field("first", tally.first.unwrap_or(0))
                .field("last", tally.last.unwrap_or(0))
                .field("frames", tally.frames)
                .field("lost", tally.lost)
                .field("repeated", tally.repeated)
                .field("out-of-order", tally.out_of_order)
                .field("restarts", tally.restarts)
                .field("x", source.rect[0].round() as i32)
                .field("y", source.rect[1].round() as i32)
                .field("width", source.rect[2].round() as i32)
                .field("height", source.rect[3].round() as i32);
            if let Some([last, least, greatest]) = source.latency {
                one = one
                    .field("latency-ms", last)
                    .field("latency-min-ms", least)
                    .field("latency-max-ms", greatest);
            }
            one.build().to_send_value()
        });
        gst::Structure::builder("dais-read")
            .field("running-time", self.running_time)
            .field("frames", self.frames)
            .field("unmarked", self.unmarked)
            .field("sources", gst::Array::from_values(sources))
            .build()
    }
}

/// Of one source that shows twice, the larger mark counts.
fn largest(seen: &[Sighting], i: usize) -> bool {
    let size = |s: &Sighting| s.rect[2];
    let one = &seen[i];
    !seen.iter().enumerate().any(|(j, other)| {
        other.mark.source == one.mark.source
            && (size(other) > size(one) || (size(other) == size(one) && j < i))
    })
}

fn note(sources: &mut Vec<Source>, sighting: &Sighting, now: Option<u64>) {
    let mark = sighting.mark;
    let index = sources
        .iter()
        .position(|s| s.id == mark.source)
        .unwrap_or_else(|| {
            sources.push(Source {
                id: mark.source,
                tally: Tally::default(),
                rect: sighting.rect,
                latency: None,
                told: false,
            });
            sources.len() - 1
        });
    let source = &mut sources[index];
    source.rect = sighting.rect;
    let step = source.tally.add(mark.number);
    if let Some(now) = now.filter(|_| step != Step::Repeated) {
        let ms = 1000.0 * Mark::new(0, now, 0).seconds_since(mark.time);
        source.latency = Some(match source.latency {
            Some([_, least, greatest]) if !source.told => [ms, least.min(ms), greatest.max(ms)],
            _ => [ms; 3],
        });
        source.told = false;
    }
}

#[derive(Default)]
pub struct Read {
    settings: Mutex<Settings>,
    // Held while a frame is read; `stats` waits for that and makes its copy.
    state: Mutex<Option<State>>,
}

impl Read {
    fn settings(&self) -> Settings {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, frame: &gst_video::VideoFrameRef<&gst::BufferRef>) -> Option<gst::Structure> {
        let settings = self.settings();
        let element = self.obj();
        let running_time = filter::running_time(&*element, frame.buffer());
        let now = read_at(settings.time_source, element.upcast_ref(), running_time);
        let stride = *frame.plane_stride().first()? as usize;
        let luma = Luma::new(
            frame.plane_data(0).ok()?,
            stride,
            frame.width() as usize,
            frame.height() as usize,
        )?;
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = guard.get_or_insert_with(|| State::new(settings.most_marks));
        state.frames += 1;
        state.running_time = running_time.or(state.running_time);
        let State {
            reader, sources, ..
        } = state;
        let seen = reader.read(&luma);
        for (i, sighting) in seen.iter().enumerate() {
            if largest(seen, i) {
                note(sources, sighting, now);
            }
        }
        state.unmarked += u64::from(seen.is_empty());
        let interval = gst::ClockTime::from_mseconds(u64::from(settings.interval_ms));
        let due = match (state.posted, state.running_time) {
            (Some(posted), Some(now)) => now >= posted + interval || now < posted,
            (None, now) => {
                state.posted = now;
                interval.is_zero()
            }
            (Some(_), None) => false,
        };
        due.then(|| self.report(state))
    }

    fn report(&self, state: &mut State) -> gst::Structure {
        let report = state.structure();
        state.posted = state.running_time;
        for source in &mut state.sources {
            source.told = true;
        }
        report
    }

    fn post(&self, report: gst::Structure) {
        let element = self.obj();
        let message = gst::message::Element::builder(report)
            .src(&*element)
            .build();
        // Nobody listens while there is no bus.
        let _ = element.post_message(message);
    }
}

#[glib::object_subclass]
impl ObjectSubclass for Read {
    const NAME: &'static str = "GstDaisRead";
    type Type = super::Read;
    type ParentType = gst_video::VideoFilter;
}

impl ObjectImpl for Read {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            vec![
                glib::ParamSpecUInt::builder("interval")
                    .nick("Interval")
                    .blurb("Milliseconds of the stream between two messages (0 = one a frame)")
                    .default_value(DEFAULT_INTERVAL_MS)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecUInt::builder("max-marks")
                    .nick("Most marks")
                    .blurb("How many marks are read in one frame")
                    .minimum(1)
                    .maximum(256)
                    .default_value(DEFAULT_MOST_MARKS)
                    .mutable_ready()
                    .build(),
                glib::ParamSpecEnum::builder_with_default("time-source", DEFAULT_TIME_SOURCE)
                    .nick("Time source")
                    .blurb("Which time the stamped one is taken from, for the latency")
                    .mutable_playing()
                    .build(),
                glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                    .nick("Statistics")
                    .blurb("What was read since the start")
                    .read_only()
                    .build(),
            ]
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        match pspec.name() {
            "interval" => settings.interval_ms = value.get().unwrap_or(DEFAULT_INTERVAL_MS),
            "max-marks" => settings.most_marks = value.get().unwrap_or(DEFAULT_MOST_MARKS),
            "time-source" => settings.time_source = value.get().unwrap_or(DEFAULT_TIME_SOURCE),
            _ => {}
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let settings = self.settings();
        match pspec.name() {
            "interval" => settings.interval_ms.to_value(),
            "max-marks" => settings.most_marks.to_value(),
            "time-source" => settings.time_source.to_value(),
            _ => {
                let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                let nothing = State::new(0);
                state.as_ref().unwrap_or(&nothing).structure().to_value()
            }
        }
    }
}

impl GstObjectImpl for Read {}

impl ElementImpl for Read {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Dais mark reader",
                "Filter/Analyzer/Video",
                "Reads the marks of daisstamp: lost, repeated and late frames, latency",
                "Dais",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            use gst_video::VideoFormat::{Gray8, I420, Nv12, Nv21, Y42b, Y444, Yv12};
            // Eight bits of luma in a plane of its own.
            let caps = gst_video::VideoCapsBuilder::new()
                .format_list([I420, Nv12, Yv12, Nv21, Y42b, Y444, Gray8])
                .build();
            filter::pad_templates(&caps)
        });
        &TEMPLATES
    }
}

impl BaseTransformImpl for Read {
    const MODE: gst_base::subclass::BaseTransformMode =
        gst_base::subclass::BaseTransformMode::AlwaysInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = true;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = true;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        if event.type_() == gst::EventType::Eos {
            let report = {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.as_mut().map(|state| self.report(state))
            };
            if let Some(report) = report {
                self.post(report);
            }
        }
        self.parent_sink_event(event)
    }
}

impl VideoFilterImpl for Read {
    fn transform_frame_ip_passthrough(
        &self,
        frame: &gst_video::VideoFrameRef<&gst::BufferRef>,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        // Posted without the lock: a synchronous handler may ask for `stats`.
        if let Some(report) = self.look(frame) {
            self.post(report);
        }
        Ok(gst::FlowSuccess::Ok)
    }
}
