//! The one owner of the media plane.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::mpsc::UnboundedSender;

use crate::api::{Event, IceCandidate, Scene, SessionSpec};
use crate::config::StudioConfig;
use crate::error::{MediaError, StudioError};
use crate::feed::Feeds;
use crate::health::{Counters, StudioHealth};
use crate::output::{OutputSpec, Outputs};
use crate::picture::PictureMix;
use crate::plan::Stage;
use crate::programme::{self, Lines};
use crate::session::Sessions;
use crate::slot::Slots;
use crate::sound::{Lips, SoundMix};
use crate::time::StudioTime;
use crate::{capture, rt};

/// What every part of the studio shares. Cheap to clone.
#[derive(Clone)]
pub struct Shared {
    pub config: Arc<StudioConfig>,
    pub time: StudioTime,
    pub slots: Slots,
    pub feeds: Feeds,
    pub events: UnboundedSender<Event>,
    pub(crate) stage: Arc<Stage>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) lips: Arc<Lips>,
    pub(crate) screen: Arc<capture::screen::Newest>,
}

impl Shared {
    pub(crate) fn new(config: StudioConfig, events: UnboundedSender<Event>) -> Shared {
        let time = StudioTime::start();
        Shared {
            config: config.into(),
            slots: Slots::new(time.clone()),
            time,
            feeds: Feeds::new(),
            events,
            stage: Arc::default(),
            counters: Arc::default(),
            lips: Arc::default(),
            screen: Arc::default(),
        }
    }

    pub(crate) fn tell(&self, event: Event) {
        // Nobody listens any more: the box is going down.
        let _ = self.events.send(event);
    }
}

