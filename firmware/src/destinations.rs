//! Where the programme goes: the destinations and the recording as consoles see them, kept across restarts.
//!
//! A box that comes back in the middle of a show goes on sending and recording what it sent and recorded before; the
//! recording in a new file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dais_protocol::{
    Name, Output, OutputKind, OutputStart, OutputState, Outputs, Reason, Record, RecordingList,
    RpcError, Secret, Token,
};
use dais_studio::api::{OutputState as StudioState, OutputStatus, RecordStatus};
use dais_studio::{OutputSpec, StudioError};
use serde::{Deserialize, Serialize};

use crate::plane::Plane;
use crate::recordings::Recordings;
use crate::store::{Store, StoreError};

/// The longest address of a destination, in bytes.
const MAX_URL: usize = 2048;
/// Below this the recording is ended while the file can still be finished.
pub const DISK_FLOOR_BYTES: u64 = 200 << 20;

pub struct Destinations {
    plane: Plane,
    store: Store,
    recordings: Arc<Recordings>,
    max_outputs: usize,
    outputs: BTreeMap<Token, Destination>,
    record: Recorder,
    /// A recording of before the restart waits for the media plane.
    resume: bool,
    /// Number of the next destination; they are named in the order in which they were made.
    next: u64,
}

struct Destination {
    kept: Kept,
    state: OutputState,
    since: u64,
    kbps: u32,
    dropped: u64,
    error: Option<String>,
}

impl Destination {
    fn waiting(kept: Kept, now: u64) -> Self {
        Self {
            kept,
            state: OutputState::Connecting,
            since: now,
            kbps: 0,
            dropped: 0,
            error: None,
        }
    }
}

#[derive(Default)]
struct Recorder {
    wanted: bool,
    state: OutputState,
    file: Option<PathBuf>,
    bytes: u64,
    started: u64,
    error: Option<String>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    kind: OutputKind,
    url: String,
    key: Option<Secret>,
    name: Name,
}

#[derive(Default, Serialize, Deserialize)]
struct File {
    outputs: BTreeMap<Token, Kept>,
    recording: bool,
    next: u64,
}

/// What changed, for `output.changed` and `record.changed`.
#[derive(Debug, PartialEq)]
pub enum Changed {
    Output {
        output_id: Token,
        state: OutputState,
        error: Option<String>,
    },
    Record {
        state: OutputState,
        file: Option<String>,
        error: Option<String>,
    },
}

impl Destinations {
    /// Reads what ran when the box went down; [`Destinations::begin`] starts it again.
    pub fn open(
        plane: Plane,
        store: Store,
        recordings: Arc<Recordings>,
        max_outputs: usize,
        now: u64,
    ) -> Result<Self, StoreError> {
        let File {
            outputs,
            recording,
            next,
        } = store.load()?.unwrap_or_default();
        Ok(Self {
            plane,
            store,
            recordings,
            max_outputs,
            outputs: outputs
                .into_iter()
                .map(|(id, kept)| (id, Destination::waiting(kept, now)))
                .collect(),
            record: Recorder::default(),
            resume: recording,
            next,
        })
    }

    /// The media plane runs: what ran when the box went down goes on.
    pub fn begin(&mut self, now: u64) {
        let ids: Vec<Token> = self.outputs.keys().cloned().collect();
        for id in ids {
            let Some(output) = self.outputs.get(&id) else {
                continue;
            };
            let launched = self.launch(&id, &output.kept);
            if let (Err(error), Some(output)) = (launched, self.outputs.get_mut(&id)) {
                tracing::error!(%error, output = %id, "a destination of before the restart could not be started again");
                output.state = OutputState::Failed;
                output.error = Some(error.message);
            }
        }
        if std::mem::take(&mut self.resume)
            && let Err(error) = self.start_record(now)
        {
            tracing::error!(%error, "the recording of before the restart could not be resumed");
        }
    }

