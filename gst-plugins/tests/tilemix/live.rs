//! Live: the clock pad's frames leave at once, the pipeline clock makes up for missing ones, and nobody waits.

use gst::prelude::*;
use gst_check::Harness;

use crate::pictures::*;

const OUT: &str = "video/x-raw,format=I420,width=128,height=72,framerate=30/1";

/// The element with its clock pad and its output on one harness, and further pads on others.
struct Mix {
    element: gst::Element,
    clock: Harness,
    guests: Vec<Harness>,
    frames: u64,
}

impl Mix {
    fn new(guests: usize) -> Mix {
        Mix::with(guests, |_| {})
    }

    fn with(guests: usize, set: impl FnOnce(&gst::Element)) -> Mix {
        init();
        let element = gst::ElementFactory::make("daistilemix").build().unwrap();
        set(&element);
        let mut clock = Harness::with_element(&element, Some("sink_0"), Some("src"));
        clock.use_testclock();
        clock.set_sink_caps_str(OUT);
        clock.set_src_caps(caps("I420", 64, 36, 30));
        tile(&element, "sink_0", 0, 0);
        let guests = (1..=guests)
            .map(|n| {
                let name = format!("sink_{n}");
                let mut guest = Harness::with_element(&element, Some(&name), None);
                guest.set_src_caps(caps("I420", 64, 36, 30));
                tile(&element, &name, 64 * (n as i32 % 2), 36 * (n as i32 / 2));
                guest
            })
            .collect();
        Mix {
            element,
            clock,
            guests,
            frames: 0,
        }
    }

    /// The clock pad's next frame, and the one that has left when the push returns.
    fn tick(&mut self, colour: gstdais::blend::Yuv) -> gstdais::frame::I420 {
        let pts = self.frames * FRAME + self.frames / 3;
        self.frames += 1;
        let frame = buffer("I420", &flat(64, 36, colour), Some(pts));
        self.clock.push(frame).unwrap();
        let out = self
            .clock
            .try_pull()
            .expect("a frame leaves within the push");
        assert_eq!(out.pts().unwrap().nseconds(), pts);
        self.view(out)
    }

    fn view(&self, out: gst::Buffer) -> gstdais::frame::I420 {
        let caps = self
            .element
            .static_pad("src")
            .unwrap()
            .current_caps()
            .unwrap();
        picture(out, &caps)
    }

    /// Frames that leave when the test clock reaches what the element waits for, `n` times.
    fn crank(&mut self, n: usize) -> Vec<gst::Buffer> {
        let mut left = Vec::new();
        for _ in 0..n {
            self.clock.crank_single_clock_wait().unwrap();
            // It waits again: what it had to send is sent.
            self.clock.wait_for_clock_id_waits(1, 60).unwrap();
            while let Some(out) = self.clock.try_pull() {
                left.push(out);
            }
        }
        left
    }
}

fn tile(element: &gst::Element, name: &str, x: i32, y: i32) {
    let pad = element.static_pad(name).unwrap();
    pad.set_property("xpos", x);
    pad.set_property("ypos", y);
    pad.set_property("width", 64i32);
    pad.set_property("height", 36i32);
}

fn push(harness: &mut Harness, colour: gstdais::blend::Yuv, pts: Option<u64>) {
    harness
        .push(buffer("I420", &flat(64, 36, colour), pts))
        .unwrap();
}

#[test]
fn each_frame_of_the_clock_pad_leaves_at_once_with_the_newest_of_the_others() {
    let mut mix = Mix::new(2);
    let out = mix.tick(RED);
    assert_eq!(at(&out, 10, 10), RED);
    assert_eq!(at(&out, 80, 10).y, 16, "a pad without frames is not there");
    push(&mut mix.guests[0], BLUE, Some(0));
    // As late, as early or as often as it likes.
    push(&mut mix.guests[1], RED, Some(3_600_000_000_000));
    push(&mut mix.guests[1], GREEN, Some(5));
    for _ in 0..100 {
        let out = mix.tick(RED);
        assert_eq!(at(&out, 10, 10), RED);
        assert_eq!(at(&out, 80, 10), BLUE, "stalled since its first frame");
        assert_eq!(at(&out, 10, 50), GREEN);
    }
    let stats = mix.element.property::<gst::Structure>("stats");
    assert_eq!(stats.get::<u64>("frames"), Ok(101));
    assert_eq!(stats.get::<u64>("repeated"), Ok(0));
}

