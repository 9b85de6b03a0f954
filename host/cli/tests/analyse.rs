//! `dais analyse` on recordings whose faults are known.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, Once};

use dais_cli::analyse::{Report, Source, Stream, analyse};
use gst::prelude::*;

fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        gst::init().unwrap();
        gstdais::plugin_register_static().unwrap();
    });
}

/// Frames of 40 ms; what is known of the recording.
const FRAMES: u64 = 150;
const LOST: [u64; 3] = [20, 21, 70];
const REPEATED: u64 = 40;
const GUEST_BEHIND_MS: i64 = 100;
const SOUND_LATE_MS: i64 = 80;

fn run(pipeline: &gst::Pipeline) {
    let bus = pipeline.bus().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let patience = gst::ClockTime::from_seconds(100);
    let end = bus
        .timed_pop_filtered(patience, &ends)
        .expect("the pipeline ends");
    pipeline.set_state(gst::State::Null).unwrap();
    if let gst::MessageView::Error(error) = end.view() {
        panic!("{} {:?}", error.error(), error.debug());
    }
}

/// A guest's mark (source 5), and the host's (source 0) which is stamped 100 ms later. Two frames and then one are missing, one is
/// shown twice, and the sound is 80 ms late beside the guest's picture.
fn record(file: &Path, mux: &str, audio: &str) {
    init();
    let pipeline = gst::parse::launch(&format!(
        "{mux} name=mux ! filesink location={} \
         videotestsrc num-buffers={FRAMES} pattern=ball ! video/x-raw,format=I420,width=640,height=360,framerate=25/1 \
         ! daisstamp source-id=5 x=16 y=16 width=216 height=120 ! daisstamp name=host source-id=0 x=320 y=16 width=216 height=120 \
         ! x264enc bitrate=600 speed-preset=ultrafast key-int-max=50 ! h264parse ! queue ! mux. \
         audiotestsrc num-buffers=600 samplesperbuffer=480 wave=pink-noise volume=0.05 ! audio/x-raw,format=S16LE,rate=48000,channels=2 \
         ! daistonestamp source-id=5 ! identity name=sound ! audioconvert ! {audio} ! queue ! mux.",
        file.display()
    ))
    .unwrap()
    .downcast::<gst::Pipeline>()
    .unwrap();
    let host = pipeline.by_name("host").unwrap();
    host.static_pad("sink")
        .unwrap()
        .set_offset(GUEST_BEHIND_MS * 1_000_000);
    let sound = pipeline.by_name("sound").unwrap();
    let late = (GUEST_BEHIND_MS + SOUND_LATE_MS) * 1_000_000;
    sound.static_pad("src").unwrap().set_offset(late);
    let last: Mutex<Option<gst::Buffer>> = Mutex::new(None);
    let marked = host.static_pad("src").unwrap();
    marked.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let Some(buffer) = info.buffer_mut() else {
            return gst::PadProbeReturn::Ok;
        };
        let number = buffer.pts().unwrap().mseconds() / 40;
        if LOST.contains(&number) {
            return gst::PadProbeReturn::Drop;
        }
        let mut last = last.lock().unwrap();
        if number == REPEATED {
            let mut again = last.as_ref().unwrap().copy_deep().unwrap();
            let stamps = again.make_mut();
            stamps.set_pts(buffer.pts());
            stamps.set_dts(buffer.dts());
            *buffer = again;
        }
        // A deep copy: what goes on may be written to.
        *last = Some(buffer.copy_deep().unwrap());
        gst::PadProbeReturn::Ok
    });
    run(&pipeline);
}

fn sources(report: &Report) -> &[Source] {
    let video = report.streams.iter().find_map(|stream| match stream {
        Stream::Video { sources, .. } => Some(sources),
        Stream::Audio { .. } => None,
    });
    video.unwrap()
}

