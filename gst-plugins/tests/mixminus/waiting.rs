//! Mixing that waits for all, from given sound to given sound.

use std::thread;

use gst::prelude::*;
use proptest::prelude::*;

use crate::rig::*;

/// What an input sends: buffers, each in a format of its own.
#[derive(Debug, Clone)]
struct Plan(Vec<Sent>);

#[derive(Debug, Clone, Copy)]
struct Sent {
    format: &'static str,
    channels: usize,
    frames: usize,
}

/// Buffers in at most three formats.
fn plan() -> impl Strategy<Value = Plan> {
    let format = prop_oneof![Just("F32LE"), Just("S16LE")];
    let sizes = prop::collection::vec(1..=4096_usize, 1..5);
    let part = (format, 1..=2_usize, sizes).prop_map(|(format, channels, sizes)| {
        let sent = |frames| Sent {
            format,
            channels,
            frames,
        };
        sizes.into_iter().map(sent).collect::<Vec<_>>()
    });
    prop::collection::vec(part, 1..4).prop_map(|parts| Plan(parts.concat()))
}

/// Something else in each frame and channel, exact in 16 bits, far below the limiter.
fn sample(input: usize, frame: usize, channel: usize) -> i16 {
    ((frame * 7 + input * 131 + channel * 17) % 901) as i16 - 450
}

impl Plan {
    fn frames(&self) -> usize {
        self.0.iter().map(|sent| sent.frames).sum()
    }

    /// All of its sound, left and right.
    fn heard(&self, input: usize) -> Vec<f32> {
        let mut heard = Vec::new();
        for sent in &self.0 {
            let from = heard.len() / 2;
            for frame in from..from + sent.frames {
                heard.extend([0, 1].map(|side: usize| {
                    f32::from(sample(input, frame, side.min(sent.channels - 1))) / 32_768.0
                }));
            }
        }
        heard
    }

    fn send(&self, input: usize, mut source: Source) -> gst::Pad {
        let mut at = 0;
        for sent in &self.0 {
            let caps = caps(sent.format, sent.channels as i32);
            source.pad.push_event(gst::event::Caps::new(&caps));
            let mut bytes = Vec::new();
            for frame in at..at + sent.frames {
                for channel in 0..sent.channels {
                    let sample = sample(input, frame, channel);
                    match sent.format {
                        "F32LE" => bytes.extend((f32::from(sample) / 32_768.0).to_le_bytes()),
                        _ => bytes.extend(sample.to_le_bytes()),
                    }
                }
            }
            source.push_bytes(bytes, sent.frames as u64).unwrap();
            at += sent.frames;
        }
        source.pad.push_event(gst::event::Eos::new());
        source.pad
    }
}

