//! The programme's sound: a thread that mixes 10 ms a time, for the programme and for everybody without themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use gst::ClockTime;
use gstdais::drift::DEFAULT_TARGET_MS;
use gstdais::mixminus::{DEFAULT_TARGET_LUFS, LATENCY_FRAMES, MAX_INPUTS, MixMinus};
use gstdais::{BLOCK_SAMPLES, Block, RATE};

use crate::api::{Event, Level, Source};
use crate::health::add;
use crate::plan::Plan;
use crate::programme::Line;
use crate::slot::Slot;
use crate::studio::Shared;

const BLOCK: ClockTime = ClockTime::from_mseconds(10);
const STOOD_STILL: ClockTime = ClockTime::from_seconds(1);
/// Levels are told each so many blocks.
const LEVELS_EVERY: u64 = 10;
/// A source that leaves its seat is faded for 20 ms; its input is free a block later.
const LEAVING_BLOCKS: u8 = 3;
/// The programme's sound begins when this many pictures of the host have shown how long they take, or after `LIPS_WAIT`.
const LIPS_PICTURES: u64 = 15;
const LIPS_WAIT: ClockTime = ClockTime::from_seconds(1);

/// How long the host's picture and sound take from capture into the programme, so that lips fit: pictures are stamped
/// where the grid has a place for them, sound has waited in its queue.
#[derive(Default)]
pub struct Lips {
    pictures: AtomicU64,
    picture_delay: AtomicI64,
    sound_age: AtomicU64,
}

impl Lips {
    /// A picture captured then was stamped so in the programme.
    pub(crate) fn saw_picture(&self, pts: ClockTime, captured: ClockTime) {
        let seen = self.pictures.fetch_add(1, Ordering::Relaxed);
        // Negative where the camera's beat lies after the grid.
        let delay = pts.nseconds() as i64 - captured.nseconds() as i64;
        let mean = self.picture_delay.load(Ordering::Relaxed);
        let weight = (seen + 1).min(8) as i64;
        let mean = mean + (delay - mean) / weight;
        self.picture_delay.store(mean, Ordering::Relaxed);
    }

    /// Sound of the host came in this long after its first sample was captured.
    pub(crate) fn saw_sound(&self, age: ClockTime) {
        self.sound_age.store(age.nseconds(), Ordering::Relaxed);
    }

    /// What the programme's sound has to be stamped later (or, negative, earlier) than it is mixed.
    fn shift_ns(&self) -> i64 {
        let limiter = LATENCY_FRAMES as i64 * 1_000_000_000 / i64::from(RATE);
        // The queue's controller brings it there. On average half a block has come since the last one was whole.
        let waited = i64::from(DEFAULT_TARGET_MS) * 1_000_000 - BLOCK.nseconds() as i64 / 2;
        let age = self.sound_age.load(Ordering::Relaxed) as i64;
        self.picture_delay.load(Ordering::Relaxed) - waited - age - limiter
    }
}

/// An input of the mixer and whose it is.
enum Input {
    Free,
    Taken(Source),
    /// In no seat, and spoken to by the host: it has a return of its own. What comes from it is muted from the first sample.
    Listening(Source),
    Leaving(Source, u8),
}

impl Input {
    fn source(&self) -> Option<&Source> {
        match self {
            Input::Free => None,
            Input::Taken(source) | Input::Listening(source) | Input::Leaving(source, _) => {
                Some(source)
            }
        }
    }
}

/// The host's word to one session alone: from the host's input to that session's, as long as it takes its return.
struct Talk {
    from: usize,
    to: usize,
    slot: Arc<Slot>,
}

/// A slot, the input that it feeds, and its sound of this moment.
struct Channel {
    slot: Arc<Slot>,
    input: Option<usize>,
    block: Box<Block>,
    /// How often it broke off, and how many frames were left out.
    torn: (u64, u64),
}

pub(crate) struct SoundMix {
    shared: Shared,
    encoder: Arc<Line>,
    mixer: MixMinus,
    inputs: [Input; MAX_INPUTS],
    channels: Vec<Channel>,
    talk: Option<Talk>,
    /// The input that hears the host alone now.
    talking: Option<usize>,
    versions: (u64, u64),
    plan: Arc<Plan>,
    programme: Box<Block>,
    returns: Vec<Block>,
    shift_ns: Option<i64>,
}

impl SoundMix {
    pub fn new(shared: &Shared, encoder: Arc<Line>) -> SoundMix {
        SoundMix {
            shared: shared.clone(),
            encoder,
            mixer: MixMinus::new(MAX_INPUTS),
            inputs: [const { Input::Free }; MAX_INPUTS],
            channels: Vec::new(),
            talk: None,
            talking: None,
            versions: (u64::MAX, u64::MAX),
            plan: Arc::default(),
            programme: Box::new([0.0; BLOCK_SAMPLES]),
            returns: vec![[0.0; BLOCK_SAMPLES]; MAX_INPUTS],
            shift_ns: None,
        }
    }

