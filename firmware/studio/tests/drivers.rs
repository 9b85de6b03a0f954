//! What only drivers of the kernel can show; `board/vm/drivers` runs this in its virtual machine, as root: `--ignored`.
//!
//! The ladder stands on a real V4L2 encoder, the kernel's `vicodec`. Its codec (FWHT) goes into no output, so that as a rung of the
//! ladder it has x264 beside it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
mod faulty;
mod mem2mem;

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use common::*;
use dais_studio::StudioConfig;
use dais_studio::api::{Event, Source};
use dais_studio::config::Setting;
use dais_studio::probe::try_encoder;
use faulty::on_top;
use gst::prelude::*;

const ENCODER: &str = "v4l2fwhtenc";
/// What the driver's fault is switched by, see board/vm/modules.
const STALL: &str = "/sys/module/vicodec/parameters/stall";
/// The least that the driver takes, as often as an emulated machine can.
const SIZE: (u32, u32) = (640, 360);
const FPS: u32 = 10;

fn config() -> StudioConfig {
    let mut config = common::config();
    (config.programme.width, config.programme.height) = SIZE;
    (config.programme.fps, config.returns.fps) = (FPS, FPS);
    config
}

/// Eight pictures through the encoder; how many came out, and whether they went in as dmabufs. They are not decoded: the driver's
/// own decoder now and then writes past its buffer as it starts, and halts the machine (`decode_plane`, Linux 6.1.192).
fn dmabufs(from: &str, settings: &str) -> (usize, bool) {
    let launch = format!(
        "{from},width={},height={},framerate={FPS}/1 ! {ENCODER} name=encoder {settings} ! appsink name=out sync=false",
        SIZE.0, SIZE.1
    );
    let pipeline = gst::parse::launch(&launch)
        .unwrap()
        .downcast::<gst::Pipeline>()
        .unwrap();
    let encoder = pipeline.by_name("encoder").unwrap();
    let seen = Arc::new(AtomicBool::new(false));
    let into = seen.clone();
    let pad = encoder.static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let memory = info.buffer().map(|b| b.peek_memory(0).is_type("dmabuf"));
        into.fetch_or(memory == Some(true), Ordering::Relaxed);
        gst::PadProbeReturn::Ok
    });
    let sink = pipeline
        .by_name("out")
        .unwrap()
        .downcast::<gst_app::AppSink>()
        .unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut pictures = 0;
    while sink
        .try_pull_sample(gst::ClockTime::from_seconds(30))
        .is_some()
    {
        pictures += 1;
    }
    let error = pipeline
        .bus()
        .unwrap()
        .pop_filtered(&[gst::MessageType::Error]);
    pipeline.set_state(gst::State::Null).unwrap();
    assert!(error.is_none(), "{from}, {settings}: {error:?}");
    (pictures, seen.load(Ordering::Relaxed))
}

#[test]
#[ignore = "needs the kernel's vicodec: board/vm/drivers runs it"]
fn a_trial_measures_a_drivers_by_mmap_and_by_dmabuf() {
    gst::init().unwrap();
    for io in ["mmap", "dmabuf"] {
        let settings = format!("output-io-mode={io} capture-io-mode={io}");
        let test = "videotestsrc num-buffers=8 ! video/x-raw,format=YUY2";
        let (pictures, into) = dmabufs(test, &settings);
        assert_eq!(pictures, 8, "{settings}");
        assert_eq!(into, io == "dmabuf", "{settings}");
        println!("{io}: {pictures} pictures, in as dmabuf: {into}");

        let mut config = config();
        let modes = ["output-io-mode", "capture-io-mode"];
        let modes = modes.map(|mode| (mode.to_owned(), Setting::Text(io.into())));
        let all = &mut config.programme.encoder_settings;
        all.insert(ENCODER.into(), modes.into());
        let passport = try_encoder(&config, ENCODER).unwrap();
        let (key, figures) = (&passport.key, &passport.figures);
        println!(
            "{io}: {figures:?}, {:?}, {:?}",
            passport.refused, passport.remarks
        );
        assert!(key.device.contains("stateful-encoder"), "{key:?}");
        assert!(key.settings.iter().any(|(_, set)| set == io), "{key:?}");
        // That they are right is not looked at: GStreamer 1.22 decodes nothing but YUY2 by this driver.
        assert!(figures.fps.unwrap() > 1.0 && figures.held == Some(0));
        let why = passport.verdict().unwrap_err();
        assert!(why.contains("x-fwht"), "{why}");
    }
}

