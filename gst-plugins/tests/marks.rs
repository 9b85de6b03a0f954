//! What `daisstamp` and `daistonestamp` leave in a stream is read back after encoders, scalers and a mix.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Once;

use gst::prelude::*;

fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        gst::init().unwrap();
        gstdais::plugin_register_static().unwrap();
    });
}

/// Runs a pipeline to its end and gives all element messages of this name.
fn run(description: &str, name: &str) -> Vec<gst::Structure> {
    init();
    let pipeline = gst::parse::launch(description).unwrap();
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    let bus = pipeline.bus().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let (mut seen, mut trouble) = (Vec::new(), None);
    let patience = gst::ClockTime::from_seconds(120);
    loop {
        let message = bus.timed_pop(patience).expect("the pipeline ends");
        match message.view() {
            gst::MessageView::Eos(_) => break,
            gst::MessageView::Error(error) => {
                trouble = Some(format!("{} {:?}", error.error(), error.debug()));
                break;
            }
            gst::MessageView::Element(element) => seen.extend(
                element
                    .structure()
                    .filter(|s| s.name() == name)
                    .map(|s| s.to_owned()),
            ),
            _ => {}
        }
    }
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(trouble, None);
    seen
}

fn sources(stats: &gst::StructureRef) -> Vec<gst::Structure> {
    let sources = stats.get::<gst::ArrayRef>("sources").unwrap();
    let mut sources: Vec<gst::Structure> = sources
        .as_slice()
        .iter()
        .map(|s| s.get().unwrap())
        .collect();
    sources.sort_by_key(|s| s.get::<u32>("source").unwrap());
    sources
}

fn count(source: &gst::StructureRef, field: &str) -> u64 {
    source.get(field).unwrap()
}

/// Ten guests' streams of 300 kbit/s, decoded, scaled into tiles of 320x180 of a 1080p programme, which is encoded and decoded.
fn ten_guests(guest: (u32, u32), place: impl Fn(usize) -> (usize, usize), kbps: u32, frames: u32) {
    const X264: &str = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=3000 threads=1";
    let (width, height) = guest;
    let mut description = String::from("compositor name=mix background=black");
    for n in 0..10 {
        let (x, y) = place(n);
        description += &format!(
            " sink_{n}::xpos={x} sink_{n}::ypos={y} sink_{n}::width=320 sink_{n}::height=180 sink_{n}::zorder={}",
            n + 1
        );
    }
    description += &format!(
        " sink_10::zorder=0 ! video/x-raw,format=I420,width=1920,height=1080,framerate=30/1 \
         ! {X264} bitrate={kbps} ! avdec_h264 max-threads=1 ! daisread interval=0 ! fakesink \
         videotestsrc num-buffers={frames} pattern=ball ! video/x-raw,format=I420,width=1920,height=1080,framerate=30/1 ! mix.sink_10"
    );
    for n in 0..10 {
        let pattern = ["smpte", "ball", "circular", "smpte100"][n % 4];
        description += &format!(
            " videotestsrc num-buffers={frames} pattern={pattern} \
             ! video/x-raw,format=I420,width={width},height={height},framerate=30/1 ! daisstamp source-id={n} \
             ! {X264} bitrate=300 ! avdec_h264 max-threads=1 ! mix.sink_{n}"
        );
    }
    let all = run(&description, "dais-read");
    let sources = sources(all.last().unwrap());
    assert_eq!(sources.len(), 10);
    for source in &sources {
        assert_eq!(
            count(source, "out-of-order") + count(source, "restarts"),
            0,
            "{source}"
        );
        // One frame in thirty may be too coarse to read, or the encoder leaves the old one standing.
        let seen = count(source, "frames");
        assert!(
            seen + u64::from(frames / 30) >= u64::from(frames),
            "{source}"
        );
    }
}

/// On the encoder's grid of 8 pixels, as the layouts of a box place them.
fn even_place(n: usize) -> (usize, usize) {
    (32 + n % 4 * 464, 64 + n / 4 * 336)
}

fn odd_place(n: usize) -> (usize, usize) {
    (41 + n % 4 * 469, 61 + n / 4 * 339)
}

#[test]
fn ten_guests_of_360p_are_read_in_small_tiles_of_a_programme_of_300_kbit() {
    ten_guests((640, 360), even_place, 300, 30);
}

#[test]
fn ten_guests_of_720p_are_read_in_small_tiles_of_a_programme_of_300_kbit() {
    ten_guests((1280, 720), even_place, 300, 30);
}

#[test]
fn off_the_encoders_grid_ten_tiles_are_read_from_600_kbit() {
    ten_guests((640, 360), odd_place, 600, 30);
}

