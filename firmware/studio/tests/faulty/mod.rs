//! Encoders that fail: elements of GStreamer with x264 inside, each with a fault of its own that is switched on and off.
#![allow(dead_code)]

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    /// Takes pictures and gives nothing.
    Stalls,
    /// Does not come back from a picture.
    Blocks,
    /// Each row is shifted against the one above, as by a wrong stride.
    Garbles,
    /// Every other picture is the one before.
    Repeats,
    Deaf,
    Errs,
    Crawls,
    /// Takes four times the bits.
    Spends,
    /// Looks 16 pictures ahead.
    Holds,
}

/// Pictures that an encoder is right for after the fault is switched on before its start.
const AT_FIRST: u64 = 8;

/// What encodes inside.
pub fn x264() -> gst::Element {
    gst::ElementFactory::make("x264enc")
        .name("inner")
        .property_from_str("tune", "zerolatency")
        .property_from_str("speed-preset", "ultrafast")
        .property("key-int-max", 1000u32)
        .property("threads", 1u32)
        .build()
        .unwrap()
}

/// I420 in, H.264 out.
pub fn pads() -> Vec<gst::PadTemplate> {
    let raw = gst::Caps::builder("video/x-raw")
        .field("format", "I420")
        .build();
    let h264 = gst::Caps::new_empty_simple("video/x-h264");
    let always = gst::PadPresence::Always;
    let pad = |name, direction, caps| gst::PadTemplate::new(name, direction, always, caps).unwrap();
    vec![
        pad("sink", gst::PadDirection::Sink, &raw),
        pad("src", gst::PadDirection::Src, &h264),
    ]
}

fn wire(bin: &gst::Bin, fault: Fault, on: &'static AtomicBool) {
    let x264 = x264();
    if fault == Fault::Holds && on.load(Ordering::Relaxed) {
        x264.set_property_from_str("tune", "0");
        x264.set_property("rc-lookahead", 16i32);
    }
    bin.add(&x264).unwrap();
    let (sink, src) = (
        x264.static_pad("sink").unwrap(),
        x264.static_pad("src").unwrap(),
    );
    for pad in [&sink, &src] {
        let ghost = gst::GhostPad::with_target(pad).unwrap();
        bin.add_pad(&ghost).unwrap();
    }
    let (taken, given) = (AtomicU64::new(0), AtomicU64::new(0));
    let before = Mutex::new(None::<gst::Buffer>);
    sink.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let n = taken.fetch_add(1, Ordering::Relaxed);
        let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data else {
            return gst::PadProbeReturn::Ok;
        };
        let is_on = on.load(Ordering::Relaxed);
        match fault {
            Fault::Garbles if is_on => shear(buffer.make_mut()),
            Fault::Repeats => {
                let mut before = before.lock().unwrap();
                if is_on
                    && n % 2 == 1
                    && let Some(mut old) = before.clone()
                {
                    let stamped = old.make_mut();
                    stamped.set_pts(buffer.pts());
                    stamped.set_duration(buffer.duration());
                    *buffer = old;
                } else {
                    *before = Some(buffer.clone());
                }
            }
            Fault::Crawls if is_on => std::thread::sleep(Duration::from_millis(400)),
            Fault::Blocks if n > AT_FIRST => {
                while on.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
    let weak = bin.downgrade();
    src.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        let n = given.fetch_add(1, Ordering::Relaxed);
        if !on.load(Ordering::Relaxed) || n < AT_FIRST {
            return gst::PadProbeReturn::Ok;
        }
        match fault {
            Fault::Stalls => gst::PadProbeReturn::Drop,
            Fault::Errs => {
                if let Some(bin) = weak.upgrade() {
                    gst::element_error!(bin, gst::StreamError::Encode, ("the test wants it"));
                }
                gst::PadProbeReturn::Drop
            }
            _ => gst::PadProbeReturn::Ok,
        }
    });
    if fault == Fault::Deaf {
        src.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
            let asks = info
                .event()
                .is_some_and(|event| gst_video::ForceKeyUnitEvent::is(event));
            match asks && on.load(Ordering::Relaxed) {
                // Not `Drop`: GStreamer 1.22 then releases the event that the bindings have released.
                true => gst::PadProbeReturn::Handled,
                false => gst::PadProbeReturn::Ok,
            }
        });
    }
}

/// I420 without padding: rows of a width that four divides.
fn shear(buffer: &mut gst::BufferRef) {
    let mut map = buffer.map_writable().unwrap();
    let width = 320;
    for (y, row) in map.chunks_exact_mut(width).enumerate() {
        row.rotate_left(y * 4 % width);
    }
}

