//! Pan, ducking and levelling.

use super::*;

#[test]
fn panning_keeps_the_power_and_the_middle_changes_nothing() {
    for step in -10..=10 {
        let pan = step as f32 / 10.0;
        let mut mixer = MixMinus::new(1);
        mixer.set_pan(0, pan);
        let (programme, _) = run(&mut mixer, 30, |_, b| tone(500.0, 0.2, b), |_, _| {});
        let power = |c: usize| -> f64 {
            let settled = &programme[10 * BLOCK_SAMPLES..];
            settled
                .iter()
                .skip(c)
                .step_by(2)
                .map(|x| f64::from(*x).powi(2))
                .sum()
        };
        let all = 20.0 * BLOCK_FRAMES as f64 * 0.02 * 2.0;
        assert!(
            ((power(0) + power(1)) / all - 1.0).abs() < 1e-3,
            "{pan}: {}",
            power(0) + power(1)
        );
        assert_eq!(power(0) > power(1), pan < 0.0, "{pan}");
        if pan.abs() == 1.0 {
            assert!(power(0).min(power(1)) == 0.0, "{pan}");
        }
    }
}

#[test]
fn pan_does_not_click() {
    let plain = |b| tone(200.0, 0.5, b);
    let (still, _) = run(&mut MixMinus::new(1), 40, |_, b| plain(b), |_, _| {});
    let (moved, _) = run(
        &mut MixMinus::new(1),
        40,
        |_, b| plain(b),
        |block, mixer| match block {
            10 => mixer.set_pan(0, -1.0),
            20 => mixer.set_pan(0, 0.4),
            21 => mixer.set_pan(0, -0.9),
            _ => {}
        },
    );
    let (still, moved) = (&still[BLOCK_SAMPLES..], &moved[BLOCK_SAMPLES..]);
    assert!(roughness(moved) < roughness(still) * 2.0);
    assert!(roughness(&moved[1..]) < roughness(still) * 2.0);
}

/// A host who speaks from 1 s to 3 s over music; the music's level in the programme, each 100 ms, in dB to its own.
fn music_under_the_host(ducking: Option<Ducking>) -> Vec<f32> {
    let mut mixer = MixMinus::new(2);
    mixer.set_ducks_others(0, true);
    mixer.set_ducking(1, ducking);
    let host = |b: usize| if (100..300).contains(&b) { 0.1 } else { 0.0 };
    let (programme, _) = run(
        &mut mixer,
        600,
        |i, b| {
            if i == 0 {
                tone(300.0, host(b), b)
            } else {
                tone(800.0, 0.1, b)
            }
        },
        |_, _| {},
    );
    let windows = programme.chunks_exact(10 * BLOCK_SAMPLES);
    windows.map(|w| db(amplitude(w, 800.0) / 0.1)).collect()
}

#[test]
fn music_goes_under_while_the_host_speaks_and_comes_back() {
    let heard = music_under_the_host(Some(Ducking {
        depth_db: 15.0,
        attack_ms: 50.0,
        release_ms: 300.0,
    }));
    assert!(heard[..10].iter().all(|x| x.abs() < 0.2), "{heard:?}");
    assert!(
        heard[14..30].iter().all(|x| (x + 15.0).abs() < 0.3),
        "{heard:?}"
    );
    // The hang of 400 ms, then the release.
    assert!(heard[32] < -14.0 && heard[59].abs() < 0.1, "{heard:?}");
    assert!(
        heard[34..].windows(2).all(|p| p[1] >= p[0] - 0.01),
        "{heard:?}"
    );
}

#[test]
fn without_the_option_nothing_is_ducked_and_nobody_ducks_themselves() {
    assert!(music_under_the_host(None).iter().all(|x| x.abs() < 0.2));
    let mut mixer = MixMinus::new(1);
    mixer.set_ducks_others(0, true);
    mixer.set_ducking(0, Some(Ducking::default()));
    run(&mut mixer, 50, |_, b| tone(300.0, 0.2, b), |_, _| {});
    assert_eq!(mixer.trim_db(0), Some(0.0));
}

#[test]
fn ducking_does_not_click() {
    let mut mixer = MixMinus::new(2);
    mixer.set_ducks_others(0, true);
    mixer.set_ducking(
        1,
        Some(Ducking {
            depth_db: 60.0,
            attack_ms: 0.0,
            release_ms: f32::NAN,
        }),
    );
    let host = |b: usize| if (20..40).contains(&b) { 0.05 } else { 0.0 };
    let (_, returns) = run(
        &mut mixer,
        150,
        |i, b| {
            if i == 0 {
                tone(300.0, host(b), b)
            } else {
                tone(200.0, 0.5, b)
            }
        },
        |_, _| {},
    );
    // The host's return holds the music alone.
    let (plain, _) = run(
        &mut MixMinus::new(1),
        20,
        |_, b| tone(200.0, 0.5, b),
        |_, _| {},
    );
    assert!(roughness(&returns[0][BLOCK_SAMPLES..]) < 2.0 * roughness(&plain[BLOCK_SAMPLES..]));
}