    /// Mixes until `stop`.
    pub fn run(mut self, stop: &AtomicBool) {
        let start = self.shared.time.now();
        let mut n = 0;
        while !stop.load(Ordering::Relaxed) {
            let due = start + BLOCK * n;
            self.shared.time.sleep_until(due);
            let behind = self.shared.time.now().saturating_sub(due);
            if behind > STOOD_STILL {
                let missed = behind / BLOCK;
                add(&self.shared.counters.blocks_missed, missed);
                n += missed;
                continue;
            }
            if behind > BLOCK {
                add(&self.shared.counters.blocks_late, 1);
            }
            self.look_up();
            self.mix(due);
            if n.is_multiple_of(LEVELS_EVERY) {
                self.tell_levels();
            }
            n += 1;
        }
    }

    fn mix(&mut self, now: ClockTime) {
        self.talk_or_not();
        let mut blocks: [Option<&Block>; MAX_INPUTS] = [None; MAX_INPUTS];
        for channel in &mut self.channels {
            // Also from those that are not heard: their queues must be at their target when they take a seat.
            let stats = channel.slot.audio.pull(&mut channel.block);
            let torn = (stats.underruns, stats.dropped_frames);
            let input = channel.input.map(|n| &self.inputs[n]);
            let heard = matches!(input, Some(Input::Taken(_)));
            if std::mem::replace(&mut channel.torn, torn) != torn && heard {
                let counters = &self.shared.counters;
                let counter = match channel.slot.source {
                    Source::Host => &counters.host_sound_torn,
                    Source::Session(_) => &counters.guests_sound_torn,
                };
                add(counter, 1);
            }
        }
        for channel in &self.channels {
            if let Some(input) = channel.input {
                blocks[input] = Some(&channel.block);
            }
        }
        self.mixer
            .process(&blocks, &mut self.programme, &mut self.returns);
        add(&self.shared.counters.blocks, 1);
        self.send_programme(now);
        self.send_returns(now);
        self.let_go();
    }

    fn send_programme(&mut self, now: ClockTime) {
        let lips = &self.shared.lips;
        if self.shift_ns.is_none() {
            if lips.pictures.load(Ordering::Relaxed) < LIPS_PICTURES && now < LIPS_WAIT {
                return;
            }
            let shift = lips.shift_ns();
            self.shift_ns = Some(shift);
            tracing::debug!(
                shift_ms = shift as f64 / 1e6,
                "the programme's sound fits its picture"
            );
        }
        let shift = self.shift_ns.unwrap_or(0);
        let pts = now.nseconds().checked_add_signed(shift);
        if let Some(pts) = pts {
            let block = buffer(&self.programme, ClockTime::from_nseconds(pts));
            let raw = &self.shared.feeds.sound_raw;
            if raw.is_wanted() {
                raw.publish(&block);
            }
            self.encoder.push(block);
        }
    }

    fn send_returns(&self, now: ClockTime) {
        let mut whole = None;
        for channel in self.channels.iter().filter(|c| c.slot.sound_out.is_set()) {
            let block = match (channel.slot.listens_to.get(), channel.input) {
                (Some(source), _) => buffer(self.alone(source), now),
                (None, Some(input)) => buffer(&self.returns[input], now),
                (None, None) => whole
                    .get_or_insert_with(|| buffer(&self.programme, now))
                    .clone(),
            };
            channel.slot.sound_out.push(block);
        }
    }

    /// A guest's sound as it comes, for a private view.
    fn alone(&self, source: &Source) -> &Block {
        const SILENCE: &Block = &[0.0; BLOCK_SAMPLES];
        let channel = self.channels.iter().find(|c| c.slot.source == *source);
        channel
            .filter(|c| !c.slot.silent.load(Ordering::Relaxed))
            .map_or(SILENCE, |c| &*c.block)
    }

    /// Whether the host speaks off air. A session that takes no return any more, or not yet, hears nothing: then the host is
    /// on air, whatever the scene says.
    fn talk_or_not(&mut self) {
        let talk = self.talk.as_ref().filter(|t| t.slot.sound_out.is_set());
        let to = talk.map(|talk| talk.to);
        if to == self.talking {
            return;
        }
        let from = talk.map(|talk| talk.from);
        for input in 0..self.inputs.len() {
            let spoken_to = from.filter(|_| to == Some(input));
            self.mixer.set_talkback(input, spoken_to);
        }
        self.talking = to;
        self.mute_seats();
    }

    /// Inputs whose source has faded out are free again.
    fn let_go(&mut self) {
        for (n, input) in self.inputs.iter_mut().enumerate() {
            if let Input::Leaving(source, left) = input {
                *left -= 1;
                if *left == 0 {
                    self.channels
                        .iter_mut()
                        .filter(|c| c.slot.source == *source)
                        .for_each(|c| c.input = None);
                    *input = Input::Free;
                    self.mixer.set_gain_db(n, 0.0);
                    // What was learnt of a voice goes with it.
                    self.mixer.set_levelling(n, None);
                }
            }
        }
    }

