//! The media plane as the rest of the box holds it: it may be starting, running, or down with a reason.
//!
//! Doors, broker and journal do not hang on it. A box whose encoder, plugins or settings do not serve is still paired,
//! asked and told, and its media part is tried again by itself.

use std::sync::Arc;
use std::time::Duration;

use dais_studio::api::{Event, Scene, SessionSpec};
use dais_studio::{MediaError, OutputSpec, Studio, StudioConfig, StudioError, StudioHealth};
use tokio::sync::{mpsc, watch};

use crate::clock;

#[derive(Clone)]
enum State {
    Starting,
    Running(Arc<Studio>),
    Down(Arc<str>),
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Plane(Arc<watch::Sender<State>>);

/// Hears of each change.
pub struct Changes(watch::Receiver<State>);

impl Changes {
    /// Until the next change.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// Until the first start has an outcome.
    pub async fn settled(&mut self) {
        let _ = self
            .0
            .wait_for(|state| !matches!(state, State::Starting))
            .await;
    }
}

impl Default for Plane {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(State::Starting)))
    }
}

impl Plane {
    /// One that never starts, and why.
    pub fn down(why: &str) -> Self {
        Self(Arc::new(watch::Sender::new(State::Down(why.into()))))
    }

    pub fn changes(&self) -> Changes {
        Changes(self.0.subscribe())
    }

    /// Starts the studio, and tries again with growing pauses until it runs. What it then tells goes to `events`.
    pub async fn start(self, config: StudioConfig, events: mpsc::UnboundedSender<Event>) {
        // A device that another program still holds is often free within seconds; each try costs some seconds of a core.
        let mut pauses = clock::pauses_s();
        loop {
            let (config, events) = (config.clone(), events.clone());
            let why = match tokio::task::spawn_blocking(move || Studio::start(config, events)).await
            {
                Ok(Ok(studio)) => {
                    self.0.send_replace(State::Running(Arc::new(studio)));
                    return;
                }
                Ok(Err(error)) => error.to_string(),
                Err(panic) => format!("its start failed: {panic}"),
            };
            let pause = pauses.next().unwrap_or_default();
            tracing::error!(
                why,
                again_in_s = pause,
                "the media part did not start; pairing and settings work, guests cannot go on air"
            );
            let why = format!("{why}. It is tried again by itself");
            self.0.send_replace(State::Down(why.into()));
            tokio::time::sleep(Duration::from_secs(pause)).await;
        }
    }

    fn studio(&self) -> Option<Arc<Studio>> {
        match &*self.0.borrow() {
            State::Running(studio) => Some(studio.clone()),
            _ => None,
        }
    }

    pub fn is_starting(&self) -> bool {
        matches!(&*self.0.borrow(), State::Starting)
    }

    /// Why nothing can go on air, as a sentence; `None` while the studio runs.
    pub fn why_not(&self) -> Option<String> {
        match &*self.0.borrow() {
            State::Running(_) => None,
            State::Starting => Some("The media part is still starting.".into()),
            State::Down(why) => Some(format!("The media part of the box did not start: {why}.")),
        }
    }

    pub fn serving(&self) -> Result<Arc<Studio>, StudioError> {
        self.studio().ok_or_else(|| StudioError::Unavailable {
            why: self.why_not().unwrap_or_default(),
        })
    }

    pub fn open(&self, spec: SessionSpec) -> Result<(), StudioError> {
        self.serving()?.open(spec)
    }

    pub async fn answer(&self, session: &str, sdp: &str) -> Result<(), MediaError> {
        self.for_media()?.answer(session, sdp).await
    }

    pub async fn candidate(
        &self,
        session: &str,
        candidate: Option<dais_studio::api::IceCandidate>,
    ) -> Result<(), MediaError> {
        self.for_media()?.candidate(session, candidate).await
    }

    fn for_media(&self) -> Result<Arc<Studio>, MediaError> {
        self.serving().map_err(|error| MediaError::Unavailable {
            why: error.to_string(),
        })
    }

    pub fn close(&self, session: &str) {
        if let Some(studio) = self.studio() {
            studio.close(session);
        }
    }

    pub fn scene(&self, scene: Scene) {
        if let Some(studio) = self.studio() {
            studio.scene(scene);
        }
    }

    pub fn set_own_mutes(&self, session: &str, sound: bool, picture: bool) {
        if let Some(studio) = self.studio() {
            studio.set_own_mutes(session, sound, picture);
        }
    }

    pub fn start_output(&self, spec: OutputSpec) -> Result<(), StudioError> {
        self.serving()?.start_output(spec)
    }

    pub fn stop_output(&self, output_id: &str) {
        if let Some(studio) = self.studio() {
            studio.stop_output(output_id);
        }
    }

    pub fn start_record(&self, path: std::path::PathBuf) -> Result<(), StudioError> {
        self.serving()?.start_record(path)
    }

    pub fn stop_record(&self) {
        if let Some(studio) = self.studio() {
            studio.stop_record();
        }
    }

    /// `None` while it does not run.
    pub fn health(&self) -> Option<StudioHealth> {
        self.studio().map(|studio| studio.health())
    }

    /// Programme frames that left the encoder since the studio started; `None` while it does not run.
    pub fn encoded(&self) -> Option<u64> {
        self.studio().map(|studio| studio.encoded())
    }

    /// Ends sessions and outputs, the recording whole, and the studio. Blocks as long as that takes.
    pub fn end(&self) {
        if let Some(studio) = self.studio() {
            studio.end();
        }
        drop(
            self.0
                .send_replace(State::Down("the box is stopping".into())),
        );
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_does_not_run_says_why_to_everyone_who_asks() {
        let plane = Plane::default();
        assert!(plane.why_not().unwrap().contains("still starting"));
        let plane = Plane::down("no encoder");
        let refused = plane.start_record("x.mkv".into()).unwrap_err().to_string();
        assert_eq!(
            refused,
            "The media part of the box did not start: no encoder."
        );
        assert_eq!(plane.encoded(), None);
        plane.changes().settled().await;
    }
}
