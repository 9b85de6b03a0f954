//! Where the programme goes: recordings and streams, each a pipeline of its own behind a bounded queue.

mod intake;
mod record;
mod report;
mod stream;
mod whip;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gst::prelude::*;

use crate::config::Secret;
use crate::element::{chain, make};
use crate::error::StudioError;
use crate::health::OutputHealth;
use crate::studio::Shared;
use intake::Intake;
use record::Recording;
use stream::Stream;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputKind {
    Rtmp,
    Srt,
    Whip,
}

/// A destination of the programme.
#[derive(Clone, Debug)]
pub struct OutputSpec {
    pub output_id: String,
    pub kind: OutputKind,
    /// `rtmp://host/app`, `rtmps://…`, `srt://host:port`, `http://…` or `https://…`.
    pub url: String,
    /// RTMP: the stream key, joined to the URL. SRT: the passphrase. WHIP: the bearer token. Never printed.
    pub key: Option<Secret>,
}

/// At shutdown: recordings write their index, servers are left.
const SHUT_DOWN: Duration = Duration::from_secs(20);

/// All outputs of the studio.
pub(crate) struct Outputs {
    shared: Shared,
    streams: Mutex<HashMap<String, Stream>>,
    record: Mutex<Option<Recording>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Outputs {
    pub fn new(shared: &Shared) -> Outputs {
        Outputs {
            shared: shared.clone(),
            streams: Mutex::default(),
            record: Mutex::default(),
        }
    }

    pub fn start(&self, spec: OutputSpec) -> Result<(), StudioError> {
        let mut streams = lock(&self.streams);
        if streams.contains_key(&spec.output_id) {
            return Err(StudioError::OutputExists {
                output_id: spec.output_id,
            });
        }
        let id = spec.output_id.clone();
        streams.insert(id, Stream::start(&self.shared, spec)?);
        Ok(())
    }

    /// Returns at once; the state event comes when the pipeline is gone.
    pub fn stop(&self, output_id: &str) {
        if let Some(stream) = lock(&self.streams).remove(output_id) {
            stream.stop.store(true, Ordering::Relaxed);
        }
    }

    pub fn start_record(&self, path: PathBuf) -> Result<(), StudioError> {
        let mut record = lock(&self.record);
        if let Some(running) = record.as_ref().filter(|r| !r.thread.is_finished()) {
            return Err(StudioError::Recording {
                path: running.path.clone(),
            });
        }
        *record = Some(Recording::start(&self.shared, path)?);
        Ok(())
    }

    /// Returns at once; the state event comes when the file is whole.
    pub fn stop_record(&self) {
        if let Some(record) = lock(&self.record).as_ref() {
            record.stop.store(true, Ordering::Relaxed);
        }
    }

    pub fn health(&self) -> Vec<OutputHealth> {
        let health = |output_id: &str, dropped: u64, bytes: u64| OutputHealth {
            output_id: output_id.into(),
            dropped,
            bytes,
        };
        let mut all: Vec<OutputHealth> = lock(&self.streams)
            .iter()
            .map(|(id, s)| {
                health(
                    id,
                    s.counts.dropped.load(Ordering::Relaxed),
                    s.counts.bytes.load(Ordering::Relaxed),
                )
            })
            .collect();
        if let Some(record) = lock(&self.record).as_ref() {
            let (dropped, bytes) = (&record.counts.dropped, &record.counts.bytes);
            all.push(health(
                "record",
                dropped.load(Ordering::Relaxed),
                bytes.load(Ordering::Relaxed),
            ));
        }
        all
    }

    /// Stops everything and waits for the ends of all files.
    pub fn shut_down(&self) {
        self.stop_record();
        let streams: Vec<Stream> = lock(&self.streams).drain().map(|(_, s)| s).collect();
        for stream in &streams {
            stream.stop.store(true, Ordering::Relaxed);
        }
        let threads = lock(&self.record)
            .take()
            .map(|r| r.thread)
            .into_iter()
            .chain(streams.into_iter().map(|s| s.thread));
        let until = Instant::now() + SHUT_DOWN;
        for thread in threads {
            while !thread.is_finished() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(10));
            }
            if thread.is_finished() {
                let _ = thread.join();
            } else {
                tracing::error!(
                    "an output did not end in {} s: it is left behind",
                    SHUT_DOWN.as_secs()
                );
            }
        }
    }
}

impl Drop for Outputs {
    fn drop(&mut self) {
        self.shut_down();
    }
}

/// Joins an intake to a muxer, each stream through its parser. `form`: the H.264 stream format that the muxer gets, where it
/// takes several.
fn link_streams(
    pipeline: &gst::Pipeline,
    which: &str,
    intake: &Intake,
    mux: &gst::Element,
    form: Option<&str>,
) -> Result<(), StudioError> {
    for (appsrc, parser) in [(&intake.video, "h264parse"), (&intake.sound, "aacparse")] {
        let parse = make(parser)?;
        chain(pipeline, which, &[appsrc.upcast_ref(), &parse])?;
        let form = form.filter(|_| parser == "h264parse").map(|form| {
            gst::Caps::builder("video/x-h264")
                .field("stream-format", form)
                .build()
        });
        parse
            .link_filtered(mux, &form.unwrap_or_else(gst::Caps::new_any))
            .map_err(|e| StudioError::pipeline(which, e))?;
    }
    Ok(())
}
