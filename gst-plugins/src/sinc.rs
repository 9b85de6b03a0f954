//! Windowed-sinc weights: what a band-limited signal is between its samples.

use std::f64::consts::PI;

/// Weights of the `N` samples around a point that lies `at` (0 to 1) after the middle left one, sample N/2 - 1.
/// Kaiser window; `beta` trades how steep the filter is for how much of the images it leaves.
pub(crate) fn weights<const N: usize>(at: f64, beta: f64) -> [f32; N] {
    let half = N as f64 / 2.0;
    let raw: [f64; N] = std::array::from_fn(|k| {
        let x = k as f64 - (half - 1.0) - at;
        let sinc = if x.abs() < 1e-9 {
            1.0
        } else {
            (PI * x).sin() / (PI * x)
        };
        let edge = (1.0 - (x / half).powi(2)).max(0.0);
        sinc * bessel_i0(beta * edge.sqrt()) / bessel_i0(beta)
    });
    // A constant must stay the same constant.
    let sum: f64 = raw.iter().sum();
    raw.map(|w| (w / sum) as f32)
}

/// Whether kernels compiled for AVX2 and fused multiply-add may run here.
#[cfg(target_arch = "x86_64")]
pub(crate) fn has_fma() -> bool {
    std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma")
}

/// Modified Bessel function of order zero, by its series.
fn bessel_i0(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let (mut term, mut sum, mut k) = (1.0, 1.0, 1.0);
    while term > sum * 1e-12 {
        term *= quarter / (k * k);
        sum += term;
        k += 1.0;
    }
    sum
}
