//! `cargo bench -p gstdais`: what mixing costs on this machine. Figures of two machines, or of two runs under other
//! load, can't be compared; the copy of the same bytes stands beside them as a yardstick.

mod measure;

use std::hint::black_box;

use gstdais::blend::{Rect, Yuv};
use gstdais::colours::{Colours, Conversion, Matrix};
use gstdais::drift::DriftQueue;
use gstdais::frame::{I420, Rgba};
use gstdais::mixminus::MixMinus;
use gstdais::scale::{Crop, Scaler};
use gstdais::tilemix::{Fit, Overlay, Style, Tile, TileMixer};
use gstdais::{BLOCK_SAMPLES, Block};
use measure::{Work, noise, read, take_turns, work};

const ROUNDS: usize = 100;
/// What `Fit::Cover` takes of 1280x720 for a tile of 480x360.
const COVER: Crop = Crop {
    x: 160,
    y: 0,
    w: 960,
    h: 720,
};

fn ten(width: usize, height: usize) -> Vec<I420> {
    (0..10).map(|n| noise(width, height, n + 1)).collect()
}

/// What the memory allows: nothing that looks at all of the inputs can be faster than reading them.
fn yardsticks(sources: &[I420]) -> Vec<Work<'_>> {
    let mut copies: Vec<Vec<u8>> = sources.iter().map(|s| s.data().to_vec()).collect();
    vec![
        work("copy of ten 1280x720 (memcpy)", move |_| {
            for (to, from) in copies.iter_mut().zip(sources) {
                to.copy_from_slice(black_box(from).data());
            }
            black_box(&copies);
        }),
        work("only reading them, one byte of each 64", move |_| {
            black_box(read(black_box(sources)));
        }),
    ]
}

fn scaling() {
    let sources = ten(1280, 720);
    let mut works = yardsticks(&sources);
    for (how, crop, (w, h)) in [
        (" (fill: 8:3 and 2:1)", None, (480, 360)),
        (" (cover: 960x720 of it, 2:1)", Some(COVER), (480, 360)),
        ("", None, (480, 270)),
        ("", None, (640, 360)),
        ("", None, (960, 540)),
        ("", None, (160, 90)),
        ("", None, (1920, 1080)),
    ] {
        let mut scaler = Scaler::new((1280, 720), crop, (w, h));
        let mut out = I420::blank(w, h);
        let sources = &sources;
        works.push(work(
            format!("scale of ten 1280x720 to {w}x{h}{how}"),
            move |_| {
                for source in sources {
                    scaler.scale(&black_box(source).as_ref(), &mut out.as_mut());
                    black_box(&out);
                }
            },
        ));
    }
    for (how, crop) in [("fill", None), ("cover", Some(COVER))] {
        for (rung, mut scaler) in Scaler::on_every_rung((1280, 720), crop, (480, 360)) {
            let mut out = I420::blank(480, 360);
            let sources = &sources;
            works.push(work(
                format!("to 480x360 ({how}), rung {rung}"),
                move |_| {
                    for source in sources {
                        scaler.scale(&black_box(source).as_ref(), &mut out.as_mut());
                        black_box(&out);
                    }
                },
            ));
        }
    }
    // A picture that fits into the second-level cache: what is left is arithmetic.
    let small = noise(1280, 180, 1);
    let mut scaler = Scaler::new((1280, 180), None, (480, 90));
    let mut out = I420::blank(480, 90);
    works.push(work(
        "the arithmetic alone: a quarter of one (fill), forty times",
        move |_| {
            for _ in 0..40 {
                scaler.scale(&black_box(&small).as_ref(), &mut out.as_mut());
                black_box(&out);
            }
        },
    ));
    take_turns(ROUNDS, &sources, works);
}

/// Ten tiles of 480x360 as a 4x3 grid in 1920x1080; `new` says whether a tile's frame is a new one in this round.
fn grid<'a>(
    what: &str,
    sources: &'a [I420],
    fit: Fit,
    overlays: &'a [Overlay<'a>],
    new: impl Fn(u64, usize) -> u64 + 'a,
) -> Work<'a> {
    let mut canvas = I420::blank(1920, 1080);
    let mut mixer = TileMixer::new(1920, 1080);
    mixer.set_background(Yuv::from_rgb(16, 20, 28));
    work(what, move |round| {
        let tiles: [Tile<'_>; 10] = std::array::from_fn(|n| Tile {
            id: n as u64,
            frame: sources[n].as_ref(),
            serial: new(round, n),
            rect: Rect::new((n % 4) as i32 * 480, (n / 4) as i32 * 360, 480, 360),
            z: 0,
            fit,
            dim: false,
            overlays,
            style: Style::default(),
        });
        mixer.mix(&mut canvas.as_mut(), &tiles);
        black_box(&canvas);
    })
}

