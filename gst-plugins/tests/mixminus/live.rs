//! Mixing by the clock.

use gst::prelude::*;

use crate::rig::*;

fn db(x: f32) -> f32 {
    20.0 * x.max(1e-12).log10()
}

fn hz(input: usize) -> f32 {
    300.0 + 200.0 * input as f32
}

#[test]
fn each_return_holds_all_tones_but_the_own_which_is_80_db_down() {
    let rig = Rig::new(true);
    let mut sources: Vec<Source> = (0..10).map(|_| rig.source()).collect();
    let programme = rig.sink("src");
    let sinks: Vec<Sink> = (0..10).map(|n| rig.sink(&format!("src_{n}"))).collect();
    rig.play();
    let (mut mix, mut backs) = (Vec::new(), vec![Vec::new(); 10]);
    for block in 0..110 {
        for (n, source) in sources.iter_mut().enumerate() {
            source.push(&tone(hz(n), 0.05, block));
        }
        rig.tick();
        mix.extend(programme.block(block as u64));
        for (sink, back) in sinks.iter().zip(&mut backs) {
            back.extend(sink.block(block as u64));
        }
    }
    // After the queues have filled; whole periods of each tone.
    let settled = 10 * 960..;
    for (n, source) in sources.iter().enumerate() {
        let there = amplitude(&mix[settled.clone()], hz(n));
        assert!((there - 0.05).abs() < 1e-3, "{n}: {there}");
        for (m, back) in backs.iter().enumerate() {
            let there = amplitude(&back[settled.clone()], hz(n));
            if n == m {
                assert!(
                    db(there / 0.05) < -80.0,
                    "{n} hears itself: {} dB",
                    db(there / 0.05)
                );
            } else {
                assert!((there - 0.05).abs() < 1e-3, "{m} hears {n}: {there}");
            }
        }
        let counts = ["dropped", "silent-blocks"].map(|p| source.sink.property::<u64>(p));
        assert_eq!(counts, [0, 2], "the queue fills for 30 ms");
    }
}

#[test]
fn a_late_input_is_silence_counted_and_delays_nobody() {
    let rig = Rig::new(true);
    let (mut steady, mut late) = (rig.source(), rig.source());
    let programme = rig.sink("src");
    rig.play();
    let mut heard = Vec::new();
    for block in 0..100 {
        steady.push(&tone(500.0, 0.1, block));
        if !(40..60).contains(&block) {
            late.push(&tone(700.0, 0.1, block));
        }
        rig.tick();
        heard.extend(programme.block(block as u64));
    }
    let silent = |s: &Source| s.sink.property::<u64>("silent-blocks");
    assert_eq!(silent(&steady), 2);
    // 20 blocks late, less what waited, and the time until 30 ms wait again.
    assert!((19..=23).contains(&silent(&late)), "{}", silent(&late));
    assert!(amplitude(&heard[44 * 960..58 * 960], 700.0) < 1e-3);
    assert!((amplitude(&heard[44 * 960..58 * 960], 500.0) - 0.1).abs() < 1e-2);
    assert!(amplitude(&heard[70 * 960..90 * 960], 700.0) > 0.09);
}

#[test]
fn an_output_that_is_stalled_flushing_or_not_linked_holds_up_nobody_and_comes_back() {
    let rig = Rig::new(true);
    let mut sources: Vec<Source> = (0..3).map(|_| rig.source()).collect();
    let programme = rig.sink("src");
    let [stalled, flushing] = ["src_0", "src_1"].map(|n| rig.sink(n));
    rig.play();
    let mut block = 0;
    let mut run = |blocks: usize| {
        for _ in 0..blocks {
            for source in &mut sources {
                source.push(&tone(400.0, 0.1, block));
            }
            rig.tick();
            programme.block(block as u64);
            block += 1;
        }
    };
    run(5);
    (0..5).for_each(|n| drop((stalled.block(n), flushing.block(n))));
    stalled.set_shut(true);
    let src_1 = rig.element.static_pad("src_1").unwrap();
    src_1.push_event(gst::event::FlushStart::new());
    run(1);
    assert_eq!(stalled.block(5).len(), 960, "it is in the push now");
    run(99);
    let dropped = |name| {
        rig.element
            .static_pad(name)
            .unwrap()
            .property::<u64>("dropped")
    };
    // The newest 25 wait.
    assert_eq!(dropped("src_0"), 99 - 25);
    src_1.push_event(gst::event::FlushStop::new(false));
    stalled.set_shut(false);
    for n in 80..105 {
        stalled.block(n);
    }
    run(5);
    let again = flushing.next().unwrap();
    assert!(again.flags().contains(gst::BufferFlags::DISCONT));
    assert!(again.pts().unwrap() >= BLOCK * 5);
    // Linked only now.
    let third = rig.sink("src_2");
    run(5);
    assert!(
        third.next().unwrap().pts().unwrap() >= BLOCK * (109 - 25),
        "only what waited"
    );
}

