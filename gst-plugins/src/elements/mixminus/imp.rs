use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::input::Shown;
use super::mixing::{MAX_PADS, Mixing, Seat, Shared};
use super::output::{CAPACITY, Pushing};
use super::samples::Format;
use super::{BLOCK_TIME, CAT, DaisMixMinusSinkPad, DaisMixMinusSrcPad};
use crate::RATE;
use crate::drift::DEFAULT_TARGET_MS;
use crate::elements::is_not_seekable;
use crate::mixminus::LATENCY_FRAMES;

#[derive(Debug, Clone, Copy)]
struct Settings {
    live: bool,
    queue_ms: u32,
    post_messages: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            live: false,
            queue_ms: DEFAULT_TARGET_MS,
            post_messages: true,
        }
    }
}

/// What runs between READY and PAUSED.
struct Running {
    live: bool,
    queue_ms: u32,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    settings: Settings,
    running: Option<Running>,
    next_pad: u32,
    group: Option<gst::GroupId>,
}

/// Order of locks: `state`, then those in [`Shared`]. Neither is held while a pad is (de)activated or pushes.
pub struct MixMinusElement {
    state: Mutex<State>,
    shared: Arc<Shared>,
    programme: gst::Pad,
}

#[glib::object_subclass]
impl ObjectSubclass for MixMinusElement {
    const NAME: &'static str = "DaisMixMinus";
    type Type = super::DaisMixMinus;
    type ParentType = gst::Element;
    type Interfaces = (gst::ChildProxy,);

    fn with_class(klass: &Self::Class) -> Self {
        let template = klass.pad_template("src");
        let template = template.unwrap_or_else(|| unreachable!("it is one of pad_templates()"));
        let programme = src_pad(&template, "src");
        let shared = Arc::new(Shared::new(programme.imp().output.clone()));
        Self {
            state: Mutex::default(),
            shared,
            programme: programme.upcast(),
        }
    }
}

fn src_pad(template: &gst::PadTemplate, name: &str) -> DaisMixMinusSrcPad {
    gst::PadBuilder::<DaisMixMinusSrcPad>::from_template(template)
        .name(name)
        .activatemode_function(|pad, _parent, _mode, active| {
            let output = &pad.imp().output;
            if active {
                output.open();
                let mut pushing = Pushing::new(output.clone());
                let weak = pad.downgrade();
                pad.start_task(move || {
                    if let Some(pad) = weak.upgrade() {
                        pushing.turn(pad.upcast_ref());
                    }
                })
                .map_err(|_| gst::loggable_error!(CAT, "The task of a pad did not start"))
            } else {
                output.close();
                pad.stop_task()
                    .map_err(|_| gst::loggable_error!(CAT, "The task of a pad did not stop"))
            }
        })
        .query_function(|pad, parent, query| {
            MixMinusElement::catch_panic_pad_function(
                parent,
                || false,
                |element| element.src_query(pad.upcast_ref(), query),
            )
        })
        // Mixing makes its own time: nothing is sought, and a guest's picture can't be asked of it.
        .event_function(|_, _, event| {
            use gst::EventType::{Latency, Qos, Reconfigure};
            matches!(event.type_(), Latency | Qos | Reconfigure)
        })
        .build()
}

fn sink_pad(template: &gst::PadTemplate, name: &str) -> DaisMixMinusSinkPad {
    gst::PadBuilder::<DaisMixMinusSinkPad>::from_template(template)
        .name(name)
        .activatemode_function(|pad, _parent, _mode, active| {
            pad.imp().input.set_flushing(!active);
            Ok(())
        })
        .chain_function(|pad, parent, buffer| {
            MixMinusElement::catch_panic_pad_function(
                parent,
                || Err(gst::FlowError::Error),
                |_| pad.imp().input.push(buffer),
            )
        })
        .event_function(|pad, parent, event| {
            MixMinusElement::catch_panic_pad_function(
                parent,
                || false,
                |element| element.sink_event(pad, &event),
            )
        })
        .build()
}

impl MixMinusElement {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn group(&self) -> gst::GroupId {
        *self.state().group.get_or_insert_with(gst::GroupId::next)
    }

