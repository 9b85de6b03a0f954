//! An input whose clock is not the pipeline's.

use gst::prelude::*;

use crate::rig::*;

const HZ: f32 = 1000.0;
const AMPLITUDE: f32 = 0.5;
/// Of frames in a packet: 20 ms, as browsers send.
const PACKET: u64 = 960;

/// Plays an input that is off by `ppm`, with packets late by up to `jitter` ms, for so many minutes of the test's clock. After
/// the first its queue may be `most_off` ms off its target.
fn stays_together(ppm: f64, jitter: f64, minutes: usize, most_off: f64) {
    let rig = Rig::new(true);
    let mut source = rig.source();
    let programme = rig.sink("src");
    rig.play();
    let per_block = 480.0 * (1.0 + ppm * 1e-6);
    let (mut packets, mut last, mut rough) = (0, [0.0_f32; 2], 0.0_f32);
    let (mut late, mut seed, mut off) = (0.0, 7_u32, 0.0_f64);
    let input = source.sink.clone();
    let silent = || input.property::<u64>("silent-blocks");
    let mut at_first = 0;
    for block in 0..minutes * 6_000 {
        // Half a block apart from the mixer, or rounding would say which comes first.
        let made = (block as f64 + 0.5) * per_block;
        while ((packets + 1) * PACKET) as f64 + late <= made {
            let n = 2 * packets as usize;
            source.push(&[tone(HZ, AMPLITUDE, n), tone(HZ, AMPLITUDE, n + 1)].concat());
            packets += 1;
            seed ^= seed << 13;
            seed ^= seed >> 17;
            seed ^= seed << 5;
            late = f64::from(seed) / f64::from(u32::MAX) * jitter * 48.0;
        }
        rig.tick();
        let buffer = programme.next().expect("a block, not EOS");
        assert_eq!(buffer.pts(), Some(BLOCK * block as u64));
        let discont = buffer.flags().contains(gst::BufferFlags::DISCONT);
        assert!(!discont || block == 0, "block {block}");
        let heard = floats(&buffer);
        // Filling the queue takes less than a second.
        if block == 100 {
            at_first = silent();
        } else if block > 100 {
            assert_eq!(silent(), at_first, "{ppm} ppm, block {block}");
            let joint = [last[0], 0.0, last[1], 0.0, heard[0], 0.0, heard[2], 0.0];
            rough = rough.max(roughness(&joint)).max(roughness(&heard));
            let queue = source.sink.property::<f64>("queue-ms");
            assert!((10.0..40.0).contains(&queue), "block {block}: {queue} ms");
            // The first minute brings the level from where the first packet left it.
            if block > 6_000 {
                off = off.max((queue - 30.0).abs());
                assert!(off < most_off, "block {block}: {queue} ms");
            }
        }
        last = [heard[956], heard[958]];
    }
    let shown = |name| source.sink.property::<f64>(name);
    assert_eq!(source.sink.property::<u64>("dropped"), 0);
    assert!(
        (shown("drift-ppm") - ppm).abs() < if jitter > 0.0 { 250.0 } else { 750.0 },
        "{}",
        shown("drift-ppm")
    );
    // The wave bends nowhere more than the sine at its top: no step and no corner.
    let own = AMPLITUDE * (std::f32::consts::TAU * HZ / 48_000.0).powi(2);
    assert!(rough < own * 1.02, "{ppm} ppm: {rough} against {own}");
    println!(
        "{ppm} ppm, {minutes} min: {jitter} jitter, {off:.2} off, {:.1} ms wait, {:.0} ppm, bend {:.4} of the sine's",
        shown("queue-ms"),
        shown("drift-ppm"),
        rough / own
    );
}

#[test]
fn an_input_300_ppm_too_fast_keeps_its_queue_and_is_heard_without_a_step() {
    stays_together(300.0, 10.0, 6, 5.0);
}

#[test]
fn an_input_500_ppm_too_slow_keeps_its_queue_and_is_heard_without_a_step() {
    stays_together(-500.0, 10.0, 4, 5.0);
}

/// Without jitter the mixer meets such packets for 20 s a little before they come, and then a little after: what it finds
/// waiting is 5 ms more or less than the mean.
#[test]
fn packets_that_slip_evenly_against_the_mixer_are_heard_without_a_step() {
    stays_together(300.0, 0.0, 4, 7.5);
    stays_together(-500.0, 0.0, 3, 7.5);
}
