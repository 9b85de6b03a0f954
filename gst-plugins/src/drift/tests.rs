#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::BLOCK_SAMPLES;

const HZ: f64 = 1000.0;

/// A source whose clock is off by `ppm`, as the box's clock sees it: packets of `packet_ms` of a sine, each late by up
/// to `jitter_ms`.
struct Source {
    ppm: f64,
    packet: usize,
    jitter_ms: f64,
    /// Each 200th packet is late by this, and holds up those behind it, as one does that is asked for once more.
    held_ms: f64,
    hz: f64,
    sent: usize,
    seed: u32,
    period: Vec<f32>,
    sound: Vec<f32>,
}

impl Source {
    fn new(ppm: f64, packet_ms: usize, jitter_ms: f64) -> Self {
        Self {
            ppm,
            packet: packet_ms * PER_MS,
            jitter_ms,
            held_ms: 0.0,
            hz: HZ,
            sent: 0,
            seed: 7,
            period: Vec::new(),
            sound: Vec::new(),
        }
    }

    fn random(&mut self) -> f64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 17;
        self.seed ^= self.seed << 5;
        f64::from(self.seed) / f64::from(u32::MAX)
    }

    /// Pushes everything that has arrived at `now_ms`.
    fn deliver(&mut self, now_ms: f64, due: &mut f64, queue: &mut DriftQueue) {
        while *due <= now_ms {
            self.send(self.packet, queue);
            let complete =
                (self.sent + self.packet) as f64 / (PER_MS as f64 * (1.0 + self.ppm * 1e-6));
            *due = complete + self.random() * self.jitter_ms;
            if self.sent.is_multiple_of(200 * self.packet) {
                *due += self.held_ms;
            }
        }
    }

    fn send(&mut self, frames: usize, queue: &mut DriftQueue) {
        self.sound.clear();
        if self.period.is_empty() {
            // All tones here have a whole number of periods in 240 samples.
            let at = |n: usize| n as f64 * self.hz / 48_000.0 * std::f64::consts::TAU;
            self.period
                .extend((0..240).map(|n| (0.5 * at(n).sin()) as f32));
        }
        let period = self.period.iter().cycle().skip(self.sent % 240);
        self.sound.extend(period.take(frames).flat_map(|x| [*x; 2]));
        queue.push(&self.sound);
        self.sent += frames;
    }
}

/// What is left of a second of sound when the best-fitting sine near `hz` is taken away, in dB below it.
/// `range` (as a part of `hz`) must be well under one period in all of `samples`.
fn residual_db(samples: &[f64], hz: f64, range: f64) -> f64 {
    let fit = |hz: f64| {
        let basis: Vec<(f64, f64)> = (0..samples.len())
            .map(|n| (n as f64 * hz / 48_000.0 * std::f64::consts::TAU).sin_cos())
            .collect();
        // Least squares for a·sin + b·cos.
        let (mut ss, mut cc, mut sc, mut sx, mut cx) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for ((s, c), x) in basis.iter().zip(samples) {
            ss += s * s;
            cc += c * c;
            sc += s * c;
            sx += s * x;
            cx += c * x;
        }
        let det = ss * cc - sc * sc;
        let (a, b) = ((sx * cc - cx * sc) / det, (cx * ss - sx * sc) / det);
        let rest: f64 = basis
            .iter()
            .zip(samples)
            .map(|((s, c), x)| (x - a * s - b * c).powi(2))
            .sum();
        rest / samples.len() as f64 / ((a * a + b * b) / 2.0)
    };
    // Golden-section search for the frequency.
    let (mut low, mut high) = (hz * (1.0 - range), hz * (1.0 + range));
    for _ in 0..60 {
        let (a, b) = (high - (high - low) * 0.618, low + (high - low) * 0.618);
        if fit(a) < fit(b) { high = b } else { low = a }
    }
    10.0 * fit((low + high) / 2.0).log10()
}

fn left(block: &Block) -> impl Iterator<Item = f64> + '_ {
    block.iter().step_by(2).map(|x| f64::from(*x))
}

