//! How `daistilemix` runs.
//!
//! Live, the clock pad's streaming thread paints and pushes; the src pad's task does so when that pad is silent. Not live, the task does
//! all of it, and the sink pads' threads wait while their queues are full.
//!
//! Locks, in the order in which they are taken: `output`, `state`, a pad's `settings` or `input`. `output` is held while a frame is
//! painted and pushed, `state` never while anything is called that could wait. Live, a pad that isn't the clock pad takes only its own
//! `input`, and whoever paints doesn't wait for that one.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::input::{Picture, QUEUE, Slot, lock};
use super::output::{Output, Painting};
use super::scene::Look;
use super::{Mode, TileMixPad};

const DEFAULT_BACKGROUND: u32 = 0xff00_0000;
/// Longer moves are no transition.
const MAX_TRANSITION_MS: u32 = 10_000;

/// Errors of the src pad that its inputs shall hear of. Not that it is flushing: they know best whether they are.
const FLOWS: [gst::FlowError; 4] = [
    gst::FlowError::Eos,
    gst::FlowError::NotLinked,
    gst::FlowError::NotNegotiated,
    gst::FlowError::Error,
];

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "daistilemix",
        gst::DebugColorFlags::empty(),
        Some("Dais tile mixer"),
    )
});

/// What the user set.
struct Settings {
    clock_pad: Option<String>,
    mode: Mode,
    background: u32,
    transition_ms: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            clock_pad: None,
            mode: Mode::default(),
            background: DEFAULT_BACKGROUND,
            transition_ms: 0,
        }
    }
}

/// What runs.
struct State {
    flushing: bool,
    /// In the order of their requests.
    pads: Vec<(glib::GString, Arc<Slot>)>,
    next_pad: u32,
    /// What the task waits for.
    wait: Option<gst::SingleShotClockId>,
}

/// How frames are mixed, decided when the first one comes.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Way {
    Undecided,
    Live,
    Offline,
}

#[derive(Default)]
struct Counters {
    frames: AtomicU64,
    repeated: AtomicU64,
    skipped: AtomicU64,
    dropped: AtomicU64,
}

pub struct TileMix {
    src: gst::Pad,
    settings: Mutex<Settings>,
    output: Mutex<Output>,
    state: Mutex<State>,
    /// Goes with `state`.
    changed: Condvar,
    way: AtomicU8,
    /// Counts changes of the list of pads.
    version: AtomicU64,
    any_frame: AtomicBool,
    /// Changed with `state` locked.
    playing: AtomicBool,
    /// Of the last push: an index into `FLOWS`, or 0.
    flow: AtomicUsize,
    counters: Counters,
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
        element.add_pad(&pad).ok()?;
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

    fn wake(&self, state: &mut State) {
        if let Some(wait) = state.wait.take() {
            wait.unschedule();
        }
        self.changed.notify_all();
    }

    fn pads_changed(&self, state: &State) {
        self.version.fetch_add(1, Ordering::SeqCst);
        self.choose_clock(state);
        self.changed.notify_all();
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

    fn way(&self) -> Way {
        match self.way.load(Ordering::SeqCst) {
            1 => Way::Live,
            2 => Way::Offline,
            _ => Way::Undecided,
        }
    }

    fn set_way(&self, way: Way) {
        let _state = lock(&self.state);
        self.way.store(way as u8, Ordering::SeqCst);
        self.changed.notify_all();
    }

    /// Live as soon as one upstream is, in mode `auto`.
    fn way_for(&self, pad: &TileMixPad) -> Way {
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
        way
    }

    fn running_time(&self) -> Option<u64> {
        if !self.playing.load(Ordering::SeqCst) {
            return None;
        }
        self.obj().current_running_time().map(|t| t.nseconds())
    }

    fn painting(&self, look: Look) -> Painting {
        let settings = lock(&self.settings);
        Painting {
            look,
            background: settings.background,
            transition: u64::from(settings.transition_ms) * 1_000_000,
        }
    }

    fn look_up_pads(&self, output: &mut Output) {
        let version = self.version.load(Ordering::SeqCst);
        if output.scene.version() != version {
            let state = lock(&self.state);
            let slots: Vec<Arc<Slot>> = state.pads.iter().map(|(_, s)| s.clone()).collect();
            drop(state);
            output.scene.set_pads(version, &slots);
        }
    }

    // --- frames come in

    fn chain(
        &self,
        pad: &TileMixPad,
        buffer: gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let slot = &pad.imp().slot;
        let way = self.way_for(pad);
        let (info, times) = {
            let mut input = lock(&slot.input);
            if input.flushing {
                return Err(gst::FlowError::Flushing);
            }
            if input.eos {
                return Err(gst::FlowError::Eos);
            }
            let info = input.info.clone().ok_or(gst::FlowError::NotNegotiated)?;
            let times = input.times(&buffer);
            if let Some((_, end)) = times {
                input.follows = end;
            }
            (info, times)
        };
        // Live, the newest frame is shown whatever its timestamp; else there is no telling when.
        let Some(known) = times.or((way == Way::Live).then_some((0, 0))) else {
            return self.drop_frame(pad, "is outside its segment");
        };
        let stamped = times.is_some() && buffer.pts().is_some();
        let Some(picture) = Picture::new(buffer, &info, slot.take_spare(), known) else {
            return self.drop_frame(pad, "is smaller than its caps say");
        };
        let picture = Arc::new(picture);
        if way == Way::Live {
            return self.take_live(pad, picture, stamped.then_some(known.0));
        }
        match self.enqueue(slot, &picture)? {
            Way::Live => self.take_live(pad, picture, stamped.then_some(known.0)),
            _ => self.last_flow(),
        }
    }

    fn drop_frame(&self, pad: &TileMixPad, why: &str) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.counters.dropped.fetch_add(1, Ordering::Relaxed);
        gst::debug!(CAT, obj = pad, "dropped a frame that {why}");
        self.last_flow()
    }