#[test]
fn without_frames_on_the_clock_pad_the_pipeline_clock_keeps_the_rate() {
    let mut mix = Mix::new(1);
    mix.tick(RED);
    push(&mut mix.guests[0], BLUE, None);
    let left = mix.crank(21);
    assert!(left.len() >= 20, "{} frames", left.len());
    for (n, out) in left.iter().enumerate() {
        let n = n as u64 + 1;
        assert_eq!(out.pts().unwrap().nseconds(), n * FRAME + n / 3);
    }
    let out = mix.view(left[0].clone());
    assert_eq!(at(&out, 80, 10), BLUE);
    assert_eq!(at(&out, 10, 10), RED, "the clock pad's last picture stays");
    // It comes back: its next frame leads again, and the timestamps go on.
    mix.frames = left.len() as u64 + 1;
    assert_eq!(at(&mix.tick(GREEN), 10, 10), GREEN);
}

#[test]
fn it_runs_by_the_clock_alone_when_told_that_it_is_live() {
    init();
    let pipeline = gst::parse::launch(
        "daistilemix mode=live background=0xffdc1e1e ! video/x-raw,width=128,height=72,framerate=30/1 ! appsink name=out sync=false",
    )
    .unwrap()
    .downcast::<gst::Pipeline>()
    .unwrap();
    let sink = pipeline
        .by_name("out")
        .unwrap()
        .downcast::<gst_app::AppSink>()
        .unwrap();
    let clock = gst_check::TestClock::new();
    pipeline.use_clock(Some(&clock));
    pipeline.set_state(gst::State::Playing).unwrap();
    for n in 0..10 {
        clock.crank();
        let sample = sink
            .try_pull_sample(gst::ClockTime::from_seconds(60))
            .unwrap();
        let out = sample.buffer_owned().unwrap();
        assert_eq!(out.pts().unwrap().nseconds(), n * 1_000_000_000 / 30);
        assert_eq!(at(&picture(out, sample.caps().unwrap()), 64, 36), RED);
    }
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn another_pad_can_be_the_clock() {
    let mut mix = Mix::with(1, |e| e.set_property("clock-pad", "sink_1"));
    push(&mut mix.clock, RED, Some(0));
    assert!(mix.clock.try_pull().is_none());
    push(&mut mix.guests[0], BLUE, Some(0));
    let out = mix.clock.try_pull().unwrap();
    assert_eq!(at(&mix.view(out), 10, 10), RED);
    mix.element.set_property("clock-pad", None::<String>);
    mix.frames = 1;
    assert_eq!(at(&mix.tick(GREEN), 80, 10), BLUE);
}

#[test]
fn frames_that_make_no_sense_are_no_error() {
    let mut mix = Mix::new(1);
    mix.tick(RED);
    // No timestamp, on either pad: the clock says when.
    mix.clock
        .set_time(gst::ClockTime::from_nseconds(FRAME))
        .unwrap();
    push(&mut mix.guests[0], BLUE, None);
    push(&mut mix.clock, GREEN, None);
    let out = mix.clock.try_pull().unwrap();
    assert!(out.pts().unwrap().nseconds() == FRAME);
    assert_eq!(at(&mix.view(out), 80, 10), BLUE);
    // Too short for its caps.
    let mut short = gst::Buffer::with_size(100).unwrap();
    short.get_mut().unwrap().set_pts(gst::ClockTime::ZERO);
    mix.guests[0].push(short.clone()).unwrap();
    mix.clock.push(short).unwrap();
    assert!(mix.clock.try_pull().is_none());
    // Outside its segment.
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(gst::ClockTime::from_seconds(100));
    segment.set_position(gst::ClockTime::from_seconds(100));
    assert!(mix.guests[0].push_event(gst::event::Segment::new(&segment)));
    push(&mut mix.guests[0], GREEN, Some(0));
    mix.frames = 2;
    assert_eq!(at(&mix.tick(RED), 80, 10), GREEN);
    let stats = mix.element.property::<gst::Structure>("stats");
    assert_eq!(stats.get::<u64>("dropped"), Ok(2));
}

#[test]
fn timestamps_are_running_times() {
    let mut mix = Mix::new(0);
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(gst::ClockTime::from_seconds(3600));
    segment.set_base(gst::ClockTime::from_nseconds(3 * FRAME + 1));
    assert!(mix.clock.push_event(gst::event::Segment::new(&segment)));
    push(&mut mix.clock, RED, Some(3_600_000_000_000));
    assert_eq!(
        mix.clock.try_pull().unwrap().pts().unwrap().nseconds(),
        3 * FRAME + 1
    );
}

#[test]
fn it_cannot_be_sought_whatever_an_input_can() {
    let mix = Mix::new(0);
    let mut query = gst::query::Seeking::new(gst::Format::Time);
    assert!(mix.element.static_pad("src").unwrap().query(&mut query));
    assert!(!query.result().0);
}

#[test]
fn only_the_clock_pads_latency_counts() {
    let mut mix = Mix::new(1);
    mix.clock
        .set_upstream_latency(gst::ClockTime::from_mseconds(20));
    mix.guests[0].set_upstream_latency(gst::ClockTime::from_mseconds(300));
    let mut query = gst::query::Latency::new();
    assert!(mix.element.static_pad("src").unwrap().query(&mut query));
    let (live, min, _) = query.result();
    assert_eq!((live, min), (true, gst::ClockTime::from_mseconds(20)));
}

#[test]
fn a_pad_that_ended_leaves_the_picture_and_the_last_one_ends_the_output() {
    let mut mix = Mix::new(1);
    push(&mut mix.guests[0], BLUE, Some(0));
    assert_eq!(at(&mix.tick(RED), 80, 10), BLUE);
    assert!(mix.guests[0].push_event(gst::event::Eos::new()));
    assert_eq!(at(&mix.tick(RED), 80, 10).y, 16);
    assert!(mix.clock.push_event(gst::event::Eos::new()));
    let types = std::iter::from_fn(|| mix.clock.try_pull_event()).map(|e| e.type_());
    assert!(types.collect::<Vec<_>>().contains(&gst::EventType::Eos));
}

#[test]
fn a_flush_of_one_pad_is_its_own_affair() {
    let mut mix = Mix::new(1);
    push(&mut mix.guests[0], BLUE, Some(0));
    mix.tick(RED);
    assert!(mix.guests[0].push_event(gst::event::FlushStart::new()));
    assert_eq!(at(&mix.tick(RED), 80, 10), BLUE);
    assert!(mix.guests[0].push_event(gst::event::FlushStop::new(true)));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    assert!(mix.guests[0].push_event(gst::event::Segment::new(&segment)));
    assert_eq!(at(&mix.tick(RED), 80, 10), BLUE);
    push(&mut mix.guests[0], GREEN, Some(0));
    assert_eq!(at(&mix.tick(RED), 80, 10), GREEN);
    let types = std::iter::from_fn(|| mix.clock.try_pull_event()).map(|e| e.type_());
    assert!(
        !types
            .collect::<Vec<_>>()
            .contains(&gst::EventType::FlushStart)
    );
}

#[test]
fn caps_of_a_pad_change_while_it_plays() {
    let mut mix = Mix::new(1);
    for (n, (format, width, height)) in [
        ("I420", 64, 36),
        ("NV12", 64, 36),
        ("NV12", 321, 7),
        ("I420", 1, 1),
        ("NV12", 1, 99),
        ("I420", 500, 501),
    ]
    .into_iter()
    .enumerate()
    {
        let colour = [BLUE, GREEN][n % 2];
        mix.guests[0].set_src_caps(caps(format, width, height, 30));
        let frame = buffer(format, &flat(width, height, colour), Some(0));
        mix.guests[0].push(frame).unwrap();
        let out = mix.tick(RED);
        for (x, y) in [(64, 0), (80, 10), (127, 35)] {
            assert_eq!(at(&out, x, y), colour, "{format} {width}x{height}");
        }
        assert_eq!(at(&out, 63, 10), RED);
    }
    mix.clock.set_src_caps(caps("NV12", 64, 36, 30));
    let frame = buffer("NV12", &flat(64, 36, BLUE), Some(6 * FRAME + 2));
    mix.clock.push(frame).unwrap();
    let out = mix.clock.try_pull().unwrap();
    assert_eq!(at(&mix.view(out), 10, 10), BLUE);
}

#[test]
fn a_tile_moves_to_its_new_place() {
    let mut mix = Mix::with(1, |e| e.set_property("transition-ms", 200u32));
    push(&mut mix.guests[0], BLUE, Some(0));
    // Where it appears it doesn't come from elsewhere.
    let out = mix.tick(RED);
    assert_eq!((at(&out, 64, 10), at(&out, 127, 10)), (BLUE, BLUE));
    mix.element
        .static_pad("sink_1")
        .unwrap()
        .set_property("xpos", 0i32);
    let left_edge =
        |out: &gstdais::frame::I420| (0..128).find(|x| at(out, *x, 10) == BLUE).unwrap();
    let edges: Vec<usize> = (0..8).map(|_| left_edge(&mix.tick(RED))).collect();
    assert!(edges[0] < 64 && edges[0] > 0, "{edges:?}");
    assert!(edges.windows(2).all(|w| w[1] <= w[0]), "{edges:?}");
    assert!(edges[3] > 0 && edges[6] == 0, "{edges:?}");
}
