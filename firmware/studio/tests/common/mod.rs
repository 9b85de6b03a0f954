//! A small studio, synthetic guests, and eyes and ears for recordings.
#![allow(dead_code)]

pub mod ear;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dais_studio::api::{Event, Fit, Look, OutputState, Rect, Scene, SceneSeat, Source};
use dais_studio::{Slot, Studio, StudioConfig};
use gst::prelude::*;
use tokio::sync::mpsc::UnboundedReceiver;

/// Long enough for a machine that does other things; nothing waits so long when all is well.
pub const PATIENCE: Duration = Duration::from_secs(90);

pub const WIDTH: u32 = 320;
pub const HEIGHT: u32 = 180;

/// 320x180 at 15 frames a second, the host's test picture, no microphone.
pub fn config() -> StudioConfig {
    let mut config = StudioConfig::default();
    config.capture.audio = "none".into();
    config.programme.width = WIDTH;
    config.programme.height = HEIGHT;
    config.programme.fps = 15;
    config.programme.bitrate_kbps = 1500;
    config.programme.background = "#000000".into();
    config.returns.width = 160;
    config.returns.height = 90;
    config.returns.fps = 15;
    config.ice.loopback = true;
    config
}

pub struct Show {
    pub studio: Studio,
    pub heard: UnboundedReceiver<Event>,
}

impl Show {
    /// A studio whose programme moves.
    pub async fn start(config: StudioConfig) -> Show {
        let (events, heard) = tokio::sync::mpsc::unbounded_channel();
        let studio = Studio::start(config, events).unwrap();
        let mut show = Show { studio, heard };
        show.until("the programme moves", |e| {
            matches!(e, Event::Moving).then_some(())
        })
        .await;
        show
    }

