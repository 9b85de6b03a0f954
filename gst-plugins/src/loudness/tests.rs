#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::RATE;

/// A stereo 1 kHz sine: level in dBFS of its peak, and seconds.
fn feed(meter: &mut Loudness, parts: &[(f32, f64)], mut each: impl FnMut(f64, &Loudness)) {
    let mut frame = 0_u64;
    let mut seconds = 0.0;
    for (dbfs, duration) in parts {
        let amplitude = 10.0_f64.powf(f64::from(*dbfs) / 20.0);
        for _ in 0..(duration * 100.0).round() as usize {
            let block: Block = std::array::from_fn(|i| {
                let at = (frame + i as u64 / 2) as f64 * 1000.0 / f64::from(RATE);
                (amplitude * (at.fract() * std::f64::consts::TAU).sin()) as f32
            });
            frame += BLOCK_FRAMES as u64;
            seconds += 0.01;
            meter.feed(&block);
            each(seconds, meter);
        }
    }
}

fn integrated(parts: &[(f32, f64)]) -> f32 {
    let mut meter = Loudness::default();
    feed(&mut meter, parts, |_, _| {});
    meter.integrated()
}

#[track_caller]
fn assert_near(lufs: f32, wanted: f32) {
    assert!((lufs - wanted).abs() <= 0.1, "{lufs} LUFS, not {wanted}");
}

#[test]
fn tech_3341_cases_1_and_2_a_steady_tone_has_its_level_in_all_three_windows() {
    for level in [-23.0, -33.0] {
        let mut meter = Loudness::default();
        feed(&mut meter, &[(level, 20.0)], |_, _| {});
        assert_near(meter.momentary(), level);
        assert_near(meter.short_term(), level);
        assert_near(meter.integrated(), level);
    }
}

#[test]
fn tech_3341_cases_3_to_5_quiet_parts_do_not_count() {
    assert_near(
        integrated(&[(-36.0, 10.0), (-23.0, 60.0), (-36.0, 10.0)]),
        -23.0,
    );
    let four = [
        (-72.0, 10.0),
        (-36.0, 10.0),
        (-23.0, 60.0),
        (-36.0, 10.0),
        (-72.0, 10.0),
    ];
    assert_near(integrated(&four), -23.0);
    assert_near(
        integrated(&[(-26.0, 20.0), (-20.0, 20.1), (-26.0, 20.0)]),
        -23.0,
    );
}

#[test]
fn tech_3341_case_9_short_term_stands_still_over_a_three_second_pattern() {
    let pattern = [(-20.0, 1.34), (-30.0, 1.66)].repeat(5);
    feed(&mut Loudness::default(), &pattern, |at, meter| {
        if at > 3.005 {
            assert_near(meter.short_term(), -23.0);
        }
    });
}

#[test]
fn tech_3341_case_12_momentary_stands_still_over_a_pattern_of_400_ms() {
    let pattern = [(-20.0, 0.18), (-30.0, 0.22)].repeat(25);
    feed(&mut Loudness::default(), &pattern, |at, meter| {
        if at > 1.005 {
            assert_near(meter.momentary(), -23.0);
        }
    });
}

#[test]
fn tech_3341_cases_10_and_13_a_burst_as_long_as_the_window_shows_whole() {
    for shift in 0..20 {
        let before = f64::from(shift) * 0.15;
        let mut loudest = FLOOR_LUFS;
        feed(
            &mut Loudness::default(),
            &[(-200.0, before), (-23.0, 3.0), (-200.0, 1.0)],
            |_, m| loudest = loudest.max(m.short_term()),
        );
        assert_near(loudest, -23.0);
        let mut loudest = FLOOR_LUFS;
        feed(
            &mut Loudness::default(),
            &[
                (-200.0, f64::from(shift) * 0.02),
                (-23.0, 0.4),
                (-200.0, 1.0),
            ],
            |_, m| loudest = loudest.max(m.momentary()),
        );
        assert_near(loudest, -23.0);
    }
}

#[test]
fn silence_is_the_floor_and_not_infinity() {
    let meter = Loudness::default();
    let all = [meter.momentary(), meter.short_term(), meter.integrated()];
    assert_eq!(all, [FLOOR_LUFS; 3]);
}
