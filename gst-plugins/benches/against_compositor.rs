//! `cargo bench -p gstdais --bench against_compositor`: what a frame of ten tiles costs in GStreamer's `compositor`, in
//! `daistilemix` where it is registered, and in the bare kernels, in one run.
//!
//! Each element runs alone in a pipeline that isn't live: ten `appsrc`s hand out the same buffers again and again, a
//! `fakesink` takes the frames. Counted is the CPU time of the whole process from one frame at the sink to another, because
//! elements work in threads of their own; a pipeline of the same sources without a mixer is the baseline, and subtracted.

mod measure;

use std::hint::black_box;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use gst::prelude::*;
use gstdais::blend::Rect;
use gstdais::frame::I420;
use gstdais::tilemix::{Fit, Style, Tile, TileMixer};
use measure::{noise, process_cpu};

const WARM_UP: usize = 10;
const FRAMES: usize = 60;
const ROUNDS: usize = 5;
const TILE: (usize, usize) = (480, 360);

type Failed = Box<dyn std::error::Error>;

/// Where tile `n` of the 4x3 grid starts.
fn corner(n: usize) -> (i32, i32) {
    ((n % 4 * TILE.0) as i32, (n / 4 * TILE.1) as i32)
}

fn info(size: (usize, usize)) -> Result<gst_video::VideoInfo, Failed> {
    let format = gst_video::VideoFormat::I420;
    let info = gst_video::VideoInfo::builder(format, size.0 as u32, size.1 as u32)
        .fps(gst::Fraction::new(30, 1))
        // By default sizes of television have other colours, which `compositor` would convert.
        .colorimetry(&gst_video::VideoColorimetry::from_str("bt709")?)
        .chroma_site(gst_video::VideoChromaSite::MPEG2)
        .build()?;
    Ok(info)
}

/// An `appsrc` that gives `picture` for ever, as fast as it is taken.
fn source(picture: &I420) -> Result<gst::Element, Failed> {
    let info = info((picture.width(), picture.height()))?;
    assert_eq!(info.size(), picture.data().len(), "rows without padding");
    let memory = gst::Buffer::from_slice(picture.data().to_vec());
    let frame = gst::ClockTime::SECOND / 30;
    let mut next = 0;
    let source = gst_app::AppSrc::builder()
        .caps(&info.to_caps()?)
        .format(gst::Format::Time)
        .max_buffers(2)
        .callbacks(
            gst_app::AppSrcCallbacks::builder()
                .need_data(move |source, _| {
                    let mut buffer = memory.copy();
                    if let Some(buffer) = buffer.get_mut() {
                        buffer.set_pts(frame * next);
                        buffer.set_duration(frame);
                    }
                    next += 1;
                    // A refusal is the pipeline's end.
                    let _ = source.push_buffer(buffer);
                })
                .build(),
        )
        .build();
    Ok(source.upcast())
}

/// CPU time a frame, from the `WARM_UP`th at `sinks` on.
fn cpu_a_frame(pipeline: &gst::Pipeline, sinks: &[gst::Element]) -> Result<Duration, Failed> {
    let (send, marks) = mpsc::channel();
    let seen = Arc::new(AtomicUsize::new(0));
    let [start, end] = [WARM_UP, WARM_UP + FRAMES].map(|n| n * sinks.len());
    for sink in sinks {
        let pad = sink.static_pad("sink").ok_or("no sink pad")?;
        let (send, seen) = (send.clone(), seen.clone());
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            let n = seen.fetch_add(1, Ordering::Relaxed);
            if n == start || n == end {
                let _ = send.send(process_cpu());
            }
            gst::PadProbeReturn::Ok
        });
    }
    pipeline.set_state(gst::State::Playing)?;
    let mark = || marks.recv_timeout(Duration::from_secs(120));
    let (start, end) = (mark(), mark());
    pipeline.set_state(gst::State::Null)?;
    Ok((end? - start?) / FRAMES as u32)
}

fn fakesink() -> Result<gst::Element, Failed> {
    let sink = gst::ElementFactory::make("fakesink");
    Ok(sink.property("sync", false).build()?)
}

/// The sources alone.
fn baseline(pictures: &[I420]) -> Result<Duration, Failed> {
    let pipeline = gst::Pipeline::new();
    let mut sinks = Vec::new();
    for picture in pictures {
        let (source, sink) = (source(picture)?, fakesink()?);
        pipeline.add_many([&source, &sink])?;
        source.link(&sink)?;
        sinks.push(sink);
    }
    cpu_a_frame(&pipeline, &sinks)
}

