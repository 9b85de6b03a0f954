#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::f32::consts::TAU;

use super::*;
use crate::{BLOCK_FRAMES, meter::FLOOR_DB};
use sound::{amplitude, roughness, tone};

mod peaks;
mod settings;
mod sound;
mod talkback;

const SILENCE: Block = [0.0; BLOCK_SAMPLES];

fn db(x: f32) -> f32 {
    20.0 * x.max(1e-12).log10()
}

/// Runs `blocks` blocks of what `input` gives; the programme and the returns, end to end.
fn run(
    mixer: &mut MixMinus,
    blocks: usize,
    mut input: impl FnMut(usize, usize) -> Block,
    mut before: impl FnMut(usize, &mut MixMinus),
) -> (Vec<f32>, Vec<Vec<f32>>) {
    let n = mixer.inputs();
    let (mut programme, mut returns) = (Vec::new(), vec![Vec::new(); n]);
    for block in 0..blocks {
        before(block, mixer);
        let inputs: Vec<Block> = (0..n).map(|i| input(i, block)).collect();
        let mut mix = SILENCE;
        let mut backs = vec![SILENCE; n];
        mixer.process(
            &inputs.iter().map(Some).collect::<Vec<_>>(),
            &mut mix,
            &mut backs,
        );
        programme.extend(mix);
        for (all, back) in returns.iter_mut().zip(&backs) {
            all.extend(back);
        }
    }
    (programme, returns)
}

/// Whole periods of each in 50 blocks, so that they don't leak into one another.
fn hz(input: usize) -> f32 {
    300.0 + 200.0 * input as f32
}

#[test]
fn a_return_has_every_tone_but_the_own_which_is_80_db_down() {
    let mut mixer = MixMinus::new(16);
    let (programme, returns) = run(&mut mixer, 60, |i, b| tone(hz(i), 0.05, b), |_, _| {});
    let settled = 10 * BLOCK_SAMPLES..;
    for i in 0..16 {
        assert!(
            (amplitude(&programme[settled.clone()], hz(i)) - 0.05).abs() < 5e-4,
            "{i}"
        );
        for (j, back) in returns.iter().enumerate() {
            let a = amplitude(&back[settled.clone()], hz(i));
            if i == j {
                assert!(
                    db(a) - db(0.05) < -80.0,
                    "{i} hears itself at {} dB",
                    db(a / 0.05)
                );
            } else {
                assert!((a - 0.05).abs() < 5e-4, "{j} hears {i} at {a}");
            }
        }
    }
}

#[test]
fn the_own_tone_stays_away_when_all_limiters_work() {
    let mut mixer = MixMinus::new(10);
    let (_, returns) = run(&mut mixer, 110, |i, b| tone(hz(i), 0.7, b), |_, _| {});
    for (i, back) in returns.iter().enumerate() {
        // The gain moves, which spreads the other tones a little: 60 dB are what a listener is promised.
        let a = amplitude(&back[60 * BLOCK_SAMPLES..], hz(i));
        assert!(
            db(a / 0.7) < -60.0,
            "{i} hears itself at {} dB",
            db(a / 0.7)
        );
    }
}

#[test]
fn below_the_ceiling_the_limiter_changes_no_bit() {
    let mut mixer = MixMinus::new(1);
    let block = |b: usize| tone(440.0, 0.85, b);
    let (programme, _) = run(&mut mixer, 20, |_, b| block(b), |_, _| {});
    let source: Vec<f32> = (0..20).flat_map(block).collect();
    assert_eq!(
        programme[2 * LATENCY_FRAMES..],
        source[..source.len() - 2 * LATENCY_FRAMES]
    );
}

#[test]
fn gain_and_mute_do_not_click() {
    let plain = {
        let (programme, _) = run(
            &mut MixMinus::new(1),
            40,
            |_, b| tone(200.0, 0.5, b),
            |_, _| {},
        );
        roughness(&programme[BLOCK_SAMPLES..])
    };
    let (programme, _) = run(
        &mut MixMinus::new(1),
        60,
        |_, b| tone(200.0, 0.5, b),
        |block, mixer| match block {
            10 | 31 => mixer.set_mute(0, true),
            20 | 32 => mixer.set_mute(0, false),
            40 => mixer.set_gain_db(0, -20.0),
            41 => mixer.set_gain_db(0, 3.0),
            _ => {}
        },
    );
    let rough = roughness(&programme[BLOCK_SAMPLES..]);
    assert!(
        rough < plain * 2.0,
        "{rough} against {plain} of the plain tone"
    );
    let muted = &programme[14 * BLOCK_SAMPLES..19 * BLOCK_SAMPLES];
    assert!(muted.iter().all(|x| *x == 0.0));
    let last = amplitude(&programme[50 * BLOCK_SAMPLES..], 200.0);
    assert!((db(last / 0.5) - 3.0).abs() < 0.05, "{last}");
}