    /// Waits for an event, and for no other.
    pub async fn until<T>(&mut self, what: &str, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        let waiting = async {
            loop {
                let event = self.heard.recv().await.expect("the studio lives");
                if let Some(found) = wanted(&event) {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, waiting)
            .await
            .unwrap_or_else(|_| panic!("waited in vain until {what}"))
    }

    pub async fn until_recording(&mut self) {
        self.until("a recording is live", |e| match e {
            Event::Record(r) if r.state == OutputState::Live => Some(()),
            _ => None,
        })
        .await;
    }

    /// Stops the recording and waits until the file is whole.
    pub async fn stop_record(&mut self) {
        self.studio.stop_record();
        let error = self
            .until("the recording is whole", |e| match e {
                Event::Record(r)
                    if matches!(r.state, OutputState::Stopped | OutputState::Failed) =>
                {
                    Some(r.error.clone())
                }
                _ => None,
            })
            .await;
        assert_eq!(error, None);
    }

    pub async fn until_output(&mut self, id: &str, state: OutputState) {
        self.until(&format!("output {id} is {state:?}"), |e| match e {
            Event::Output(o) if o.output_id == id && o.state == state => Some(()),
            _ => None,
        })
        .await;
    }

    /// An output says its bit rate, and it can be true.
    pub async fn until_it_flows(&mut self) {
        let kbps = self
            .until("a bit rate is told", |e| match e {
                Event::Output(o) if o.state == OutputState::Live && o.kbps > 0 => Some(o.kbps),
                _ => None,
            })
            .await;
        assert!((10..5000).contains(&kbps), "{kbps} kbit/s");
    }

    /// Lets the programme run for so many of its frames.
    pub async fn frames(&self, n: u64) {
        let until = self.studio.health().frames + n;
        let began = Instant::now();
        while self.studio.health().frames < until {
            assert!(began.elapsed() < PATIENCE, "the programme stands still");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

pub fn session(id: &str) -> Source {
    Source::Session(id.into())
}

pub fn seat(seat: u8, source: Source, rect: Rect) -> SceneSeat {
    SceneSeat {
        seat,
        source,
        rect: Some(rect),
        z: 0,
        fit: Fit::Fill,
        look: Look::Live,
        name: String::new(),
        audible: true,
        gain_db: 0.0,
    }
}

/// The n-th quarter of the canvas: top left, top right, bottom left, bottom right.
pub fn quarter(n: i32) -> Rect {
    let (w, h) = (WIDTH / 2, HEIGHT / 2);
    Rect {
        x: n % 2 * w as i32,
        y: n / 2 * h as i32,
        w,
        h,
    }
}

pub fn scene(seats: Vec<SceneSeat>) -> Scene {
    Scene {
        seats,
        talkback: None,
    }
}

/// A guest without a network: pictures of one colour and a tone, straight into a slot.
pub struct Guest {
    pub slot: Arc<Slot>,
    pub frozen: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
}

impl Guest {
    /// `yuv` is the colour, or noise if `None`.
    pub fn new(studio: &Studio, id: &str, yuv: Option<[u8; 3]>, hz: f32) -> Guest {
        let slot = studio.shared().slots.add(session(id));
        let (frozen, stop) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicBool::new(false)),
        );
        let guest = Guest {
            slot: slot.clone(),
            frozen: frozen.clone(),
            stop: stop.clone(),
        };
        std::thread::spawn(move || {
            let mut due = Instant::now();
            let mut random = 1u32;
            for n in 0u64.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                if !frozen.load(Ordering::Relaxed) {
                    if n % 6 == 0 {
                        slot.video.put(&picture(yuv, &mut random));
                    }
                    slot.audio.push(&tone(n * 480, 480, hz));
                }
                due += Duration::from_millis(10);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        });
        guest
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

pub fn picture(yuv: Option<[u8; 3]>, random: &mut u32) -> gst::Sample {
    // The programme's own, so that a colour is seen as it is put.
    let bt709 = "bt709".parse::<gst_video::VideoColorimetry>().unwrap();
    let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, 160, 96)
        .colorimetry(&bt709)
        .build()
        .unwrap();
    let mut data = vec![0u8; info.size()];
    let luma = 160 * 96;
    match yuv {
        Some([y, u, v]) => {
            data[..luma].fill(y);
            data[luma..luma * 5 / 4].fill(u);
            data[luma * 5 / 4..].fill(v);
        }
        None => data.iter_mut().for_each(|x| {
            *random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *x = (*random >> 24) as u8;
        }),
    }
    gst::Sample::builder()
        .buffer(&gst::Buffer::from_slice(data))
        .caps(&info.to_caps().unwrap())
        .build()
}

/// Interleaved stereo at -20 dBFS.
pub fn tone(from: u64, frames: u64, hz: f32) -> Vec<f32> {
    (from..from + frames)
        .flat_map(|n| {
            let x =
                0.1 * (std::f64::consts::TAU * f64::from(hz) * n as f64 / 48_000.0).sin() as f32;
            [x, x]
        })
        .collect()
}

/// Level of one frequency in mono samples at 48 kHz, in dB of full scale: the median of windows of 100 ms. A window hears
/// 10 Hz to both sides, since the queues of a loaded machine play up to 1000 ppm faster or slower.
pub fn level_db(samples: &[f32], hz: f64) -> f64 {
    let mut levels: Vec<f64> = samples
        .chunks_exact(4800)
        .map(|window| goertzel_db(window, hz))
        .collect();
    levels.sort_by(f64::total_cmp);
    levels[levels.len() / 2]
}

fn goertzel_db(samples: &[f32], hz: f64) -> f64 {
    let n = samples.len() as f64;
    let w = std::f64::consts::TAU * hz / 48_000.0;
    let (mut a, mut b) = (0.0, 0.0);
    for (i, x) in samples.iter().enumerate() {
        // Hann, against leakage.
        let window = 0.5 - 0.5 * (std::f64::consts::TAU * i as f64 / n).cos();
        (a, b) = (f64::from(*x) * window + 2.0 * w.cos() * a - b, a);
    }
    let power = a * a + b * b - 2.0 * w.cos() * a * b;
    // The window's mean is a half, and a sine's amplitude stands for half its bin.
    10.0 * (power.max(1e-30) / (n / 4.0).powi(2)).log10()
}

/// Timestamps of a stream's packets in seconds, as another demuxer sees them. `stream` is `v` or `a`.
pub fn packets(path: &Path, stream: &str) -> Vec<f64> {
    let out = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-select_streams",
            stream,
            "-show_entries",
            "packet=pts_time",
            "-of",
            "csv=p=0",
        ])
        .arg(path)
        .output()
        .expect("ffprobe runs: install ffmpeg");
    String::from_utf8(out.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| line.trim_end_matches(',').parse().ok())
        .collect()
}

/// Each next timestamp is one frame later: no gap, no repetition. Matroska's own grid is 1 ms.
pub fn assert_unbroken(pts: &[f64], fps: f64) {
    assert!(pts.len() > 2, "only {} packets", pts.len());
    for pair in pts.windows(2) {
        let step = pair[1] - pair[0];
        assert!(
            (step - 1.0 / fps).abs() < 0.0021,
            "from {} to {} is {step} s",
            pair[0],
            pair[1]
        );
    }
}

/// A decoded recording.
pub struct Watched {
    /// Seconds, and the picture as packed I420 of the programme's size.
    pub pictures: Vec<(f64, Vec<u8>)>,
    /// Left channel at 48 kHz, and the time of its first sample.
    pub sound: Vec<f32>,
    pub sound_from: f64,
}

/// Plays a file as fast as it goes.
pub fn watch(path: &Path) -> Watched {
    let launch = format!(
        "filesrc location={} ! matroskademux name=d d. ! queue max-size-buffers=0 max-size-bytes=0 max-size-time=0 ! h264parse ! avdec_h264 max-threads=1 ! videoconvert ! \
         video/x-raw,format=I420 ! appsink name=v sync=false d. ! queue max-size-buffers=0 max-size-bytes=0 max-size-time=0 ! aacparse ! avdec_aac ! audioconvert ! \
         audioresample ! audio/x-raw,format=F32LE,rate=48000,channels=1,layout=interleaved ! appsink name=a sync=false",
        path.display()
    );
    let pipeline = gst::parse::launch(&launch)
        .unwrap()
        .downcast::<gst::Pipeline>()
        .unwrap();
    let sink = |name| {
        pipeline
            .by_name(name)
            .unwrap()
            .downcast::<gst_app::AppSink>()
            .unwrap()
    };
    let (v, a) = (sink("v"), sink("a"));
    pipeline.set_state(gst::State::Playing).unwrap();
    let sound = std::thread::spawn(move || {
        let (mut sound, mut from) = (Vec::new(), None);
        while let Ok(sample) = a.pull_sample() {
            let buffer = sample.buffer().unwrap();
            from.get_or_insert(seconds(buffer));
            let map = buffer.map_readable().unwrap();
            sound.extend(
                map.chunks_exact(4)
                    .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])),
            );
        }
        (sound, from.unwrap_or(0.0))
    });
    let mut pictures = Vec::new();
    while let Ok(sample) = v.pull_sample() {
        let buffer = sample.buffer().unwrap();
        pictures.push((seconds(buffer), packed(&sample)));
    }
    let (sound, sound_from) = sound.join().unwrap();
    pipeline.set_state(gst::State::Null).unwrap();
    Watched {
        pictures,
        sound,
        sound_from,
    }
}

