//! Whatever is done to the pads, in whatever order: a frame leaves for each frame of the clock pad, and nothing fails.

use gst::prelude::*;
use gst_check::Harness;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::churn::source;
use crate::pictures::*;

const OUT: (usize, usize) = (96, 54);
const COLOURS: [&str; 4] = ["bt709", "bt601", "1:4:0:0", "2:3:5:1"];
const FITS: [&str; 3] = ["contain", "cover", "fill"];
/// As many as the pads that a case may have besides the clock pad.
const GUESTS: usize = 4;

#[derive(Debug, Clone)]
struct Kind {
    nv12: bool,
    size: (usize, usize),
    colours: usize,
}

#[derive(Debug, Clone)]
enum Act {
    /// Of the clock pad, if there is no such guest; so for all that follow.
    Caps(usize, Kind),
    Frame(usize, Option<u64>),
    /// A guest's frame that is not what its caps say.
    Wrong(usize, (usize, usize)),
    Flush(usize, bool),
    Gap(usize, u64, u64),
    /// A guest's stream ends and another begins.
    Again(usize),
    Place(usize, [i32; 4]),
    Look(usize, f64, u32, usize, u32, u32),
    Transition(u32),
    Come,
    Go(usize),
    /// Downstream wants something else.
    Output(Kind),
}

fn size() -> impl Strategy<Value = (usize, usize)> {
    // Two times in three no larger than the canvas.
    let side = || prop_oneof![2 => 1..90usize, 1 => 1..700usize];
    (side(), side())
}

fn kind() -> impl Strategy<Value = Kind> {
    let some = (any::<bool>(), size(), 0..COLOURS.len());
    some.prop_map(|(nv12, size, colours)| Kind {
        nv12,
        size,
        colours,
    })
}

fn act() -> impl Strategy<Value = Act> {
    let pad = || 0..GUESTS + 1;
    let time = || prop_oneof![0..3_000_000_000u64, any::<u64>()];
    let at = || prop_oneof![4 => -150..150i32, 1 => any::<i32>()];
    // Not above zero is the picture's own size.
    let side = || prop_oneof![4 => 0..150i32, 1 => 0..900i32, 1 => i32::MIN..1];
    let edge = || prop_oneof![4 => 0..40u32, 1 => 0..8192u32];
    let look = (
        0.0..=1.0,
        0..6u32,
        0..FITS.len(),
        edge(),
        prop_oneof![Just(0), edge()],
    );
    prop_oneof![
        3 => (pad(), kind()).prop_map(|(n, kind)| Act::Caps(n, kind)),
        6 => (pad(), proptest::option::of(time())).prop_map(|(n, pts)| Act::Frame(n, pts)),
        1 => (pad(), size()).prop_map(|(n, size)| Act::Wrong(n, size)),
        1 => (pad(), any::<bool>()).prop_map(|(n, reset)| Act::Flush(n, reset)),
        1 => (pad(), time(), time()).prop_map(|(n, from, length)| Act::Gap(n, from, length)),
        1 => pad().prop_map(Act::Again),
        3 => (pad(), at(), at(), side(), side())
            .prop_map(|(n, x, y, w, h)| Act::Place(n, [x, y, w, h])),
        2 => (pad(), look).prop_map(|(n, (alpha, z, fit, radius, border))| {
            Act::Look(n, alpha, z, fit, radius, border)
        }),
        1 => (0..400u32).prop_map(Act::Transition),
        2 => Just(Act::Come),
        1 => pad().prop_map(Act::Go),
        1 => kind().prop_map(Act::Output),
    ]
}

impl Kind {
    fn format(&self) -> &'static str {
        if self.nv12 { "NV12" } else { "I420" }
    }

    fn caps(&self) -> gst::Caps {
        let mut caps = caps(self.format(), self.size.0, self.size.1, 30);
        caps.make_mut().set("colorimetry", COLOURS[self.colours]);
        caps
    }

    fn frame(&self, size: (usize, usize), pts: Option<u64>) -> gst::Buffer {
        buffer(self.format(), &flat(size.0, size.1, RED), pts)
    }
}

struct Guest {
    src: gst::Pad,
    sink: gst::Pad,
    kind: Kind,
}

struct Case {
    element: gst::Element,
    bus: gst::Bus,
    clock: Harness,
    clock_kind: Kind,
    guests: Vec<Guest>,
    frames: u64,
}

fn begins(src: &gst::Pad) {
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    assert!(src.push_event(gst::event::Segment::new(&segment)));
}

impl Case {
    fn new(threads: u32) -> Self {
        init();
        let element = gst::ElementFactory::make("daistilemix")
            .property("threads", threads)
            .build()
            .unwrap();
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        let clock_kind = Kind {
            nv12: false,
            size: (64, 36),
            colours: 0,
        };
        let mut clock = Harness::with_element(&element, Some("sink_0"), Some("src"));
        clock.use_testclock();
        clock.set_sink_caps(caps("I420", OUT.0, OUT.1, 30));
        clock.set_src_caps(clock_kind.caps());
        Self {
            element,
            bus,
            clock,
            clock_kind,
            guests: Vec::new(),
            frames: 0,
        }
    }