    pub fn start(&mut self, call: OutputStart, now: u64) -> Result<Token, RpcError> {
        if self.outputs.len() >= self.max_outputs {
            return Err(RpcError::new(
                Reason::Unavailable,
                format!(
                    "This box sends to {} destinations at most. Stop one first.",
                    self.max_outputs
                ),
            ));
        }
        let OutputStart {
            kind,
            url,
            key,
            name,
        } = call;
        if url.len() > MAX_URL || url.chars().any(|c| c.is_control() || c == ' ') {
            return Err(RpcError::bad_param(
                "url",
                "an address has at most 2048 bytes, and no blanks or control characters",
            ));
        }
        self.next += 1;
        let fallback = || format!("{kind:?} {}", self.next).parse::<Name>();
        let name = match name {
            Some(name) => name,
            None => fallback().map_err(|e| RpcError::bad_param("name", e))?,
        };
        let id: Token = format!("o{}", self.next)
            .parse()
            .map_err(|e| RpcError::bad_param("name", e))?;
        self.run(
            id.clone(),
            Kept {
                kind,
                url,
                key,
                name,
            },
            now,
        )?;
        self.save()?;
        Ok(id)
    }

    fn run(&mut self, id: Token, kept: Kept, now: u64) -> Result<(), RpcError> {
        self.launch(&id, &kept)?;
        self.outputs.insert(id, Destination::waiting(kept, now));
        Ok(())
    }

    fn launch(&self, id: &Token, kept: &Kept) -> Result<(), RpcError> {
        let kind = match kept.kind {
            OutputKind::Rtmp => dais_studio::OutputKind::Rtmp,
            OutputKind::Srt => dais_studio::OutputKind::Srt,
            OutputKind::Whip => dais_studio::OutputKind::Whip,
        };
        let key = kept
            .key
            .as_ref()
            .map(|Secret(key)| dais_studio::Secret::new(key.clone()));
        let spec = OutputSpec {
            output_id: id.to_string(),
            kind,
            url: kept.url.clone(),
            key,
        };
        self.plane.start_output(spec).map_err(|error| match error {
            StudioError::BadUrl { what } => RpcError::bad_param("url", what),
            StudioError::BadKey { what } => RpcError::bad_param("key", what),
            other => RpcError::new(Reason::Unavailable, other.to_string()),
        })
    }

    pub fn stop(&mut self, id: &Token) -> Result<(), RpcError> {
        self.outputs
            .remove(id)
            .ok_or_else(|| RpcError::bad_param("output_id", "there is no such destination"))?;
        self.plane.stop_output(id);
        self.save()
    }

    /// The file's name.
    pub fn start_record(&mut self, now: u64) -> Result<String, RpcError> {
        if self.record.wanted {
            return Err(RpcError::new(
                Reason::Unavailable,
                "The programme is being recorded already.",
            )
            .with("file", self.file().into()));
        }
        let unavailable = |why: String| RpcError::new(Reason::Unavailable, why);
        let folder = self.recordings.folder();
        std::fs::create_dir_all(folder).map_err(|e| {
            unavailable(format!(
                "The folder of recordings {} cannot be made: {e}.",
                folder.display()
            ))
        })?;
        if crate::machine::disk_free_bytes(folder).is_some_and(|free| free < DISK_FLOOR_BYTES) {
            return Err(unavailable(format!(
                "The disk of {} is full. Remove old recordings first.",
                folder.display()
            )));
        }
        let path = self.recordings.free_name();
        self.plane
            .start_record(path.clone())
            .map_err(|e| unavailable(e.to_string()))?;
        self.record = Recorder {
            wanted: true,
            state: OutputState::Connecting,
            file: Some(path),
            started: now,
            ..Recorder::default()
        };
        self.save()?;
        Ok(self.file())
    }

    pub fn stop_record(&mut self) -> Result<String, RpcError> {
        if std::mem::take(&mut self.resume) {
            self.save()?;
            return Ok(self.file());
        }
        if !self.record.wanted {
            return Err(RpcError::new(
                Reason::Unavailable,
                "The programme is not being recorded.",
            ));
        }
        self.record.wanted = false;
        self.plane.stop_record();
        self.save()?;
        Ok(self.file())
    }

    fn file(&self) -> String {
        self.record
            .file
            .as_ref()
            .map(|path| path.display().to_string())
            .unwrap_or_default()
    }

    pub fn is_recording(&self) -> bool {
        self.record.wanted
    }

    /// Whether there are figures that change by themselves.
    pub fn is_busy(&self) -> bool {
        self.record.wanted || !self.outputs.is_empty()
    }

    pub fn folder(&self) -> &Path {
        self.recordings.folder()
    }

    /// `record.list`
    pub fn list_recordings(&self) -> RecordingList {
        RecordingList {
            recordings: self.recordings.list(self.being_written()),
        }
    }

    /// `record.link`: the path below the box's address.
    pub fn link_recording(&self, file: &Token) -> Result<String, RpcError> {
        let secret = self.recordings.link(file).ok_or_else(no_such_recording)?;
        Ok(format!("/recordings/{secret}/{file}"))
    }

