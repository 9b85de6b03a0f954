//! The life of one synthetic guest: join, ask, answer offers, send, measure, leave.

use std::time::{Duration, Instant};

use dais_protocol::{
    Call, Empty, IceCandidateInit, IceServer, Id, MediaAnswer, MediaCandidate, MediaRestart,
    MediaSet, MicAnswer, MicRequest, Notification, Opened, PersonState, Reason, RoomSnapshot,
    SeatState, Token, VideoWant,
};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::client::{CallError, Client, ClientConfig, ConnectError, Heard};
use crate::door::{DoorError, invite_of, join};

use super::event::{Event, Lines, Stats, ToneStats};
use super::peer::{Peer, PeerError, PeerEvent, PeerSetup};
use super::source::{Codec, Want};
use super::{CodecName, GuestArgs};

#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    #[error(transparent)]
    Door(#[from] DoorError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error("{0}")]
    Argument(String),
    #[error("the broker no longer takes this guest: {0}")]
    Refused(String),
    #[error("the guest did not get on air: {0}")]
    NotOnAir(&'static str),
    #[error("a part of the guest failed: {0}")]
    Broken(String),
}

/// A lost network may be back after this.
const BEFORE_RESTART: Duration = Duration::from_secs(1);
const GOODBYE: Duration = Duration::from_secs(2);

pub(super) async fn live(
    args: GuestArgs,
    number: u32,
    lines: Lines,
    mut ended: watch::Receiver<bool>,
) -> Result<(), GuestError> {
    let started = Guest::enter(&args, number, lines.clone()).await;
    let outcome = match started {
        Ok((mut guest, heard)) => {
            let outcome = guest.run(heard, &mut ended).await;
            guest.leave().await;
            outcome
        }
        Err(error) => Err(error),
    };
    match &outcome {
        Ok(()) => lines.tell(number, Event::Left),
        Err(error) => lines.tell(
            number,
            Event::Error {
                message: error.to_string(),
            },
        ),
    }
    outcome
}

/// One media session, from its offer on.
struct Session {
    id: Token,
    offered: Instant,
    /// `None` once it is there, or could not be built.
    starting: Option<JoinHandle<Result<Peer, PeerError>>>,
    peer: Option<Peer>,
    events: mpsc::UnboundedReceiver<PeerEvent>,
    /// Candidates that came before the peer was there.
    early: Vec<(u32, String)>,
    frames: u64,
}

struct Guest {
    number: u32,
    lines: Lines,
    client: Client,
    user_id: Id,
    setup: PeerSetup,
    muted: bool,
    /// As it was asked, to be asked again.
    request: MicRequest,
    session: Option<Session>,
    state: PersonState,
    restart_at: Option<tokio::time::Instant>,
    failed: mpsc::UnboundedSender<CallError>,
    failures: mpsc::UnboundedReceiver<CallError>,
    was_on_air: bool,
}

/// Whether the guest goes on.
enum Next {
    On,
    Done,
}

impl Guest {
    async fn enter(
        args: &GuestArgs,
        number: u32,
        lines: Lines,
    ) -> Result<(Guest, mpsc::Receiver<Heard>), GuestError> {
        let (origin, invite) = invite_of(&args.join)?;
        let name = if args.count > 1 {
            format!("{} {number}", args.name)
        } else {
            args.name.clone()
        };
        let parsed = name
            .parse()
            .map_err(|e: dais_protocol::OutOfBounds| GuestError::Argument(e.to_string()))?;
        let ca = match &args.ca {
            Some(path) => Some(
                tokio::fs::read(path)
                    .await
                    .map_err(|e| GuestError::Argument(format!("{}: {e}", path.display())))?,
            ),
            None => None,
        };
        let credential = join(&origin, invite, parsed, ca.clone()).await?;
        let mut config = ClientConfig::new(origin.clone(), &credential)?;
        config.ca = ca;
        let (client, heard) = Client::connect(config).await?;
        lines.tell(
            number,
            Event::Joined {
                user_id: credential.user_id.to_string(),
                name,
            },
        );
        let timeout_s = f64::from(args.timeout).try_into();
        let timeout_s = timeout_s
            .map_err(|e: dais_protocol::OutOfBounds| GuestError::Argument(e.to_string()))?;
        let request = MicRequest {
            timeout_s,
            camera: !args.no_camera,
        };
        let opened: Opened = client.ask(Call::MicRequest(request.clone())).await?;
        lines.tell(
            number,
            Event::Requested {
                request_id: opened.request_id.to_string(),
                expires_in_ms: opened.expires_in_ms,
            },
        );
        if args.muted {
            client
                .call(Call::MediaSet(MediaSet {
                    audio_muted: Some(true),
                    video_muted: None,
                }))
                .await?;
        }
        let (failed, failures) = mpsc::unbounded_channel();
        let setup = PeerSetup {
            number,
            video: args.video.clone(),
            audio: args.audio.clone(),
            codec: match args.codec {
                CodecName::H264 => Codec::H264,
                CodecName::Vp8 => Codec::Vp8,
            },
            want: Want {
                width: 320,
                height: 240,
                max_fps: 15,
                max_kbps: 400,
            },
            ice_servers: servers(credential.ice_servers.as_deref().unwrap_or_default()),
            loopback: is_local(&origin),
            profile: args.profile,
        };
        let guest = Guest {
            number,
            lines,
            client,
            user_id: credential.user_id,
            setup,
            muted: args.muted,
            request,
            session: None,
            state: PersonState::Requested,
            restart_at: None,
            failed,
            failures,
            was_on_air: false,
        };
        Ok((guest, heard))
    }

    fn tell(&self, event: Event) {
        self.lines.tell(self.number, event);
    }

    async fn run(
        &mut self,
        mut heard: mpsc::Receiver<Heard>,
        ended: &mut watch::Receiver<bool>,
    ) -> Result<(), GuestError> {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let restart = async {
                match self.restart_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let next = tokio::select! {
                _ = ended.wait_for(|end| *end) => return Ok(()),
                message = heard.recv() => match message {
                    Some(message) => self.hear(message)?,
                    None => return Err(GuestError::Broken("the connection's task ended".into())),
                },
                event = next_of(&mut self.session) => self.of_session(event)?,
                Some(error) = self.failures.recv() => {
                    // The will was not sent after all: the request is open still.
                    let open = error.rpc().is_some_and(|e| e.data.reason == Reason::AlreadyPending);
                    if !open {
                        self.tell(Event::Error { message: error.to_string() });
                    }
                    Next::On
                }
                () = restart => {
                    self.restart_at = None;
                    self.restart();
                    Next::On
                }
                _ = second.tick() => {
                    self.stats();
                    Next::On
                }
            };
            if let Next::Done = next {
                return Ok(());
            }
        }
    }

    fn hear(&mut self, heard: Heard) -> Result<Next, GuestError> {
        match heard {
            Heard::Notification { notification, .. } => return self.notified(notification),
            Heard::Room(room) => self.room(&room),
            Heard::Lost { why } => self.tell(Event::Disconnected { why }),
            Heard::Connected => {
                self.tell(Event::Reconnected);
                // The box heard the will. It ended a request, which is asked again; and a session that it can build anew says
                // that a guest with a seat is back.
                match (&self.state, &self.session) {
                    (PersonState::Requested, _) => {
                        self.call(Call::MicRequest(self.request.clone()))
                    }
                    (_, Some(_)) => self.restart(),
                    _ => {}
                }
            }
            Heard::Refused { why } => return Err(GuestError::Refused(why)),
            _ => {}
        }
        Ok(Next::On)
    }

    fn notified(&mut self, notification: Notification) -> Result<Next, GuestError> {
        let ended = |this: &Self, why| {
            if this.was_on_air {
                Ok(Next::Done)
            } else {
                Err(GuestError::NotOnAir(why))
            }
        };
        match notification {
            Notification::MediaOffer {
                session,
                sdp,
                ice_servers,
                video,
                user_id: _,
            } => {
                self.offered(session, sdp, &ice_servers, video);
            }
            Notification::MediaCandidate { session, candidate } => {
                if let (Some(current), Some(candidate)) = (&mut self.session, candidate)
                    && current.id == session
                {
                    let line = candidate.sdp_m_line_index.unwrap_or(0);
                    match &current.peer {
                        Some(peer) => peer.candidate(line, &candidate.candidate),
                        None => current.early.push((line, candidate.candidate)),
                    }
                }
            }
            Notification::MediaWant { want } => self.wanted(want),
            Notification::MediaState {
                audio_muted,
                video_muted,
                muted_by_host,
                hidden_by_host,
            } => {
                self.tell(Event::MediaState {
                    audio_muted,
                    video_muted,
                    muted_by_host,
                    hidden_by_host,
                });
            }
            Notification::HostAttention { watching, talking } => {
                self.tell(Event::Attention { watching, talking });
            }
            Notification::MicAccepted { seat } => {
                self.state = PersonState::Connecting;
                self.tell(Event::Accepted { seat: seat.get() });
            }
            Notification::MicInvited { request_id, .. } => {
                self.tell(Event::Invited {
                    request_id: request_id.to_string(),
                });
                self.call(Call::MicAnswer(MicAnswer { accept: true }));
            }
            Notification::MicRejected { message } => {
                self.tell(Event::Rejected {
                    message: message.map(|m| m.to_string()),
                });
                return ended(self, "the host rejected the request");
            }
            Notification::MicTimedOut {} => {
                self.tell(Event::TimedOut);
                return ended(self, "nobody answered the request in time");
            }
            Notification::MicCancelled {} => {
                self.tell(Event::Cancelled);
                return ended(self, "the request was cancelled");
            }
            Notification::MicInviteEnded { .. } => self.tell(Event::InviteEnded),
            Notification::MicTerminated { reason, message } => {
                self.state = PersonState::Idle;
                self.tell(Event::Terminated {
                    reason,
                    message: message.map(|m| m.to_string()),
                });
                return ended(self, "the box ended it before");
            }
            _ => {}
        }
        Ok(Next::On)
    }

    fn room(&mut self, room: &RoomSnapshot) {
        let Some(seat) = room.guests.iter().find(|g| g.user_id == self.user_id) else {
            return;
        };
        let state = match seat.state {
            SeatState::Connecting => PersonState::Connecting,
            SeatState::OnAir => PersonState::OnAir,
            SeatState::Reconnecting => PersonState::Reconnecting,
        };
        if state == self.state {
            return;
        }
        self.state = state;
        self.tell(Event::State { state });
        if state == PersonState::OnAir {
            self.was_on_air = true;
            self.tell(Event::OnAir {
                seat: seat.seat.get(),
            });
        }
    }

    fn wanted(&mut self, want: VideoWant) {
        let VideoWant {
            width,
            height,
            max_fps,
            max_kbps,
        } = want;
        self.setup.want = Want {
            width,
            height,
            max_fps,
            max_kbps,
        };
        self.tell(Event::Want {
            width,
            height,
            max_fps,
            max_kbps,
        });
        if let Some(peer) = self.session.as_ref().and_then(|s| s.peer.as_ref()) {
            peer.want(self.setup.want);
        }
    }

    fn offered(&mut self, id: Token, sdp: String, ice_servers: &[IceServer], video: VideoWant) {
        self.tell(Event::Offer {
            session: id.to_string(),
        });
        self.restart_at = None;
        let VideoWant {
            width,
            height,
            max_fps,
            max_kbps,
        } = video;
        self.setup.want = Want {
            width,
            height,
            max_fps,
            max_kbps,
        };
        if !ice_servers.is_empty() {
            self.setup.ice_servers = servers(ice_servers);
        }
        let (tell, events) = mpsc::unbounded_channel();
        let setup = self.setup.clone();
        let starting = tokio::task::spawn_blocking(move || Peer::new(&setup, &sdp, tell));
        // The old session's peer ends with this.
        self.session = Some(Session {
            id,
            offered: Instant::now(),
            starting: Some(starting),
            peer: None,
            events,
            early: Vec::new(),
            frames: 0,
        });
    }

    fn of_session(&mut self, event: OfSession) -> Result<Next, GuestError> {
        let Some(session) = &mut self.session else {
            return Ok(Next::On);
        };
        let id = session.id.clone();
        match event {
            OfSession::Built(built) => {
                let peer = built.map_err(|error| GuestError::Broken(error.to_string()))??;
                for (line, candidate) in session.early.drain(..) {
                    peer.candidate(line, &candidate);
                }
                peer.want(self.setup.want);
                peer.mute(self.muted, false);
                session.peer = Some(peer);
            }
            OfSession::Peer(PeerEvent::Answer(sdp)) => {
                self.call(Call::MediaAnswer(MediaAnswer { session: id, sdp }))
            }
            OfSession::Peer(PeerEvent::Candidate(candidate)) => {
                let candidate = candidate.map(|(line, candidate)| IceCandidateInit {
                    candidate,
                    sdp_mid: None,
                    sdp_m_line_index: Some(line),
                    username_fragment: None,
                });
                self.call(Call::MediaCandidate(MediaCandidate {
                    session: id,
                    candidate,
                }));
            }
            OfSession::Peer(PeerEvent::Connected) => self.tell(Event::Connected {
                session: id.to_string(),
            }),
            OfSession::Peer(PeerEvent::FirstPicture) => {
                let after_offer_ms =
                    u64::try_from(session.offered.elapsed().as_millis()).unwrap_or(u64::MAX);
                self.tell(Event::FirstPicture {
                    session: id.to_string(),
                    after_offer_ms,
                });
            }
            OfSession::Peer(PeerEvent::Failed(why)) => {
                self.tell(Event::Restarting {
                    session: id.to_string(),
                    why,
                });
                self.restart_at = Some(tokio::time::Instant::now() + BEFORE_RESTART);
            }
        }
        Ok(Next::On)
    }

    fn restart(&mut self) {
        if let Some(session) = &self.session {
            self.call(Call::MediaRestart(MediaRestart {
                session: session.id.clone(),
            }));
        }
    }

    /// Calls without waiting: a slow reply must not hold up the media. What goes wrong is told.
    fn call(&self, call: Call) {
        let (client, failed) = (self.client.clone(), self.failed.clone());
        tokio::spawn(async move {
            if let Err(error) = client.call(call).await {
                // The guest is gone.
                let _ = failed.send(error);
            }
        });
    }

    fn stats(&mut self) {
        let Some(session) = &mut self.session else {
            return;
        };
        let Some(peer) = &session.peer else { return };
        let returned = peer.returned();
        let new = returned.frames.saturating_sub(session.frames);
        session.frames = returned.frames;
        let stats = Stats {
            session: session.id.to_string(),
            frames: returned.frames,
            fps: new as f32,
            longest_gap_ms: returned.longest_gap_ms,
            width: returned.width,
            height: returned.height,
            sounds: returned.sounds,
            tone: returned.heard.map(|heard| ToneStats {
                level_db: heard.level_db,
                own_db: heard.own_db,
                other_hz: heard.loudest_other_hz,
                other_db: heard.loudest_other_db,
                own_to_other_db: heard.own_db - heard.loudest_other_db,
            }),
        };
        self.tell(Event::Stats(stats));
    }

    async fn leave(mut self) {
        let good_bye = match self.state {
            PersonState::Idle => None,
            PersonState::Requested => Some(Call::MicCancel(Empty {})),
            PersonState::Invited => Some(Call::MicAnswer(MicAnswer { accept: false })),
            PersonState::Connecting | PersonState::OnAir | PersonState::Reconnecting => {
                Some(Call::MicLeave(Empty {}))
            }
        };
        if let Some(call) = good_bye {
            // Whether it was heard or not, the connection's end says the same.
            let _ = tokio::time::timeout(GOODBYE, self.client.call(call)).await;
        }
        self.session = None;
        self.client.leave().await;
    }
}

enum OfSession {
    Built(Result<Result<Peer, PeerError>, tokio::task::JoinError>),
    Peer(PeerEvent),
}

async fn next_of(session: &mut Option<Session>) -> OfSession {
    let Some(session) = session else {
        return std::future::pending().await;
    };
    let built = async {
        match &mut session.starting {
            Some(starting) => starting.await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        built = built => {
            session.starting = None;
            OfSession::Built(built)
        }
        Some(event) = session.events.recv() => OfSession::Peer(event),
        else => std::future::pending().await,
    }
}

/// `RTCIceServer`s as webrtcbin writes them, with the password in the URL.
fn servers(servers: &[IceServer]) -> Vec<String> {
    let mut found = Vec::new();
    for server in servers {
        for url in &server.urls {
            let Some((scheme, rest)) = url.split_once(':') else {
                continue;
            };
            let rest = rest.trim_start_matches('/');
            if scheme.starts_with("stun") {
                found.push(format!("stun://{rest}"));
            } else if let (Some(user), Some(credential)) = (&server.username, &server.credential) {
                let escape = |text: &str| {
                    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>()
                };
                found.push(format!(
                    "{scheme}://{}:{}@{rest}",
                    escape(user),
                    escape(&credential.0)
                ));
            }
        }
    }
    found
}

/// Whether the box is on this machine.
fn is_local(origin: &str) -> bool {
    url::Url::parse(origin).is_ok_and(|url| match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    })
}