fn tones(encoder: &str, other: u8) -> Vec<(u32, u32, f64)> {
    let description = format!(
        "audiotestsrc num-buffers=600 samplesperbuffer=480 wave=sine freq=440 volume=0.3 \
         ! audio/x-raw,format=S16LE,rate=48000,channels=2 ! daistonestamp source-id=3 ! mix. \
         audiotestsrc num-buffers=600 samplesperbuffer=480 wave=pink-noise volume=0.05 \
         ! audio/x-raw,format=S16LE,rate=48000,channels=2 ! daistonestamp source-id={other} ! mix. \
         audiomixer name=mix ! audio/x-raw,format=S16LE,rate=48000,channels=2 ! audioconvert ! {encoder} ! audioconvert \
         ! daistoneread ! fakesink"
    );
    run(&description, "dais-tone")
        .iter()
        .map(|tone| {
            let second: u32 = tone.get("second").unwrap();
            let at: gst::ClockTime = tone.get("running-time").unwrap();
            let off = at.nseconds() as f64 / 1e6 - f64::from(second) * 1000.0;
            (tone.get("source").unwrap(), second, off)
        })
        .collect()
}

#[test]
fn the_marker_of_two_sources_in_a_mix_survives_opus_and_aac_to_a_millisecond() {
    // The AAC encoder begins with 1024 samples of its own, which nothing takes away from its timestamps.
    let priming = 1024.0 / 48.0;
    // It also drops some of what lies above 8 kHz, where the bands of 10 and more are.
    for (codec, other, late) in [
        ("opusenc bitrate=64000 ! opusdec", 15, 0.0),
        (
            "avenc_aac bitrate=128000 ! aacparse ! avdec_aac",
            9,
            priming,
        ),
    ] {
        let heard = tones(codec, other);
        for source in [3, u32::from(other)] {
            let own: Vec<_> = heard.iter().filter(|h| h.0 == source).collect();
            let seconds: Vec<_> = own.iter().map(|h| h.1).collect();
            assert_eq!(seconds, [0, 1, 2, 3, 4, 5], "{source} {codec}");
            for (_, second, off) in own {
                assert!(
                    (off - late).abs() < 0.2,
                    "{source} {second} {codec}: {off} ms"
                );
            }
        }
    }
}

/// A pad between says that the reader's stream is 40 ms later than the stamp's.
#[test]
fn latency_lost_and_repeated_frames_are_reported() {
    init();
    let mut harness = gst_check::Harness::new_parse(
        "daisstamp source-id=9 ! identity name=mid ! daisread name=read time-source=pts interval=0",
    );
    harness.set_src_caps_str("video/x-raw,format=NV12,width=320,height=180,framerate=30/1");
    let bin = harness.element().unwrap().downcast::<gst::Bin>().unwrap();
    let (mid, read) = (bin.by_name("mid").unwrap(), bin.by_name("read").unwrap());
    // Frame 3 never comes, frame 5 comes again.
    let source = mid.static_pad("src").unwrap();
    source.set_offset(40_000_000);
    source.add_probe(gst::PadProbeType::BUFFER, |pad, info| {
        let Some(buffer) = info.buffer() else {
            return gst::PadProbeReturn::Ok;
        };
        match buffer.pts().map(gst::ClockTime::mseconds) {
            Some(99) => gst::PadProbeReturn::Drop,
            Some(165) => {
                let mut again = buffer.copy();
                // Not this probe's business.
                again.make_mut().set_pts(gst::ClockTime::from_mseconds(166));
                pad.push(again).unwrap();
                gst::PadProbeReturn::Ok
            }
            _ => gst::PadProbeReturn::Ok,
        }
    });
    for n in 0..10u64 {
        let mut buffer = gst::Buffer::from_mut_slice(vec![90u8; 320 * 180 * 3 / 2]);
        buffer
            .make_mut()
            .set_pts(gst::ClockTime::from_mseconds(n * 33));
        harness.push(buffer).unwrap();
    }
    let stats: gst::Structure = read.property("stats");
    let source = sources(&stats).pop().unwrap();
    assert_eq!(source.get::<u32>("source").unwrap(), 9);
    assert_eq!(source.get::<u32>("last").unwrap(), 9);
    for field in ["latency-ms", "latency-min-ms", "latency-max-ms"] {
        assert_eq!(source.get::<f64>(field).unwrap(), 40.0, "{field}");
    }
    assert_eq!(count(&source, "frames"), 9);
    assert_eq!(count(&source, "lost"), 1);
    assert_eq!(count(&source, "repeated"), 1);
    assert_eq!(stats.get::<u64>("unmarked").unwrap(), 0);
    assert_eq!(stats.get::<u64>("frames").unwrap(), 10);
}