    fn sink_event(&self, pad: &DaisMixMinusSinkPad, event: &gst::Event) -> bool {
        let input = &pad.imp().input;
        match event.view() {
            gst::EventView::Caps(caps) => match Format::from_caps(caps.caps()) {
                Some(format) => input.set_format(format),
                None => return false,
            },
            gst::EventView::Segment(segment) => {
                match segment.segment().downcast_ref::<gst::ClockTime>() {
                    Some(segment) => input.set_segment(segment.clone()),
                    None => return false,
                }
            }
            gst::EventView::StreamStart(_) => input.set_eos(false),
            gst::EventView::Eos(_) => input.set_eos(true),
            gst::EventView::Gap(gap) => {
                let (pts, duration) = gap.get();
                input.gap(pts, duration);
            }
            gst::EventView::FlushStart(_) => input.set_flushing(true),
            gst::EventView::FlushStop(_) => input.set_flushing(false),
            _ => {}
        }
        // Nothing of one input concerns downstream of all.
        true
    }

    /// How long after its timestamp a live block comes out.
    fn live_latency(queue_ms: u32) -> gst::ClockTime {
        let limiter = LATENCY_FRAMES as u64 * 1_000_000_000 / u64::from(RATE);
        BLOCK_TIME
            + gst::ClockTime::from_mseconds(queue_ms.into())
            + gst::ClockTime::from_nseconds(limiter)
    }

    fn src_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        let settings = self.state().settings;
        if let gst::QueryViewMut::Latency(latency) = query.view_mut()
            && settings.live
        {
            // Sound is stamped with the time of its arrival, so that upstream's latency is over.
            let least = Self::live_latency(settings.queue_ms);
            latency.set(true, least, least + BLOCK_TIME * CAPACITY as u64);
            return true;
        }
        if is_not_seekable(query) {
            return true;
        }
        if !gst::Pad::query_default(pad, Some(&*self.obj()), query) {
            return false;
        }
        if let gst::QueryViewMut::Latency(latency) = query.view_mut() {
            let (live, least, most) = latency.result();
            let own = Self::live_latency(0);
            latency.set(live, least + own, most.map(|m| m + own));
        }
        true
    }

    fn start(&self) -> Result<bool, gst::StateChangeError> {
        let mut state = self.state();
        let Settings {
            live,
            queue_ms,
            post_messages,
        } = state.settings;
        self.shared.begin();
        for seat in self.shared.seats() {
            seat.input.start(live, queue_ms);
        }
        let (tell, told) = sync_channel(4);
        let latency = Self::live_latency(queue_ms);
        let shared = self.shared.clone();
        let element = self.obj().downgrade();
        let mixing = move || {
            // In its own thread and before it mixes, so that an application can give it real-time priority.
            if let Some(element) = element.upgrade() {
                let entered = gst::StreamStatusType::Enter;
                let message = gst::message::StreamStatus::builder(entered, element.upcast_ref());
                let _ = element.post_message(message.src(&element).build());
            }
            Mixing::new(&shared, tell, live, latency).run();
        };
        let (shared, element) = (self.shared.clone(), self.obj().downgrade());
        let telling = move || {
            if post_messages {
                tell_levels(&told, &shared, &element);
            } else {
                told.into_iter().for_each(drop);
            }
        };
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            let thread = std::thread::Builder::new().name(name.to_owned());
            thread.spawn(work).map_err(|error| {
                gst::error!(CAT, imp = self, "No thread: {error}");
                gst::StateChangeError
            })
        };
        let threads = vec![
            spawn("dais-levels", Box::new(telling))?,
            spawn("dais-mixminus", Box::new(mixing))?,
        ];
        state.running = Some(Running {
            live,
            queue_ms,
            threads,
        });
        Ok(live)
    }

    fn stop(&self) {
        let running = self.state().running.take();
        self.shared.stop();
        for thread in running.into_iter().flat_map(|r| r.threads) {
            // It can only fail by a panic, which was printed.
            let _ = thread.join();
        }
        self.state().group = None;
    }

    fn sink_pads(&self) -> Vec<gst::Pad> {
        self.obj().sink_pads()
    }
}

