//! Not live: every pad is waited for, and the pictures are those of the kernel.

use gst::prelude::*;
use gst_app::AppSink;
use gstdais::blend::{Rect, Yuv};
use gstdais::frame::I420;
use gstdais::tilemix::{Border, Fit, Style, Tile, TileMixer};

use crate::pictures::*;

/// All pictures of a pipeline whose sink is called `out`, with their timestamps.
fn pictures_of(pipeline: &str) -> Vec<(u64, I420)> {
    init();
    let pipeline = gst::parse::launch(pipeline).unwrap();
    let bin = pipeline.downcast_ref::<gst::Bin>().unwrap();
    let sink = bin.by_name("out").unwrap().downcast::<AppSink>().unwrap();
    sink.set_property("sync", false);
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut pictures = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        let buffer = sample.buffer_owned().unwrap();
        let pts = buffer.pts().unwrap().nseconds();
        pictures.push((pts, picture(buffer, sample.caps().unwrap())));
    }
    assert!(sink.is_eos(), "it ends by itself");
    pipeline.set_state(gst::State::Null).unwrap();
    pictures
}

const SOURCES: [&str; 3] = [
    "videotestsrc num-buffers=20 pattern=ball ! video/x-raw,format=I420,width=320,height=180,framerate=30/1,colorimetry=bt709",
    "videotestsrc num-buffers=10 pattern=smpte75 animation-mode=frames ! video/x-raw,format=I420,width=201,height=143,framerate=15/1,colorimetry=bt709",
    "videotestsrc num-buffers=17 pattern=ball motion=sweep ! video/x-raw,format=I420,width=64,height=96,framerate=25/1,colorimetry=bt709",
];

/// The mixed pictures, with this format on the way in and out.
fn mixed(format: &str, threads: u32) -> Vec<(u64, I420)> {
    let [a, b, c] = SOURCES;
    let way_in = format!("! videoconvert ! video/x-raw,format={format}");
    pictures_of(&format!(
        "daistilemix name=mix background=0xff203040 threads={threads} \
           sink_0::width=400 sink_0::height=226 \
           sink_1::xpos=211 sink_1::ypos=-31 sink_1::width=153 sink_1::height=99 sink_1::fit=contain sink_1::alpha=0.6 \
           sink_2::xpos=330 sink_2::ypos=100 sink_2::width=120 sink_2::height=121 sink_2::radius=20 sink_2::border=4 sink_2::border-color=0xffdc1e1e \
         ! video/x-raw,format={format},width=400,height=226,framerate=30/1 ! appsink name=out \
         {a} {way_in} ! mix.sink_0  {b} {way_in} ! mix.sink_1  {c} {way_in} ! mix.sink_2"
    ))
}

/// The same by the kernel: for each output time the newest frame of each source that is not after it.
fn expected() -> Vec<(u64, I420)> {
    let sources = SOURCES.map(|s| pictures_of(&format!("{s} ! appsink name=out")));
    let lengths = [33_333_333u64, 66_666_666, 40_000_000];
    let mut mixer = TileMixer::new(400, 226);
    mixer.set_background(Yuv::from_rgb(0x20, 0x30, 0x40));
    let plain = Style::default();
    let looks = [
        (Rect::new(0, 0, 400, 226), Fit::Cover, plain),
        (
            Rect::new(211, -31, 153, 99),
            Fit::Contain,
            Style {
                alpha: 0.6,
                ..plain
            },
        ),
        (
            Rect::new(330, 100, 120, 121),
            Fit::Cover,
            Style {
                radius: 20,
                border: Border {
                    width: 4,
                    colour: RED,
                },
                ..plain
            },
        ),
    ];
    (0..21u64)
        .map(|n| {
            let pts = n * 1_000_000_000 / 30;
            let mut tiles = Vec::new();
            for (i, (rect, fit, style)) in looks.into_iter().enumerate() {
                let all = &sources[i];
                let newest = all
                    .iter()
                    .rposition(|(at, _)| *at <= pts + 1_000_000)
                    .unwrap();
                if newest + 1 == all.len() && all[newest].0 + lengths[i] <= pts + 1_000_000 {
                    continue;
                }
                tiles.push(Tile {
                    id: i as u64,
                    frame: all[newest].1.as_ref(),
                    serial: newest as u64,
                    rect,
                    z: i as i32,
                    fit,
                    dim: false,
                    overlays: &[],
                    style,
                });
            }
            let mut out = I420::blank(400, 226);
            mixer.mix(&mut out.as_mut(), &tiles);
            (pts, out)
        })
        .collect()
}