#[test]
fn a_thousand_pads_come_and_go_without_a_lost_block_or_a_leak() {
    let rig = Rig::new(true);
    let mut host = rig.source();
    let (programme, host_hears) = (rig.sink("src"), rig.sink("src_0"));
    rig.play();
    let mut gone = Vec::new();
    let mut guests: std::collections::VecDeque<(Source, Sink)> = Default::default();
    let mut heard = Vec::new();
    for block in 0..1_000 {
        let mut guest = rig.source();
        let src = guest.sink.name().replace("sink", "src");
        let sink = rig.sink(&src);
        guest.push(&[tone(600.0, 0.01, block), tone(600.0, 0.01, block)].concat());
        guests.push_back((guest, sink));
        host.push(&tone(400.0, 0.1, block));
        rig.tick();
        heard.extend(programme.block(block as u64));
        host_hears.block(block as u64);
        for (guest, sink) in &mut guests {
            assert_eq!(sink.next().unwrap().pts(), Some(BLOCK * block as u64));
            guest.push(&tone(600.0, 0.01, block));
        }
        if guests.len() == 6 {
            let (guest, sink) = guests.pop_front().unwrap();
            let name = guest.sink.name().replace("sink", "src");
            let src = rig.element.static_pad(&name).unwrap();
            rig.element.release_request_pad(&guest.sink);
            assert!(rig.element.static_pad(&name).is_none());
            gone.push(guest.sink.downgrade());
            gone.push(src.downgrade());
            drop((guest, sink, src));
        }
    }
    assert_eq!(gone.len(), 2 * 995);
    // Messages on the bus hold the pads that they are about.
    rig.bus.set_flushing(true);
    assert!(gone.iter().all(|pad| pad.upgrade().is_none()), "pads leak");
    assert_eq!(rig.element.pads().len(), 1 + 2 * (1 + guests.len()));
    // The host was heard all the time, without a step.
    let host = &heard[10 * 960..];
    assert!((amplitude(&host[..980 * 960], 400.0) - 0.1).abs() < 1e-3);
    assert!(
        roughness(host) < 4.0 * roughness(&tone(400.0, 0.1, 0)),
        "{}",
        roughness(host)
    );
}

#[test]
fn flush_caps_and_eos_of_one_input_leave_the_rest_alone() {
    let rig = Rig::new(true);
    let (mut host, mut guest) = (rig.source(), rig.source());
    let programme = rig.sink("src");
    rig.play();
    let mut heard = Vec::new();
    for block in 0..200 {
        host.push(&tone(400.0, 0.1, block));
        match block {
            50 => {
                guest.pad.push_event(gst::event::FlushStart::new());
                assert_eq!(
                    guest.push_bytes(vec![0; 3840], 480),
                    Err(gst::FlowError::Flushing)
                );
            }
            60 => {
                guest.pad.push_event(gst::event::FlushStop::new(true));
                let segment = gst::FormattedSegment::<gst::ClockTime>::new();
                guest.pad.push_event(gst::event::Segment::new(&segment));
            }
            100 => drop(
                guest
                    .pad
                    .push_event(gst::event::Caps::new(&caps("S16LE", 1))),
            ),
            150 => drop(guest.pad.push_event(gst::event::Eos::new())),
            _ => {}
        }
        let sound = tone(700.0, 0.1, block);
        match block {
            0..50 | 60..100 => guest.push(&sound),
            100..150 => {
                let left = sound.iter().step_by(2);
                let bytes = left.flat_map(|x| ((x * 32_768.0) as i16).to_le_bytes());
                guest.push_bytes(bytes.collect(), 480).unwrap();
            }
            _ => {}
        }
        rig.tick();
        heard.extend(programme.block(block as u64));
    }
    let in_blocks = |from: usize, to: usize, hz| amplitude(&heard[from * 960..to * 960], hz);
    for (from, to) in [(10, 50), (52, 60), (70, 98), (105, 145), (160, 200)] {
        assert!((in_blocks(from, to, 400.0) - 0.1).abs() < 1e-3, "{from}");
    }
    assert!(in_blocks(52, 60, 700.0) < 1e-3 && in_blocks(160, 200, 700.0) < 1e-3);
    assert!((in_blocks(70, 90, 700.0) - 0.1).abs() < 2e-3);
    assert!((in_blocks(110, 140, 700.0) - 0.1).abs() < 2e-3);
    assert_eq!(
        guest.push_bytes(vec![0; 960], 480),
        Err(gst::FlowError::Eos)
    );
    host.pad.push_event(gst::event::Eos::new());
    // What waits is still heard, then all have ended.
    for _ in 200..206 {
        rig.tick();
    }
    let mut left = 0;
    while programme.next().is_some() {
        left += 1;
    }
    assert!((3..=6).contains(&left), "{left}");
}