/// Uncorrected, 300 ppm would be 2.2 s after two hours.
fn two_clocks_stay_together(ppm: f64, minutes: u32, seed: u32) {
    let mut queue = DriftQueue::default();
    let mut source = Source::new(ppm, 20, 10.0);
    source.seed = seed;
    let (mut due, mut out) = (20.0, [0.0; BLOCK_SAMPLES]);
    let mut window = Vec::new();
    let (mut off, mut worst, mut rough) = (0.0_f64, f64::NEG_INFINITY, 0.0_f32);
    let mut last = [0.0_f32; 2];
    for block in 0..minutes * 6_000 {
        source.deliver(f64::from(block) * 10.0 + 5.0, &mut due, &mut queue);
        let pulled = queue.pull(&mut out);
        let stats = queue.stats();
        if block > 100 {
            assert_eq!(pulled, Pulled::Ok, "{ppm} ppm, block {block}: {stats:?}");
            // The greatest bend of the wave, in all blocks and over their joints: a step or a corner shows here.
            let bend = |a: f32, b: f32, c: f32| (a - 2.0 * b + c).abs();
            rough = rough.max(bend(last[0], last[1], out[0]));
            rough = rough.max(bend(last[1], out[0], out[2]));
            let bends = out[4..].iter().zip(&out[2..]).zip(&out);
            rough = bends
                .map(|((c, b), a)| bend(*a, *b, *c))
                .fold(rough, |m, x| if x > m { x } else { m });
        }
        last = [out[BLOCK_SAMPLES - 4], out[BLOCK_SAMPLES - 2]];
        // The first minute brings the level from where the first packet left it.
        if block > 6_000 {
            off = off.max((stats.level_ms - 30.0).abs());
            assert!(off < 5.0, "{ppm} ppm, block {block}: {stats:?}");
            assert!(
                (stats.ppm - ppm).abs() < 250.0,
                "{ppm} ppm, block {block}: {stats:?}"
            );
        }
        // A tenth of a second now and then: its frequency may change with the ratio, its shape may not.
        if block % 36_000 >= 35_990 {
            window.extend(left(&out));
        }
        if block % 36_000 == 35_999 {
            worst = worst.max(residual_db(&window, HZ, 1.5e-3));
            assert!(worst < -60.0, "{ppm} ppm, block {block}: {worst} dB");
            window.clear();
        }
    }
    let stats = queue.stats();
    assert_eq!((stats.underruns, stats.dropped_frames), (0, 0), "{ppm} ppm");
    // The sine's own bend at its top is 0.5 * (2 pi / 48)^2.
    let own = 0.5 * (std::f32::consts::TAU / 48.0).powi(2);
    assert!(rough < own * 1.02, "{ppm} ppm: {rough} against {own}");
    if off > 0.0 {
        println!(
            "{ppm} ppm, {minutes} min: level at most {off:.2} ms off, residual at most {worst:.1} dB, bend {:.4} of the sine's",
            rough / own
        );
    }
}

#[test]
fn a_clock_300_ppm_too_fast_stays_together_with_ours_for_two_hours() {
    two_clocks_stay_together(300.0, 120, 7);
}

#[test]
fn a_clock_300_ppm_too_slow_stays_together_with_ours_for_two_hours() {
    two_clocks_stay_together(-300.0, 120, 7);
}

/// The most that is promised. What matters is the start, while the drift is being learnt: many of those.
#[test]
fn clocks_500_ppm_apart_stay_together_from_the_first_second_on() {
    for ppm in [500.0, -500.0] {
        two_clocks_stay_together(ppm, 20, 7);
        for seed in 1..60 {
            two_clocks_stay_together(ppm, 1, 7_919 * seed);
        }
    }
}

