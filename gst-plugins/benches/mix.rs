//! `cargo bench -p gstdais`: what mixing costs on this machine. Figures of two machines, or of two runs under other
//! load, can't be compared; the copy of the same bytes stands beside them as a yardstick.

use std::hint::black_box;
use std::time::{Duration, Instant};

use gstdais::blend::{Rect, Yuv};
use gstdais::drift::DriftQueue;
use gstdais::frame::{I420, Rgba};
use gstdais::mixminus::MixMinus;
use gstdais::scale::Scaler;
use gstdais::tilemix::{Fit, Overlay, Style, Tile, TileMixer};
use gstdais::{BLOCK_SAMPLES, Block};

/// Median and best of `runs`: what to expect on this machine now, and what it can when nothing else runs.
fn time(what: &str, runs: usize, mut work: impl FnMut(u64)) {
    let mut took: Vec<Duration> = (0..runs)
        .map(|run| {
            let start = Instant::now();
            work(run as u64);
            start.elapsed()
        })
        .collect();
    took.sort_unstable();
    let micros = |d: Duration| d.as_secs_f64() * 1e6;
    println!(
        "{what:<62} {:>8.1} us median {:>8.1} us best",
        micros(took[runs / 2]),
        micros(took[0])
    );
}

fn noise(width: usize, height: usize, seed: u32) -> I420 {
    let mut picture = I420::blank(width, height);
    let mut state = seed | 1;
    let mut view = picture.as_mut();
    for p in 0..3 {
        let mut plane = view.plane_mut(p);
        for y in 0..plane.height() {
            for byte in plane.row_mut(y) {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                *byte = state as u8;
            }
        }
    }
    picture
}

fn pictures() {
    let sources: Vec<I420> = (0..10).map(|n| noise(1280, 720, n + 1)).collect();
    let mut copies = sources.clone();
    time("copy of ten 1280x720", 60, |_| {
        for (to, from) in copies.iter_mut().zip(&sources) {
            to.as_mut().copy_from(&black_box(from).as_ref());
        }
        black_box(&copies);
    });
    for (w, h) in [(480, 360), (480, 270), (640, 360), (960, 540), (160, 90)] {
        let mut scaler = Scaler::new((1280, 720), None, (w, h));
        let mut out = I420::blank(w, h);
        time(&format!("scale of ten 1280x720 to {w}x{h}"), 60, |_| {
            for source in &sources {
                scaler.scale(&black_box(source).as_ref(), &mut out.as_mut());
                black_box(&out);
            }
        });
    }

    let tag = Rgba::from_premultiplied(240, 40, [40, 40, 40, 160].repeat(240 * 40));
    let tag = tag.unwrap_or_else(|| unreachable!("the size is right"));
    let overlays = [Overlay {
        bitmap: &tag,
        x: 16,
        y: 300,
    }];
    let grid = |serial: u64, overlays| -> Vec<Tile<'_>> {
        (0..10)
            .map(|n| Tile {
                id: n,
                frame: sources[n as usize].as_ref(),
                serial,
                rect: Rect::new((n % 4) as i32 * 480, (n / 4) as i32 * 360, 480, 360),
                z: 0,
                fit: Fit::Fill,
                dim: false,
                overlays,
                style: Style::default(),
            })
            .collect()
    };
    let mut canvas = I420::blank(1920, 1080);
    let mut mixer = TileMixer::new(1920, 1080);
    mixer.set_background(Yuv::from_rgb(16, 20, 28));
    let mut serial = 0;
    let mut run = |what: &str, each: &[u64], overlays| {
        time(what, 60, |_| {
            for new in each {
                serial += new;
                mixer.mix(&mut canvas.as_mut(), &grid(serial, overlays));
                black_box(&canvas);
            }
        });
    };
    run(
        "mix of ten 1280x720 at 480x360 in 1920x1080, all new",
        &[1],
        &[][..],
    );
    run("the same with ten name tags of 240x40", &[1], &overlays[..]);
    run("the same, no frame new", &[0], &overlays[..]);
    run(
        "two of them, one new (15 in 30 fps)",
        &[1, 0],
        &overlays[..],
    );
}

/// The programme of ten people: a 1080p host and nine guests of 640x360, in the tiles of its grid.
fn show() {
    let host = noise(1920, 1080, 1);
    let guests: Vec<I420> = (0..9).map(|n| noise(640, 360, n + 2)).collect();
    let mut canvas = I420::blank(1920, 1080);
    let mut mixer = TileMixer::new(1920, 1080);
    time("grid of a 1920x1080 and nine 640x360, all new", 60, |run| {
        let tiles: [Tile<'_>; 10] = std::array::from_fn(|n| Tile {
            id: n as u64,
            frame: if n == 0 {
                host.as_ref()
            } else {
                guests[n - 1].as_ref()
            },
            serial: run,
            rect: Rect::new(12 + (n % 4) as i32 * 476, (n / 4) as i32 * 360, 464, 348),
            z: 0,
            fit: Fit::Cover,
            dim: false,
            overlays: &[],
            style: Style::default(),
        });
        mixer.mix(&mut canvas.as_mut(), &tiles);
        black_box(&canvas);
    });
}

fn sound() {
    let tone: Block = std::array::from_fn(|i| 0.02 * ((i / 2) as f32 * 0.05).sin());
    let loud: Block = tone.map(|x| x * 45.0);
    for (what, block) in [("speech level", &tone), ("all limiters at work", &loud)] {
        let mut mixer = MixMinus::new(10);
        let mut programme = [0.0; BLOCK_SAMPLES];
        let mut returns = [[0.0; BLOCK_SAMPLES]; 10];
        time(
            &format!("mix-minus of ten, a block of 10 ms, {what}"),
            1000,
            |_| {
                mixer.process(&[Some(black_box(block)); 10], &mut programme, &mut returns);
                black_box(&returns);
            },
        );
    }
    let mut queue = DriftQueue::default();
    (0..4).for_each(|_| queue.push(&tone));
    let mut out = [0.0; BLOCK_SAMPLES];
    time(
        "drift correction of one input, a block of 10 ms",
        1000,
        |_| {
            queue.push(black_box(&tone));
            black_box(queue.pull(&mut out));
        },
    );
}

fn main() {
    pictures();
    show();
    sound();
}
