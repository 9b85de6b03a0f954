//! Whatever is done to the inputs, in whatever order: each block comes, with sound that nobody has to fear, and nothing fails.

use gst::prelude::*;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::rig::*;

/// As many inputs as a case may have besides the host.
const GUESTS: usize = 4;
/// -1 dBFS.
const CEILING: f32 = 0.891_251;

#[derive(Debug, Clone)]
enum Act {
    /// The number of a guest; without such a guest nothing is done.
    Caps(usize, bool, bool),
    /// So many bytes, made of this one; a broken decoder's floats are among them.
    Push(usize, usize, u8),
    Tone(usize, usize),
    Flush(usize, bool),
    Gap(usize, u64, u64),
    Skip(usize, u64),
    /// Its stream ends and another begins.
    Again(usize),
    Set(usize, &'static str, f64),
    Switch(usize, &'static str, bool),
    Come,
    Go(usize),
    Tick,
}

fn act() -> impl Strategy<Value = Act> {
    let guest = || 0..GUESTS;
    let time = || prop_oneof![0..3_000_000_000u64, any::<u64>()];
    let bytes = || prop_oneof![4 => 0..8_000usize, 1 => 0..200_000usize];
    let set = prop_oneof![
        (-60.0..12.0).prop_map(|x| ("gain-db", x)),
        (-1.0..1.0).prop_map(|x| ("pan", x)),
        (0.0..60.0).prop_map(|x| ("duck-db", x)),
        (10.0..5_000.0).prop_map(|x| ("duck-attack-ms", x)),
        (10.0..20_000.0).prop_map(|x| ("duck-release-ms", x)),
    ];
    let switch = prop_oneof![Just("mute"), Just("duck-key"), Just("levelling")];
    prop_oneof![
        3 => (guest(), any::<bool>(), any::<bool>()).prop_map(|(n, float, mono)| Act::Caps(n, float, mono)),
        2 => (guest(), bytes(), any::<u8>()).prop_map(|(n, len, byte)| Act::Push(n, len, byte)),
        6 => (guest(), 1..2_000usize).prop_map(|(n, frames)| Act::Tone(n, frames)),
        1 => (guest(), any::<bool>()).prop_map(|(n, reset)| Act::Flush(n, reset)),
        1 => (guest(), time(), time()).prop_map(|(n, from, length)| Act::Gap(n, from, length)),
        1 => (guest(), 0..100_000u64).prop_map(|(n, frames)| Act::Skip(n, frames)),
        1 => guest().prop_map(Act::Again),
        2 => (guest(), set).prop_map(|(n, (name, value))| Act::Set(n, name, value)),
        1 => (guest(), switch, any::<bool>()).prop_map(|(n, name, on)| Act::Switch(n, name, on)),
        2 => Just(Act::Come),
        1 => guest().prop_map(Act::Go),
        6 => Just(Act::Tick),
    ]
}

struct Guest {
    source: Source,
    back: Sink,
    float: bool,
    mono: bool,
}

impl Guest {
    fn caps(&self) -> gst::Caps {
        let format = if self.float { "F32LE" } else { "S16LE" };
        caps(format, if self.mono { 1 } else { 2 })
    }

    fn tone(&mut self, frames: usize) {
        let mut bytes = Vec::new();
        for x in (0..frames).map(|n| (n as f32 * 0.06).sin()) {
            for _ in 0..if self.mono { 1 } else { 2 } {
                match self.float {
                    true => bytes.extend(x.to_le_bytes()),
                    false => bytes.extend(((x * 32_767.0) as i16).to_le_bytes()),
                }
            }
        }
        self.source.push_bytes(bytes, frames as u64).unwrap();
    }

    fn begin(&self) {
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        assert!(
            self.source
                .pad
                .push_event(gst::event::Segment::new(&segment))
        );
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Caps(_, float, mono) => {
                (self.float, self.mono) = (float, mono);
                let caps = gst::event::Caps::new(&self.caps());
                assert!(self.source.pad.push_event(caps));
            }
            Act::Push(_, len, byte) => {
                self.source.push_bytes(vec![byte; len], 480).unwrap();
            }
            Act::Tone(_, frames) => self.tone(frames),
            Act::Flush(_, reset) => {
                let pad = &self.source.pad;
                assert!(pad.push_event(gst::event::FlushStart::new()));
                assert!(pad.push_event(gst::event::FlushStop::new(reset)));
                self.begin();
            }
            Act::Gap(_, from, length) => {
                let [from, length] = [from, length].map(gst::ClockTime::try_from);
                if let (Ok(from), Ok(length)) = (from, length) {
                    let gap = gst::event::Gap::builder(from).duration(length).build();
                    assert!(self.source.pad.push_event(gap));
                }
            }
            Act::Skip(_, frames) => self.source.skip(frames),
            Act::Again(_) => {
                let pad = &self.source.pad;
                assert!(pad.push_event(gst::event::Eos::new()));
                assert!(pad.push_event(gst::event::StreamStart::new("again")));
                assert!(pad.push_event(gst::event::Caps::new(&self.caps())));
                self.begin();
            }
            Act::Set(_, name, value) => self.source.sink.set_property(name, value),
            Act::Switch(_, name, on) => self.source.sink.set_property(name, on),
            Act::Come | Act::Go(_) | Act::Tick => {}
        }
    }
}

#[track_caller]
fn assert_harmless(samples: &[f32]) {
    assert_eq!(samples.len(), 960);
    assert!(samples.iter().all(|x| x.abs() <= CEILING), "{samples:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..Default::default() })]

    #[test]
    fn whatever_is_done_to_the_inputs_each_block_comes(acts in vec(act(), 1..150)) {
        let rig = Rig::new(true);
        let mut host = rig.source();
        let (programme, host_hears) = (rig.sink("src"), rig.sink("src_0"));
        let mut guests: Vec<Guest> = Vec::new();
        rig.play();
        let mut block = 0;
        for act in acts {
            match act {
                Act::Tick => {
                    host.push(&tone(400.0, 0.1, block));
                    rig.tick();
                    let number = block as u64;
                    assert_harmless(&programme.block(number));
                    assert_harmless(&host_hears.block(number));
                    for guest in &guests {
                        assert_harmless(&guest.back.block(number));
                    }
                    block += 1;
                }
                Act::Come if guests.len() < GUESTS => {
                    let source = rig.source();
                    let back = rig.sink(&source.sink.name().replace("sink", "src"));
                    guests.push(Guest { source, back, float: true, mono: false });
                }
                Act::Go(n) if n < guests.len() => {
                    rig.element.release_request_pad(&guests.remove(n).source.sink);
                }
                Act::Caps(n, ..) | Act::Push(n, ..) | Act::Tone(n, ..) | Act::Flush(n, ..)
                | Act::Gap(n, ..) | Act::Skip(n, ..) | Act::Again(n) | Act::Set(n, ..)
                | Act::Switch(n, ..) => {
                    if let Some(guest) = guests.get_mut(n) {
                        guest.act(act);
                    }
                }
                Act::Come | Act::Go(_) => {}
            }
        }
        let errors = [gst::MessageType::Error, gst::MessageType::Warning];
        prop_assert!(rig.bus.pop_filtered(&errors).is_none());
        let counts = ["dropped", "silent-blocks"].map(|p| host.sink.property::<u64>(p));
        prop_assert!(counts[0] == 0 && counts[1] <= 2, "the host's: {counts:?}");
    }
}