#[test]
fn a_sine_stays_a_sine_up_to_18_khz_at_the_greatest_ratio() {
    for hz in [100.0, 1000.0, 7000.0, 15_000.0, 18_000.0] {
        for step in [1.0, 1.001, 0.999, 1.000_3] {
            let frames: Vec<[f32; 2]> = (0..10_000)
                .map(|n| {
                    let x =
                        (0.5 * (f64::from(n) * hz / 48_000.0 * std::f64::consts::TAU).sin()) as f32;
                    [x, -x]
                })
                .collect();
            let mut out = vec![[0.0; 2]; 9_600];
            let (at, phase) = play(&frames, 0.3, step, &mut out);
            assert!((at as f64 + phase - 0.3 - 9_600.0 * step).abs() < 1e-6);
            let heard: Vec<f64> = out.iter().map(|f| f64::from(f[0])).collect();
            let residual = residual_db(&heard, hz * step, 0.0);
            assert!(residual < -60.0, "{hz} Hz at {step}: {residual} dB");
            assert!(out.iter().all(|f| f[0] == -f[1]), "channels differ");
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn what_fused_multiply_add_plays_is_what_the_portable_rung_plays() {
    println!(
        "resampler with AVX2 and FMA compared here: {}",
        sinc::has_fma()
    );
    if !sinc::has_fma() {
        return;
    }
    let mut source = Source::new(0.0, 10, 0.0);
    let frames: Vec<[f32; 2]> = (0..1_000)
        .map(|_| [0, 1].map(|_| (2.0 * source.random() - 1.0) as f32))
        .collect();
    for phase in [0.0, 0.001, 0.25, 0.5, 0.999_999] {
        for step in [0.999, 0.999_7, 1.0, 1.000_3, 1.001] {
            for len in [1, 7, 480, 900] {
                let (mut fused, mut plain) = (vec![[0.0; 2]; len], vec![[0.0; 2]; len]);
                let end = fma::play(&frames, phase, step, &mut fused);
                let portable = play_by(&frames, phase, step, &mut plain, |a, b, c| a * b + c);
                assert_eq!(end, portable, "{phase} {step}");
                // 32 products of at most 1, each rounded to 24 bits.
                let close = |(a, b): (&f32, &f32)| (a - b).abs() < 2e-6;
                let both = fused.as_flattened().iter().zip(plain.as_flattened());
                assert!(both.into_iter().all(close), "{phase} {step} {len}");
            }
        }
    }
}

fn fill(queue: &mut DriftQueue, ms: usize, value: f32) {
    queue.push(&vec![value; 2 * PER_MS * ms]);
}

#[test]
fn it_waits_for_the_target_at_the_start_and_after_each_underrun() {
    let mut queue = DriftQueue::new(30);
    let mut out = [1.0; BLOCK_SAMPLES];
    for round in 0..3 {
        assert_eq!(queue.pull(&mut out), Pulled::Underrun);
        fill(&mut queue, 25, 0.5);
        if round == 0 {
            assert_eq!(queue.pull(&mut out), Pulled::Underrun);
            assert!(out.iter().all(|x| *x == 0.0));
        }
        fill(&mut queue, 10, 0.5);
        for _ in 0..3 {
            assert_eq!(queue.pull(&mut out), Pulled::Ok);
        }
        assert_eq!(
            queue.pull(&mut out),
            Pulled::Underrun,
            "the rest is less than a block"
        );
        assert_eq!(
            queue.stats().underruns,
            round + 1,
            "counted once, not for each silent block"
        );
    }
}

#[test]
fn breaking_off_and_coming_back_do_not_click() {
    let mut queue = DriftQueue::new(30);
    let mut out = [0.0; BLOCK_SAMPLES];
    let mut heard = vec![0.0];
    for _ in 0..4 {
        fill(&mut queue, 45, 0.5);
        for _ in 0..9 {
            queue.pull(&mut out);
            heard.extend(left(&out));
        }
    }
    assert!(queue.stats().underruns >= 3);
    assert!(heard.iter().any(|x| *x > 0.49) && heard.iter().filter(|x| **x == 0.0).count() > 4_800);
    for (n, pair) in heard.windows(2).enumerate() {
        // A fade of 5 ms over 0.5 moves by 0.002 a sample.
        assert!((pair[1] - pair[0]).abs() < 0.01, "sample {n}: {pair:?}");
    }
}

#[test]
fn what_exceeds_200_ms_is_dropped_and_counted_also_when_nobody_pulls() {
    let mut queue = DriftQueue::new(30);
    for _ in 0..100 {
        fill(&mut queue, 17, 0.1);
        assert!(queue.waiting() - queue.skip <= MAX_FRAMES && queue.waiting() <= CAPACITY);
    }
    assert_eq!(queue.stats().dropped_frames, (1_700 - 200) * PER_MS as u64);
    let capacity = queue.frames.capacity();
    fill(&mut queue, 5_000, 0.1);
    assert_eq!(queue.stats().dropped_frames, (6_700 - 200) * PER_MS as u64);
    assert_eq!(queue.frames.capacity(), capacity, "it never grows");
    let mut out = [0.0; BLOCK_SAMPLES];
    assert_eq!(queue.pull(&mut out), Pulled::Ok);
    assert_eq!(queue.waiting() / PER_MS, 190);
}

#[test]
fn the_leftover_of_a_burst_is_skipped_without_a_click() {
    for burst_ms in [30, 60, 120] {
        let mut queue = DriftQueue::new(30);
        let mut source = Source::new(0.0, 10, 0.0);
        source.hz = 200.0;
        let mut out = [0.0; BLOCK_SAMPLES];
        let mut heard: Vec<f64> = Vec::new();
        source.send(30 * PER_MS, &mut queue);
        for block in 0..700 {
            source.send(source.packet, &mut queue);
            if block == 200 {
                // The network gives back at once what it held.
                source.send(burst_ms * PER_MS, &mut queue);
            }
            queue.pull(&mut out);
            if block > 100 {
                heard.extend(left(&out));
            }
        }
        // Five seconds later; the controller alone gets rid of 1 ms a second.
        let stats = queue.stats();
        let dropped_ms = stats.dropped_frames as usize / PER_MS;
        assert!(
            (burst_ms - 10..=burst_ms + 10).contains(&dropped_ms),
            "{burst_ms} ms: {stats:?}"
        );
        assert!(
            (stats.level_ms - 30.0).abs() < 15.0,
            "{burst_ms} ms: {stats:?}"
        );
        // The steepest step of the sine is 0.013; crossing over adds at most 1/240 of its height.
        for (n, pair) in heard.windows(2).enumerate() {
            assert!(
                (pair[1] - pair[0]).abs() < 0.02,
                "{burst_ms} ms, sample {n}: {pair:?}"
            );
        }
    }
}

/// A source, what it comes through, and a queue behind that.
struct Line {
    source: Source,
    due: f64,
    now: f64,
    queue: DriftQueue,
}

impl Line {
    fn new(jitter_ms: f64, held_ms: f64, queue: DriftQueue) -> Line {
        let mut source = Source::new(50.0, 20, jitter_ms);
        source.held_ms = held_ms;
        Line {
            source,
            due: 20.0,
            now: 5.0,
            queue,
        }
    }

    /// Plays for a while: how often sound broke off.
    fn breaks_in(&mut self, seconds: u32) -> u64 {
        let before = self.queue.stats().underruns;
        let mut out = [0.0; BLOCK_SAMPLES];
        for _ in 0..seconds * 100 {
            self.now += 10.0;
            self.source
                .deliver(self.now, &mut self.due, &mut self.queue);
            self.queue.pull(&mut out);
        }
        self.queue.stats().underruns - before
    }
}

#[test]
fn a_queue_behind_a_network_waits_for_as_long_as_that_needs() {
    for (jitter_ms, held_ms, target) in [
        (2.0, 0.0, 30.0..=32.0),
        (12.0, 0.0, 30.0..=38.0),
        (40.0, 0.0, 35.0..=60.0),
        (80.0, 0.0, 45.0..=90.0),
        (12.0, 70.0, 70.0..=110.0),
    ] {
        let mut fixed = Line::new(jitter_ms, held_ms, DriftQueue::default());
        let mut follows = Line::new(jitter_ms, held_ms, DriftQueue::through_network());
        let breaks =
            [&mut fixed, &mut follows].map(|line| (line.breaks_in(10), line.breaks_in(120)));
        let [fixed, follows_it] = breaks;
        let stats = follows.queue.stats();
        println!(
            "late by up to {jitter_ms} ms, some by {held_ms} more: fixed {fixed:?}, following {follows_it:?}, {:.0} ms",
            stats.target_ms
        );
        assert!(follows_it.0 <= 3 && follows_it.1 <= 1, "{stats:?}");
        assert!(target.contains(&stats.target_ms), "{stats:?}");
        assert!((stats.level_ms - stats.target_ms).abs() < 25.0, "{stats:?}");
        // What it is for.
        assert!(jitter_ms + held_ms < 30.0 || fixed.1 >= 20);
        // The network is better again: without a sound it is the old one.
        (follows.source.jitter_ms, follows.source.held_ms) = (2.0, 0.0);
        assert_eq!(follows.breaks_in(300), 0);
        let stats = follows.queue.stats();
        assert!((stats.level_ms - 30.0).abs() < 5.0, "{stats:?}");
    }
}

#[test]
fn a_guest_who_is_silent_for_long_is_not_waited_for_any_longer_afterwards() {
    let mut line = Line::new(2.0, 0.0, DriftQueue::through_network());
    line.breaks_in(10);
    line.due += 500.0;
    assert_eq!(line.breaks_in(10), 1);
    let stats = line.queue.stats();
    assert!(stats.target_ms < 32.0, "{stats:?}");
    line.queue.reset();
    assert_eq!(line.breaks_in(10), 0);
}

#[test]
fn whatever_comes_whenever_it_comes_does_no_harm() {
    for (seed, mut queue) in [
        (1, DriftQueue::default()),
        (2, DriftQueue::through_network()),
        (3, DriftQueue::through_network()),
    ] {
        let mut source = Source::new(0.0, 10, 0.0);
        source.seed = seed;
        let mut out = [0.0; BLOCK_SAMPLES];
        for _ in 0..200_000 {
            // 10 ms on average, mostly nothing, and at times a third of a second.
            if source.random() < 0.1 {
                let ms = 300.0 * source.random().powi(2);
                fill(&mut queue, ms as usize, 0.25);
            }
            queue.pull(&mut out);
            assert!(out.iter().all(|x| x.abs() <= 0.26));
            assert!(queue.skip <= queue.waiting());
        }
        let stats = queue.stats();
        assert!(stats.underruns > 0 && stats.dropped_frames > 0, "{stats:?}");
    }
}

#[test]
fn odd_lengths_and_broken_halves_do_no_harm() {
    let mut queue = DriftQueue::default();
    let mut out = [0.0; BLOCK_SAMPLES];
    for len in 0..2_000 {
        queue.push(&vec![0.25; len]);
        queue.pull(&mut out);
        assert!(out.iter().all(|x| x.abs() <= 0.26), "{len}");
    }
    queue.reset();
    assert_eq!(queue.pull(&mut out), Pulled::Underrun);
    assert!(out.iter().all(|x| *x == 0.0));
}