/// The media plane, running.
pub struct Studio {
    shared: Shared,
    lines: Lines,
    sessions: Sessions,
    outputs: Outputs,
    stop: Arc<AtomicBool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Studio {
    /// Checks the settings, finds out which encoders work here, and starts capture, mix and encoders.
    pub fn start(
        config: StudioConfig,
        events: UnboundedSender<Event>,
    ) -> Result<Studio, StudioError> {
        config.check()?;
        gst::init()?;
        // The box's own elements, for whoever looks for them; a second registration changes nothing.
        let _ = gstdais::plugin_desc::plugin_register_static();
        let shared = Shared::new(config, events);
        let lines = Lines::new(&shared)?;
        let picture = PictureMix::new(
            &shared,
            lines.programme.clone(),
            [lines.return_h264.clone(), lines.return_vp8.clone()],
        )?;
        let sound = SoundMix::new(&shared, lines.sound.clone());
        let sessions = Sessions::new(shared.clone())?;
        let studio = Studio {
            outputs: Outputs::new(&shared),
            lines,
            sessions,
            stop: Arc::new(AtomicBool::new(false)),
            threads: Mutex::default(),
            shared,
        };
        // From here on dropping the studio ends the threads that run already.
        let (shared, stop) = (&studio.shared, &studio.stop);
        let (s, l, end) = (shared.clone(), studio.lines.clone(), stop.clone());
        studio.run(
            std::thread::Builder::new()
                .name("encoders".into())
                .spawn(move || programme::keep(&s, &l, &end)),
        )?;
        let (l, end) = (studio.lines.clone(), stop.clone());
        studio.run(
            std::thread::Builder::new()
                .name("trials".into())
                .spawn(move || l.try_rest(&end)),
        )?;
        let stage = shared.stage.clone();
        studio.run(
            std::thread::Builder::new()
                .name("labels".into())
                .spawn(move || stage.draw()),
        )?;
        let end = stop.clone();
        studio.run(rt::spawn("picture", move || picture.run(&end)))?;
        let end = stop.clone();
        studio.run(rt::spawn("sound", move || sound.run(&end)))?;
        for thread in capture::start(shared, stop)? {
            studio.run(Ok(thread))?;
        }
        if let Some(thread) = capture::monitor::start(shared, stop)? {
            studio.run(Ok(thread))?;
        }
        if let Some(thread) = capture::screen::start(shared, stop)? {
            studio.run(Ok(thread))?;
        }
        Ok(studio)
    }

    fn run(&self, thread: std::io::Result<JoinHandle<()>>) -> Result<(), StudioError> {
        let thread = thread.map_err(StudioError::Thread)?;
        self.threads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(thread);
        Ok(())
    }

    /// What all parts share: slots to put pictures into, feeds to take from.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Makes a session; its offer and candidates come as events.
    pub fn open(&self, spec: SessionSpec) -> Result<(), StudioError> {
        self.sessions.open(spec)
    }

    pub async fn answer(&self, session: &str, sdp: &str) -> Result<(), MediaError> {
        self.sessions.answer(session, sdp).await
    }

    pub async fn candidate(
        &self,
        session: &str,
        candidate: Option<IceCandidate>,
    ) -> Result<(), MediaError> {
        self.sessions.candidate(session, candidate.as_ref())
    }

    /// Returns at once; the session's pipeline ends in a thread of its own.
    pub fn close(&self, session: &str) {
        self.sessions.close(session);
    }

    /// What the guest of a session has muted: private views neither show nor play it. The programme goes by its scene.
    pub fn set_own_mutes(&self, session: &str, sound: bool, picture: bool) {
        self.sessions.set_own_mutes(session, sound, picture);
    }

    /// Takes effect with the next programme frame and the next 10 ms of sound.
    pub fn scene(&self, scene: Scene) {
        self.shared.stage.set(scene);
    }

    pub fn start_output(&self, spec: OutputSpec) -> Result<(), StudioError> {
        self.outputs.start(spec)
    }

    pub fn stop_output(&self, output_id: &str) {
        self.outputs.stop(output_id);
    }

    /// Records into a new file, from the next keyframe on.
    pub fn start_record(&self, path: PathBuf) -> Result<(), StudioError> {
        self.outputs.start_record(path)
    }

    /// [`Event::Record`] says `Stopped` when the file is whole.
    pub fn stop_record(&self) {
        self.outputs.stop_record();
    }

    /// Programme frames that left the encoder since the start.
    pub fn encoded(&self) -> u64 {
        self.shared.feeds.programme.units()
    }

    pub fn health(&self) -> StudioHealth {
        let counters = &self.shared.counters;
        let get = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let [capture_to_mix, mix_to_encoded, capture_to_encoded] =
            counters.ledger.percentiles(self.shared.time.now());
        StudioHealth {
            frames: get(&counters.frames),
            encoded_fps: counters.encoded_fps.load(Ordering::Relaxed) as f32 / 100.0,
            ticks_late: get(&counters.ticks_late),
            ticks_missed: get(&counters.ticks_missed),
            encoder_dropped: self.lines.programme.dropped(),
            encoder_rebuilt: self.lines.programme.rebuilt(),
            encoders: self.lines.all().iter().filter_map(|l| l.health()).collect(),
            host_repeated: get(&counters.host_repeated),
            host_skipped: get(&counters.host_skipped),
            blocks: get(&counters.blocks),
            blocks_late: get(&counters.blocks_late),
            blocks_missed: get(&counters.blocks_missed),
            host_sound_torn: get(&counters.host_sound_torn),
            guests_sound_torn: get(&counters.guests_sound_torn),
            microphone_xruns: get(&counters.microphone_xruns),
            microphone_reopened: get(&counters.microphone_reopened),
            camera_reopened: get(&counters.camera_reopened),
            signal: counters.signal(),
            monitor_xruns: get(&counters.monitor_xruns),
            screen_dropped: get(&counters.screen_dropped),
            capture_to_mix,
            mix_to_encoded,
            capture_to_encoded,
            slots: self.shared.slots.all().iter().map(|s| s.health()).collect(),
            feeds: self.shared.feeds.all().iter().map(|f| f.health()).collect(),
            outputs: self.outputs.health(),
            sessions: self.sessions.health(),
        }
    }

    /// Ends sessions and outputs, the recording whole. Takes as long as that; the programme itself ends with the drop.
    pub fn end(&self) {
        self.sessions.shut_down();
        self.outputs.shut_down();
    }

    /// [`Studio::end`], and the programme, away from the threads that serve.
    pub async fn shutdown(self) {
        if tokio::task::spawn_blocking(move || self.end())
            .await
            .is_err()
        {
            tracing::error!("the studio did not shut down in order");
        }
    }
}

impl Drop for Studio {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.shared.stage.close();
        for thread in
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner))
        {
            let _ = thread.join();
        }
    }
}