/// A voice of 200 ms syllables, every 5 s a pause of 1 s with room noise; `level` in LUFS.
fn voice(block: usize, level: f32) -> Block {
    let pause = block % 600 >= 500;
    // A stereo sine of 1 kHz with this peak in dBFS has this loudness.
    let amplitude = if pause {
        10.0_f32.powf(-65.0 / 20.0)
    } else {
        10.0_f32.powf(level / 20.0)
    };
    tone(1000.0, amplitude, block)
}

#[test]
fn voices_are_brought_to_minus_16_lufs_slowly_and_within_bounds() {
    for (level, wanted) in [
        (-26.0, 10.0),
        (-10.0, -6.0),
        (-16.3, 0.0),
        (-40.0, 12.0),
        (-20.0, 4.0),
    ] {
        let mut mixer = MixMinus::new(1);
        mixer.set_levelling(0, Some(DEFAULT_TARGET_LUFS));
        let (mut last, mut fastest) = (0.0, 0.0_f32);
        run(
            &mut mixer,
            2_000,
            |_, b| voice(b, level),
            |_, m| {
                let now = m.trim_db(0).unwrap();
                fastest = fastest.max((now - last).abs());
                last = now;
            },
        );
        // The ends of a word count as a little quieter than its middle.
        assert!((last - wanted).abs() < 0.6, "{level} LUFS: {last} dB");
        assert!(fastest < 0.061, "{fastest} dB in a block");
    }
}

#[test]
fn levelling_stands_still_in_silence_and_in_pauses() {
    let mut mixer = MixMinus::new(1);
    mixer.set_levelling(0, Some(-16.0));
    run(&mut mixer, 1_500, |_, b| voice(b, -24.0), |_, _| {});
    let learnt = mixer.trim_db(0).unwrap();
    assert!((learnt - 8.0).abs() < 0.6, "{learnt}");
    let noise = 10.0_f32.powf(-60.0 / 20.0);
    run(&mut mixer, 3_000, |_, b| tone(1000.0, noise, b), |_, _| {});
    assert_eq!(mixer.trim_db(0), Some(learnt));
    let (mut mix, mut backs) = (SILENCE, [SILENCE]);
    for _ in 0..3_000 {
        mixer.process(&[None], &mut mix, &mut backs);
    }
    assert_eq!(mixer.trim_db(0), Some(learnt));
}

#[test]
fn switching_levelling_off_does_not_click() {
    let mut mixer = MixMinus::new(1);
    mixer.set_levelling(0, Some(-16.0));
    let sound = |b| tone(200.0, 0.03, b);
    run(&mut mixer, 1_500, |_, b| sound(b), |_, _| {});
    let before = run(&mut mixer, 20, |_, b| sound(b), |_, _| {}).0;
    mixer.set_levelling(0, None);
    let after = run(&mut mixer, 100, |_, b| sound(b), |_, _| {}).0;
    assert!(roughness(&after) < 1.5 * roughness(&before));
    let end = amplitude(&after[50 * BLOCK_SAMPLES..], 200.0);
    assert!((db(end / 0.03)).abs() < 0.01, "{end}");
}

#[test]
fn an_input_that_another_takes_is_as_new() {
    let mut mixer = MixMinus::new(1);
    assert_eq!(mixer.add_input(), 1);
    mixer.set_mute(1, true);
    mixer.set_levelling(1, Some(-16.0));
    run(&mut mixer, 20, |_, b| tone(300.0, 0.2, b), |_, _| {});
    mixer.reset_input(1);
    assert!(mixer.loudness(1).is_none());
    let (programme, _) = run(&mut mixer, 20, |i, b| tone(hz(i), 0.2, b), |_, _| {});
    let there = amplitude(&programme[4 * BLOCK_SAMPLES..], hz(1));
    assert!(there > 0.15, "{there}");
}

#[test]
fn levelling_that_is_under_way_stops_when_the_voice_does_and_noise_alone_is_never_raised() {
    let mut mixer = MixMinus::new(1);
    mixer.set_levelling(0, Some(-16.0));
    let noise = 10.0_f32.powf(-60.0 / 20.0);
    run(&mut mixer, 500, |_, b| tone(1000.0, noise, b), |_, _| {});
    assert_eq!(mixer.trim_db(0), Some(0.0));
    // 12 dB to go, at 2 dB a second.
    run(&mut mixer, 200, |_, b| voice(b, -28.0), |_, _| {});
    // What the window of 400 ms still holds of it.
    run(&mut mixer, 40, |_, b| tone(1000.0, noise, b), |_, _| {});
    let there = mixer.trim_db(0).unwrap();
    assert!((2.0..6.0).contains(&there), "{there}");
    run(&mut mixer, 500, |_, b| tone(1000.0, noise, b), |_, _| {});
    assert_eq!(mixer.trim_db(0), Some(there));
}