fn mixing() {
    let (sources, at_size) = (ten(1280, 720), ten(480, 360));
    let tag = Rgba::from_premultiplied(240, 40, [40, 40, 40, 160].repeat(240 * 40));
    let tag = tag.unwrap_or_else(|| unreachable!("the size is right"));
    let overlays = [Overlay {
        bitmap: &tag,
        x: 16,
        y: 300,
    }];
    let every = |round: u64, _: usize| round;
    let mut works = yardsticks(&sources);
    works.truncate(1);
    works.extend([
        grid(
            "mix of ten 1280x720 at 480x360 in 1920x1080, fill, all new",
            &sources,
            Fit::Fill,
            &[],
            every,
        ),
        grid("the same, cover", &sources, Fit::Cover, &[], every),
        work("1920x1080 from BT.601, full range, to BT.709", {
            let mut picture = I420::blank(1920, 1080);
            let conversion = Conversion::new(Colours {
                matrix: Matrix::Bt601,
                full_range: true,
            });
            move |_| conversion.run(&mut black_box(&mut picture).as_mut())
        }),
        grid(
            "the same, cover, with ten name tags of 240x40",
            &sources,
            Fit::Cover,
            &overlays,
            every,
        ),
        grid(
            "cover, 30 fps: the host new, of nine guests at 15 fps every other new",
            &sources,
            Fit::Cover,
            &[],
            |round, n| {
                if n == 0 {
                    round
                } else {
                    (round + n as u64) / 2
                }
            },
        ),
        grid(
            "cover, only the host new",
            &sources,
            Fit::Cover,
            &[],
            |round, n| if n == 0 { round } else { 0 },
        ),
        grid("cover, no frame new", &sources, Fit::Cover, &[], |_, _| 0),
        grid(
            "ten 480x360 at their size",
            &at_size,
            Fit::Cover,
            &[],
            every,
        ),
    ]);
    works.push(moving(&sources));
    works.extend([
        straight("scaled straight onto the canvas, fill", &sources, None),
        straight("the same, cover", &sources, Some(COVER)),
    ]);
    take_turns(ROUNDS, &sources, works);
}

/// A layout that changes: each tile has another place and size in each frame, as in a transition of 200 ms, and on average
/// the grid's size, so that the difference to the grid is what the changing costs.
fn moving(sources: &[I420]) -> Work<'_> {
    let mut canvas = I420::blank(1920, 1080);
    let mut mixer = TileMixer::new(1920, 1080);
    let what = "fill, all new, ten tiles that change place and size each frame";
    work(what, move |round| {
        let tiles: [Tile<'_>; 10] = std::array::from_fn(|n| {
            // Six steps from 400x300 to 560x420, each tile at another one.
            let step = (round as i32 + n as i32) % 6;
            let (w, h) = (400 + 32 * step, 300 + 24 * step);
            Tile {
                id: n as u64,
                frame: sources[n].as_ref(),
                serial: round,
                rect: Rect::new(
                    (n % 4) as i32 * 480 + 240 - w / 2,
                    (n / 4) as i32 * 360 + 180 - h / 2,
                    w as u32,
                    h as u32,
                ),
                z: 0,
                fit: Fit::Fill,
                dim: false,
                overlays: &[],
                style: Style::default(),
            }
        });
        mixer.mix(&mut canvas.as_mut(), &tiles);
        black_box(&canvas);
    })
}

/// The least that a mix can cost: nothing kept, nothing filled.
fn straight<'a>(what: &str, sources: &'a [I420], crop: Option<Crop>) -> Work<'a> {
    let mut canvas = I420::blank(1920, 1080);
    let mut scaler = Scaler::new((1280, 720), crop, (480, 360));
    work(what, move |_| {
        let mut view = canvas.as_mut();
        for (n, source) in sources.iter().enumerate() {
            let corner = (n % 4 * 480, n / 4 * 360);
            scaler.scale_at(&black_box(source).as_ref(), &mut view, corner);
        }
        black_box(&canvas);
    })
}

/// The programme of ten people: a 1080p host and nine guests of 640x360, in the tiles of its grid.
fn show() {
    let host = noise(1920, 1080, 1);
    let guests: Vec<I420> = (0..9).map(|n| noise(640, 360, n + 2)).collect();
    let mut canvas = I420::blank(1920, 1080);
    let mut mixer = TileMixer::new(1920, 1080);
    let what = "grid of a 1920x1080 and nine 640x360, all new";
    let mix = work(what, |round| {
        let tiles: [Tile<'_>; 10] = std::array::from_fn(|n| Tile {
            id: n as u64,
            frame: if n == 0 {
                host.as_ref()
            } else {
                guests[n - 1].as_ref()
            },
            serial: round,
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
    take_turns(ROUNDS, &[], vec![mix]);
}

fn sound() {
    let tone: Block = std::array::from_fn(|i| 0.02 * ((i / 2) as f32 * 0.05).sin());
    let loud: Block = tone.map(|x| x * 45.0);
    let mut works = Vec::new();
    for (what, block) in [("speech level", &tone), ("all limiters at work", &loud)] {
        let mut mixer = MixMinus::new(10);
        let mut programme = [0.0; BLOCK_SAMPLES];
        let mut returns = [[0.0; BLOCK_SAMPLES]; 10];
        works.push(work(
            format!("mix-minus of ten, a block of 10 ms, {what}"),
            move |_| {
                mixer.process(&[Some(black_box(block)); 10], &mut programme, &mut returns);
                black_box(&returns);
            },
        ));
    }
    let mut queue = DriftQueue::default();
    (0..4).for_each(|_| queue.push(&tone));
    let mut out = [0.0; BLOCK_SAMPLES];
    let what = "drift correction of one input, a block of 10 ms";
    works.push(work(what, move |_| {
        queue.push(black_box(&tone));
        black_box(queue.pull(&mut out));
    }));
    take_turns(1000, &[], works);
}

fn main() {
    scaling();
    mixing();
    show();
    sound();
}