fn element(name: &str, pictures: &[I420], set: &dyn Fn(&gst::Pad)) -> Result<Duration, Failed> {
    let pipeline = gst::Pipeline::new();
    let mixer = gst::ElementFactory::make(name).build()?;
    if mixer.has_property("background") && name == "compositor" {
        mixer.set_property_from_str("background", "black");
    }
    let canvas = gst::ElementFactory::make("capsfilter")
        .property("caps", info((1920, 1080))?.to_caps()?)
        .build()?;
    let sink = fakesink()?;
    pipeline.add_many([&mixer, &canvas, &sink])?;
    gst::Element::link_many([&mixer, &canvas, &sink])?;
    for (n, picture) in pictures.iter().enumerate() {
        let source = source(picture)?;
        pipeline.add(&source)?;
        let pad = mixer.request_pad_simple("sink_%u").ok_or("no pad")?;
        let (x, y) = corner(n);
        pad.set_property("xpos", x);
        pad.set_property("ypos", y);
        pad.set_property("width", TILE.0 as i32);
        pad.set_property("height", TILE.1 as i32);
        set(&pad);
        source.static_pad("src").ok_or("no pad")?.link(&pad)?;
    }
    cpu_a_frame(&pipeline, &[sink])
}

fn kernels(pictures: &[I420], fit: Fit) -> Duration {
    let mut canvas = I420::blank(1920, 1080);
    let mut mixer = TileMixer::new(1920, 1080);
    let mut start = Duration::ZERO;
    for frame in 0..WARM_UP + FRAMES {
        if frame == WARM_UP {
            start = process_cpu();
        }
        let tiles: [Tile<'_>; 10] = std::array::from_fn(|n| {
            let (x, y) = corner(n);
            Tile {
                id: n as u64,
                frame: pictures[n].as_ref(),
                serial: frame as u64,
                rect: Rect::new(x, y, TILE.0 as u32, TILE.1 as u32),
                z: 0,
                fit,
                dim: false,
                overlays: &[],
                style: Style::default(),
            }
        });
        mixer.mix(&mut canvas.as_mut(), &tiles);
        black_box(&canvas);
    }
    (process_cpu() - start) / FRAMES as u32
}

/// `compositor` scales with four taps (cubic) unless it is told otherwise.
fn bilinear(pad: &gst::Pad) {
    let mut config = gst_video::VideoConverterConfig::new();
    config.set_resampler_method(gst_video::VideoResamplerMethod::Linear);
    pad.set_property("converter-config", gst::Structure::from(config));
}

fn fit(name: &'static str) -> impl Fn(&gst::Pad) {
    move |pad| pad.set_property_from_str("fit", name)
}

type Run<'a> = (&'a str, Box<dyn Fn() -> Result<Duration, Failed> + 'a>);

fn compare(what: &str, pictures: &[I420]) -> Result<(), Failed> {
    let mut runs: Vec<Run<'_>> = vec![
        ("sources alone (baseline)", Box::new(|| baseline(pictures))),
        (
            "compositor, bilinear",
            Box::new(|| element("compositor", pictures, &bilinear)),
        ),
        (
            "compositor, as it comes",
            Box::new(|| element("compositor", pictures, &|_| ())),
        ),
        (
            "kernels (TileMixer), fill",
            Box::new(|| Ok(kernels(pictures, Fit::Fill))),
        ),
        (
            "kernels (TileMixer), cover",
            Box::new(|| Ok(kernels(pictures, Fit::Cover))),
        ),
    ];
    if gst::ElementFactory::find("daistilemix").is_some() {
        runs.push((
            "daistilemix, fill",
            Box::new(|| element("daistilemix", pictures, &fit("fill"))),
        ));
        runs.push((
            "daistilemix, cover",
            Box::new(|| element("daistilemix", pictures, &fit("cover"))),
        ));
    }
    let mut took = vec![Vec::new(); runs.len()];
    for _ in 0..ROUNDS {
        for ((_, run), took) in runs.iter().zip(&mut took) {
            took.push(run()?);
        }
    }
    println!("{what}, 1920x1080, CPU a frame:");
    let mut figures = took.into_iter().map(|mut took| {
        took.sort_unstable();
        [took[ROUNDS / 2], took[0]].map(|t| t.as_secs_f64() * 1e3)
    });
    let base = figures.next().unwrap_or_default();
    println!(
        "  {:<30} {:>7.3} ms median {:>7.3} ms least",
        runs[0].0, base[0], base[1]
    );
    let mut compositor = None;
    for ((name, _), took) in runs.iter().skip(1).zip(figures) {
        let sources = if name.starts_with("kernels") {
            [0.0; 2]
        } else {
            base
        };
        let [median, least] = [took[0] - sources[0], took[1] - sources[1]];
        let [c_median, c_least] = *compositor.get_or_insert([median, least]);
        println!(
            "  {name:<30} {median:>7.3} ms median {least:>7.3} ms least   1/{:.1} 1/{:.1} of compositor, bilinear",
            c_median / median,
            c_least / least
        );
    }
    Ok(())
}

fn main() -> Result<(), Failed> {
    gst::init()?;
    gstdais::plugin_register_static()?;
    println!("{}", gst::version_string());
    let ten = |(w, h)| -> Vec<I420> { (0..10).map(|n| noise(w, h, n + 1)).collect() };
    compare("ten 1280x720 to 480x360", &ten((1280, 720)))?;
    compare("ten 480x360 at their size", &ten(TILE))
}