#[test]
fn mute_gain_and_pan_of_a_pad_do_not_click() {
    let rig = Rig::new(true);
    let mut source = rig.source();
    let programme = rig.sink("src");
    rig.play();
    let mut heard = Vec::new();
    for block in 0..100 {
        source.push(&tone(200.0, 0.2, block));
        match block {
            20 | 30 => source.sink.set_property("mute", block == 20),
            40 => source.sink.set_property("gain-db", -20.0),
            50 => source.sink.set_property("gain-db", 6.0),
            60 => source.sink.set_property("pan", -1.0),
            70 => source.sink.set_property("pan", 0.5),
            _ => {}
        }
        rig.tick();
        heard.extend(programme.block(block as u64));
    }
    assert!(heard[24 * 960..29 * 960].iter().all(|x| *x == 0.0), "muted");
    let rough = roughness(&heard[10 * 960..]);
    let plain = roughness(&tone(200.0, 0.2, 0));
    assert!(rough < 3.0 * plain, "{rough} against {plain}");
    assert!(amplitude(&heard[90 * 960..], 200.0) > 0.2);
}

#[test]
fn latency_is_that_of_the_queue_and_levels_are_told() {
    let rig = Rig::new(true);
    let mut source = rig.source();
    let programme = rig.sink("src");
    rig.play();
    let mut query = gst::query::Latency::new();
    assert!(rig.element.static_pad("src").unwrap().query(&mut query));
    let (live, least, most) = query.result();
    assert!(live && least == gst::ClockTime::from_mseconds(41));
    assert_eq!(most, Some(gst::ClockTime::from_mseconds(291)));
    // The first block is stamped 0 and comes that much later.
    rig.clock.wait_for_next_pending_id();
    assert_eq!(rig.clock.next_entry_time(), Some(least));
    for block in 0..20 {
        source.push(&tone(400.0, 0.1, block));
        rig.tick();
        programme.block(block as u64);
    }
    let mut told = Vec::new();
    while told.len() < 2 {
        let patience = gst::ClockTime::from_seconds(60);
        let message = rig
            .bus
            .timed_pop_filtered(patience, &[gst::MessageType::Element]);
        told.push(message.unwrap().structure().unwrap().to_owned());
    }
    let last = &told[1];
    assert_eq!(last.name(), "daismixminus-levels");
    assert_eq!(
        last.get::<gst::ClockTime>("running-time").unwrap(),
        BLOCK * 19
    );
    let inputs = last.get::<gst::ArrayRef>("inputs").unwrap();
    let input = inputs[0].get::<gst::Structure>().unwrap();
    assert_eq!(input.name(), "sink_0");
    assert!(
        (input.get::<f64>("level-db").unwrap() + 23.0).abs() < 0.1,
        "{input}"
    );
    assert!(
        (input.get::<f64>("peak-db").unwrap() + 20.0).abs() < 0.1,
        "{input}"
    );
    assert!(input.get::<bool>("speaking").unwrap());
    assert!(source.sink.property::<bool>("speaking"));
    let mix = last.get::<gst::Structure>("programme").unwrap();
    assert!(
        (mix.get::<f64>("level-db").unwrap() + 23.0).abs() < 0.1,
        "{mix}"
    );
}

#[test]
fn buffers_longer_than_the_queue_play_without_a_hole() {
    let rig = Rig::new(true);
    let mut source = rig.source();
    let programme = rig.sink("src");
    rig.play();
    let long =
        |n: usize| -> Vec<f32> { (0..8).flat_map(|b| tone(400.0, 0.1, 8 * n + b)).collect() };
    for block in 0..240 {
        if block % 8 == 0 {
            source.push(&long(block / 8));
        }
        rig.tick();
        programme.block(block as u64);
    }
    let silent = source.sink.property::<u64>("silent-blocks");
    // Only at the start: two of them must be there.
    assert!(silent <= 12, "{silent}");
}

#[test]
fn it_pauses_and_starts_again() {
    let rig = Rig::new(true);
    let mut source = rig.source();
    let programme = rig.sink("src");
    for round in 0..3 {
        rig.play();
        for block in 0..5 {
            source.push(&tone(400.0, 0.1, block));
            rig.tick();
            let pts = programme.next().unwrap().pts().unwrap();
            assert!(block > 0 || round == 0 || pts > BLOCK, "time goes on");
        }
        let paused = rig.element.set_state(gst::State::Paused).unwrap();
        assert_eq!(paused, gst::StateChangeSuccess::NoPreroll);
        if round == 1 {
            rig.element.set_state(gst::State::Ready).unwrap();
            source.pad.push_event(gst::event::StreamStart::new("again"));
            source
                .pad
                .push_event(gst::event::Caps::new(&caps("F32LE", 2)));
        }
    }
}
