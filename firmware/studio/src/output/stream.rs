//! A live destination: RTMP or SRT. It connects, and connects again, until it is stopped; the programme doesn't notice.
//!
//! ```text
//! appsrc ! h264parse ! ┐                              ┐
//!                      flvmux ! rtmp2sink      (or)   mpegtsmux ! srtsink
//! appsrc ! aacparse  ! ┘                              ┘
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gst::prelude::*;
use url::Url;

use super::intake::Intake;
use super::{OutputKind, OutputSpec};
use crate::api::{Event, OutputState, OutputStatus};
use crate::element::{chain, make, posted_error};
use crate::error::StudioError;
use crate::studio::Shared;

/// Pauses between two tries double from the first to the last; a random quarter is added, so that many boxes don't
/// come back to a server at once.
const BACK_OFF_FIRST: Duration = Duration::from_secs(1);
const BACK_OFF_LAST: Duration = Duration::from_secs(30);
/// A server that takes nothing for so long is wedged.
const STALLED: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(100);
const TELL: Duration = Duration::from_secs(1);

/// A stream that runs on a thread of its own.
pub(crate) struct Stream {
    pub stop: Arc<AtomicBool>,
    pub counts: Arc<Counts>,
    pub thread: std::thread::JoinHandle<()>,
}

#[derive(Default)]
pub(crate) struct Counts {
    pub bytes: AtomicU64,
    pub dropped: AtomicU64,
}

/// Where to, taken apart so that a key is never part of an address that somebody prints.
#[derive(Clone)]
enum Target {
    Rtmp {
        scheme: String,
        host: String,
        port: i32,
        application: String,
        stream: String,
        login: Option<(String, String)>,
    },
    Srt {
        uri: String,
        passphrase: Option<String>,
    },
}

impl Target {
    fn parse(spec: &OutputSpec) -> Result<Target, StudioError> {
        let bad = |what: &str| StudioError::BadUrl { what: what.into() };
        let key = spec
            .key
            .as_ref()
            .map(|k| k.reveal().trim())
            .filter(|k| !k.is_empty());
        if key.is_some_and(|k| k.contains(|c: char| c.is_whitespace() || c.is_control())) {
            return Err(bad(
                "the key holds a space or a control character: copy it again",
            ));
        }
        let uri = Url::parse(spec.url.trim()).map_err(|e| bad(&e.to_string()))?;
        let (scheme, port) = (uri.scheme().to_string(), uri.port().filter(|p| *p > 0));
        let host = uri
            .host_str()
            .filter(|h| !h.is_empty())
            .ok_or_else(|| bad("it names no host"))?
            .to_string();
        match (spec.kind, scheme.as_str()) {
            (OutputKind::Rtmp, "rtmp" | "rtmps") => {
                let default = if scheme == "rtmps" { 443 } else { 1935 };
                let port = i32::from(port.unwrap_or(default));
                let path = uri.path().trim_matches('/').to_string();
                let query = uri.query().map(|q| format!("?{q}")).unwrap_or_default();
                let (application, stream) = match key {
                    Some(key) => (path, format!("{}{query}", key.trim_start_matches('/'))),
                    None => match path.rsplit_once('/') {
                        Some((application, stream)) => {
                            (application.into(), format!("{stream}{query}"))
                        }
                        None => {
                            return Err(bad(
                                "it needs an application and a stream key, as in rtmp://host/live and a key",
                            ));
                        }
                    },
                };
                if application.is_empty() {
                    return Err(bad("it names no application: rtmp://host/APPLICATION"));
                }
                let login = (!uri.username().is_empty()).then(|| {
                    (
                        uri.username().into(),
                        uri.password().unwrap_or_default().into(),
                    )
                });
                Ok(Target::Rtmp {
                    scheme,
                    host,
                    port,
                    application,
                    stream,
                    login,
                })
            }
            (OutputKind::Srt, "srt") => {
                let port = port.ok_or_else(|| bad("it names no port: srt://host:PORT"))?;
                if key.is_some_and(|k| !(10..=79).contains(&k.len())) {
                    return Err(bad("an SRT passphrase has 10 to 79 characters"));
                }
                let query = uri.query().map(|q| format!("?{q}")).unwrap_or_default();
                let uri = format!("srt://{host}:{port}{query}");
                Ok(Target::Srt {
                    uri,
                    passphrase: key.map(Into::into),
                })
            }
            (OutputKind::Rtmp, _) => Err(bad("an RTMP address begins with rtmp:// or rtmps://")),
            (OutputKind::Srt, _) => Err(bad("an SRT address begins with srt://")),
        }
    }