#[test]
fn lost_and_repeated_frames_latency_and_offset_are_found_in_every_container() {
    // Each encoder's own delay that its stream does not tell.
    let aac = 1024.0 / 48.0;
    for (name, mux, audio, priming) in [
        ("mkv", "matroskamux", "identity", 0.0),
        ("mp4", "mp4mux", "avenc_aac bitrate=128000 ! aacparse", aac),
        ("flv", "flvmux", "avenc_aac bitrate=128000 ! aacparse", aac),
        (
            "ts",
            "mpegtsmux",
            "avenc_aac bitrate=128000 ! aacparse",
            aac,
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(format!("show.{name}"));
        record(&file, mux, audio);
        let report = analyse(&file, 0).unwrap();
        assert_eq!(report.problems, [""; 0], "{name}");
        let [host, guest] = sources(&report) else {
            panic!("{report}");
        };
        for source in [host, guest] {
            // The frame in whose stead the one before is shown is lost as well.
            assert_eq!(source.lost, LOST.len() as u64 + 1, "{report}");
            assert_eq!(source.repeated, 1, "{report}");
            assert_eq!(source.unread, 0, "{report}");
            assert_eq!(source.frames, FRAMES - LOST.len() as u64 - 1, "{report}");
            assert_eq!(
                (source.first, source.last),
                (0, FRAMES as u32 - 1),
                "{report}"
            );
            assert_eq!((source.out_of_order, source.restarts), (0, 0), "{report}");
        }
        assert_eq!(host.latency_ms, None);
        assert_eq!(guest.latency_ms.unwrap().p50, GUEST_BEHIND_MS as f64);
        assert_eq!(guest.latency_ms.unwrap().max, GUEST_BEHIND_MS as f64);
        assert_eq!(host.av, None, "its sound has no marker");
        let av = guest.av.unwrap();
        assert!(av.markers >= 5, "{report}");
        let wanted = SOUND_LATE_MS as f64 + priming;
        assert!((av.p50_ms - wanted).abs() < 2.0, "{name}: {av:?}");
        assert!((av.worst_ms - wanted).abs() < 2.0, "{name}: {av:?}");
        let times = report.streams.iter().find_map(|stream| match stream {
            Stream::Video { times, .. } => times.clone(),
            Stream::Audio { .. } => None,
        });
        let times = times.unwrap();
        assert_eq!((times.packets, times.repeated), (FRAMES - 3, 0), "{report}");
        assert_eq!(times.gaps.count, 2, "{report}");
        assert!((times.longest_step_ms - 120.0).abs() < 2.0, "{report}");
    }
}

#[test]
fn black_frozen_and_silent_spans_are_named() {
    init();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("still.mkv");
    let pipeline = gst::parse::launch(&format!(
        "matroskamux name=mux ! filesink location={} \
         concat name=pictures ! x264enc bitrate=600 speed-preset=ultrafast ! queue ! mux. \
         videotestsrc num-buffers=25 pattern=ball ! video/x-raw,format=I420,width=320,height=180,framerate=25/1 ! pictures. \
         videotestsrc num-buffers=50 pattern=black ! video/x-raw,format=I420,width=320,height=180,framerate=25/1 ! pictures. \
         videotestsrc num-buffers=25 pattern=smpte75 ! video/x-raw,format=I420,width=320,height=180,framerate=25/1 ! pictures. \
         concat name=sounds ! audioconvert ! audio/x-raw,format=S16LE ! queue ! mux. \
         audiotestsrc num-buffers=100 samplesperbuffer=480 volume=0.5 ! audio/x-raw,rate=48000,channels=2 ! sounds. \
         audiotestsrc num-buffers=200 samplesperbuffer=480 wave=silence ! audio/x-raw,rate=48000,channels=2 ! sounds. \
         audiotestsrc num-buffers=100 samplesperbuffer=480 volume=0.5 ! audio/x-raw,rate=48000,channels=2 ! sounds.",
        file.display()
    ));
    run(&pipeline.unwrap().downcast().unwrap());
    let report = analyse(&file, 0).unwrap();
    let mut seen = 0;
    for stream in &report.streams {
        match stream {
            Stream::Video {
                stills,
                frames,
                sources,
                ..
            } => {
                assert_eq!((*frames, sources.len()), (100, 0));
                assert_eq!(stills.black.count, 1, "{report}");
                let black = stills.black.first[0];
                assert!(
                    (black.from_s - 1.0).abs() < 0.05 && (black.seconds - 2.0).abs() < 0.05,
                    "{report}"
                );
                assert!(
                    stills.frozen.count >= 1 && stills.frozen.seconds > 1.8,
                    "{report}"
                );
                assert_eq!(stills.backward, 0);
                seen += 1;
            }
            Stream::Audio { levels, .. } => {
                assert_eq!(levels.silence.count, 1, "{report}");
                let silence = levels.silence.first[0];
                assert!(
                    (silence.from_s - 1.0).abs() < 0.03 && (silence.seconds - 2.0).abs() < 0.05,
                    "{report}"
                );
                assert!((levels.peak_db.unwrap() + 6.0).abs() < 0.5, "{report}");
                assert!(
                    (levels.loudness_lufs.unwrap() + 6.7).abs() < 1.0,
                    "{report}"
                );
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 2);
}

fn command(arguments: &[&str]) -> (Option<i32>, String, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_dais"))
        .arg("analyse")
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (done.status.code(), text(done.stdout), text(done.stderr))
}

#[test]
fn the_command_prints_one_object_or_says_why_a_file_is_unreadable() {
    init();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let pipeline = gst::parse::launch(&format!(
        "videotestsrc num-buffers=200 ! video/x-raw,width=320,height=180,framerate=25/1 ! daisstamp source-id=8 \
         ! x264enc speed-preset=ultrafast ! matroskamux ! filesink location={}",
        path("whole.mkv")
    ));
    run(&pipeline.unwrap().downcast().unwrap());
    let (code, out, _) = command(&["--json", &path("whole.mkv")]);
    assert_eq!(code, Some(0));
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    let video = &value["streams"][0];
    assert_eq!(
        (video["kind"].as_str(), video["frames"].as_u64()),
        (Some("video"), Some(200))
    );
    assert_eq!(video["sources"][0]["source"], 8);
    assert_eq!(video["times"]["packets"], 200);
    let (code, out, _) = command(&[&path("whole.mkv")]);
    assert_eq!(code, Some(0));
    assert!(
        out.contains("mark 8: 200 frames (0 to 199), 0 lost"),
        "{out}"
    );

    let whole = std::fs::read(path("whole.mkv")).unwrap();
    std::fs::write(path("cut.mkv"), &whole[..whole.len() / 2]).unwrap();
    let (code, out, error) = command(&["--json", &path("cut.mkv")]);
    assert_eq!(code, Some(1), "{out}");
    assert!(
        error.contains("is read only in part: its container says 8.00 s"),
        "{error}"
    );
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(value["problems"].as_array().unwrap().len(), 1);

    std::fs::write(path("text.mkv"), "this is no film\n".repeat(100)).unwrap();
    for (file, why) in [
        ("none.mkv", "No such file"),
        ("text.mkv", "can't be read"),
        ("", "it is no file"),
    ] {
        let (code, out, error) = command(&["--json", &path(file)]);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{file}");
        assert!(
            error.contains(why) && error.contains(&path(file)),
            "{error}"
        );
    }
}
