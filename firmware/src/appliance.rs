//! The one room that sees all others: it carries requests to the room, and the room's effects to the studio, the
//! journal and the clients. One task owns all of this; everything else sends it messages.

mod calls;
mod connections;
mod hosts;
mod inbox;
mod media;
mod off_air;
mod picture;
mod presence;
mod vitals;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dais_broker::{Broker, Incoming, Request};
use dais_protocol::{Health, Id, Name, Notification, Seat, Token, VideoWant};
use dais_room::access::{Identity, Role};
use dais_room::room::{Caller, Effect, Input, MediaEvent, Recipient, Room};
use dais_studio::api::Event;
use tokio::sync::{mpsc, watch};

use crate::book::Book;
use crate::clock::Clock;
use crate::config::{BrokerMode, Config};
use crate::control::{Control, Envelope, FAREWELL, Received};
use crate::destinations::{Changed, Destinations};
use crate::flight::{Fault, Flight, Kind};
use crate::journal::Journal;
use crate::media::{Done, Signals};
use crate::plane::Plane;
use crate::reach::Reach;
use crate::watchdog::Beat;
use inbox::FromPhones;
pub use inbox::{Inbox, Phones};
use media::Owner;
use off_air::OffAir;
use vitals::Vitals;

/// What the appliance is made of.
pub struct Parts {
    pub config: Config,
    pub clock: Clock,
    pub room: Room,
    pub journal: Journal,
    pub control: Control,
    pub plane: Plane,
    pub destinations: Destinations,
    pub broker: Arc<dyn Broker>,
    pub book: Arc<Book>,
    pub health: watch::Sender<Option<Health>>,
    /// Says which origin invites name.
    pub reach: Reach,
    /// Whether programme frames leave the encoder.
    pub moving: watch::Sender<bool>,
    pub flight: Flight,
    pub beat: Beat,
    /// What is wrong with the settings, if the box runs in spite of it.
    pub mistake: Option<String>,
}

pub struct Appliance {
    config: Config,
    clock: Clock,
    room: Room,
    journal: Journal,
    control: Control,
    plane: Plane,
    signals: Signals,
    destinations: Destinations,
    broker: Arc<dyn Broker>,
    book: Arc<Book>,
    reach: Reach,
    vitals: Vitals,
    /// Every media session, and whose it is.
    sessions: HashMap<String, Owner>,
    off_air: OffAir,
    /// What each seated guest was told to send last.
    wants: HashMap<Token, VideoWant>,
    speaking: HashMap<u8, bool>,
    /// The newest `rev` that clients were shown.
    shown: u64,
    /// Guests who logged in while an older connection of theirs was live, and when: its will is still to come.
    taken_over: HashMap<Id, u64>,
    /// Guests whose last connection ended, and when: what they sent may be still to come.
    departed: HashMap<Id, u64>,
    /// How many connections each client has, where the broker tells.
    connections: HashMap<Identity, usize>,
    /// Clients of whose connections one ended, and when, while another is live: the ended one's will is no news.
    lessened: HashMap<Identity, u64>,
    flight: Flight,
    beat: Beat,
    /// Meters since the flight recorder was given some.
    meters: u32,
}

/// What a console reads of the media part being down, as the `what` of an alarm.
const MEDIA_DOWN: &str = "media";
/// The same of a room that cannot be kept for the next start.
const MEMORY: &str = "memory";
/// The `what` of an alarm of settings that are not followed.
const SETTINGS: &str = "settings";
/// Meters come ten times a second; the flight recorder keeps the first of them.
const METERS_A_SECOND: u32 = 10;
/// `expires_in_ms` in `pending` is true when it is published; a console that connects later reads it at most this old.
const PENDING_EVERY_MS: u64 = 5_000;
/// Who is sent away for good hears why first. What is queued for them is out of a local network's sockets by then; their
/// credential has ended before.
const LAST_WORD: Duration = Duration::from_millis(200);

