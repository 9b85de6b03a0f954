//! Sound for the tests of the mixer and of its element (`tests/mixminus`), and what they look for in it.

use std::f64::consts::TAU;

/// A block of a tone; both channels the same.
pub fn tone(hz: f32, amplitude: f32, block: usize) -> [f32; 960] {
    std::array::from_fn(|i| {
        let periods = (block * 480 + i / 2) as f64 * f64::from(hz) / 48_000.0;
        amplitude * (periods.fract() as f32 * TAU as f32).sin()
    })
}

/// Amplitude of one frequency on the left.
pub fn amplitude(samples: &[f32], hz: f32) -> f32 {
    let (mut re, mut im) = (0.0_f64, 0.0_f64);
    for (n, [left, _]) in samples.as_chunks::<2>().0.iter().enumerate() {
        let angle = (n as f64 * f64::from(hz) / 48_000.0).fract() * TAU;
        re += f64::from(*left) * angle.cos();
        im += f64::from(*left) * angle.sin();
    }
    (2.0 * re.hypot(im) / (samples.len() as f64 / 2.0)) as f32
}

/// The greatest bend of the wave on the left: a click is a corner or a step.
pub fn roughness(samples: &[f32]) -> f32 {
    let left: Vec<f32> = samples.iter().step_by(2).copied().collect();
    left.windows(3)
        .map(|w| (w[0] - 2.0 * w[1] + w[2]).abs())
        .fold(0.0, f32::max)
}