    fn build(&self, intake: &Intake) -> Result<(gst::Pipeline, gst::Element), StudioError> {
        let pipeline = gst::Pipeline::new();
        let (mux, sink) = match self {
            Target::Rtmp {
                scheme,
                host,
                port,
                application,
                stream,
                login,
            } => {
                let mux = make("flvmux")?;
                mux.set_property("streamable", true);
                let sink = make("rtmp2sink")?;
                sink.set_property_from_str("scheme", scheme);
                // An IPv6 address stands in brackets in a URL only.
                sink.set_property("host", host.trim_matches(['[', ']']));
                sink.set_property("port", port);
                sink.set_property("application", application);
                sink.set_property("stream", stream);
                if let Some((user, password)) = login {
                    sink.set_property("username", user);
                    sink.set_property("password", password);
                }
                (mux, sink)
            }
            Target::Srt { uri, passphrase } => {
                let mux = make("mpegtsmux")?;
                // Seven packets fill a datagram.
                mux.set_property("alignment", 7i32);
                let sink = make("srtsink")?;
                sink.set_property("uri", uri);
                sink.set_property_from_str("mode", "caller");
                sink.set_property("wait-for-connection", true);
                if let Some(passphrase) = passphrase {
                    sink.set_property("passphrase", passphrase);
                }
                (mux, sink)
            }
        };
        sink.set_property("sync", false);
        sink.set_property("async", false);
        chain(&pipeline, "output", &[&mux, &sink])?;
        super::link_streams(&pipeline, "output", intake, &mux, None)?;
        Ok((pipeline, sink))
    }

    /// An element's message without secrets.
    fn clean(&self, message: &str) -> String {
        let secrets: Vec<&String> = match self {
            Target::Rtmp { stream, login, .. } => std::iter::once(stream)
                .chain(login.iter().map(|(_, password)| password))
                .collect(),
            Target::Srt { passphrase, .. } => passphrase.iter().collect(),
        };
        secrets
            .into_iter()
            .filter(|s| !s.is_empty())
            .fold(message.to_string(), |m, secret| m.replace(secret, "…"))
    }
}

impl Stream {
    pub fn start(shared: &Shared, spec: OutputSpec) -> Result<Stream, StudioError> {
        let target = Target::parse(&spec)?;
        let stop = Arc::new(AtomicBool::new(false));
        let counts = Arc::<Counts>::default();
        let run = Run {
            shared: shared.clone(),
            output_id: spec.output_id,
            target,
            stop: stop.clone(),
            counts: counts.clone(),
            dropped_before: 0,
        };
        let thread = std::thread::Builder::new()
            .name("output".into())
            .spawn(move || run.run())
            .map_err(StudioError::Thread)?;
        Ok(Stream {
            stop,
            counts,
            thread,
        })
    }
}

struct Run {
    shared: Shared,
    output_id: String,
    target: Target,
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
    dropped_before: u64,
}