fn assert_same(got: &[(u64, I420)], wanted: &[(u64, I420)]) {
    let times = |all: &[(u64, I420)]| all.iter().map(|p| p.0).collect::<Vec<_>>();
    assert_eq!(times(got), times(wanted));
    for (got, wanted) in got.iter().zip(wanted) {
        assert!(got.1 == wanted.1, "pictures at {} differ", got.0);
    }
}

#[test]
fn pictures_are_those_of_the_kernel_each_time_and_in_both_formats() {
    let wanted = expected();
    // The longest source lasts 17 frames of 40 ms.
    assert_same(&mixed("I420", 1), &wanted);
    assert_same(&mixed("I420", 3), &wanted);
    assert_same(&mixed("NV12", 1), &wanted);
}

#[test]
fn size_and_rate_that_nobody_asks_for_follow_the_tiles() {
    let pictures = pictures_of(
        "daistilemix name=mix sink_1::xpos=100 sink_1::ypos=50 ! appsink name=out \
         videotestsrc num-buffers=5 ! video/x-raw,format=I420,width=160,height=90,framerate=25/1 ! mix.sink_0 \
         videotestsrc num-buffers=5 ! video/x-raw,format=I420,width=160,height=90,framerate=25/1 ! mix.sink_1",
    );
    assert_eq!(pictures.len(), 5);
    assert_eq!((pictures[0].1.width(), pictures[0].1.height()), (260, 140));
    assert_eq!(pictures[4].0, 160_000_000);
}