    fn pad(&self, n: usize) -> gst::Pad {
        let own = self.guests.get(n).map(|guest| guest.sink.clone());
        own.unwrap_or_else(|| self.element.static_pad("sink_0").unwrap())
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Caps(n, kind) => match self.guests.get_mut(n) {
                Some(guest) => {
                    assert!(guest.src.push_event(gst::event::Caps::new(&kind.caps())));
                    guest.kind = kind;
                }
                None => {
                    self.clock.set_src_caps(kind.caps());
                    self.clock_kind = kind;
                }
            },
            // The clock pad's comes with each step.
            Act::Frame(n, pts) => {
                if let Some(guest) = self.guests.get(n) {
                    let frame = guest.kind.frame(guest.kind.size, pts);
                    guest.src.push(frame).unwrap();
                }
            }
            Act::Wrong(n, size) => {
                if let Some(guest) = self.guests.get(n) {
                    guest.src.push(guest.kind.frame(size, None)).unwrap();
                }
            }
            Act::Flush(n, reset) => {
                let stop = gst::event::FlushStop::new(reset);
                match self.guests.get(n) {
                    Some(guest) => {
                        assert!(guest.src.push_event(gst::event::FlushStart::new()));
                        assert!(guest.src.push_event(stop));
                        begins(&guest.src);
                    }
                    None => {
                        assert!(self.clock.push_event(gst::event::FlushStart::new()));
                        assert!(self.clock.push_event(stop));
                        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
                        assert!(self.clock.push_event(gst::event::Segment::new(&segment)));
                    }
                }
            }
            Act::Gap(n, from, length) => {
                let [from, length] = [from, length].map(gst::ClockTime::try_from);
                if let (Ok(from), Ok(length)) = (from, length) {
                    let gap = gst::event::Gap::builder(from).duration(length).build();
                    assert!(match self.guests.get(n) {
                        Some(guest) => guest.src.push_event(gap),
                        None => self.clock.push_event(gap),
                    });
                }
            }
            Act::Again(n) => {
                if let Some(guest) = self.guests.get(n) {
                    assert!(guest.src.push_event(gst::event::Eos::new()));
                    assert!(guest.src.push_event(gst::event::StreamStart::new("again")));
                    let caps = gst::event::Caps::new(&guest.kind.caps());
                    assert!(guest.src.push_event(caps));
                    begins(&guest.src);
                }
            }
            Act::Place(n, place) => {
                let pad = self.pad(n);
                for (name, value) in ["xpos", "ypos", "width", "height"].into_iter().zip(place) {
                    pad.set_property(name, value);
                }
            }
            Act::Look(n, alpha, zorder, fit, radius, border) => {
                let pad = self.pad(n);
                pad.set_property("alpha", alpha);
                pad.set_property("zorder", zorder);
                pad.set_property_from_str("fit", FITS[fit]);
                pad.set_property("radius", radius);
                pad.set_property("border", border);
            }
            Act::Transition(ms) => self.element.set_property("transition-ms", ms),
            Act::Come if self.guests.len() < GUESTS => {
                let sink = self.element.request_pad_simple("sink_%u").unwrap();
                let src = source(&sink);
                let kind = Kind {
                    nv12: false,
                    size: (64, 36),
                    colours: 0,
                };
                self.guests.push(Guest { src, sink, kind });
            }
            Act::Come => {}
            Act::Go(n) => {
                if n < self.guests.len() {
                    let guest = self.guests.remove(n);
                    self.element.release_request_pad(&guest.sink);
                }
            }
            Act::Output(kind) => self.clock.set_sink_caps(kind.caps()),
        }
    }

    /// The clock pad's next frame, and the one that leaves for it.
    fn tick(&mut self) {
        let pts = self.frames * FRAME + self.frames / 3;
        self.frames += 1;
        let frame = self.clock_kind.frame(self.clock_kind.size, Some(pts));
        self.clock.push(frame).unwrap();
        let out = self.clock.try_pull().expect("a frame leaves");
        assert_eq!(out.pts().unwrap().nseconds(), pts);
        assert!(self.clock.try_pull().is_none(), "only one");
        let src = self.element.static_pad("src").unwrap();
        // It has the size that its caps say.
        picture(out, &src.current_caps().unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..Default::default() })]

    #[test]
    fn whatever_is_done_to_the_pads_a_frame_leaves_for_each_of_the_clock_pad(
        acts in vec(act(), 1..80),
        threads in 1..3u32,
    ) {
        let mut case = Case::new(threads);
        case.tick();
        for act in acts {
            case.act(act);
            case.tick();
        }
        let stats = case.element.property::<gst::Structure>("stats");
        prop_assert_eq!(stats.get::<u64>("frames"), Ok(case.frames));
        prop_assert_eq!(stats.get::<u64>("repeated"), Ok(0));
        let errors = [gst::MessageType::Error, gst::MessageType::Warning];
        prop_assert!(case.bus.pop_filtered(&errors).is_none());
    }
}