impl Appliance {
    /// Runs the box until `stop` says so, then ends recordings and says good-bye.
    pub async fn run(parts: Parts, mut inbox: Inbox, mut stop: watch::Receiver<bool>) {
        let (done, mut results) = mpsc::unbounded_channel();
        let mistake = parts.mistake.clone();
        let mut plane = parts.plane.changes();
        let mut this = Self::new(parts, done);
        this.restore_media();
        if let Some(mistake) = mistake {
            this.raise(SETTINGS, mistake);
        }
        this.on_plane();
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            let deadline = this.room.deadline().map(|at| this.clock.instant(at));
            let timeout = async move {
                match deadline {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                Some(heard) = inbox.phones.next() => match heard {
                    FromPhones::Presence(change) => this.on_presence(&change),
                    FromPhones::Mqtt(incoming) => this.on_mqtt(incoming),
                },
                () = plane.next() => this.on_plane(),
                Some(event) = inbox.studio.recv() => this.on_studio(event),
                Some(Done { to, result }) = results.recv() => this.answer(&to, result.map(|()| serde_json::json!({})), false),
                _ = second.tick() => this.every_second(),
                () = timeout => this.apply(Input::Tick, None),
            }
        }
        this.finish().await
    }

    fn new(parts: Parts, done: mpsc::UnboundedSender<Done>) -> Self {
        let Parts {
            config,
            clock,
            room,
            journal,
            control,
            plane,
            destinations,
            broker,
            book,
            health,
            reach,
            moving,
            flight,
            beat,
            mistake: _,
        } = parts;
        Self {
            vitals: Vitals::new(clock, health, moving, &config.programme),
            signals: Signals::new(plane.clone(), done),
            config,
            clock,
            room,
            journal,
            control,
            plane,
            destinations,
            broker,
            book,
            reach,
            sessions: HashMap::new(),
            off_air: OffAir::default(),
            wants: HashMap::new(),
            speaking: HashMap::new(),
            shown: 0,
            taken_over: HashMap::new(),
            departed: HashMap::new(),
            connections: HashMap::new(),
            lessened: HashMap::new(),
            flight,
            beat,
            meters: 0,
        }
    }

    /// The media part came up, or did not.
    fn on_plane(&mut self) {
        let Some(why) = self.plane.why_not() else {
            self.vitals.over(MEDIA_DOWN);
            self.destinations.begin(self.clock.now_ms());
            self.show_picture();
            self.room.next_rev();
            self.show();
            self.publish_outputs();
            return;
        };
        let advice = format!(
            "{why} Nobody can go on air, be recorded or sent. Pairing, invites and the room's settings work. `dais doctor` says what this machine lacks."
        );
        self.raise(MEDIA_DOWN, advice);
        self.flight.write_soon(Fault::Alarm, &why);
    }

    /// Guests of before a restart are in their seats already; the picture starts with them.
    fn restore_media(&mut self) {
        self.keep();
        self.show();
    }