#[test]
#[ignore = "needs the kernel's vicodec and vivid: board/vm/drivers runs it"]
fn a_camera_s_pictures_go_into_a_drivers_without_a_copy() {
    gst::init().unwrap();
    let camera =
        "v4l2src device=/dev/video0 io-mode=dmabuf num-buffers=8 ! video/x-raw,format=YUY2";
    let (pictures, into) = dmabufs(camera, "output-io-mode=dmabuf-import");
    assert_eq!((pictures, into), (8, true));
}

/// How many files of this process are that device.
fn held(device: &str) -> usize {
    let files = std::fs::read_dir("/proc/self/fd").unwrap();
    files
        .filter_map(|file| std::fs::read_link(file.ok()?.path()).ok())
        .filter(|file| file.as_os_str() == device)
        .count()
}

async fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let began = Instant::now();
    while !reached() {
        assert!(began.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
#[ignore = "needs the kernel's vicodec: board/vm/drivers runs it"]
async fn a_driver_that_hangs_is_left_within_a_second_and_the_outputs_go_on() {
    gst::init().unwrap();
    mem2mem::register();
    let folder = tempfile::tempdir().unwrap();
    let mut config = config();
    on_top(&mut config, mem2mem::ELEMENT);
    config.capture.audio = "test".into();
    config.passports = Some(folder.path().join("encoders.json"));
    let programme = |show: &Show| {
        let health = show.studio.health();
        let found = health.encoders.iter().find(|e| e.line == "programme");
        let found = found.unwrap();
        (found.element.clone(), found.left.clone())
    };
    let mut show = Show::start(config.clone()).await;
    let kept = std::fs::read_to_string(config.passports.unwrap()).unwrap();
    assert_eq!(
        programme(&show),
        (mem2mem::ELEMENT.into(), vec![]),
        "{kept}"
    );
    assert!(kept.contains("stateful-encoder"), "{kept}");
    println!("passports: {kept}");

    show.studio
        .scene(scene(vec![seat(0, Source::Host, quarter(0))]));
    let path = folder.path().join("show.mkv");
    show.studio.start_record(path.clone()).unwrap();
    show.until_recording().await;
    let feed = show.studio.shared().feeds.programme.clone();
    let units = Arc::new(Mutex::new(Vec::new()));
    let taken = units.clone();
    let _watcher = feed.subscribe("test", move |unit| {
        let keyframe = !unit.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let seconds = unit.pts().unwrap().nseconds() as f64 / 1e9;
        taken.lock().unwrap().push((seconds, keyframe));
        true
    });
    let count = || units.lock().unwrap().len();
    until("the driver's pictures are in the programme", || {
        count() > 20
    })
    .await;
    let device = mem2mem::device();
    assert!(held(&device) > 0, "{device}");

    std::fs::write(STALL, "1").unwrap();
    let advice = show
        .until("the encoder is left", |e| match e {
            Event::Trouble { what, advice } if what.ends_with(mem2mem::ELEMENT) => {
                Some(advice.clone())
            }
            _ => None,
        })
        .await;
    assert!(advice.contains("nothing came out"), "{advice}");
    let software = ("x264enc".to_owned(), vec![mem2mem::ELEMENT.to_owned()]);
    assert_eq!(programme(&show), software);
    let before = count();
    until("the programme goes on", || count() > before + 20).await;
    // Who stops it hangs in the driver, and nobody waits for them.
    assert!(held(&device) > 0, "{device}");
    std::fs::write(STALL, "0").unwrap();
    show.stop_record().await;
    show.studio.shutdown().await;

    let units = units.lock().unwrap().clone();
    let gaps = units.windows(2).filter_map(|pair| {
        let step = pair[1].0 - pair[0].0;
        assert!(step > 0.09, "from {} to {}", pair[0].0, pair[1].0);
        (step > 0.11).then_some((step, pair[1].1))
    });
    let gaps: Vec<(f64, bool)> = gaps.collect();
    println!("gaps {gaps:?}");
    assert!(gaps.len() == 1, "{gaps:?}");
    assert!(gaps[0].0 < 1.0 && gaps[0].1, "{gaps:?}");
    // Two kinds of headers are in it: that both play is seen where ffmpeg is.
    if let Ok(keep) = std::env::var("DAIS_RECORDING") {
        std::fs::copy(&path, keep).unwrap();
    }
}

/// A camera that has one format: `v4l2loopback`, into which this is played. Not by `v4l2sink`, which refuses what is coded.
struct Camera(gst::Pipeline, Option<JoinHandle<()>>);

const CAMERA: &str = "/dev/video9";

impl Camera {
    /// Red, made into that format by these elements.
    fn red(format: &[u8; 4], made: &str) -> Camera {
        let mut device = v4l::Device::with_path(CAMERA).unwrap();
        let wanted = v4l::Format::new(WIDTH, HEIGHT, v4l::FourCC::new(format));
        let set = v4l::video::Output::set_format(&device, &wanted).unwrap();
        assert_eq!((set.fourcc, set.width), (wanted.fourcc, WIDTH));
        let rate = v4l::video::output::Parameters::with_fps(FPS);
        v4l::video::Output::set_params(&device, &rate).unwrap();

        let launch = format!(
            "videotestsrc is-live=true pattern=red ! video/x-raw,width={WIDTH},height={HEIGHT},framerate={FPS}/1 ! videoconvert ! {made} ! appsink name=out"
        );
        let pipeline = gst::parse::launch(&launch).unwrap();
        let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
        let out = pipeline.by_name("out").unwrap();
        let out = out.downcast::<gst_app::AppSink>().unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let mut play = move || {
            let sample = out.pull_sample().ok()?;
            let picture = sample.buffer()?.map_readable().ok()?;
            device.write_all(&picture).ok()
        };
        // It is a camera when the first picture is in it.
        play().unwrap();
        let playing = std::thread::spawn(move || while play().is_some() {});
        Camera(pipeline, Some(playing))
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
        // It holds the device, and with it the format.
        let _ = self.1.take().map(JoinHandle::join);
    }
}

/// As HDMI cards and boards' own cameras give it, as USB cameras do, and coded as some of those do.
#[tokio::test]
#[ignore = "needs v4l2loopback: board/vm/drivers runs it"]
async fn a_camera_may_have_any_of_the_formats_that_cameras_have() {
    gst::init().unwrap();
    let h264 = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 ! video/x-h264,profile=baseline,stream-format=byte-stream";
    for (format, made) in [
        (b"NV12", "video/x-raw,format=NV12"),
        (b"YUYV", "video/x-raw,format=YUY2"),
        (b"MJPG", "video/x-raw,format=RGB ! jpegenc"),
        (b"H264", h264),
    ] {
        let _camera = Camera::red(format, made);
        let format = String::from_utf8_lossy(format);
        let folder = tempfile::tempdir().unwrap();
        let mut config = common::config();
        config.programme.fps = FPS;
        config.capture.video = format!("v4l2:{CAMERA}");
        let mut show = Show::start(config).await;
        show.studio
            .scene(scene(vec![seat(0, Source::Host, quarter(0))]));
        let host = show.studio.shared().slots.add(Source::Host);
        until("the camera's pictures come", || {
            host.health().frames > 2 * u64::from(FPS)
        })
        .await;
        let path = folder.path().join("programme.mkv");
        show.studio.start_record(path.clone()).unwrap();
        show.until_recording().await;
        show.frames(10).await;
        show.stop_record().await;
        let seen = colour(&watch(&path).pictures.last().unwrap().1, quarter(0));
        println!("{format}: {seen:?}");
        assert_colour(seen, [63, 102, 240]);
        assert_eq!(show.studio.health().camera_reopened, 0, "{format}");
        show.studio.shutdown().await;
    }
}

#[tokio::test]
#[ignore = "needs the kernel's snd-dummy: board/vm/drivers runs it"]
async fn a_microphone_that_is_off_in_its_card_is_switched_on_with_the_gain_that_is_set() {
    let mixer = alsa::mixer::Mixer::new("hw:Dummy", false).unwrap();
    let control = |mixer: &alsa::mixer::Mixer| {
        let id = alsa::mixer::SelemId::new("Mic", 0);
        let control = mixer.find_selem(&id).unwrap();
        let channel = alsa::mixer::SelemChannelId::mono();
        let gain = control.get_capture_vol_db(channel).unwrap().to_db();
        (control.get_capture_switch(channel).unwrap(), gain)
    };
    {
        let id = alsa::mixer::SelemId::new("Mic", 0);
        let control = mixer.find_selem(&id).unwrap();
        control.set_capture_switch_all(0).unwrap();
        println!("{:?}", control.get_capture_db_range());
    }
    assert_eq!(control(&mixer).0, 0);
    let mut config = common::config();
    config.capture.audio = "alsa:id:Dummy".into();
    config.capture.audio_gain_db = Some(-6.0);
    let show = Show::start(config).await;
    until("the microphone is on", || {
        mixer.handle_events().unwrap();
        control(&mixer).0 == 1
    })
    .await;
    until("its gain is set", || {
        mixer.handle_events().unwrap();
        (control(&mixer).1 + 6.0).abs() < 0.5
    })
    .await;
    show.studio.shutdown().await;
}