/// Programme and returns of these inputs, as bytes.
fn mix(plans: &[Plan], out: &gst::Caps) -> Vec<Vec<u8>> {
    let rig = Rig::new(false);
    let sources: Vec<Source> = plans.iter().map(|_| rig.source()).collect();
    let names = (0..plans.len()).map(|n| format!("src_{n}"));
    let sinks: Vec<Sink> = std::iter::once("src".to_owned())
        .chain(names)
        .map(|n| Sink::new(&rig.element.static_pad(&n).unwrap(), Some(out.clone())))
        .collect();
    rig.play();
    thread::scope(|scope| {
        for (n, (plan, source)) in plans.iter().zip(sources).enumerate() {
            scope.spawn(move || plan.send(n, source));
        }
        sinks.iter().map(Sink::all).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_formats_their_changes_and_buffer_sizes_give_exactly_the_sum_of_all_others(
        plans in prop::collection::vec(plan(), 1..5)
    ) {
        let outs = mix(&plans, &caps("F32LE", 2));
        let longest = plans.iter().map(Plan::frames).max().unwrap();
        let heard: Vec<Vec<f32>> = plans.iter().enumerate().map(|(n, p)| p.heard(n)).collect();
        for (out, own) in outs.iter().zip(std::iter::once(None).chain((0..plans.len()).map(Some))) {
            let samples: Vec<f32> = out.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
            prop_assert!(samples.len().is_multiple_of(960));
            prop_assert!(samples.len() / 2 >= longest + 48);
            prop_assert!(samples.len() / 2 < longest + 48 + 2 * 480);
            for (n, x) in samples.iter().enumerate() {
                let wanted: f32 = match n.checked_sub(2 * 48) {
                    Some(at) => (0..plans.len())
                        .filter(|i| Some(*i) != own)
                        .filter_map(|i| heard[i].get(at))
                        .sum(),
                    None => 0.0,
                };
                prop_assert!((x - wanted).abs() < 1e-6, "{own:?} sample {n}: {x}, not {wanted}");
            }
        }
    }
}

#[test]
fn the_same_inputs_give_the_same_bytes_in_each_format() {
    let plans: Vec<Plan> = (1..=4)
        .map(|n| {
            let sent = |frames| Sent {
                format: ["F32LE", "S16LE"][n % 2],
                channels: n % 2 + 1,
                frames,
            };
            Plan([333 * n, 4096, 1, 480].map(sent).to_vec())
        })
        .collect();
    for (format, channels) in [("F32LE", 2), ("S16LE", 2), ("F32LE", 1), ("S16LE", 1)] {
        let first = mix(&plans, &caps(format, channels));
        assert!(first.iter().all(|out| out.iter().any(|b| *b != 0)));
        assert_eq!(
            first,
            mix(&plans, &caps(format, channels)),
            "{format} {channels}"
        );
    }
}

#[test]
fn ten_full_scale_inputs_never_pass_the_ceiling_nor_wrap_in_16_bits() {
    for (format, ceiling) in [("F32LE", 0.891_251_f32), ("S16LE", 29_205.0)] {
        let rig = Rig::new(false);
        let sources: Vec<Source> = (0..10).map(|_| rig.source()).collect();
        let names = (0..10).map(|n| format!("src_{n}"));
        let sinks: Vec<Sink> = std::iter::once("src".to_owned())
            .chain(names)
            .map(|n| Sink::new(&rig.element.static_pad(&n).unwrap(), Some(caps(format, 2))))
            .collect();
        rig.play();
        thread::scope(|scope| {
            for (n, mut source) in sources.into_iter().enumerate() {
                scope.spawn(move || {
                    for block in 0..50 {
                        source.push(&tone(150.0 * (n + 1) as f32, 1.0, block));
                    }
                    source.pad.push_event(gst::event::Eos::new());
                    source.pad
                });
            }
            for sink in &sinks {
                let bytes = sink.all();
                let samples: Vec<f32> = match format {
                    "F32LE" => bytes
                        .as_chunks()
                        .0
                        .iter()
                        .map(|b| f32::from_le_bytes(*b))
                        .collect(),
                    _ => bytes
                        .as_chunks()
                        .0
                        .iter()
                        .map(|b| f32::from(i16::from_le_bytes(*b)))
                        .collect(),
                };
                let loudest = samples.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
                assert!(
                    loudest <= ceiling && loudest > 0.9 * ceiling,
                    "{format}: {loudest}"
                );
                // Wrapping would jump from one end to the other.
                let steepest = samples
                    .windows(3)
                    .map(|w| (w[2] - w[0]).abs())
                    .fold(0.0, f32::max);
                assert!(steepest < 0.9 * ceiling, "{format}: {steepest}");
            }
        });
    }
}

#[test]
fn gaps_are_silence_and_what_comes_too_late_is_counted() {
    let rig = Rig::new(false);
    let (mut a, mut b) = (rig.source(), rig.source());
    let programme = rig.sink("src");
    rig.play();
    let a_pad = a.sink.clone();
    let out = thread::scope(|scope| {
        scope.spawn(move || {
            for block in 0..200 {
                b.push(&tone(400.0, 0.1, block));
            }
            b.pad.push_event(gst::event::Eos::new());
            b.pad
        });
        scope.spawn(move || {
            a.push(&tone(700.0, 0.1, 0).repeat(20));
            // A hole in the timestamps, one told by an event, and the past.
            a.skip(40 * 480);
            a.push(&tone(700.0, 0.1, 0).repeat(20));
            a.pad.push_event(
                gst::event::Gap::builder(BLOCK * 80)
                    .duration(BLOCK * 40)
                    .build(),
            );
            a.skip(40 * 480);
            a.push(&tone(700.0, 0.1, 0).repeat(20));
            let back = gst::FormattedSegment::<gst::ClockTime>::new();
            a.pad.push_event(gst::event::Segment::new(&back));
            let mut late = gst::Buffer::from_mut_slice(vec![0_u8; 480 * 8]);
            late.get_mut().unwrap().set_pts(BLOCK);
            a.pad.push(late).unwrap();
            a.pad.push_event(gst::event::Eos::new());
            a.pad
        });
        let bytes = programme.all();
        let samples = bytes.as_chunks().0.iter();
        samples
            .map(|b| f32::from_le_bytes(*b))
            .collect::<Vec<f32>>()
    });
    let there = |from: usize, to: usize| amplitude(&out[from * 960..to * 960], 700.0);
    for at in [0, 60, 120] {
        assert!(
            there(at + 1, at + 19) > 0.09,
            "{at}: {}",
            there(at + 1, at + 19)
        );
        assert!(there(at + 21, at + 59) < 1e-3, "{at}");
    }
    assert_eq!(a_pad.property::<u64>("dropped"), 480);
    assert_eq!(out.len() / 960, 201);
}

#[test]
fn a_gap_beyond_the_end_of_time_is_silence_like_any_other() {
    for live in [false, true] {
        let rig = Rig::new(live);
        let (mut host, guest) = (rig.source(), rig.source());
        let programme = rig.sink("src");
        rig.play();
        let latest = gst::ClockTime::MAX;
        for (from, length) in [(latest, latest), (latest - BLOCK, latest), (BLOCK, latest)] {
            let gap = gst::event::Gap::builder(from).duration(length).build();
            assert!(guest.pad.push_event(gap), "{from} {length}");
        }
        for block in 0..30 {
            host.push(&tone(400.0, 0.1, block));
            if live {
                rig.tick();
            }
            let heard = programme.block(block as u64);
            // Live, 30 ms fill the queue first.
            let silent = live && block < 4;
            assert!(silent || heard.iter().any(|x| x.abs() > 0.05), "{block}");
        }
        assert!(rig.bus.pop_filtered(&[gst::MessageType::Error]).is_none());
    }
}

#[test]
fn a_pad_that_comes_or_goes_while_others_wait_for_it_does_not_stop_mixing() {
    let rig = Rig::new(false);
    let mut a = rig.source();
    let programme = rig.sink("src");
    rig.play();
    a.push(&tone(400.0, 0.1, 0));
    programme.block(0);
    // Waited for: nothing comes until it is released.
    let silent = rig.source();
    a.push(&tone(400.0, 0.1, 1));
    rig.element.release_request_pad(&silent.sink);
    programme.block(1);
    let mut guest = rig.source();
    guest.skip(2 * 480);
    guest.push(&tone(600.0, 0.1, 2));
    a.push(&tone(400.0, 0.1, 2));
    let both = programme.block(2);
    assert!(
        amplitude(&both, 600.0) > 0.05,
        "{}",
        amplitude(&both, 600.0)
    );
}

#[test]
fn a_flush_forgets_what_waits_and_mixing_goes_on() {
    let rig = Rig::new(false);
    let (mut a, mut b) = (rig.source(), rig.source());
    let programme = rig.sink("src");
    rig.play();
    b.push(&tone(600.0, 0.1, 0).repeat(5));
    b.pad.push_event(gst::event::FlushStart::new());
    b.pad.push_event(gst::event::FlushStop::new(false));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    b.pad.push_event(gst::event::Segment::new(&segment));
    b.push(&tone(800.0, 0.1, 5));
    a.push(&tone(400.0, 0.1, 0).repeat(6));
    let heard: Vec<f32> = (0..6).flat_map(|n| programme.block(n)).collect();
    assert!(amplitude(&heard, 600.0) < 2e-2 && amplitude(&heard[5 * 960..], 800.0) > 0.05);
}

#[test]
fn what_a_segment_leaves_out_is_not_heard() {
    let rig = Rig::new(false);
    let mut source = rig.source();
    let sink = rig.sink("src");
    let ms = gst::ClockTime::from_mseconds;
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(ms(25));
    segment.set_stop(ms(55));
    source.pad.push_event(gst::event::Segment::new(&segment));
    rig.play();
    let heard = thread::scope(|scope| {
        scope.spawn(move || {
            for block in 0..10 {
                source.push(&[0.01 * (block + 1) as f32; 960]);
            }
            source.pad.push_event(gst::event::Eos::new());
        });
        sink.all()
    });
    let samples: Vec<f32> = heard
        .as_chunks()
        .0
        .iter()
        .map(|b| f32::from_le_bytes(*b))
        .collect();
    // Behind the limiter's 48 frames: the second half of the third block up to the first half of the sixth.
    let sound: Vec<f32> = samples.into_iter().skip(96).take(30 * 96).collect();
    for (block, level) in [
        (0..480, 0.03),
        (480..1440, 0.04),
        (1440..2400, 0.05),
        (2400..2880, 0.06),
    ] {
        assert!(
            sound[block].iter().all(|x| (x - level).abs() < 1e-6),
            "{level}"
        );
    }
}

#[test]
fn it_cannot_be_sought() {
    let rig = Rig::new(false);
    let _source = rig.source();
    let mut query = gst::query::Seeking::new(gst::Format::Time);
    assert!(rig.element.static_pad("src").unwrap().query(&mut query));
    assert!(!query.result().0);
}
