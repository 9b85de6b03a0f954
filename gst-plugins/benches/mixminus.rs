//! `cargo bench -p gstdais --bench mixminus`: ten-way mix-minus with programme by `daismixminus`, against the same out of
//! stock elements: eleven `audiomixer`s, fed through tees and queues. Each side runs in a process of its own and counts that
//! process's CPU time; both are fed by the same ready-made buffers of 10 ms, whose cost is shown and stays in both figures.

mod measure;

use std::process::Command;
use std::sync::mpsc::channel;

use gst::prelude::*;

const PEOPLE: usize = 10;
const BLOCK: gst::ClockTime = gst::ClockTime::from_mseconds(10);
/// What each run mixes, if DAIS_BENCH_SECONDS says nothing else.
const SECONDS: u64 = 30;

fn caps() -> gst::Caps {
    gst::Caps::builder("audio/x-raw")
        .field("format", "F32LE")
        .field("rate", 48_000)
        .field("channels", 2)
        .field("layout", "interleaved")
        .field("channel-mask", gst::Bitmask::new(3))
        .build()
}

fn make(name: &str) -> Result<gst::Element, gst::glib::BoolError> {
    gst::ElementFactory::make(name).build()
}

/// A person: buffers with a tone of speech level, as fast as they are taken.
fn person(number: usize, blocks: u64) -> gst_app::AppSrc {
    let period = 480 / (number + 1);
    let samples = (0..960).flat_map(|i| {
        let at = (i / 2) as f32 / period as f32 * std::f32::consts::TAU;
        (0.03 * at.sin()).to_le_bytes()
    });
    let sound = gst::Buffer::from_slice(samples.collect::<Vec<u8>>());
    let mut sent = 0;
    let callbacks = gst_app::AppSrcCallbacks::builder().need_data(move |source, _| {
        if sent == blocks {
            let _ = source.end_of_stream();
            return;
        }
        let mut buffer = sound.copy();
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(BLOCK * sent);
            buffer.set_duration(BLOCK);
        }
        sent += 1;
        let _ = source.push_buffer(buffer);
    });
    gst_app::AppSrc::builder()
        .caps(&caps())
        .format(gst::Format::Time)
        .max_buffers(4)
        .callbacks(callbacks.build())
        .build()
}

type Built = Result<gst::Pipeline, Box<dyn std::error::Error>>;

fn sink() -> Result<gst::Element, gst::glib::BoolError> {
    gst::ElementFactory::make("fakesink")
        .property("sync", false)
        .property("async", false)
        .build()
}

fn sources_alone(blocks: u64) -> Built {
    let pipeline = gst::Pipeline::new();
    for n in 0..PEOPLE {
        let (source, sink) = (person(n, blocks), sink()?);
        pipeline.add_many([source.upcast_ref(), &sink])?;
        source.link(&sink)?;
    }
    Ok(pipeline)
}

fn dais(blocks: u64) -> Built {
    let pipeline = gst::Pipeline::new();
    let mixer = make("daismixminus")?;
    pipeline.add(&mixer)?;
    for n in 0..PEOPLE {
        let source = person(n, blocks);
        pipeline.add(&source)?;
        source.link_pads(Some("src"), &mixer, Some("sink_%u"))?;
        let sink = sink()?;
        pipeline.add(&sink)?;
        mixer.link_pads(Some(&format!("src_{n}")), &sink, Some("sink"))?;
    }
    let sink = sink()?;
    pipeline.add(&sink)?;
    mixer.link_pads(Some("src"), &sink, Some("sink"))?;
    Ok(pipeline)
}

fn stock(blocks: u64) -> Built {
    let pipeline = gst::Pipeline::new();
    let mut tees = Vec::new();
    for n in 0..PEOPLE {
        let (source, tee) = (person(n, blocks), make("tee")?);
        pipeline.add_many([source.upcast_ref(), &tee])?;
        source.link(&tee)?;
        tees.push(tee);
    }
    // The last one is the programme.
    for own in 0..=PEOPLE {
        let (mixer, sink) = (make("audiomixer")?, sink()?);
        mixer.set_property("output-buffer-duration", BLOCK.nseconds());
        let filter = gst::ElementFactory::make("capsfilter")
            .property("caps", caps())
            .build()?;
        pipeline.add_many([&mixer, &filter, &sink])?;
        gst::Element::link_many([&mixer, &filter, &sink])?;
        for (_, tee) in tees.iter().enumerate().filter(|(n, _)| *n != own) {
            let queue = make("queue")?;
            pipeline.add(&queue)?;
            tee.link_pads(Some("src_%u"), &queue, Some("sink"))?;
            queue.link_pads(Some("src"), &mixer, Some("sink_%u"))?;
        }
    }
    Ok(pipeline)
}

/// Runs one side to its end; its CPU seconds go to standard output.
fn side(name: &str, seconds: u64) -> Result<(), Box<dyn std::error::Error>> {
    gst::init()?;
    gstdais::plugin_register_static()?;
    let blocks = seconds * 100;
    let pipeline = match name {
        "sources" => sources_alone(blocks)?,
        "dais" => dais(blocks)?,
        _ => stock(blocks)?,
    };
    let (done, ended) = channel();
    if let Some(bus) = pipeline.bus() {
        bus.set_sync_handler(move |_, message| {
            match message.view() {
                gst::MessageView::Eos(_) => drop(done.send(true)),
                gst::MessageView::Error(error) => {
                    eprintln!("{error:?}");
                    let _ = done.send(false);
                }
                _ => {}
            }
            gst::BusSyncReply::Drop
        });
    }
    let before = measure::process_cpu().as_secs_f64();
    pipeline.set_state(gst::State::Playing)?;
    let well = ended.recv()?;
    let used = measure::process_cpu().as_secs_f64() - before;
    pipeline.set_state(gst::State::Null)?;
    assert!(well, "{name} failed");
    println!("{used}");
    Ok(())
}

fn measure(name: &str) -> Result<f64, Box<dyn std::error::Error>> {
    let out = Command::new(std::env::current_exe()?)
        .arg(format!("--side={name}"))
        .output()?;
    eprint!("{}", String::from_utf8_lossy(&out.stderr));
    Ok(String::from_utf8(out.stdout)?.trim().parse()?)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seconds = std::env::var("DAIS_BENCH_SECONDS")
        .ok()
        .and_then(|s| s.parse().ok());
    let seconds = seconds.unwrap_or(SECONDS);
    if let Some(name) = std::env::args().find_map(|a| a.strip_prefix("--side=").map(str::to_owned))
    {
        return side(&name, seconds);
    }
    println!(
        "{PEOPLE} people, {seconds} s of 48 kHz stereo F32 in blocks of 10 ms; CPU for 10 s of sound"
    );
    let per_10_s = |name: &str| -> Result<f64, Box<dyn std::error::Error>> {
        // The best of three: what other work on the machine adds isn't the mixer's.
        let mut best = f64::INFINITY;
        for _ in 0..3 {
            best = best.min(measure(name)?);
        }
        Ok(best * 10.0 / seconds as f64)
    };
    let sources = per_10_s("sources")?;
    println!("sources and sinks alone         {sources:>7.3} s");
    let dais = per_10_s("dais")?;
    println!("daismixminus, sources included  {dais:>7.3} s");
    let stock = per_10_s("stock")?;
    println!("eleven audiomixers, the same    {stock:>7.3} s");
    println!("ratio                           {:>7.1}", stock / dais);
    println!(
        "ratio without the sources       {:>7.1}",
        (stock - sources) / (dais - sources)
    );
    Ok(())
}