macro_rules! faulty {
    ($module:ident, $class:literal, $element:literal, $fault:expr) => {
        pub mod $module {
            use super::*;

            pub const ELEMENT: &str = $element;
            /// Whether it fails.
            pub static ON: AtomicBool = AtomicBool::new(false);

            mod imp {
                use super::*;

                #[derive(Default)]
                pub struct Encoder;

                #[glib::object_subclass]
                impl ObjectSubclass for Encoder {
                    const NAME: &'static str = $class;
                    type Type = super::Encoder;
                    type ParentType = gst::Bin;
                }

                impl ObjectImpl for Encoder {
                    fn properties() -> &'static [glib::ParamSpec] {
                        static PROPERTIES: std::sync::LazyLock<Vec<glib::ParamSpec>> =
                            std::sync::LazyLock::new(|| {
                                let bitrate = glib::ParamSpecUInt::builder("bitrate");
                                vec![bitrate.nick("kbit/s").write_only().build()]
                            });
                        &PROPERTIES
                    }

                    fn set_property(&self, _: usize, value: &glib::Value, _: &glib::ParamSpec) {
                        let inner = self.obj().by_name("inner").unwrap();
                        let mut kbps = value.get::<u32>().unwrap();
                        if $fault == Fault::Spends && ON.load(Ordering::Relaxed) {
                            kbps *= 4;
                        }
                        inner.set_property("bitrate", kbps);
                    }

                    fn constructed(&self) {
                        self.parent_constructed();
                        wire(self.obj().upcast_ref(), $fault, &ON);
                    }
                }

                impl GstObjectImpl for Encoder {}

                impl ElementImpl for Encoder {
                    fn pad_templates() -> &'static [gst::PadTemplate] {
                        static TEMPLATES: std::sync::LazyLock<Vec<gst::PadTemplate>> =
                            std::sync::LazyLock::new(pads);
                        &TEMPLATES
                    }
                }

                impl BinImpl for Encoder {}
            }

            glib::wrapper! {
                pub struct Encoder(ObjectSubclass<imp::Encoder>)
                    @extends gst::Bin, gst::Element, gst::Object;
            }

            pub fn register() {
                gst::init().unwrap();
                let rank = gst::Rank::NONE;
                gst::Element::register(None, ELEMENT, rank, Encoder::static_type()).unwrap();
            }
        }
    };
}

faulty!(stalls, "TestStalls", "teststallsenc", Fault::Stalls);
faulty!(blocks, "TestBlocks", "testblocksenc", Fault::Blocks);
faulty!(garbles, "TestGarbles", "testgarblesenc", Fault::Garbles);
faulty!(repeats, "TestRepeats", "testrepeatsenc", Fault::Repeats);
faulty!(deaf, "TestDeaf", "testdeafenc", Fault::Deaf);
faulty!(errs, "TestErrs", "testerrsenc", Fault::Errs);
faulty!(crawls, "TestCrawls", "testcrawlsenc", Fault::Crawls);
faulty!(spends, "TestSpends", "testspendsenc", Fault::Spends);
faulty!(holds, "TestHolds", "testholdsenc", Fault::Holds);

/// Puts one of them on top of the ladder, with its bit rate set as a board would.
pub fn on_top(config: &mut dais_studio::StudioConfig, element: &str) {
    config.programme.encoders = vec![element.into()];
    let kbps = dais_studio::config::Setting::Text("{kbps}".into());
    let settings = [("bitrate".to_owned(), kbps)].into();
    let all = &mut config.programme.encoder_settings;
    all.insert(element.into(), settings);
}

/// How long this machine stood still since it was made: time that a thread which sleeps 10 ms at a time did not get.
pub struct Standstill {
    micros: std::sync::Arc<AtomicU64>,
    stop: std::sync::Arc<AtomicBool>,
}

impl Standstill {
    pub fn watch() -> Standstill {
        let (micros, stop) = (
            std::sync::Arc::new(AtomicU64::new(0)),
            std::sync::Arc::new(AtomicBool::new(false)),
        );
        let (sum, end) = (micros.clone(), stop.clone());
        std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                let began = std::time::Instant::now();
                std::thread::sleep(Duration::from_millis(10));
                let late = began.elapsed().saturating_sub(Duration::from_millis(12));
                sum.fetch_add(late.as_micros() as u64, Ordering::Relaxed);
            }
        });
        Standstill { micros, stop }
    }

    pub fn seconds(&self) -> f64 {
        self.micros.load(Ordering::Relaxed) as f64 / 1e6
    }
}

impl Drop for Standstill {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
