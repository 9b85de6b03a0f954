//! Looks at recordings with ffmpeg, which knows nothing of Dais.

use std::path::Path;
use std::process::Command;

/// Makes a file from one of ffmpeg's synthetic sources.
pub fn make(source: &str, options: &[&str], file: &Path) {
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", source])
        .args(options)
        .arg(file)
        .status()
        .unwrap();
    assert!(made.success());
}

/// Presentation times of a stream's packets in seconds, in the order of the file.
pub fn times(file: &Path, stream: &str) -> Vec<f64> {
    let text = run(
        "ffprobe",
        &[
            "-v",
            "error",
            "-select_streams",
            stream,
            "-show_entries",
            "packet=pts_time",
            "-of",
            "csv=p=0",
        ],
        file,
        &[],
    );
    String::from_utf8(text)
        .unwrap()
        .lines()
        .filter_map(|line| line.trim_end_matches(',').parse().ok())
        .collect()
}

/// Asserts that no time repeats or goes back, and that no step is longer than `longest` seconds.
pub fn assert_no_gap(file: &Path, stream: &str, longest: f64) -> usize {
    let times = times(file, stream);
    assert!(
        times.len() > 10,
        "{} has {} packets in {stream}",
        file.display(),
        times.len()
    );
    for (a, b) in times.iter().zip(&times[1..]) {
        assert!(
            b > a,
            "a time repeats or goes back in {stream}: {a} then {b}"
        );
        assert!(b - a <= longest, "a gap in {stream}: {a} then {b}");
    }
    times.len()
}

pub struct Frame {
    pub width: usize,
    rgb: Vec<u8>,
}

impl Frame {
    /// The mean colour of a square of 9 pixels around a point, in parts of the width and height.
    pub fn colour(&self, x: f64, y: f64) -> [u8; 3] {
        let height = self.rgb.len() / 3 / self.width;
        let (cx, cy) = (
            (x * self.width as f64) as usize,
            (y * height as f64) as usize,
        );
        let mut sum = [0usize; 3];
        for row in cy.saturating_sub(4)..(cy + 5).min(height) {
            for column in cx.saturating_sub(4)..(cx + 5).min(self.width) {
                for (channel, total) in sum.iter_mut().enumerate() {
                    *total += usize::from(self.rgb[(row * self.width + column) * 3 + channel]);
                }
            }
        }
        sum.map(|total| (total / 81) as u8)
    }
}

impl Frame {
    /// Whether something that can be seen is elsewhere than in `other`, within this part of the picture (x, y, width, height in
    /// parts of the whole). What an encoder makes of a resting picture stays below.
    pub fn moved(&self, other: &Frame, part: [f64; 4]) -> bool {
        let height = self.rgb.len() / 3 / self.width;
        let at = |part: f64, whole: usize| (part * whole as f64) as usize;
        let (left, right) = (at(part[0], self.width), at(part[0] + part[2], self.width));
        let (top, bottom) = (at(part[1], height), at(part[1] + part[3], height));
        let mut pixels = 0;
        for row in top..bottom {
            let (from, to) = (
                (row * self.width + left) * 3,
                (row * self.width + right) * 3,
            );
            // Measured: where the bars of the host's test picture move, 25 of 255 and more.
            let pairs = self.rgb[from..to].iter().zip(&other.rgb[from..to]);
            pixels += pairs.filter(|(a, b)| a.abs_diff(**b) > 20).count();
        }
        pixels >= 4
    }
}

/// The longest time, in pictures, that this part of a recording shows the same.
pub fn longest_still(frames: &[Frame], part: [f64; 4]) -> usize {
    let (mut longest, mut still) = (1, 1);
    for pair in frames.windows(2) {
        still = if pair[1].moved(&pair[0], part) {
            1
        } else {
            still + 1
        };
        longest = longest.max(still);
    }
    longest
}

/// All pictures of a recording, scaled to this width.
pub fn frames(file: &Path, width: usize, height: usize) -> Vec<Frame> {
    let scale = format!("scale={width}:{height}");
    let raw = run(
        "ffmpeg",
        &["-v", "error", "-i"],
        file,
        &["-vf", &scale, "-pix_fmt", "rgb24", "-f", "rawvideo", "-"],
    );
    raw.chunks_exact(width * height * 3)
        .map(|rgb| Frame {
            width,
            rgb: rgb.to_vec(),
        })
        .collect()
}

fn run(program: &str, before: &[&str], file: &Path, after: &[&str]) -> Vec<u8> {
    let done = Command::new(program)
        .args(before)
        .arg(file)
        .args(after)
        .output()
        .expect("the tests need the package ffmpeg");
    assert!(
        done.status.success(),
        "{program} cannot read {}: {}",
        file.display(),
        String::from_utf8_lossy(&done.stderr)
    );
    done.stdout
}

/// Its sound, mono at 48 kHz.
fn samples(file: &Path) -> Vec<f64> {
    let raw = run(
        "ffmpeg",
        &["-v", "error", "-i"],
        file,
        &["-ac", "1", "-ar", "48000", "-f", "f32le", "-"],
    );
    let samples = raw.as_chunks::<4>().0.iter();
    samples.map(|b| f64::from(f32::from_le_bytes(*b))).collect()
}

/// Whether a tone sounds in each block of 10 ms between its first and its last.
pub fn tone_present(file: &Path, hz: f64) -> Vec<bool> {
    const RATE: f64 = 48_000.0;
    const BLOCK: usize = 480;
    let levels: Vec<f64> = samples(file)
        .chunks_exact(BLOCK)
        .map(|block| {
            let (mut re, mut im) = (0.0, 0.0);
            for (n, sample) in block.iter().enumerate() {
                let phase = std::f64::consts::TAU * hz * n as f64 / RATE;
                re += sample * phase.cos();
                im += sample * phase.sin();
            }
            re.hypot(im) / BLOCK as f64
        })
        .collect();
    let mut sorted = levels.clone();
    sorted.sort_by(f64::total_cmp);
    let half = sorted[sorted.len() / 2] / 2.0;
    assert!(half > 0.001, "{} has no tone of {hz} Hz", file.display());
    let present: Vec<bool> = levels.iter().map(|level| *level > half).collect();
    let (first, last) = (
        present.iter().position(|p| *p).unwrap(),
        present.iter().rposition(|p| *p).unwrap(),
    );
    present[first..=last].to_vec()
}

/// The level of one frequency in each tenth of a second, in dB of full scale.
pub fn tone_db(file: &Path, hz: f64) -> Vec<f64> {
    const RATE: f64 = 48_000.0;
    const WINDOW: usize = 4_800;
    let level = |window: &[f64]| {
        let (mut re, mut im) = (0.0, 0.0);
        for (n, sample) in window.iter().enumerate() {
            let turn = std::f64::consts::TAU * n as f64;
            // Hann, against what other tones leak.
            let sample = sample * (1.0 - (turn / WINDOW as f64).cos());
            re += sample * (hz * turn / RATE).cos();
            im += sample * (hz * turn / RATE).sin();
        }
        20.0 * (2.0 * re.hypot(im) / WINDOW as f64).max(1e-9).log10()
    };
    samples(file).chunks_exact(WINDOW).map(level).collect()
}