fn seconds(buffer: &gst::BufferRef) -> f64 {
    buffer.pts().unwrap().nseconds() as f64 / 1e9
}

fn packed(sample: &gst::Sample) -> Vec<u8> {
    use gst_video::VideoFrameExt;
    let info = gst_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(sample.buffer().unwrap(), &info)
        .unwrap();
    let mut out = Vec::new();
    for p in 0..3u32 {
        let (w, h) = (frame.comp_width(p) as usize, frame.comp_height(p) as usize);
        let stride = frame.plane_stride()[p as usize] as usize;
        let data = frame.plane_data(p).unwrap();
        for y in 0..h {
            out.extend_from_slice(&data[y * stride..][..w]);
        }
    }
    out
}

/// Mean colour of the middle half of a rectangle.
pub fn colour(picture: &[u8], rect: Rect) -> [u8; 3] {
    let (w, h) = (WIDTH as usize, HEIGHT as usize);
    let mean = |plane: &[u8], stride: usize, x: usize, y: usize, cw: usize, ch: usize| {
        let sum: u64 = (y..y + ch)
            .flat_map(|row| &plane[row * stride + x..][..cw])
            .map(|v| u64::from(*v))
            .sum();
        (sum / (cw * ch) as u64) as u8
    };
    let (x, y) = (
        rect.x as usize + rect.w as usize / 4,
        rect.y as usize + rect.h as usize / 4,
    );
    let (cw, ch) = (rect.w as usize / 2, rect.h as usize / 2);
    let (luma, chroma) = picture.split_at(w * h);
    let (u, v) = chroma.split_at(w * h / 4);
    [
        mean(luma, w, x, y, cw, ch),
        mean(u, w / 2, x / 2, y / 2, cw / 2, ch / 2),
        mean(v, w / 2, x / 2, y / 2, cw / 2, ch / 2),
    ]
}

pub fn assert_colour(got: [u8; 3], want: [u8; 3]) {
    assert!(
        got.iter().zip(want).all(|(g, w)| g.abs_diff(w) <= 6),
        "{got:?} is not {want:?}"
    );
}

/// Plays it as players do, and hears no complaint.
pub fn plays(path: &Path) {
    let out = Command::new("ffmpeg")
        .args(["-v", "error", "-xerror", "-i"])
        .arg(path)
        .args(["-map", "0", "-f", "null", "-"])
        .output()
        .expect("ffmpeg runs: install ffmpeg");
    let complaints = String::from_utf8_lossy(&out.stderr);
    assert!(
        out.status.success() && complaints.is_empty(),
        "{complaints}"
    );
}