#[test]
fn a_gap_is_not_waited_for() {
    init();
    let element = gst::ElementFactory::make("daistilemix")
        .property_from_str("mode", "offline")
        .build()
        .unwrap();
    let mut first = gst_check::Harness::with_element(&element, Some("sink_0"), Some("src"));
    first.set_sink_caps_str("video/x-raw,format=I420,width=128,height=72,framerate=30/1");
    first.set_src_caps(caps("I420", 64, 36, 30));
    let mut second = gst_check::Harness::with_element(&element, Some("sink_1"), None);
    second.set_src_caps(caps("I420", 64, 36, 30));
    second
        .push(buffer("I420", &flat(64, 36, BLUE), Some(0)))
        .unwrap();
    let gap = gst::event::Gap::builder(gst::ClockTime::from_nseconds(FRAME))
        .duration(gst::ClockTime::SECOND)
        .build();
    assert!(second.push_event(gap));
    for n in 0..20u64 {
        first
            .push(buffer("I420", &flat(64, 36, RED), Some(n * FRAME + n / 3)))
            .unwrap();
        let out = first.pull().unwrap();
        assert_eq!(out.pts().unwrap().nseconds(), n * FRAME + n / 3);
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 200, failure_persistence: None, ..Default::default() })]

    /// Any sizes, places and styles, on the canvas or beyond it: no harm, and every opaque tile is where it should be.
    #[test]
    fn tiles_of_any_size_anywhere(
        canvas in (1usize..70, 1usize..50),
        tiles in proptest::collection::vec(
            ((1usize..60, 1usize..40), (-70i32..90, -60i32..70), (0u32..90, 0u32..70), (0u32..60, 0u32..20, 0u8..3), 0usize..3),
            1..5,
        ),
    ) {
        let colours = [RED, BLUE, GREEN];
        let pictures: Vec<I420> =
            tiles.iter().enumerate().map(|(i, t)| flat(t.0.0, t.0.1, colours[i % 3])).collect();
        let list: Vec<Tile<'_>> = tiles
            .iter()
            .enumerate()
            .map(|(i, (_, at, size, (radius, border, alpha), fit))| Tile {
                id: i as u64,
                frame: pictures[i].as_ref(),
                serial: 1,
                rect: Rect::new(at.0, at.1, size.0, size.1),
                z: 0,
                fit: [Fit::Fill, Fit::Cover, Fit::Contain][*fit],
                dim: false,
                overlays: &[],
                style: Style {
                    alpha: f32::from(*alpha) / 2.0,
                    radius: *radius,
                    border: Border { width: *border, colour: Yuv::BLACK },
                },
            })
            .collect();
        let mut mixer = TileMixer::new(canvas.0, canvas.1);
        let mut out = I420::blank(canvas.0, canvas.1);
        mixer.mix(&mut out.as_mut(), &list);
        // The same without styles: now each pixel's colour is known.
        let plain: Vec<Tile<'_>> = list
            .iter()
            .map(|t| Tile { style: Style::default(), fit: Fit::Fill, ..*t })
            .collect();
        mixer.mix(&mut out.as_mut(), &plain);
        for y in 0..canvas.1 {
            for x in 0..canvas.0 {
                let top = plain.iter().enumerate().rev().find(|(_, t)| {
                    let r = t.rect.snapped();
                    let (dx, dy) = (x as i32 - r.x, y as i32 - r.y);
                    dx >= 0 && dy >= 0 && (dx as u32) < r.w && (dy as u32) < r.h
                });
                let want = top.map_or(16, |(i, _)| colours[i % 3].y);
                proptest::prop_assert_eq!(at(&out, x, y).y, want, "({}, {})", x, y);
            }
        }
    }
}

/// Red as a webcam's MJPEG, a phone and an HDMI plug have it, each beside the other at its own size and scaled.
#[test]
fn one_colour_is_one_colour_wherever_it_comes_from() {
    let red = |colorimetry: &str, size: u32| {
        format!(
            "videotestsrc num-buffers=1 pattern=red ! video/x-raw,format=RGB,width={size},height={size} ! videoconvert \
             ! video/x-raw,format=I420,colorimetry={colorimetry}"
        )
    };
    let sources = [
        ("1:4:0:0", 64),
        ("bt601", 64),
        ("bt709", 64),
        ("1:4:0:0", 96),
        ("bt601", 96),
        ("bt709", 96),
    ];
    let (looks, branches): (String, String) = sources
        .iter()
        .enumerate()
        .map(|(n, (colours, size))| {
            let x = 64 * n;
            (
                format!("sink_{n}::xpos={x} sink_{n}::width=64 sink_{n}::height=64 "),
                format!("{} ! mix.sink_{n} ", red(colours, *size)),
            )
        })
        .unzip();
    let mixed = pictures_of(&format!(
        "daistilemix name=mix {looks} ! video/x-raw,format=I420,width=384,height=64,framerate=30/1 ! appsink name=out {branches}"
    ));
    let picture = mixed[0].1.as_ref();
    let seen: Vec<[u8; 3]> = (0..6)
        .map(|n| [0, 1, 2].map(|p| picture.plane(p).row(16)[(64 * n + 32) >> u32::from(p > 0)]))
        .collect();
    for colour in &seen {
        // BT.709, limited range: 16 + 219 × 0.2126, 128 - 224 × 0.1146, 128 + 224 × 0.5.
        for (got, wanted) in colour.iter().zip([63, 102, 240_u8]) {
            assert!(got.abs_diff(wanted) <= 2, "{seen:?}");
        }
    }
}