fn tell_levels(
    told: &Receiver<u64>,
    shared: &Shared,
    element: &glib::WeakRef<super::DaisMixMinus>,
) {
    let levels = |name: &str, shown: &Shown| {
        gst::Structure::builder(name)
            .field("level-db", shown.level_db())
            .field("peak-db", shown.peak_db())
            .field("speaking", shown.speaking())
    };
    for number in told {
        let Some(element) = element.upgrade() else {
            return;
        };
        let seats = shared.seats().into_iter().map(|seat| {
            let shown = &seat.input.shown;
            levels(&seat.name, shown)
                .field("trim-db", shown.trim_db())
                .field("silent-blocks", shown.silent_blocks())
                .field("dropped", shown.dropped())
                .build()
        });
        let message = gst::Structure::builder("daismixminus-levels")
            .field("running-time", BLOCK_TIME * number)
            .field("programme", levels("src", &shared.programme_shown).build())
            .field("inputs", gst::Array::new(seats))
            .build();
        let message = gst::message::Element::builder(message)
            .src(&element)
            .build();
        let _ = element.post_message(message);
    }
}

impl ObjectImpl for MixMinusElement {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let default = Settings::default();
            vec![
                glib::ParamSpecBoolean::builder("live")
                    .blurb("Mix by the pipeline's clock and wait for no input; otherwise wait for all")
                    .default_value(default.live)
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt::builder("queue-ms")
                    .blurb("Sound that waits for each input, against jitter and drift (live)")
                    .minimum(10)
                    .maximum(40)
                    .default_value(default.queue_ms)
                    .mutable_ready()
                    .build(),
                glib::ParamSpecBoolean::builder("post-messages")
                    .blurb("Tell levels by messages on the bus, 10 times a second")
                    .default_value(default.post_messages)
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt64::builder("missed-blocks")
                    .blurb("Blocks left out because the machine stood still for more than a second (live)")
                    .read_only()
                    .build(),
            ]
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let settings = &mut self.state().settings;
        match pspec.name() {
            "live" => settings.live = value.get().unwrap_or_default(),
            "queue-ms" => settings.queue_ms = value.get().unwrap_or(DEFAULT_TARGET_MS),
            "post-messages" => settings.post_messages = value.get().unwrap_or_default(),
            _ => {}
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let settings = self.state().settings;
        match pspec.name() {
            "live" => settings.live.to_value(),
            "queue-ms" => settings.queue_ms.to_value(),
            "post-messages" => settings.post_messages.to_value(),
            _ => self.shared.missed.load(Ordering::Relaxed).to_value(),
        }
    }

    fn constructed(&self) {
        self.parent_constructed();
        // A pad that the element has just made can't be refused.
        let _ = self.obj().add_pad(&self.programme);
    }
}

impl GstObjectImpl for MixMinusElement {}

