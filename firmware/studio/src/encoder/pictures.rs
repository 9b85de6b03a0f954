//! The moving picture of a trial, and how near a decoded one comes to it.
//!
//! Eight *soft* pictures: waves of 64 pixels that move 8 pixels right and down with each picture, the colours' waves in
//! other directions than the brightness. They cost few bits, so that a right encoder gives them back nearly as they were;
//! neighbours are 17 dB apart, so that a picture that comes in another's place is known; and U is not V. Then eight *noisy*
//! pictures, which would take more bits than any encoder may use.

use super::VideoShape;

pub(super) const PHASES: usize = 8;
const PERIOD: usize = 64;
const SWING: f64 = 45.0;
/// How much the noise swings to both sides, in brightness.
const NOISE: u8 = 48;
/// Every so many rows are compared when pictures are only told apart.
const ROWS: usize = 4;

/// Three packed planes, chroma of half the size.
pub(super) type Planes = [Vec<u8>; 3];

pub(super) struct Pictures {
    pub soft: Vec<Planes>,
    pub noisy: Vec<Planes>,
    width: usize,
}

impl Pictures {
    pub fn new(shape: &VideoShape) -> Pictures {
        let size = (shape.width as usize, shape.height as usize);
        let mut random = 1u32;
        Pictures {
            soft: (0..PHASES).map(|n| soft(size, n)).collect(),
            noisy: (0..PHASES).map(|_| noisy(size, &mut random)).collect(),
            width: size.0,
        }
    }

    /// Which of the soft pictures this is most like in brightness, and by how many dB.
    pub fn nearest(&self, luma: &[u8]) -> (usize, f64) {
        let near = |n: usize| {
            let rows = self.soft[n][0]
                .chunks(self.width)
                .zip(luma.chunks(self.width))
                .step_by(ROWS);
            let (mut sum, mut count) = (0u64, 0u64);
            for (a, b) in rows {
                sum += squares(a, b);
                count += a.len() as u64;
            }
            decibels(sum, count)
        };
        (0..PHASES)
            .map(|n| (n, near(n)))
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .unwrap_or((0, 0.0))
    }
}

fn squares(a: &[u8], b: &[u8]) -> u64 {
    a.iter()
        .zip(b)
        .map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2))
        .sum()
}

fn decibels(sum: u64, count: u64) -> f64 {
    if sum == 0 {
        return 99.0;
    }
    10.0 * (255.0f64.powi(2) * count as f64 / sum as f64).log10()
}

/// PSNR = 10 log10(255² / mean square error) of each plane, in dB; 99 for equal planes.
pub(super) fn psnr(a: &Planes, b: &Planes) -> [f64; 3] {
    std::array::from_fn(|p| decibels(squares(&a[p], &b[p]), a[p].len() as u64))
}

fn soft((width, height): (usize, usize), n: usize) -> Planes {
    let wave = |period: usize| -> Vec<f64> {
        (0..period)
            .map(|x| SWING * (std::f64::consts::TAU * x as f64 / period as f64).sin())
            .collect()
    };
    let (long, short) = (wave(PERIOD), wave(PERIOD / 2));
    let (step, small) = (n * PERIOD / PHASES, n * PERIOD / PHASES / 2);
    let plane = |width: usize, height: usize, value: &dyn Fn(usize, usize) -> f64| {
        let mut plane = Vec::with_capacity(width * height);
        for y in 0..height {
            plane.extend((0..width).map(|x| value(x, y) as u8));
        }
        plane
    };
    let half = |side: usize| side.div_ceil(2);
    // A sample that was at x is at x + step.
    let at = |wave: &[f64], x: usize, step: usize| wave[(x + wave.len() - step) % wave.len()];
    [
        plane(width, height, &|x, y| {
            126.0 + at(&long, x, step) + at(&long, y, step)
        }),
        plane(half(width), half(height), &|x, _| {
            128.0 + at(&short, x, small)
        }),
        plane(half(width), half(height), &|_, y| {
            128.0 + at(&short, y, small)
        }),
    ]
}

fn noisy((width, height): (usize, usize), random: &mut u32) -> Planes {
    let mut plane = |count: usize, swing: u8| {
        (0..count)
            .map(|_| {
                *random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                128 - swing + ((*random >> 16) % (2 * u32::from(swing) + 1)) as u8
            })
            .collect()
    };
    let chroma = width.div_ceil(2) * height.div_ceil(2);
    [
        plane(width * height, NOISE),
        plane(chroma, NOISE / 3),
        plane(chroma, NOISE / 3),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_told_apart_and_colours_are_not_each_other() {
        let shape = VideoShape {
            width: 320,
            height: 180,
            fps: 30,
            kbps: 1000,
            keyframe: 60,
            baseline: false,
        };
        let pictures = Pictures::new(&shape);
        for n in 0..PHASES {
            let next = &pictures.soft[(n + 1) % PHASES];
            let db = psnr(&pictures.soft[n], next);
            assert!(db.iter().all(|db| *db < 21.0), "{db:?}");
            assert_eq!(pictures.nearest(&pictures.soft[n][0]), (n, 99.0));
            let [y, u, v] = pictures.soft[n].clone();
            let swapped = psnr(&[y, v, u], &pictures.soft[n]);
            assert!(swapped[1] < 20.0 && swapped[2] < 20.0, "{swapped:?}");
        }
    }
}