    fn on_mqtt(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Connected => {
                tracing::info!("connected to the broker");
                self.vitals.over("broker");
                self.greet_the_awaited();
                self.shown = 0;
                self.show();
                self.publish_outputs();
            }
            Incoming::Disconnected { why } => {
                tracing::warn!(why, "the connection to the broker was lost; trying again");
                self.vitals.alarm(
                    "broker",
                    format!("Phones cannot reach the box: {why} The box tries again by itself."),
                    self.clock.now_ms(),
                );
            }
            Incoming::Request(request) => self.on_request(request),
        }
    }

    /// An external broker kept its clients through a restart of the box, and none of them logs in anew: the guests of
    /// before are taken for present. One who is not has no media, and loses the seat when its grace is over.
    fn greet_the_awaited(&mut self) {
        if self.config.broker.mode != BrokerMode::External {
            return;
        }
        let awaited: Vec<Id> = self.room.awaited_guests().cloned().collect();
        for user in awaited {
            self.see(&guest(&user), user);
        }
    }

    fn on_request(&mut self, request: Request) {
        let now = self.clock.now_ms();
        match self.control.receive(request, now) {
            Received::Nothing => {}
            Received::Gone(who) => self.on_gone(&who),
            Received::Call(to, call) => {
                let who = to.from.clone();
                self.on_call(to, call);
                // A request shows that its sender is there, unless the broker said meanwhile that they went.
                if let Some(Caller::Guest(user)) = caller(&who)
                    && self.departed.contains_key(&user)
                {
                    self.gone(&who);
                }
            }
        }
    }

    /// Gives the room an input, makes the result durable, and carries it out.
    fn apply(&mut self, input: Input, to: Option<&Envelope>) {
        let now = self.clock.now_ms();
        if !matches!(input, Input::Tick | Input::Speaking { .. }) {
            self.flight.note(Kind::Input, format!("{input:?}"));
        }
        let effects = self.room.apply(input, now);
        self.keep();
        for effect in effects {
            self.flight.note(Kind::Effect, format!("{effect:?}"));
            self.carry_out(effect, to);
        }
        self.settle_own_mutes();
        self.settle_off_air();
        self.show();
    }

    /// Puts on the disk what changed, before anybody hears of it. A show outlasts its disk.
    fn keep(&mut self) {
        let Some(record) = self.room.take_record() else {
            return;
        };
        match self.journal.append(&record) {
            Ok(()) => self.vitals.over(MEMORY),
            Err(error) => {
                let advice = format!(
                    "{error} The show goes on, but what changes in the room now is forgotten at the next start."
                );
                self.raise(MEMORY, advice);
            }
        }
    }

    fn carry_out(&mut self, effect: Effect, envelope: Option<&Envelope>) {
        match effect {
            Effect::Reply { result, .. } => {
                if let Some(envelope) = envelope {
                    self.control.reply(envelope, result);
                }
            }
            Effect::Tell {
                to,
                notification,
                rev,
            } => {
                log(&to, &notification);
                match to {
                    Recipient::Guest(user) => self.tell_guest(&user, &notification, rev),
                    Recipient::Hosts => self.control.tell_hosts(&self.with_name(notification), rev),
                    Recipient::Everyone => {
                        self.control.tell_hosts(&notification, rev);
                        for user in self.room.live_guests().cloned().collect::<Vec<_>>() {
                            self.tell_guest(&user, &notification, rev);
                        }
                    }
                }
            }
            Effect::OpenMedia {
                user,
                session,
                camera,
            } => {
                tracing::info!(%user, %session, "a guest is offered a media session");
                self.open_guest(user, session, camera);
            }
            Effect::CloseMedia { session } => self.close_session(&session),
            Effect::Evict { user } => self.evict(&user),
        }
    }

    /// The room knows consoles by id; people know them by name.
    fn with_name(&self, mut notification: Notification) -> Notification {
        if let Notification::MicRequestAnswered { by, by_name, .. } = &mut notification {
            *by_name = self.name_of_console(by);
        }
        notification
    }

    fn name_of_console(&self, id: &Id) -> Option<Name> {
        self.book.name_of(&Identity {
            role: Role::Host,
            id: id.to_string(),
        })
    }

    /// The retained `pending`.
    fn pending(&self, now: u64) -> dais_protocol::Pending {
        let mut pending = self.room.pending(now);
        if let Some(talkback) = &mut pending.talkback {
            talkback.by_name = self.name_of_console(&talkback.by);
        }
        pending
    }

    fn tell_guest(&self, user: &Id, notification: &Notification, rev: u64) {
        self.control.tell(&guest(user), notification, rev);
    }

    fn evict(&mut self, user: &Id) {
        let who = guest(user);
        self.stop_watching(&who);
        let (book, broker) = (self.book.clone(), self.broker.clone());
        let user = user.clone();
        tokio::spawn(async move {
            let banned = tokio::task::spawn_blocking(move || book.ban(&user)).await;
            if let Ok(Err(error)) = banned {
                tracing::error!(%error, "a ban was not kept; it holds until the box restarts");
            }
            tokio::time::sleep(LAST_WORD).await;
            end_connection(&*broker, &who).await;
        });
    }

    /// Shows clients and studio what changed since the last time.
    fn show(&mut self) {
        let now = self.clock.now_ms();
        if self.room.rev() == self.shown {
            return;
        }
        self.shown = self.room.rev();
        self.control.publish_room(&self.room.snapshot(now));
        self.control.publish_pending(&self.pending(now));
        self.show_picture();
    }

    fn on_studio(&mut self, event: Event) {
        let now = self.clock.now_ms();
        match event {
            Event::Moving => {
                tracing::info!("the programme is moving");
                self.vitals.moves(now);
            }
            Event::Offer { session, sdp } => self.on_offer(&session, sdp),
            Event::Candidate { session, candidate } => self.on_candidate(&session, candidate),
            Event::Alive { session } => self.on_media(&session, MediaEvent::Alive),
            Event::Lost { session } => self.on_media(&session, MediaEvent::Lost),
            Event::Failed { session, reason } => {
                tracing::info!(session, reason, "a media session ended by itself");
                self.on_media(&session, MediaEvent::Failed);
            }
            Event::Output(status) => {
                let changed = self.destinations.on_output(status, now);
                self.on_changed(changed);
            }
            Event::Record(status) => {
                let changed = self.destinations.on_record(status);
                self.on_changed(changed);
            }
            Event::Levels(levels) => self.on_levels(&levels),
            Event::Trouble { what, advice } => {
                self.flight.write_soon(Fault::Alarm, &what);
                self.raise(&what, advice);
            }
            Event::TroubleOver { what } => self.vitals.over(&what),
        }
    }

    /// A trouble goes to every console once, and into `health` until it is over.
    fn raise(&mut self, what: &str, advice: String) {
        if self.vitals.alarm(what, advice.clone(), self.clock.now_ms()) {
            tracing::warn!(what, advice, "alarm");
            let rev = self.room.next_rev();
            self.control.tell_hosts(
                &Notification::Alarm {
                    what: what.into(),
                    since_ms: 0,
                    advice,
                },
                rev,
            );
            self.show();
        }
    }

    /// Tells consoles of a destination or the recording. Every retained snapshot then carries the new `rev`, so that a client that
    /// reads them again is in step.
    fn on_changed(&mut self, changed: Option<Changed>) {
        let Some(changed) = changed else { return };
        let rev = self.room.next_rev();
        let notification = match changed {
            Changed::Output {
                output_id,
                state,
                error,
            } => Notification::OutputChanged {
                output_id,
                state,
                error,
            },
            Changed::Record { state, file, error } => {
                Notification::RecordChanged { state, file, error }
            }
        };
        self.control.tell_hosts(&notification, rev);
        self.show();
        self.publish_outputs();
    }

    fn publish_outputs(&mut self) {
        let free = self.vitals.disk_free();
        self.control.publish_outputs(&self.destinations.snapshot(
            self.room.rev(),
            self.clock.now_ms(),
            free,
        ));
    }

    fn on_levels(&mut self, levels: &[dais_studio::api::Level]) {
        let seats = levels.iter().map(|l| dais_protocol::Meter {
            seat: l.seat,
            level_db: l.level_db,
            peak_db: l.peak_db,
            speaking: l.speaking,
        });
        let meters = dais_protocol::Meters {
            rev: self.room.rev(),
            seats: seats.collect(),
        };
        if self.meters.is_multiple_of(METERS_A_SECOND) {
            self.flight.note(Kind::Levels, &meters.seats);
        }
        self.meters = self.meters.wrapping_add(1);
        self.control.publish_meters(&meters);
        for level in levels.iter().filter(|level| level.seat != 0) {
            if self.speaking.insert(level.seat, level.speaking) != Some(level.speaking)
                && let Ok(seat) = Seat::try_from(f64::from(level.seat))
            {
                self.apply(
                    Input::Speaking {
                        seat,
                        speaking: level.speaking,
                    },
                    None,
                );
            }
        }
    }

    fn every_second(&mut self) {
        let now = self.clock.now_ms();
        let watchers = self.watchers();
        self.repeat_attention(now);
        self.beat.tick();
        let studio = self.plane.health();
        let seated: Vec<(Seat, String)> = self
            .room
            .on_programme()
            .filter_map(|guest| Some((guest.seat, guest.session?.to_string())))
            .collect();
        let sessions = studio.as_ref().map_or(&[][..], |studio| &studio.sessions);
        self.vitals.look_at_connections(sessions, &seated);
        let trouble = self.vitals.measure(
            studio.as_ref(),
            self.destinations.folder(),
            watchers,
            self.control.dropped,
            self.control.link(),
            self.room.rev(),
        );
        for (what, advice) in trouble {
            self.raise(&what, advice);
        }
        let health = self.vitals.health();
        self.flight.note(Kind::Health, &health);
        self.control.publish_health(&health);
        if self
            .vitals
            .disk_free()
            .is_some_and(|free| free < crate::destinations::DISK_FLOOR_BYTES)
            && self.destinations.is_recording()
        {
            tracing::error!(
                "the disk is full: the recording is ended while it can still be finished"
            );
            if let Err(error) = self.destinations.stop_record() {
                tracing::error!(%error, "the recording could not be ended");
            }
        }
        if self.destinations.is_busy() {
            self.publish_outputs();
        }
        if now % PENDING_EVERY_MS < 1000 {
            let pending = self.pending(now);
            if !pending.requests.is_empty() {
                self.control.publish_pending(&pending);
            }
        }
    }

    async fn finish(mut self) {
        tracing::info!("stopping");
        self.keep();
        for session in self.sessions.keys().cloned().collect::<Vec<_>>() {
            self.signals.close(&session);
            self.plane.close(&session);
        }
        let plane = self.plane.clone();
        if tokio::task::spawn_blocking(move || plane.end())
            .await
            .is_err()
        {
            tracing::error!(
                "the studio did not end in order; the recording may miss its index, but plays"
            );
        }
        let _ = tokio::time::timeout(FAREWELL, self.control.link().stop()).await;
    }
}