impl ElementImpl for MixMinusElement {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Dais mix-minus",
                "Generic/Audio",
                "Mixes everybody for the programme, and for each input everybody else",
                "The Dais authors",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let template = |name, direction, presence, gtype| {
                gst::PadTemplate::with_gtype(name, direction, presence, &Format::template(), gtype)
            };
            let src = DaisMixMinusSrcPad::static_type();
            [
                template(
                    "sink_%u",
                    gst::PadDirection::Sink,
                    gst::PadPresence::Request,
                    DaisMixMinusSinkPad::static_type(),
                ),
                template(
                    "src_%u",
                    gst::PadDirection::Src,
                    gst::PadPresence::Sometimes,
                    src,
                ),
                template("src", gst::PadDirection::Src, gst::PadPresence::Always, src),
            ]
            .into_iter()
            .flatten()
            .collect()
        });
        &TEMPLATES
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        let mut live = false;
        match transition {
            gst::StateChange::ReadyToPaused => live = self.start()?,
            gst::StateChange::PausedToPlaying => {
                if let (Some(clock), Some(base)) = (self.obj().clock(), self.obj().base_time()) {
                    self.shared.play(clock, base);
                }
            }
            gst::StateChange::PlayingToPaused => {
                live = self.state().running.as_ref().is_some_and(|r| r.live);
                self.shared.pause();
            }
            gst::StateChange::PausedToReady => self.shared.stop(),
            _ => {}
        }
        let result = self.parent_change_state(transition);
        if transition == gst::StateChange::PausedToReady
            || (transition == gst::StateChange::ReadyToPaused && result.is_err())
        {
            self.stop();
        }
        match result? {
            gst::StateChangeSuccess::Success if live => Ok(gst::StateChangeSuccess::NoPreroll),
            other => Ok(other),
        }
    }

    fn request_new_pad(
        &self,
        template: &gst::PadTemplate,
        name: Option<&str>,
        _caps: Option<&gst::Caps>,
    ) -> Option<gst::Pad> {
        let element = self.obj();
        let number = {
            let mut state = self.state();
            let wanted = name
                .and_then(|n| n.strip_prefix("sink_"))
                .and_then(|n| n.parse().ok());
            let free = |n: u32| element.static_pad(&format!("sink_{n}")).is_none();
            let number = match wanted {
                Some(number) => Some(number).filter(|n| free(*n))?,
                None => (state.next_pad..).find(|n| free(*n))?,
            };
            state.next_pad = state.next_pad.max(number.saturating_add(1));
            number
        };
        if self.shared.seats().len() >= MAX_PADS {
            gst::warning!(CAT, imp = self, "There are {MAX_PADS} inputs already");
            return None;
        }
        let sink = sink_pad(template, &format!("sink_{number}"));
        let src = src_pad(&element.pad_template("src_%u")?, &format!("src_{number}"));
        let seat = Arc::new(Seat {
            name: sink.name().into(),
            input: sink.imp().input.clone(),
            output: src.imp().output.clone(),
        });
        let runs = {
            let state = self.state();
            let runs = state.running.as_ref().map(|r| (r.live, r.queue_ms));
            if let Some((live, queue_ms)) = runs {
                seat.input.start(live, queue_ms);
            }
            self.shared.add(seat);
            runs.is_some()
        };
        if runs {
            let _ = src.set_active(true);
            let _ = sink.set_active(true);
        }
        if element.add_pad(&src).is_err() || element.add_pad(&sink).is_err() {
            // Somebody else took the name meanwhile.
            self.shared.remove(&sink.imp().input);
            let _ = sink.set_active(false);
            let _ = src.set_active(false);
            return None;
        }
        for pad in [sink.upcast_ref::<gst::Pad>(), src.upcast_ref()] {
            element.child_added(pad, &pad.name());
        }
        Some(sink.upcast())
    }

    fn release_pad(&self, pad: &gst::Pad) {
        let Some(sink) = pad.downcast_ref::<DaisMixMinusSinkPad>() else {
            return;
        };
        let element = self.obj();
        let seat = self.shared.remove(&sink.imp().input);
        let _ = sink.set_active(false);
        let name = sink.name();
        let src = element.static_pad(&name.replacen("sink", "src", 1));
        let _ = element.remove_pad(sink);
        element.child_removed(sink, &name);
        if let (Some(src), Some(seat)) = (src, seat) {
            seat.output.close();
            if seat.output.pushing.load(Ordering::SeqCst) {
                // Downstream may hold the last block for ever; only a flush gets it out.
                src.push_event(gst::event::FlushStart::new());
                let _ = src.stop_task();
                src.push_event(gst::event::FlushStop::new(false));
            }
            let _ = src.set_active(false);
            let name = src.name();
            let _ = element.remove_pad(&src);
            element.child_removed(&src, &name);
        }
    }
}

impl ChildProxyImpl for MixMinusElement {
    fn children_count(&self) -> u32 {
        self.sink_pads().len() as u32
    }

    fn child_by_name(&self, name: &str) -> Option<glib::Object> {
        Some(self.obj().static_pad(name)?.upcast())
    }

    fn child_by_index(&self, index: u32) -> Option<glib::Object> {
        let pads = self.sink_pads();
        Some(pads.get(index as usize)?.clone().upcast())
    }
}
