//! Ears for what a session would be sent.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gst::prelude::*;

use super::{PATIENCE, Show};

/// Collects what a slot's session would be sent.
pub struct Ear {
    pipeline: gst::Pipeline,
    heard: Arc<Mutex<Vec<f32>>>,
}

impl Ear {
    pub fn new(show: &Show, slot: &dais_studio::Slot) -> Ear {
        let caps = gst::Caps::builder("audio/x-raw")
            .field("format", "F32LE")
            .field("rate", 48_000i32)
            .field("channels", 2i32)
            .field("layout", "interleaved")
            .build();
        let appsrc = gst_app::AppSrc::builder().caps(&caps).is_live(true).build();
        let heard = Arc::<Mutex<Vec<f32>>>::default();
        let into = heard.clone();
        let callbacks = gst_app::AppSinkCallbacks::builder()
            .new_sample(move |sink| {
                let sample = sink.pull_sample().unwrap();
                let map = sample.buffer().unwrap().map_readable().unwrap();
                let left = map
                    .chunks_exact(8)
                    .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
                into.lock().unwrap().extend(left);
                Ok(gst::FlowSuccess::Ok)
            })
            .build();
        let sink = gst_app::AppSink::builder()
            .sync(false)
            .callbacks(callbacks)
            .build();
        let pipeline = gst::Pipeline::new();
        show.studio.shared().time.adopt(&pipeline);
        pipeline
            .add_many([appsrc.upcast_ref::<gst::Element>(), sink.upcast_ref()])
            .unwrap();
        appsrc.link(&sink).unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        slot.sound_out.set(Some(appsrc));
        Ear { pipeline, heard }
    }

    /// Everything from there on.
    pub fn since(&self, from: usize) -> Vec<f32> {
        self.heard.lock().unwrap()[from..].to_vec()
    }

    /// A second of sound, after the first `skip` seconds from now.
    pub async fn second(&self, skip: usize) -> Vec<f32> {
        let from = self.heard.lock().unwrap().len() + skip * 48_000;
        let listening = async {
            while self.heard.lock().unwrap().len() < from + 48_000 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, listening)
            .await
            .expect("sound flows");
        self.heard.lock().unwrap()[from..from + 48_000].to_vec()
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.pipeline.set_state(gst::State::Null).unwrap();
    }
}