#[test]
fn the_limiter_does_not_click_when_it_takes_hold_and_lets_go() {
    let ramp = |b: usize| if (10..20).contains(&b) { 1.6 } else { 0.5 };
    let (programme, _) = run(
        &mut MixMinus::new(1),
        60,
        |_, b| tone(100.0, ramp(b), b),
        |_, _| {},
    );
    let unlimited: Vec<f32> = (0..60).flat_map(|b| tone(100.0, ramp(b), b)).collect();
    assert!(roughness(&programme[BLOCK_SAMPLES..]) <= roughness(&unlimited[BLOCK_SAMPLES..]) * 1.1);
    let after = amplitude(&programme[50 * BLOCK_SAMPLES..], 100.0);
    assert!(db(after / 0.5).abs() < 0.2, "300 ms later {after}");
}

#[test]
fn the_gain_bows_to_a_sudden_peak_before_it_comes_and_not_in_a_step() {
    let clap = 4 * BLOCK_SAMPLES;
    let (programme, _) = run(
        &mut MixMinus::new(1),
        8,
        |_, b| {
            let mut block = [0.8; BLOCK_SAMPLES];
            if b == 4 {
                block[..2].fill(1.6);
            }
            block
        },
        |_, _| {},
    );
    let comes_out = clap + 2 * LATENCY_FRAMES;
    let ahead = &programme[BLOCK_SAMPLES..comes_out];
    let steepest = ahead
        .windows(3)
        .map(|w| (w[2] - w[0]).abs())
        .fold(0.0, f32::max);
    // From 0.8 to half of it in 1 ms.
    assert!((0.005..0.02).contains(&steepest), "a step of {steepest}");
    assert!(ahead[ahead.len() - 1] < 0.5);
    assert!(programme[comes_out] <= OUTPUT_CEILING && programme[comes_out] > 0.8);
}

#[test]
fn broken_samples_reach_nobody() {
    let mut mixer = MixMinus::new(2);
    let mut broken = tone(500.0, 0.3, 0);
    broken[10] = f32::NAN;
    broken[11] = f32::INFINITY;
    broken[12] = 1e30;
    broken[13] = -f32::MAX;
    let (programme, returns) = run(
        &mut mixer,
        20,
        |i, b| if i == 0 { broken } else { tone(700.0, 0.2, b) },
        |_, _| {},
    );
    for out in returns.iter().chain([&programme]) {
        assert!(out.iter().all(|x| x.abs() <= OUTPUT_CEILING));
    }
    mixer.set_gain_db(0, f32::NAN);
    mixer.set_gain_db(99, 3.0);
    mixer.set_mute(99, true);
    assert!(mixer.meter(99).is_none());
}

#[test]
fn an_input_without_sound_is_silent_and_unmuting_it_is_ready_at_once() {
    let mut mixer = MixMinus::new(2);
    let (mut mix, mut backs) = (SILENCE, [SILENCE; 2]);
    let sound = tone(500.0, 0.3, 0);
    mixer.process(&[Some(&sound), None], &mut mix, &mut backs);
    mixer.set_mute(1, true);
    mixer.process(&[None, None], &mut mix, &mut backs);
    assert!(mix[2 * LATENCY_FRAMES..].iter().all(|x| *x == 0.0));
    mixer.set_mute(1, false);
    mixer.process(&[None, None], &mut mix, &mut backs);
    assert!(backs.iter().flatten().all(|x| *x == 0.0));
    mixer.process(&[None, Some(&sound)], &mut mix, &mut backs);
    assert_eq!(
        mix[2 * LATENCY_FRAMES..],
        sound[..BLOCK_SAMPLES - 2 * LATENCY_FRAMES]
    );
}

#[test]
fn meters_show_the_level_and_who_speaks() {
    let mut mixer = MixMinus::new(2);
    let amplitude = |b: usize| match b {
        0..50 => 0.1,
        // A pause between words, then the end.
        50..70 => 0.0,
        70..120 => 0.1,
        _ => 0.0001,
    };
    let mut heard = Vec::new();
    run(
        &mut mixer,
        220,
        |i, b| {
            if i == 0 {
                tone(1000.0, amplitude(b), b)
            } else {
                SILENCE
            }
        },
        |_, m| {
            let [a, b] = [0, 1].map(|i| m.meter(i).unwrap().clone());
            heard.push((
                a.level_db(),
                a.peak_db(),
                a.speaking(),
                b.level_db(),
                b.speaking(),
            ));
        },
    );
    let (level, peak, ..) = heard[40];
    assert!(
        (level + 23.01).abs() < 0.1,
        "a sine of 0.1 has -23 dB RMS, shown as {level}"
    );
    assert!(
        (peak + 20.0).abs() < 0.1,
        "and peaks at -20 dB, shown as {peak}"
    );
    let changes: Vec<usize> = (1..220).filter(|b| heard[*b].2 != heard[b - 1].2).collect();
    assert_eq!(changes.len(), 2, "speaking turned at blocks {changes:?}");
    assert!(
        changes[0] <= 3 && (160..180).contains(&changes[1]),
        "{changes:?}"
    );
    assert!(heard.iter().all(|h| h.3 == FLOOR_DB && !h.4));
}

#[test]
fn a_muted_voice_does_not_count_as_speaking() {
    let mut mixer = MixMinus::new(1);
    mixer.set_mute(0, true);
    run(&mut mixer, 20, |_, b| tone(500.0, 0.5, b), |_, _| {});
    let (_, _) = run(&mut mixer, 60, |_, b| tone(500.0, 0.5, b), |_, _| {});
    assert!(!mixer.meter(0).unwrap().speaking());
}