/// Whose credential ended already: without it they could not come back, but would stay until they go.
async fn end_connection(broker: &dyn Broker, who: &Identity) {
    if let Err(error) = broker.revoke(who).await {
        tracing::error!(%error, %who, "the connection of somebody who was sent away could not be ended");
    }
}

/// What became of a guest, once, with the fields by which a log is searched.
fn log(to: &Recipient, told: &Notification) {
    match (to, told) {
        (Recipient::Guest(user), Notification::MicAccepted { seat }) => {
            tracing::info!(%user, seat = seat.get(), "a guest was accepted");
        }
        (Recipient::Hosts, Notification::MicOnAir { user_id, seat }) => {
            tracing::info!(user = %user_id, seat = seat.get(), "a guest is on air");
        }
        (Recipient::Hosts, Notification::MicExited { user_id, reason }) => {
            tracing::info!(user = %user_id, ?reason, "a guest left the programme");
        }
        _ => {}
    }
}

/// The room's name of a client; the box itself is none.
fn caller(who: &Identity) -> Option<Caller> {
    let id = who.id.parse::<Id>().ok()?;
    match who.role {
        Role::Guest => Some(Caller::Guest(id)),
        Role::Host => Some(Caller::Host(id)),
        Role::Box => None,
    }
}

fn guest(user: &Id) -> Identity {
    Identity {
        role: Role::Guest,
        id: user.to_string(),
    }
}
