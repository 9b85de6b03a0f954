//! How `daistilemix` runs.
//!
//! Live, the clock pad's streaming thread paints and pushes; the src pad's task does so when that pad is silent. Not live, the task does
//! all of it, and the sink pads' threads wait while their queues are full.
//!
//! Locks, in the order in which they are taken: `output`, `state`, a pad's `settings` or `input`. `output` is held while a frame is
//! painted and pushed, `state` never while anything is called that could wait. Live, a pad that isn't the clock pad takes only its own
//! `input`, and whoever paints doesn't wait for that one.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::input::{Slot, lock};
use super::output::Output;
use super::{Mode, TileMixPad};
use crate::tilemix::Pool;

const DEFAULT_BACKGROUND: u32 = 0xff00_0000;
/// Longer moves are no transition.
const MAX_TRANSITION_MS: u32 = 10_000;
const DEFAULT_THREADS: u32 = 1;
const MAX_THREADS: u32 = 64;

/// Errors of the src pad that its inputs shall hear of. Not that it is flushing: they know best whether they are.
pub(super) const FLOWS: [gst::FlowError; 4] = [
    gst::FlowError::Eos,
    gst::FlowError::NotLinked,
    gst::FlowError::NotNegotiated,
    gst::FlowError::Error,
];

pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "daistilemix",
        gst::DebugColorFlags::empty(),
        Some("Dais tile mixer"),
    )
});

/// What the user set.
pub(super) struct Settings {
    pub(super) clock_pad: Option<String>,
    pub(super) mode: Mode,
    pub(super) background: u32,
    pub(super) transition_ms: u32,
    pub(super) threads: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            clock_pad: None,
            mode: Mode::default(),
            background: DEFAULT_BACKGROUND,
            transition_ms: 0,
            threads: DEFAULT_THREADS,
        }
    }
}

/// What runs.
pub(super) struct State {
    pub(super) flushing: bool,
    /// In the order of their requests.
    pub(super) pads: Vec<(glib::GString, Arc<Slot>)>,
    pub(super) next_pad: u32,
    /// What the task waits for.
    pub(super) wait: Option<gst::SingleShotClockId>,
}

/// How frames are mixed, decided when the first one comes.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Way {
    Undecided,
    Live,
    Offline,
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) frames: AtomicU64,
    pub(super) repeated: AtomicU64,
    pub(super) skipped: AtomicU64,
    pub(super) dropped: AtomicU64,
}

pub struct TileMix {
    pub(super) src: gst::Pad,
    pub(super) settings: Mutex<Settings>,
    pub(super) output: Mutex<Output>,
    pub(super) state: Mutex<State>,
    /// What the task waits for. Goes with `state`.
    pub(super) changed: Condvar,
    /// What inputs with a full queue wait for. Goes with `state`.
    pub(super) room: Condvar,
    pub(super) way: AtomicU8,
    /// Counts changes of the list of pads.
    pub(super) version: AtomicU64,
    pub(super) any_frame: AtomicBool,
    /// Changed with `state` locked.
    pub(super) playing: AtomicBool,
    /// Of the last push: an index into `FLOWS`, or 0.
    pub(super) flow: AtomicUsize,
    pub(super) counters: Counters,
}

#[glib::object_subclass]
impl ObjectSubclass for TileMix {
    const NAME: &'static str = "DaisTileMix";
    type Type = super::TileMix;
    type ParentType = gst::Element;
    type Interfaces = (gst::ChildProxy,);

    fn with_class(class: &Self::Class) -> Self {
        #[allow(clippy::expect_used, reason = "the template is this element's own")]
        let template = class.pad_template("src").expect("src template");
        let src = gst::Pad::builder_from_template(&template)
            .activatemode_function(|pad, parent, _mode, active| {
                Self::catch_panic_pad_function(
                    parent,
                    || Err(gst::loggable_error!(CAT, "Panic while activating")),
                    |mix| mix.activate(pad, active),
                )
            })
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |mix| mix.src_event(pad, event))
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |mix| mix.src_query(pad, query))
            })
            .build();
        Self {
            src,
            settings: Mutex::default(),
            output: Mutex::default(),
            state: Mutex::new(State {
                flushing: true,
                pads: Vec::new(),
                next_pad: 0,
                wait: None,
            }),
            changed: Condvar::new(),
            room: Condvar::new(),
            way: AtomicU8::new(Way::Undecided as u8),
            version: AtomicU64::new(1),
            any_frame: AtomicBool::new(false),
            playing: AtomicBool::new(false),
            flow: AtomicUsize::new(0),
            counters: Counters::default(),
        }
    }
}

