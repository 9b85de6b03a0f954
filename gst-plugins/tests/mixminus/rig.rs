//! A `daismixminus` with a cranked clock, and pads that the test holds in its own hands.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use gst::prelude::*;
use gst_check::TestClock;

#[path = "../../src/mixminus/tests/sound.rs"]
mod sound;
pub use sound::{amplitude, roughness, tone};

pub const BLOCK: gst::ClockTime = gst::ClockTime::from_mseconds(10);
/// Only a bug makes anything here last so long.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn caps(format: &str, channels: i32) -> gst::Caps {
    gst::Caps::builder("audio/x-raw")
        .field("format", format)
        .field("rate", 48_000)
        .field("channels", channels)
        .field("layout", "interleaved")
        .build()
}

pub fn floats(buffer: &gst::BufferRef) -> Vec<f32> {
    let map = buffer.map_readable().unwrap();
    let samples = map.as_chunks().0.iter();
    samples.map(|b| f32::from_le_bytes(*b)).collect()
}

pub enum Got {
    Buffer(gst::Buffer),
    Eos,
}

/// Takes what a src pad pushes; can be told to hold it up.
pub struct Sink {
    /// Held, or it would be unlinked.
    _pad: gst::Pad,
    got: Receiver<Got>,
    gate: Arc<(Mutex<bool>, Condvar)>,
}

impl Sink {
    pub fn new(src: &gst::Pad, caps: Option<gst::Caps>) -> Self {
        let (give, got) = channel();
        let tell = give.clone();
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        let own = gate.clone();
        let caps = caps.unwrap_or_else(gst::Caps::new_any);
        let template = gst::PadTemplate::new(
            "sink",
            gst::PadDirection::Sink,
            gst::PadPresence::Always,
            &caps,
        );
        let pad = gst::Pad::builder_from_template(&template.unwrap())
            .chain_function(move |_, _, buffer| {
                let (shut, opened) = &*own;
                let mut shut = shut.lock().unwrap();
                // Decided before the test sees the buffer: closing the gate then holds up the next one, not this.
                let held = *shut;
                let _ = give.send(Got::Buffer(buffer));
                while held && *shut {
                    shut = opened.wait(shut).unwrap();
                }
                drop(shut);
                Ok(gst::FlowSuccess::Ok)
            })
            .event_function(move |pad, parent, event| {
                if event.type_() == gst::EventType::Eos {
                    let _ = tell.send(Got::Eos);
                }
                gst::Pad::event_default(pad, parent, event)
            })
            .build();
        pad.set_active(true).unwrap();
        src.link(&pad).unwrap();
        Self {
            _pad: pad,
            got,
            gate,
        }
    }

    pub fn set_shut(&self, shut: bool) {
        *self.gate.0.lock().unwrap() = shut;
        self.gate.1.notify_all();
    }

    pub fn next(&self) -> Option<gst::Buffer> {
        match self.got.recv_timeout(PATIENCE).unwrap() {
            Got::Buffer(buffer) => Some(buffer),
            Got::Eos => None,
        }
    }

    /// The next block's samples; it must be this one.
    #[track_caller]
    pub fn block(&self, number: u64) -> Vec<f32> {
        let buffer = self.next().expect("a block, not EOS");
        assert_eq!(buffer.pts(), Some(BLOCK * number));
        assert_eq!(buffer.duration(), Some(BLOCK));
        floats(&buffer)
    }

    /// All until EOS, end to end, with timestamps without a gap.
    pub fn all(&self) -> Vec<u8> {
        let (mut bytes, mut due) = (Vec::new(), gst::ClockTime::ZERO);
        while let Some(buffer) = self.next() {
            assert_eq!(buffer.pts(), Some(due));
            due += buffer.duration().unwrap();
            bytes.extend_from_slice(&buffer.map_readable().unwrap());
        }
        bytes
    }
}

pub struct Source {
    pub pad: gst::Pad,
    pub sink: gst::Pad,
    sent: u64,
}

impl Source {
    pub fn new(element: &gst::Element, caps: &gst::Caps) -> Self {
        let sink = element.request_pad_simple("sink_%u").unwrap();
        let pad = gst::Pad::builder(gst::PadDirection::Src).build();
        pad.set_active(true).unwrap();
        pad.link(&sink).unwrap();
        pad.push_event(gst::event::StreamStart::new(&sink.name()));
        pad.push_event(gst::event::Caps::new(caps));
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        pad.push_event(gst::event::Segment::new(&segment));
        Self { pad, sink, sent: 0 }
    }

    pub fn push_bytes(
        &mut self,
        bytes: Vec<u8>,
        frames: u64,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let at = |frame: u64| gst::ClockTime::from_nseconds(frame * 1_000_000_000 / 48_000);
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        {
            let buffer = buffer.get_mut().unwrap();
            buffer.set_pts(at(self.sent));
            buffer.set_duration(at(self.sent + frames) - at(self.sent));
        }
        self.sent += frames;
        self.pad.push(buffer)
    }

    /// Stereo floats.
    pub fn push(&mut self, samples: &[f32]) {
        let bytes = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.push_bytes(bytes, samples.len() as u64 / 2).unwrap();
    }

    pub fn skip(&mut self, frames: u64) {
        self.sent += frames;
    }
}

pub struct Rig {
    pub element: gst::Element,
    pub clock: TestClock,
    pub bus: gst::Bus,
}

impl Rig {
    pub fn new(live: bool) -> Self {
        gst::init().unwrap();
        gstdais::plugin_register_static().unwrap();
        let element = gst::ElementFactory::make("daismixminus")
            .property("live", live)
            .build()
            .unwrap();
        let clock = TestClock::new();
        element.set_clock(Some(&clock)).unwrap();
        element.set_base_time(gst::ClockTime::ZERO);
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        Self {
            element,
            clock,
            bus,
        }
    }

    pub fn play(&self) {
        self.element.set_state(gst::State::Playing).unwrap();
    }

    pub fn source(&self) -> Source {
        Source::new(&self.element, &caps("F32LE", 2))
    }

    pub fn sink(&self, name: &str) -> Sink {
        Sink::new(&self.element.static_pad(name).unwrap(), None)
    }

    /// Mixes one live block: the clock goes to where it is due.
    pub fn tick(&self) {
        assert!(self.clock.crank());
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.element.set_bus(None);
        self.element.set_state(gst::State::Null).unwrap();
    }
}