    /// What the last push said, so that upstream stops when downstream is gone.
    fn last_flow(&self) -> Result<gst::FlowSuccess, gst::FlowError> {
        match self.flow.load(Ordering::SeqCst).checked_sub(1) {
            Some(n) => Err(FLOWS[n]),
            None => Ok(gst::FlowSuccess::Ok),
        }
    }

    fn take_live(
        &self,
        pad: &TileMixPad,
        picture: Arc<Picture>,
        at: Option<u64>,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let slot = &pad.imp().slot;
        slot.show(picture);
        if !self.any_frame.swap(true, Ordering::SeqCst) {
            let _state = lock(&self.state);
            self.changed.notify_all();
        }
        if !slot.is_clock.load(Ordering::SeqCst) {
            return self.last_flow();
        }
        let mut output = lock(&self.output);
        if output.eos {
            return Err(gst::FlowError::Eos);
        }
        self.look_up_pads(&mut output);
        self.noted(output.prepare(&self.src).map(|()| gst::FlowSuccess::Ok))?;
        let now = self.running_time();
        let frames = output.beat.clock_frame(at, now);
        let count = frames.end - frames.start;
        if count == 0 {
            self.counters.skipped.fetch_add(1, Ordering::Relaxed);
            return Ok(gst::FlowSuccess::Ok);
        }
        self.counters
            .repeated
            .fetch_add(count - 1, Ordering::Relaxed);
        self.send(&mut output, frames, Look::Glance)
    }

    fn send(
        &self,
        output: &mut Output,
        frames: std::ops::Range<u64>,
        look: Look,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let count = frames.end - frames.start;
        self.counters.frames.fetch_add(count, Ordering::Relaxed);
        self.noted(output.produce(&self.src, frames, self.painting(look)))
    }

    fn noted(
        &self,
        flow: Result<gst::FlowSuccess, gst::FlowError>,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let index = FLOWS.iter().position(|error| flow == Err(*error));
        self.flow
            .store(index.map_or(0, |n| n + 1), Ordering::SeqCst);
        flow
    }