impl ObjectImpl for TileMix {
    fn constructed(&self) {
        self.parent_constructed();
        let element = self.obj();
        // Cannot fail: a new element has no pad of this name.
        let _ = element.add_pad(&self.src);
        element.set_element_flags(gst::ElementFlags::REQUIRE_CLOCK);
    }

    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            vec![
                glib::ParamSpecString::builder("clock-pad")
                    .nick("Clock pad")
                    .blurb("Name of the sink pad whose frames drive the live output; the first requested if not set")
                    .mutable_playing()
                    .build(),
                glib::ParamSpecEnum::builder_with_default("mode", Mode::default())
                    .nick("Mode")
                    .blurb("Whether the output waits for all inputs")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt::builder("background")
                    .nick("Background")
                    .blurb("0xAARRGGBB; alpha is not used")
                    .default_value(DEFAULT_BACKGROUND)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecUInt::builder("transition-ms")
                    .nick("Transition")
                    .blurb("How long a tile moves to a new place, in milliseconds; 0 jumps")
                    .maximum(MAX_TRANSITION_MS)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecUInt::builder("threads")
                    .nick("Threads")
                    .blurb("How many threads scale the tiles, that of the frame included")
                    .minimum(1)
                    .maximum(MAX_THREADS)
                    .default_value(DEFAULT_THREADS)
                    .mutable_ready()
                    .build(),
                glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                    .nick("Statistics")
                    .blurb("Frames, and those of them that were repeated, skipped or dropped")
                    .read_only()
                    .build(),
            ]
        });
        &PROPERTIES
    }

    #[allow(
        clippy::unwrap_used,
        reason = "GObject has checked the value's type against the properties above"
    )]
    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        match pspec.name() {
            "clock-pad" => {
                lock(&self.settings).clock_pad = value.get().unwrap();
                self.choose_clock(&lock(&self.state));
            }
            "mode" => lock(&self.settings).mode = value.get().unwrap(),
            "background" => lock(&self.settings).background = value.get().unwrap(),
            "transition-ms" => lock(&self.settings).transition_ms = value.get().unwrap(),
            "threads" => lock(&self.settings).threads = value.get().unwrap(),
            _ => {}
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let settings = lock(&self.settings);
        match pspec.name() {
            "clock-pad" => settings.clock_pad.to_value(),
            "mode" => settings.mode.to_value(),
            "background" => settings.background.to_value(),
            "transition-ms" => settings.transition_ms.to_value(),
            "threads" => settings.threads.to_value(),
            _ => {
                let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
                gst::Structure::builder("stats")
                    .field("frames", of(&self.counters.frames))
                    .field("repeated", of(&self.counters.repeated))
                    .field("skipped", of(&self.counters.skipped))
                    .field("dropped", of(&self.counters.dropped))
                    .build()
                    .to_value()
            }
        }
    }
}

impl GstObjectImpl for TileMix {}

