//! A recording: Matroska, because its blocks are written as they come, so that a power cut costs the last half second
//! and not the file. (MP4 is nothing without its index; fragmented MP4 loses up to a fragment, and wants a keyframe for each.)
//!
//! ```text
//! appsrc ! h264parse ! ┐
//!                      matroskamux ! fdsink → our file, fdatasync by our thread
//! appsrc ! aacparse  ! ┘
//! ```

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gst::prelude::*;

use super::intake::Intake;
use super::report::Counts;
use crate::api::{Event, OutputState, RecordStatus};
use crate::element::{chain, make, posted_error};
use crate::error::StudioError;
use crate::rt;
use crate::studio::Shared;

/// Between two `fdatasync`: with the time that one takes it stays below the half second that may be lost.
const SYNC: Duration = Duration::from_millis(300);
const LOOK: Duration = Duration::from_millis(50);
const TELL: Duration = Duration::from_secs(1);
/// How long writing out what waits, the index and the duration may take.
const FINISH: Duration = Duration::from_secs(15);

/// A recording that runs on a thread of its own.
pub(crate) struct Recording {
    pub path: PathBuf,
    pub stop: Arc<AtomicBool>,
    pub counts: Arc<Counts>,
    pub thread: std::thread::JoinHandle<()>,
}

impl Recording {
    /// Creates the file; one that exists is never touched.
    pub fn start(shared: &Shared, path: PathBuf) -> Result<Recording, StudioError> {
        let create = |source| StudioError::CreateFile {
            path: path.clone(),
            source,
        };
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(create)?;
        }
        let file = File::options()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(create)?;
        // The name, too, must survive a power cut.
        if let Some(folder) = path.parent().and_then(|f| File::open(f).ok()) {
            let _ = folder.sync_all();
        }
        Recording::to_file(shared, path, file)
    }

    fn to_file(shared: &Shared, path: PathBuf, file: File) -> Result<Recording, StudioError> {
        let stop = Arc::new(AtomicBool::new(false));
        let counts = Arc::<Counts>::default();
        let intake = Intake::new();
        let pipeline = build(&intake, &file)?;
        let run = Run {
            shared: shared.clone(),
            path: path.clone(),
            file,
            pipeline,
            intake,
            stop: stop.clone(),
            counts: counts.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("record".into())
            .spawn(move || run.run())
            .map_err(StudioError::Thread)?;
        Ok(Recording {
            path,
            stop,
            counts,
            thread,
        })
    }
}

fn build(intake: &Intake, file: &File) -> Result<gst::Pipeline, StudioError> {
    let pipeline = gst::Pipeline::new();
    rt::raise_streams(&pipeline);
    let mux = make("matroskamux")?;
    mux.set_property("writing-app", "Dais");
    let sink = make("fdsink")?;
    sink.set_property("fd", file.as_raw_fd());
    sink.set_property("sync", false);
    chain(&pipeline, "recording", &[&mux, &sink])?;
    // With avc3 each keyframe carries its headers, and the muxer takes another encoder's: with avc it ends the recording.
    super::link_streams(&pipeline, "recording", intake, &mux, Some("avc3"))?;
    pipeline.set_state(gst::State::Playing).map_err(|_| {
        let why =
            posted_error(&pipeline).map_or_else(|| "it did not start".into(), |e| e.to_string());
        let _ = pipeline.set_state(gst::State::Null);
        StudioError::pipeline("recording", why)
    })?;
    Ok(pipeline)
}

struct Run {
    shared: Shared,
    path: PathBuf,
    file: File,
    pipeline: gst::Pipeline,
    intake: Intake,
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
}

impl Run {
    fn run(mut self) {
        self.tell(OutputState::Connecting, None);
        let fps = self.shared.config.programme.fps;
        self.intake.open("record", &self.shared.feeds, fps);
        let failure = self.record().or_else(|| self.finish());
        let _ = self.pipeline.set_state(gst::State::Null);
        self.intake.close();
        if self.file.sync_all().is_err() && failure.is_none() {
            self.tell(
                OutputState::Failed,
                Some(format!(
                    "the disk refused the last part of {}",
                    self.path.display()
                )),
            );
            return;
        }
        match failure {
            Some(why) => self.tell(OutputState::Failed, Some(why)),
            None => self.tell(OutputState::Stopped, None),
        }
    }

