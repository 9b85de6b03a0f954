//! A live destination: RTMP, SRT or [WHIP](super::whip). It connects, and connects again, until it is stopped; the
//! programme doesn't notice.
//!
//! ```text
//! appsrc ! h264parse ! ┐                              ┐
//!                      flvmux ! rtmp2sink      (or)   mpegtsmux ! srtsink
//! appsrc ! aacparse  ! ┘                              ┘
//! ```

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use gst::prelude::*;
use url::Url;

use super::intake::Intake;
use super::report::{Counts, Ended, LOOK, Report};
use super::whip::Whip;
use super::{OutputKind, OutputSpec};
use crate::api::OutputState;
use crate::element::{chain, make, posted_error};
use crate::error::StudioError;
use crate::rt;
use crate::studio::Shared;

/// Pauses between two tries double from the first to the last; a random quarter is added, so that many boxes don't
/// come back to a server at once.
const BACK_OFF_FIRST: Duration = Duration::from_secs(1);
const BACK_OFF_LAST: Duration = Duration::from_secs(30);
/// A server that takes nothing for so long is wedged.
const STALLED: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_secs(10);

/// A stream that runs on a thread of its own.
pub(crate) struct Stream {
    pub stop: Arc<AtomicBool>,
    pub counts: Arc<Counts>,
    pub thread: std::thread::JoinHandle<()>,
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
        let bad_key = |what: &str| StudioError::BadKey { what: what.into() };
        let key = spec
            .key
            .as_ref()
            .map(|k| k.reveal().trim())
            .filter(|k| !k.is_empty());
        if key.is_some_and(|k| k.contains(|c: char| c.is_whitespace() || c.is_control())) {
            return Err(bad_key(
                "it holds a space or a control character: copy it again",
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
                    return Err(bad_key("an SRT passphrase has 10 to 79 characters"));
                }
                let query = uri.query().map(|q| format!("?{q}")).unwrap_or_default();
                let uri = format!("srt://{host}:{port}{query}");
                Ok(Target::Srt {
                    uri,
                    passphrase: key.map(Into::into),
                })
            }
            // Told apart before it comes here.
            (OutputKind::Whip, _) => Err(bad("a WHIP address is no RTMP or SRT address")),
            (OutputKind::Rtmp, _) => Err(bad("an RTMP address begins with rtmp:// or rtmps://")),
            (OutputKind::Srt, _) => Err(bad("an SRT address begins with srt://")),
        }
    }

    fn build(&self, intake: &Intake) -> Result<(gst::Pipeline, gst::Element), StudioError> {
        let pipeline = gst::Pipeline::new();
        rt::raise_streams(&pipeline);
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
        let way = match spec.kind {
            OutputKind::Whip => Way::Whip(Whip::parse(&spec)?),
            OutputKind::Rtmp | OutputKind::Srt => Way::Muxed(Target::parse(&spec)?),
        };
        let stop = Arc::new(AtomicBool::new(false));
        let counts = Arc::<Counts>::default();
        let run = Run {
            report: Report::new(shared.clone(), spec.output_id, stop.clone(), counts.clone()),
            way,
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

enum Way {
    Muxed(Target),
    Whip(Whip),
}

struct Run {
    report: Report,
    way: Way,
}

impl Run {
    fn run(mut self) {
        let mut pause = BACK_OFF_FIRST;
        self.report.tell(OutputState::Connecting, 0, None);
        while !self.report.stopped() {
            self.report.begin();
            let ended = match &mut self.way {
                Way::Muxed(target) => target.once(&mut self.report),
                Way::Whip(whip) => whip.once(&mut self.report),
            };
            if self.report.stopped() {
                break;
            }
            let output = &self.report.output_id;
            match ended {
                Ended::Broken { was_live, why } => {
                    if was_live {
                        pause = BACK_OFF_FIRST;
                    }
                    tracing::warn!(output, why, "output broke off: trying again");
                    self.report.tell(OutputState::Retrying, 0, Some(why));
                    let pause_now = pause.mul_f64(1.0 + rand::random_range(0.0..0.25));
                    self.report.wait(pause_now);
                    pause = (pause * 2).min(BACK_OFF_LAST);
                }
                Ended::Again(why) => {
                    tracing::info!(output, why, "output is tried again at once");
                    self.report.tell(OutputState::Retrying, 0, Some(why));
                }
                Ended::Refused(why) => {
                    tracing::warn!(output, why, "output was refused: not tried again");
                    return self.report.tell(OutputState::Failed, 0, Some(why));
                }
            }
        }
        self.report.tell(OutputState::Stopped, 0, None);
    }
}

impl Target {
    /// One connection, until it breaks or is stopped.
    fn once(&self, report: &mut Report) -> Ended {
        let mut intake = Intake::new();
        let (pipeline, sink) = match self.build(&intake) {
            Ok(built) => built,
            Err(error) => {
                return Ended::Broken {
                    was_live: false,
                    why: error.to_string(),
                };
            }
        };
        let (was_live, why) = if pipeline.set_state(gst::State::Playing).is_err() {
            (
                false,
                self.error(&pipeline)
                    .unwrap_or_else(|| "the server could not be reached".into()),
            )
        } else {
            let shared = &report.shared;
            intake.open(
                &report.output_id,
                &shared.feeds,
                shared.config.programme.fps,
            );
            self.watch(&pipeline, &sink, &intake, report)
        };
        report.count(sent_bytes(&sink), intake.dropped());
        intake.close();
        let _ = pipeline.set_state(gst::State::Null);
        Ended::Broken { was_live, why }
    }

    fn error(&self, pipeline: &gst::Pipeline) -> Option<String> {
        posted_error(pipeline).map(|e| self.clean(&e.to_string()))
    }

    /// Whether it was live, and why it ended.
    fn watch(
        &self,
        pipeline: &gst::Pipeline,
        sink: &gst::Element,
        intake: &Intake,
        report: &mut Report,
    ) -> (bool, String) {
        let (mut sent, mut progress, mut live) = (0, Instant::now(), false);
        while !report.stopped() {
            std::thread::sleep(LOOK);
            if let Some(error) = self.error(pipeline) {
                return (live, error);
            }
            let now = sent_bytes(sink);
            report.count(now, intake.dropped());
            if now != sent {
                (sent, progress) = (now, Instant::now());
            } else if progress.elapsed() > if live { STALLED } else { CONNECT } {
                let seconds = progress.elapsed().as_secs();
                return (
                    live,
                    format!("the server has taken nothing for {seconds} s"),
                );
            }
            live |= intake.has_begun() && is_sending(sink, now);
            if live {
                report.live(now);
            }
        }
        (live, String::new())
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