impl ElementImpl for TileMix {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Dais tile mixer",
                "Filter/Editor/Video/Compositor",
                "Mixes videos as tiles of one picture; live, nothing waits for a late one",
                "Dais",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let side = 1..=crate::frame::MAX_SIDE as i32;
            let caps = |slowest: gst::Fraction| {
                gst_video::VideoCapsBuilder::new()
                    .format_list([gst_video::VideoFormat::I420, gst_video::VideoFormat::Nv12])
                    .width_range(side.clone())
                    .height_range(side.clone())
                    .framerate_range(slowest..=gst::Fraction::new(i32::MAX, 1))
                    .build()
            };
            let sink = gst::PadTemplate::with_gtype(
                "sink_%u",
                gst::PadDirection::Sink,
                gst::PadPresence::Request,
                &caps(gst::Fraction::new(0, 1)),
                TileMixPad::static_type(),
            );
            let src = gst::PadTemplate::new(
                "src",
                gst::PadDirection::Src,
                gst::PadPresence::Always,
                &caps(gst::Fraction::new(1, i32::MAX)),
            );
            // They are made of constants, so neither fails.
            [sink, src].into_iter().flatten().collect()
        });
        &TEMPLATES
    }

    fn request_new_pad(
        &self,
        template: &gst::PadTemplate,
        name: Option<&str>,
        _caps: Option<&gst::Caps>,
    ) -> Option<gst::Pad> {
        let element = self.obj();
        let wanted = name.and_then(|n| n.strip_prefix("sink_")?.parse::<u32>().ok());
        let (name, zorder) = {
            let mut state = lock(&self.state);
            let number = wanted.unwrap_or(state.next_pad);
            state.next_pad = state.next_pad.max(number.saturating_add(1));
            (format!("sink_{number}"), state.pads.len() as u32)
        };
        if element.static_pad(&name).is_some() {
            gst::warning!(CAT, imp = self, "{name} exists already");
            return None;
        }
        let pad = gst::PadBuilder::<TileMixPad>::from_template(template)
            .name(name.as_str())
            .chain_function(|pad, parent, buffer| {
                Self::catch_panic_pad_function(
                    parent,
                    || Err(gst::FlowError::Error),
                    |mix| mix.chain(pad, buffer),
                )
            })
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |mix| mix.sink_event(pad, event))
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |mix| mix.sink_query(pad, query))
            })
            .build();
        let slot = pad.imp().slot.clone();
        lock(&slot.settings).zorder = zorder;
        {
            let mut state = lock(&self.state);
            state.pads.push((name.as_str().into(), slot));
            self.pads_changed(&state);
        }
        if element.add_pad(&pad).is_err() {
            // Somebody else asked for the same name at the same time, and has it.
            let mut state = lock(&self.state);
            state
                .pads
                .retain(|(_, slot)| !Arc::ptr_eq(slot, &pad.imp().slot));
            self.pads_changed(&state);
            return None;
        }
        element.child_added(&pad, &name);
        Some(pad.upcast())
    }

    fn release_pad(&self, pad: &gst::Pad) {
        let Some(own) = pad.downcast_ref::<TileMixPad>() else {
            return;
        };
        let (element, slot) = (self.obj(), &own.imp().slot);
        {
            let mut state = lock(&self.state);
            lock(&slot.input).flushing = true;
            state.pads.retain(|(_, s)| !Arc::ptr_eq(s, slot));
            self.pads_changed(&state);
        }
        let _ = pad.set_active(false);
        lock(&slot.input).flush(false);
        let name = pad.name();
        let _ = element.remove_pad(pad);
        element.child_removed(pad, &name);
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        match transition {
            gst::StateChange::ReadyToPaused => self.start(),
            gst::StateChange::PlayingToPaused => {
                let mut state = lock(&self.state);
                self.playing.store(false, Ordering::SeqCst);
                self.wake(&mut state);
            }
            gst::StateChange::PausedToReady => {
                let mut state = lock(&self.state);
                state.flushing = true;
                self.wake(&mut state);
            }
            _ => {}
        }
        let success = self.parent_change_state(transition)?;
        match transition {
            gst::StateChange::PausedToPlaying => {
                let mut state = lock(&self.state);
                self.playing.store(true, Ordering::SeqCst);
                self.wake(&mut state);
            }
            gst::StateChange::PausedToReady => self.stop(),
            _ => {}
        }
        let runs_alone = lock(&self.settings).mode == Mode::Live;
        match transition {
            // It makes frames by the clock, as a live source does.
            gst::StateChange::ReadyToPaused | gst::StateChange::PlayingToPaused if runs_alone => {
                Ok(gst::StateChangeSuccess::NoPreroll)
            }
            _ => Ok(success),
        }
    }
}

impl ChildProxyImpl for TileMix {
    fn children_count(&self) -> u32 {
        u32::from(self.obj().num_pads())
    }

    fn child_by_name(&self, name: &str) -> Option<glib::Object> {
        self.obj().static_pad(name).map(|pad| pad.upcast())
    }