    /// Waits for room, then queues. `Live` if the element has become that meanwhile.
    fn enqueue(&self, slot: &Slot, picture: &Arc<Picture>) -> Result<Way, gst::FlowError> {
        let mut state = lock(&self.state);
        loop {
            if self.way() == Way::Live {
                return Ok(Way::Live);
            }
            {
                let mut input = lock(&slot.input);
                if state.flushing || input.flushing {
                    return Err(gst::FlowError::Flushing);
                }
                if input.queue.len() < QUEUE {
                    // Time that goes back is shown at once; it is deterministic too.
                    input.queue.push_back(picture.clone());
                    self.changed.notify_all();
                    return Ok(Way::Offline);
                }
            }
            state = self.wait(state);
        }
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    // --- the task

    fn activate(&self, pad: &gst::Pad, active: bool) -> Result<(), gst::LoggableError> {
        let result = if active {
            let weak = self.obj().downgrade();
            pad.start_task(move || {
                if let Some(mix) = weak.upgrade() {
                    mix.imp().turn();
                }
            })
        } else {
            let mut state = lock(&self.state);
            state.flushing = true;
            self.wake(&mut state);
            drop(state);
            pad.stop_task()
        };
        result.map_err(|_| gst::loggable_error!(CAT, "The task could not be changed"))
    }

    fn turn(&self) {
        match self.way() {
            Way::Undecided => {
                let state = lock(&self.state);
                if state.flushing {
                    let _ = self.src.pause_task();
                } else if self.way() == Way::Undecided {
                    drop(self.wait(state));
                }
            }
            Way::Live => self.live_turn(),
            Way::Offline => self.offline_turn(),
        }
    }

    /// One frame, if the clock pad doesn't bring one in time.
    fn live_turn(&self) {
        let alone = lock(&self.settings).mode == Mode::Live;
        {
            let state = lock(&self.state);
            if state.flushing {
                let _ = self.src.pause_task();
                return;
            }
            // With nothing to show yet nothing is made up for, unless the user said that it is live.
            if !self.playing.load(Ordering::SeqCst)
                || !(alone || self.any_frame.load(Ordering::SeqCst))
            {
                drop(self.wait(state));
                return;
            }
        }
        let (Some(clock), Some(base)) = (self.obj().clock(), self.obj().base_time()) else {
            return self.rest();
        };
        let Some(now) = self.running_time() else {
            return;
        };
        let deadline = {
            let mut output = lock(&self.output);
            if output.eos {
                let _ = self.src.pause_task();
                return;
            }
            self.look_up_pads(&mut output);
            if let Err(error) = output.prepare(&self.src) {
                return self.fail(error);
            }
            output.beat.deadline(now)
        };
        let id = clock.new_single_shot_id(base + gst::ClockTime::from_nseconds(deadline));
        {
            let mut state = lock(&self.state);
            if state.flushing || !self.playing.load(Ordering::SeqCst) {
                return;
            }
            state.wait = Some(id.clone());
        }
        let (result, _) = id.wait();
        lock(&self.state).wait = None;
        if result == Err(gst::ClockError::Unscheduled) {
            return;
        }
        let mut output = lock(&self.output);
        let Some(now) = self.running_time() else {
            return;
        };
        if output.eos || output.beat.deadline(now) > now {
            return;
        }
        let n = output.beat.expired(now);
        self.counters.repeated.fetch_add(1, Ordering::Relaxed);
        self.look_up_pads(&mut output);
        if let Err(error) = self.send(&mut output, n..n + 1, Look::Glance) {
            drop(output);
            self.fail(error);
        }
    }

    /// Until something changes.
    fn rest(&self) {
        let state = lock(&self.state);
        if !state.flushing && self.playing.load(Ordering::SeqCst) {
            drop(self.wait(state));
        }
    }

    /// The next frame, when every pad is known at its time.
    fn offline_turn(&self) {
        let mut output = lock(&self.output);
        let time = output.beat.pts(output.beat.next());
        let mut state = lock(&self.state);
        let over = loop {
            if state.flushing || output.eos {
                let _ = self.src.pause_task();
                return;
            }
            if self.way() != Way::Offline {
                return;
            }
            let (mut known, mut over, mut moved) = (!state.pads.is_empty(), true, false);
            for (_, slot) in &state.pads {
                let mut input = lock(&slot.input);
                moved |= input.advance(time);
                known &= input.is_known_at(time);
                over &= input.is_over(time);
            }
            if moved {
                self.changed.notify_all();
            }
            if known {
                break over;
            }
            state = self.wait(state);
        };
        drop(state);
        self.look_up_pads(&mut output);
        let done = match output.prepare(&self.src) {
            Ok(()) if over => {
                output.end(&self.src);
                return;
            }
            Ok(()) => {
                let n = output.beat.take_next();
                self.send(&mut output, n..n + 1, Look::Stare).map(|_| ())
            }
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            drop(output);
            self.fail(error);
        }
    }

    /// The task has nobody to return an error to.
    fn fail(&self, error: gst::FlowError) {
        let _ = self.noted(Err(error));
        gst::debug!(CAT, imp = self, "the task stops: {error}");
        let _ = self.src.pause_task();
        if !matches!(error, gst::FlowError::Flushing | gst::FlowError::Eos) {
            gst::element_imp_error!(
                self,
                gst::StreamError::Failed,
                ("The mixed video could not be sent on."),
                ["downstream said: {error}"]
            );
        }
        let state = lock(&self.state);
        self.changed.notify_all();
        drop(state);
    }

    // --- events and queries

    fn sink_event(&self, pad: &TileMixPad, event: gst::Event) -> bool {
        use gst::EventView;
        let slot = &pad.imp().slot;
        match event.view() {
            EventView::Caps(caps) => match gst_video::VideoInfo::from_caps(caps.caps()) {
                Ok(info) => lock(&slot.input).info = Some(info),
                Err(_) => return false,
            },
            EventView::Segment(segment) => {
                let segment = segment.segment().downcast_ref::<gst::ClockTime>().cloned();
                // One in bytes or frames tells no time: its buffers count from zero.
                lock(&slot.input).segment = segment.unwrap_or_default();
            }
            EventView::StreamStart(_) => lock(&slot.input).eos = false,
            EventView::Gap(gap) => {
                self.way_for(pad);
                let (from, length) = gap.get();
                let end = from + length.unwrap_or_default();
                let mut input = lock(&slot.input);
                if let Some(end) = input.segment.to_running_time(end) {
                    input.known_until = input.known_until.max(end.nseconds());
                }
                drop(input);
                self.notify();
            }
            EventView::FlushStart(_) => {
                lock(&slot.input).flushing = true;
                self.notify();
            }
            EventView::FlushStop(_) => {
                lock(&slot.input).flush(self.way() == Way::Live);
                self.notify();
            }
            EventView::Eos(_) => {
                self.way_for(pad);
                {
                    let mut input = lock(&slot.input);
                    input.eos = true;
                    if self.way() == Way::Live {
                        input.newest = None;
                    }
                }
                self.notify();
                self.end_if_all_have();
            }
            // Tags and the like are about one input.
            _ => {}
        }
        true
    }

    fn notify(&self) {
        let _state = lock(&self.state);
        self.changed.notify_all();
    }

    /// Live: the last pad's end is the output's. (Not live, the task sees to it.)
    fn end_if_all_have(&self) {
        let all = {
            let state = lock(&self.state);
            !state.pads.is_empty() && state.pads.iter().all(|(_, s)| lock(&s.input).eos)
        };
        if all && self.way() == Way::Live {
            let mut output = lock(&self.output);
            let _ = output.prepare(&self.src);
            output.end(&self.src);
        }
    }

    fn sink_query(&self, pad: &TileMixPad, query: &mut gst::QueryRef) -> bool {
        if let gst::QueryViewMut::Allocation(allocation) = query.view_mut() {
            // Padded rows are as good as any.
            allocation.add_allocation_meta::<gst_video::VideoMeta>(None);
            return true;
        }
        gst::Pad::query_default(pad, Some(&*self.obj()), query)
    }

    fn src_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        use gst::EventView;
        match event.view() {
            // One output can't tell its many inputs where to be or how late they are.
            EventView::Seek(_) | EventView::Qos(_) => false,
            _ => gst::Pad::event_default(pad, Some(&*self.obj()), event),
        }
    }

    fn src_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        if let gst::QueryViewMut::Latency(latency) = query.view_mut() {
            let (live, min, max) = self.latency();
            latency.set(live, min, max);
            return true;
        }
        gst::Pad::query_default(pad, Some(&*self.obj()), query)
    }

    /// Nothing waits for the other pads, so only the clock pad's counts.
    fn latency(&self) -> (bool, gst::ClockTime, Option<gst::ClockTime>) {
        let (mut any_live, mut clock) = (false, None);
        for pad in self.obj().sink_pads() {
            let mut upstream = gst::query::Latency::new();
            if !pad.peer_query(&mut upstream) {
                continue;
            }
            let (live, min, max) = upstream.result();
            any_live |= live;
            let is_clock = pad
                .downcast_ref::<TileMixPad>()
                .is_some_and(|p| p.imp().slot.is_clock.load(Ordering::SeqCst));
            if live && is_clock {
                clock = Some((min, max));
            }
        }
        let mode = lock(&self.settings).mode;
        if mode == Mode::Auto && any_live && self.way() != Way::Live {
            self.set_way(Way::Live);
        }
        let live = any_live || mode == Mode::Live;
        let (min, max) = clock.unwrap_or_default();
        (live, min, max)
    }
}