    /// Until `stop`, or until it can't go on.
    fn record(&mut self) -> Option<String> {
        let (mut synced, mut told) = (Instant::now(), Instant::now());
        let mut live = false;
        while !self.stop.load(Ordering::Relaxed) {
            std::thread::sleep(LOOK);
            if let Some(error) = posted_error(&self.pipeline) {
                return Some(sentence(&error, &self.path));
            }
            if synced.elapsed() >= SYNC {
                // An error comes back with the next write, too, and that one is told.
                let _ = self.file.sync_data();
                synced = Instant::now();
            }
            self.count();
            let begins = !live && self.counts.bytes.load(Ordering::Relaxed) > 0;
            if begins || (live && told.elapsed() >= TELL) {
                live = true;
                told = Instant::now();
                self.tell(OutputState::Live, None);
            }
        }
        None
    }

    /// Writes duration and index.
    fn finish(&mut self) -> Option<String> {
        let begun = self.intake.has_begun();
        self.intake.close();
        if !begun {
            // Nothing came before the stop: an empty file is no recording.
            let _ = std::fs::remove_file(&self.path);
            return Some(
                "no picture of the programme came before the recording was stopped".into(),
            );
        }
        let bus = self.pipeline.bus()?;
        let wait = gst::ClockTime::from_nseconds(FINISH.as_nanos() as u64);
        let message =
            bus.timed_pop_filtered(wait, &[gst::MessageType::Eos, gst::MessageType::Error]);
        self.count();
        match message.as_ref().map(|m| m.view()) {
            Some(gst::MessageView::Eos(_)) => None,
            Some(gst::MessageView::Error(error)) => Some(sentence(&error.error(), &self.path)),
            _ => Some(format!(
                "the disk took longer than {} s for the end of {}: it plays, but has no index",
                FINISH.as_secs(),
                self.path.display()
            )),
        }
    }

    fn count(&self) {
        if let Ok(meta) = self.file.metadata() {
            self.counts.bytes.store(meta.len(), Ordering::Relaxed);
        }
        self.counts
            .dropped
            .store(self.intake.dropped(), Ordering::Relaxed);
    }

    fn tell(&self, state: OutputState, error: Option<String>) {
        self.shared.tell(Event::Record(RecordStatus {
            state,
            file: Some(self.path.clone()),
            bytes: self.counts.bytes.load(Ordering::Relaxed),
            dropped: self.counts.dropped.load(Ordering::Relaxed),
            error,
        }));
    }
}

fn sentence(error: &gst::glib::Error, path: &Path) -> String {
    let path = path.display();
    if error.matches(gst::ResourceError::NoSpaceLeft) {
        format!(
            "the disk is full: the recording {path} ends here. Free some space and start a new one."
        )
    } else {
        format!("the recording {path} could not be written ({error}): it ends here")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_disk_ends_the_recording_and_not_the_programme() {
        let mut config = crate::StudioConfig::default();
        (
            config.programme.width,
            config.programme.height,
            config.programme.fps,
        ) = (320, 180, 15);
        config.returns.fps = 15;
        let (events, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let studio = crate::Studio::start(config, events).unwrap();
        let full = File::options().write(true).open("/dev/full").unwrap();
        let recording = Recording::to_file(studio.shared(), "/dev/full".into(), full).unwrap();
        let failed = async {
            loop {
                match heard.recv().await.unwrap() {
                    Event::Record(status) if status.state == OutputState::Failed => {
                        return status.error.unwrap();
                    }
                    _ => {}
                }
            }
        };
        let error = tokio::time::timeout(Duration::from_secs(60), failed)
            .await
            .unwrap();
        assert!(error.contains("the disk is full"), "{error}");
        recording.thread.join().unwrap();
        let before = studio.health().frames;
        let moves = async {
            while studio.health().frames < before + 15 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), moves)
            .await
            .unwrap();
        studio.shutdown().await;
    }
}