    fn child_by_index(&self, index: u32) -> Option<glib::Object> {
        let pads = self.obj().pads();
        pads.into_iter().nth(index as usize).map(|pad| pad.upcast())
    }
}

impl TileMix {
    fn start(&self) {
        let way = match lock(&self.settings).mode {
            Mode::Auto => Way::Undecided,
            Mode::Live => Way::Live,
            Mode::Offline => Way::Offline,
        };
        let helpers = lock(&self.settings).threads.saturating_sub(1) as usize;
        lock(&self.output).scene.pool = (helpers > 0).then(|| Pool::new(helpers));
        self.way.store(way as u8, Ordering::SeqCst);
        self.any_frame.store(false, Ordering::SeqCst);
        self.flow.store(0, Ordering::SeqCst);
        let mut state = lock(&self.state);
        for (_, slot) in &state.pads {
            slot.asked.store(false, Ordering::SeqCst);
            lock(&slot.input).flush(false);
        }
        state.flushing = false;
    }

    /// Pads are inactive and the task has stopped.
    fn stop(&self) {
        *lock(&self.output) = Output::default();
        for (_, slot) in &lock(&self.state).pads {
            let mut input = lock(&slot.input);
            input.flush(false);
            input.info = None;
            input.segment = gst::FormattedSegment::default();
        }
    }

    /// Everybody who waits looks again. With `state` locked, or after what changed was.
    pub(super) fn announce(&self) {
        self.changed.notify_all();
        self.room.notify_all();
    }

    pub(super) fn wake(&self, state: &mut State) {
        if let Some(wait) = state.wait.take() {
            wait.unschedule();
        }
        self.announce();
    }

    fn pads_changed(&self, state: &State) {
        self.version.fetch_add(1, Ordering::SeqCst);
        self.choose_clock(state);
        self.announce();
    }

    fn choose_clock(&self, state: &State) {
        let named = lock(&self.settings).clock_pad.clone();
        for (n, (name, slot)) in state.pads.iter().enumerate() {
            let is_clock = named
                .as_deref()
                .map_or(n == 0, |named| named == name.as_str());
            slot.is_clock.store(is_clock, Ordering::SeqCst);
        }
    }

    pub(super) fn way(&self) -> Way {
        match self.way.load(Ordering::SeqCst) {
            1 => Way::Live,
            2 => Way::Offline,
            _ => Way::Undecided,
        }
    }

    /// Live stays live until the element stops: upstreams may be asked at the same time, and one that is live decides.
    pub(super) fn set_way(&self, way: Way) {
        let state = lock(&self.state);
        if self.way() == Way::Live {
            return;
        }
        self.way.store(way as u8, Ordering::SeqCst);
        if way == Way::Live {
            for (_, slot) in &state.pads {
                lock(&slot.input).show_last();
            }
        }
        self.announce();
    }

    /// Live as soon as one upstream is, in mode `auto`.
    pub(super) fn way_for(&self, pad: &TileMixPad) -> Way {
        let way = self.way();
        if way == Way::Live || pad.imp().slot.asked.swap(true, Ordering::SeqCst) {
            return way;
        }
        if lock(&self.settings).mode != Mode::Auto {
            return way;
        }
        let mut query = gst::query::Latency::new();
        let live = pad.peer_query(&mut query) && query.result().0;
        let way = if live { Way::Live } else { Way::Offline };
        gst::info!(
            CAT,
            obj = pad,
            "upstream is {}live",
            if live { "" } else { "not " }
        );
        self.set_way(way);
        self.way()
    }

    pub(super) fn running_time(&self) -> Option<u64> {
        if !self.playing.load(Ordering::SeqCst) {
            return None;
        }
        self.obj().current_running_time().map(|t| t.nseconds())
    }

    pub(super) fn look_up_pads(&self, output: &mut Output) {
        let version = self.version.load(Ordering::SeqCst);
        if output.scene.version() != version {
            let state = lock(&self.state);
            let slots: Vec<Arc<Slot>> = state.pads.iter().map(|(_, s)| s.clone()).collect();
            drop(state);
            output.scene.set_pads(version, &slots);
        }
    }
}