impl Run {
    fn run(mut self) {
        let mut pause = BACK_OFF_FIRST;
        self.tell(OutputState::Connecting, 0, None);
        while !self.stopped() {
            let (was_live, why) = self.once();
            if self.stopped() {
                break;
            }
            if was_live {
                pause = BACK_OFF_FIRST;
            }
            tracing::warn!(
                output = self.output_id,
                why,
                "output broke off: trying again"
            );
            self.tell(OutputState::Retrying, 0, Some(why));
            self.wait(pause.mul_f64(1.0 + rand::random_range(0.0..0.25)));
            pause = (pause * 2).min(BACK_OFF_LAST);
        }
        self.tell(OutputState::Stopped, 0, None);
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn wait(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while !self.stopped() && Instant::now() < until {
            std::thread::sleep(LOOK.min(until.saturating_duration_since(Instant::now())));
        }
    }

    /// One connection, until it breaks or is stopped: whether it was live, and why it ended.
    fn once(&mut self) -> (bool, String) {
        let mut intake = Intake::new();
        let (pipeline, sink) = match self.target.build(&intake) {
            Ok(built) => built,
            Err(error) => return (false, error.to_string()),
        };
        let ended = if pipeline.set_state(gst::State::Playing).is_err() {
            (
                false,
                self.error(&pipeline)
                    .unwrap_or_else(|| "the server could not be reached".into()),
            )
        } else {
            intake.open(
                &self.output_id,
                &self.shared.feeds,
                self.shared.config.programme.fps,
            );
            self.watch(&pipeline, &sink, &intake)
        };
        self.dropped_before += intake.dropped();
        intake.close();
        let _ = pipeline.set_state(gst::State::Null);
        ended
    }

    fn error(&self, pipeline: &gst::Pipeline) -> Option<String> {
        posted_error(pipeline).map(|e| self.target.clean(&e.to_string()))
    }

    fn watch(
        &self,
        pipeline: &gst::Pipeline,
        sink: &gst::Element,
        intake: &Intake,
    ) -> (bool, String) {
        let (mut sent, mut progress, mut told) = (0, Instant::now(), Instant::now());
        let (mut live, mut told_at) = (false, 0);
        let before = self.counts.bytes.load(Ordering::Relaxed);
        while !self.stopped() {
            std::thread::sleep(LOOK);
            if let Some(error) = self.error(pipeline) {
                return (live, error);
            }
            let now = sent_bytes(sink);
            self.counts.bytes.store(before + now, Ordering::Relaxed);
            self.counts
                .dropped
                .store(self.dropped_before + intake.dropped(), Ordering::Relaxed);
            let media = intake.has_begun() && is_sending(sink, now);
            if now != sent {
                (sent, progress) = (now, Instant::now());
            } else if progress.elapsed() > if live { STALLED } else { CONNECT } {
                let seconds = progress.elapsed().as_secs();
                return (
                    live,
                    format!("the server has taken nothing for {seconds} s"),
                );
            }
            if !live && media {
                live = true;
                (told, told_at) = (Instant::now(), now);
                self.tell(OutputState::Live, 0, None);
            } else if live && told.elapsed() >= TELL {
                let kbps = (now - told_at) as f64 * 8.0 / 1000.0 / told.elapsed().as_secs_f64();
                (told, told_at) = (Instant::now(), now);
                self.tell(OutputState::Live, kbps as u32, None);
            }
        }
        (live, String::new())
    }

    fn tell(&self, state: OutputState, kbps: u32, error: Option<String>) {
        self.shared.tell(Event::Output(OutputStatus {
            output_id: self.output_id.clone(),
            state,
            kbps,
            dropped: self.counts.dropped.load(Ordering::Relaxed),
            error,
        }));
    }
}

/// Bytes that went to the network.
fn sent_bytes(sink: &gst::Element) -> u64 {
    let stats: Option<gst::Structure> = sink.property("stats");
    let Some(stats) = stats else { return 0 };
    let number = |name: &str| {
        let value = stats.value(name).ok()?;
        value
            .get::<u64>()
            .ok()
            .or_else(|| value.get::<i64>().ok().and_then(|v| u64::try_from(v).ok()))
    };
    number("out-bytes-total")
        .or_else(|| number("bytes-sent-total"))
        .unwrap_or(0)
}

/// Whether media flow, not only a handshake: RTMP's takes 3 to 4 kB.
fn is_sending(sink: &gst::Element, sent: u64) -> bool {
    let handshake = if sink.has_property("application") {
        8_192
    } else {
        0
    };
    sent > handshake
}