    /// `record.remove`
    pub fn remove_recording(&self, file: &Token) -> Result<(), RpcError> {
        if self.being_written() == Some(file.as_str()) {
            let why = "this one is being recorded; stop the recording first";
            return Err(RpcError::bad_param("file", why));
        }
        match self.recordings.remove(file) {
            Ok(true) => Ok(()),
            Ok(false) => Err(no_such_recording()),
            Err(error) => Err(RpcError::new(
                Reason::Unavailable,
                format!("The recording {file} could not be removed: {error}."),
            )),
        }
    }

    /// The name of the file that is not finished yet.
    fn being_written(&self) -> Option<&str> {
        let state = self.record.state;
        let ended = matches!(state, OutputState::Stopped | OutputState::Failed);
        let path = self.record.file.as_ref()?;
        (self.record.wanted || !ended).then_some(path.file_name()?.to_str()?)
    }

    /// Takes what the studio says of a destination; `None` if consoles need not be told at once.
    pub fn on_output(&mut self, status: OutputStatus, now: u64) -> Option<Changed> {
        let (id, output) = self
            .outputs
            .iter_mut()
            .find(|(id, _)| id.as_str() == status.output_id)?;
        let state = to_wire(status.state);
        output.kbps = status.kbps;
        output.dropped = status.dropped;
        let changed = output.state != state || output.error != status.error;
        if output.state != state {
            output.state = state;
            output.since = now;
        }
        output.error = status.error;
        changed.then(|| Changed::Output {
            output_id: id.clone(),
            state,
            error: output.error.clone(),
        })
    }

    pub fn on_record(&mut self, status: RecordStatus) -> Option<Changed> {
        let state = to_wire(status.state);
        self.record.bytes = status.bytes;
        let changed = self.record.state != state || self.record.error != status.error;
        self.record.state = state;
        self.record.error = status.error;
        if state == OutputState::Failed && std::mem::take(&mut self.record.wanted) {
            // Tried again by a person, who can make room first.
            if let Err(error) = self.save() {
                tracing::error!(%error, "the end of the recording could not be kept");
            }
        }
        changed.then(|| Changed::Record {
            state,
            file: Some(self.file()),
            error: self.record.error.clone(),
        })
    }

    pub fn snapshot(&self, rev: u64, now: u64, free: Option<u64>) -> Outputs {
        let outputs = self.outputs.iter().map(|(id, o)| Output {
            output_id: id.clone(),
            kind: o.kept.kind,
            name: o.kept.name.clone(),
            state: o.state,
            since_ms: now.saturating_sub(o.since),
            kbps: o.kbps,
            dropped: o.dropped,
            error: o.error.clone(),
        });
        let elapsed_s = now.saturating_sub(self.record.started) / 1000;
        // The mean rate of this recording so far; meaningless in its first seconds.
        let rate = (self.record.wanted && elapsed_s >= 5)
            .then(|| self.record.bytes / elapsed_s)
            .filter(|rate| *rate > 0);
        Outputs {
            rev,
            outputs: outputs.collect(),
            record: Record {
                state: self.record.state,
                file: self
                    .record
                    .file
                    .as_ref()
                    .map(|path| path.display().to_string()),
                bytes: self.record.bytes,
                seconds_left: rate
                    .zip(free)
                    .map(|(rate, free)| free.saturating_sub(DISK_FLOOR_BYTES) / rate),
                error: self.record.error.clone(),
            },
        }
    }

    fn save(&self) -> Result<(), RpcError> {
        let outputs = self
            .outputs
            .iter()
            .map(|(id, o)| (id.clone(), o.kept.clone()))
            .collect();
        let file = File {
            outputs,
            recording: self.record.wanted || self.resume,
            next: self.next,
        };
        self.store
            .save(&file)
            .map_err(|e| RpcError::new(Reason::Unavailable, e.to_string()))
    }
}

fn to_wire(state: StudioState) -> OutputState {
    match state {
        StudioState::Connecting => OutputState::Connecting,
        StudioState::Live => OutputState::Live,
        StudioState::Retrying => OutputState::Retrying,
        StudioState::Stopped => OutputState::Stopped,
        StudioState::Failed => OutputState::Failed,
    }
}

fn no_such_recording() -> RpcError {
    RpcError::bad_param("file", "there is no such recording")
}
