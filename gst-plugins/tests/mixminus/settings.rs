//! What is set on the element and its pads is heard.

use gst::prelude::*;

use crate::rig::*;

fn db(x: f32) -> f32 {
    20.0 * x.max(1e-12).log10()
}

fn trim(source: &Source) -> f64 {
    source.sink.property("trim-db")
}

/// The music's level while the host speaks from 1 s to 3 s: 100 ms each, in dB to its own.
fn music_under_the_host(set: impl Fn(&gst::Pad)) -> Vec<f32> {
    let rig = Rig::new(true);
    let (mut host, mut music) = (rig.source(), rig.source());
    let programme = rig.sink("src");
    host.sink.set_property("duck-key", true);
    set(&music.sink);
    rig.play();
    let mut heard = Vec::new();
    for block in 0..700 {
        let speaks = (100..300).contains(&block);
        host.push(&tone(300.0, if speaks { 0.1 } else { 0.0 }, block));
        music.push(&tone(800.0, 0.1, block));
        rig.tick();
        heard.extend(programme.block(block as u64));
        if block == 299 {
            let down = db(amplitude(&heard[heard.len() - 9600..], 800.0) / 0.1);
            assert!((trim(&music) - f64::from(down)).abs() < 0.5, "{down}");
        }
    }
    let windows = heard.chunks_exact(10 * 960);
    windows.map(|w| db(amplitude(w, 800.0) / 0.1)).collect()
}

#[test]
fn music_gives_way_to_the_host_as_deep_and_as_fast_as_was_set() {
    let heard = music_under_the_host(|pad| {
        pad.set_property("duck-db", 15.0);
        pad.set_property("duck-attack-ms", 50.0);
        pad.set_property("duck-release-ms", 300.0);
    });
    // The first window holds the queue's filling.
    assert!(heard[1..10].iter().all(|x| x.abs() < 0.2), "{heard:?}");
    let under = &heard[15..30];
    assert!(under.iter().all(|x| (x + 15.0).abs() < 0.3), "{heard:?}");
    // A hang of 400 ms, then the release.
    assert!(heard[32] < -14.0 && heard[60].abs() < 0.1, "{heard:?}");

    let slow = music_under_the_host(|pad| {
        pad.set_property("duck-db", 6.0);
        pad.set_property("duck-attack-ms", 1_000.0);
        pad.set_property("duck-release-ms", 20_000.0);
    });
    // 63 % of the way after a second; 4.5 dB down after 1.4 s, and hardly up again in the end.
    assert!((-4.3..-3.0).contains(&slow[20]), "{slow:?}");
    assert!(slow[69] < -4.0 && slow[69] > -5.3, "{slow:?}");
    assert!(
        music_under_the_host(|_| {})[1..]
            .iter()
            .all(|x| x.abs() < 0.2)
    );
}

#[test]
fn levelling_brings_a_quiet_and_a_loud_guest_to_16_lufs_below_full_scale() {
    let rig = Rig::new(true);
    // A stereo sine of 1 kHz has the loudness of its peak in dBFS. Each guest hears the other one.
    let levels = [-26.0_f32, -12.0];
    let mut guests = levels.map(|_| rig.source());
    let sinks = [rig.sink("src_1"), rig.sink("src_0")];
    for guest in &guests {
        guest.sink.set_property("levelling", true);
    }
    rig.play();
    let mut heard = [Vec::new(), Vec::new()];
    for block in 0..1_500 {
        for (guest, level) in guests.iter_mut().zip(levels) {
            guest.push(&tone(1000.0, 10.0_f32.powf(level / 20.0), block));
        }
        rig.tick();
        for (sink, heard) in sinks.iter().zip(&mut heard) {
            heard.extend(sink.block(block as u64));
        }
    }
    for ((guest, level), heard) in guests.iter().zip(levels).zip(&heard) {
        let there = db(amplitude(&heard[1_400 * 960..], 1000.0));
        assert!((there + 16.0).abs() < 0.6, "{level}: {there} LUFS");
        let wanted = f64::from(-16.0 - level);
        assert!((trim(guest) - wanted).abs() < 0.6, "{}", trim(guest));
    }
    // Off, it goes back.
    guests[0].sink.set_property("levelling", false);
    let mut after = Vec::new();
    for block in 1_500..1_700 {
        for (guest, level) in guests.iter_mut().zip(levels) {
            guest.push(&tone(1000.0, 10.0_f32.powf(level / 20.0), block));
        }
        rig.tick();
        after.extend(sinks[0].block(block as u64));
    }
    let there = db(amplitude(&after[100 * 960..], 1000.0));
    assert!((there + 26.0).abs() < 0.1, "{there}");
}

#[test]
fn so_much_waits_as_queue_ms_says() {
    for ms in [10, 20, 25, 30, 40] {
        let rig = Rig::new(true);
        rig.element.set_property("queue-ms", ms as u32);
        let mut source = rig.source();
        let programme = rig.sink("src");
        rig.play();
        let mut query = gst::query::Latency::new();
        assert!(rig.element.static_pad("src").unwrap().query(&mut query));
        let least = query.result().1;
        assert_eq!(least, gst::ClockTime::from_mseconds(ms + 11), "{ms}");
        rig.clock.wait_for_next_pending_id();
        assert_eq!(rig.clock.next_entry_time(), Some(least));
        // Half a minute: the queue neither runs dry nor grows. A buffer of 10 ms needs 25 to leave no hole.
        let wanted = if ms < 20 { 25 } else { ms };
        for block in 0..3_000 {
            source.push(&tone(400.0, 0.1, block));
            rig.tick();
            programme.block(block as u64);
        }
        let silent = source.sink.property::<u64>("silent-blocks");
        assert_eq!(silent, wanted.div_ceil(10) - 1, "{ms} ms");
        let waits = source.sink.property::<f64>("queue-ms");
        assert!((waits - wanted as f64).abs() < 1.0, "{ms} ms: {waits}");
    }
}