    /// Newest scene and slots, looked up only when they have changed.
    fn look_up(&mut self) {
        let versions = (self.shared.stage.version(), self.shared.slots.version());
        if versions == self.versions {
            return;
        }
        self.plan = self.shared.stage.plan();
        self.seat_inputs();
        let mut old = std::mem::take(&mut self.channels);
        for slot in self.shared.slots.all() {
            let input = self
                .inputs
                .iter()
                .position(|i| i.source() == Some(&slot.source));
            let known = old
                .iter()
                .position(|c| Arc::ptr_eq(&c.slot, &slot))
                .map(|at| old.swap_remove(at));
            self.channels.push(match known {
                Some(channel) => Channel { input, ..channel },
                None => Channel {
                    slot,
                    input,
                    block: Box::new([0.0; BLOCK_SAMPLES]),
                    torn: (0, 0),
                },
            });
        }
        self.versions = versions;
        self.talk = self.find_talk();
    }

    fn find_talk(&self) -> Option<Talk> {
        let source = self.plan.talkback.as_ref()?;
        let input = |source: &Source| self.inputs.iter().position(|i| i.source() == Some(source));
        let channel = self.channels.iter().find(|c| c.slot.source == *source)?;
        Some(Talk {
            from: input(&Source::Host)?,
            to: channel.input?,
            slot: channel.slot.clone(),
        })
    }

    fn seat_inputs(&mut self) {
        for (n, input) in self.inputs.iter_mut().enumerate() {
            let (Input::Taken(source) | Input::Listening(source)) = &*input else {
                continue;
            };
            let seated = self.plan.seats.iter().any(|p| p.seat.source == *source);
            if !seated {
                self.mixer.set_mute(n, true);
                *input = Input::Leaving(source.clone(), LEAVING_BLOCKS);
            }
        }
        for planned in &self.plan.seats {
            let seat = &planned.seat;
            let known = self
                .inputs
                .iter()
                .position(|i| i.source() == Some(&seat.source));
            let Some(n) =
                known.or_else(|| self.inputs.iter().position(|i| matches!(i, Input::Free)))
            else {
                continue;
            };
            self.inputs[n] = Input::Taken(seat.source.clone());
            self.mixer.set_gain_db(n, seat.gain_db);
            let levelled = self.shared.config.mix.levelling && seat.source != Source::Host;
            let target = levelled.then_some(DEFAULT_TARGET_LUFS);
            self.mixer.set_levelling(n, target);
        }
        self.let_listen();
        self.mute_seats();
    }

    /// Whom the host speaks to needs a return of their own, seated or not.
    fn let_listen(&mut self) {
        let Some(source) = &self.plan.talkback else {
            return;
        };
        let known = self.inputs.iter().position(|i| i.source() == Some(source));
        match known {
            // In a seat.
            Some(n) if matches!(self.inputs[n], Input::Taken(_)) => {}
            // It fades out, if it was heard; the return goes on.
            Some(n) => self.inputs[n] = Input::Listening(source.clone()),
            None => {
                let free = self.inputs.iter().position(|i| matches!(i, Input::Free));
                if let Some(n) = free {
                    self.inputs[n] = Input::Listening(source.clone());
                    self.mixer.set_mute(n, true);
                    // At once, not by a ramp: nothing of who waits may be on air. Nothing was heard here that could click.
                    self.mixer.settle_input(n);
                }
            }
        }
    }

    /// Who is heard: as the scene says, but for the host who speaks off air.
    fn mute_seats(&mut self) {
        for planned in &self.plan.seats {
            let seat = &planned.seat;
            let off_air = seat.source == Source::Host && self.talking.is_some();
            let input = self
                .inputs
                .iter()
                .position(|i| i.source() == Some(&seat.source));
            if let Some(n) = input {
                self.mixer.set_mute(n, !seat.audible || off_air);
            }
        }
    }

    fn tell_levels(&self) {
        let level = |seat: u8, source: &Source| {
            let input = self
                .inputs
                .iter()
                .position(|i| i.source() == Some(source))?;
            let meter = self.mixer.meter(input)?;
            Some(Level {
                seat,
                level_db: meter.level_db(),
                peak_db: meter.peak_db(),
                speaking: meter.speaking(),
            })
        };
        let levels = self
            .plan
            .seats
            .iter()
            .filter_map(|p| level(p.seat.seat, &p.seat.source))
            .collect();
        self.shared.tell(Event::Levels(levels));
    }
}

fn buffer(block: &Block, pts: ClockTime) -> gst::Buffer {
    let bytes: Vec<u8> = block
        .iter()
        .flat_map(|sample| sample.to_le_bytes())
        .collect();
    let mut buffer = gst::Buffer::from_mut_slice(bytes);
    if let Some(buffer) = buffer.get_mut() {
        buffer.set_pts(pts);
        buffer.set_duration(BLOCK);
    }
    buffer
}
