//! `dais host`: a console in a terminal; with a command, one call.

mod show;

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
    time::Duration,
};

use clap::Subcommand;
use dais_protocol::{
    Call, Empty, GainDb, HostSet, Id, InviteCreate, InviteRevoke, Layout, LayoutSet, MaxGuests,
    MicDisconnect, MicInvite, MicMove, MicRespond, MicSet, Name, OfRecording, OfUser, OutputKind,
    OutputStart, OutputStop, RoomSet, Seat, SeatLock, Secret, TalkbackSet, TimeoutS, Token, TtlS,
    Uses, Words,
};
use serde_json::{Value, json};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::timeout,
};

use crate::{
    client::{CallError, Client, ClientConfig, ConnectError, Heard, Role},
    console, discover, door,
};

/// The retained snapshots follow the subscription at once.
const SNAPSHOT: Duration = Duration::from_secs(5);

/// A console in a terminal. Without a command: the whole show, run by keys
#[derive(Clone, Debug, clap::Args)]
pub struct HostArgs {
    /// The box: its web origin (http://host:port) or its MQTT port (mqtt://host:port)
    #[arg(long)]
    pub url: String,
    /// The user name that pairing gave out, host-<id>
    #[arg(long, required_unless_present = "code")]
    pub user: Option<String>,
    /// Its password. Everybody on this machine can read a command line: prefer the variable
    #[arg(
        long,
        env = "DAIS_PASSWORD",
        hide_env_values = true,
        required_unless_present = "code"
    )]
    pub password: Option<String>,
    /// Pairs with the code that the box shows, instead of a user name; --url is then its web origin. Everybody on this
    /// machine can read a command line: where others work too, prefer the variable
    #[arg(
        long,
        env = "DAIS_CODE",
        hide_env_values = true,
        value_name = "CODE",
        conflicts_with = "user"
    )]
    pub code: Option<String>,
    /// The box's id; asked from the broker if left out
    #[arg(long = "box", value_name = "ID", env = "DAIS_BOX")]
    pub box_id: Option<Id>,
    /// Certificates in PEM to trust, instead of the system's
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// JSON, one object a line
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Option<HostCommand>,
}

impl HostArgs {
    /// Whether the whole terminal is taken: nothing else may write to it then.
    pub fn takes_the_terminal(&self) -> bool {
        self.command.is_none()
    }
}

fn number<T: TryFrom<f64, Error = dais_protocol::OutOfBounds>>(text: &str) -> Result<T, String> {
    let number: f64 = text
        .parse()
        .map_err(|_| format!("\"{text}\" is no number"))?;
    T::try_from(number).map_err(|error| error.to_string())
}

fn named<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(json!(text)).map_err(|error| error.to_string())
}

#[derive(Clone, Debug, Subcommand)]
pub enum HostCommand {
    /// Who asks to come on air
    Requests,
    /// Lets a guest on air
    Accept {
        user: Id,
        #[arg(long, value_parser = number::<Seat>)]
        seat: Option<Seat>,
    },
    /// Declines a request
    Reject {
        user: Id,
        #[arg(long)]
        message: Option<Words>,
    },
    /// Takes a guest off the air
    Disconnect {
        user: Id,
        #[arg(long)]
        message: Option<Words>,
    },
    /// Asks a guest to come on air
    Call {
        user: Id,
        #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = number::<TimeoutS>)]
        timeout: TimeoutS,
        #[arg(long, value_parser = number::<Seat>)]
        seat: Option<Seat>,
    },
    /// Takes that back
    Withdraw { user: Id },
    /// Follows all that happens, until interrupted
    Watch {
        /// With the sound levels, ten times a second
        #[arg(long)]
        meters: bool,
    },
    /// The room now
    Room,
    /// Everyone with a live session
    People,
    /// Destinations and the recording
    Outputs,
    /// How the box does
    Health,
    /// auto, solo, side-by-side, grid, spotlight or pip
    Layout {
        #[arg(value_parser = named::<Layout>)]
        layout: Layout,
    },
    /// Mutes a guest's microphone, with --video the picture
    Mute {
        user: Id,
        #[arg(long)]
        video: bool,
    },
    /// Lifts that
    Unmute {
        user: Id,
        #[arg(long)]
        video: bool,
    },
    /// A guest's gain in dB
    Gain {
        user: Id,
        #[arg(allow_negative_numbers = true, value_parser = number::<GainDb>)]
        db: GainDb,
    },
    /// Gives the host's microphone to this guest alone, off air, until interrupted
    Talk { user: Id },
    /// Puts a guest on another seat
    Move {
        user: Id,
        #[arg(value_parser = number::<Seat>)]
        seat: Seat,
    },
    /// Keeps a seat free
    Lock {
        #[arg(value_parser = number::<Seat>)]
        seat: Seat,
    },
    /// Gives a seat free
    Unlock {
        #[arg(value_parser = number::<Seat>)]
        seat: Seat,
    },
    /// Title, requests open or closed, number of guests
    Set {
        #[arg(long)]
        title: Option<Name>,
        #[arg(long, value_name = "true|false")]
        accepting: Option<bool>,
        #[arg(long, value_name = "N", value_parser = number::<MaxGuests>)]
        max_guests: Option<MaxGuests>,
    },
    /// The host's own microphone, camera and name
    Me {
        #[arg(long, value_name = "true|false")]
        audio_muted: Option<bool>,
        #[arg(long, value_name = "true|false")]
        video_muted: Option<bool>,
        #[arg(long)]
        name: Option<Name>,
    },
    /// A new invite link
    Invite {
        #[arg(long, value_name = "N", value_parser = number::<Uses>)]
        uses: Option<Uses>,
        #[arg(long, value_name = "SECONDS", value_parser = number::<TtlS>)]
        ttl: Option<TtlS>,
    },
    /// Ends an invite
    Revoke { invite: Token },
    /// Ends a guest's seat, media, session and credential at once
    Ban { user: Id },
    /// Every paired console
    Consoles,
    /// Ends a console's credential, preview and session at once
    Unpair { user: Id },
    /// Records the programme
    #[command(subcommand)]
    Record(RecordCommand),
    /// Sends the programme somewhere
    #[command(subcommand)]
    Output(OutputCommand),
}

#[derive(Clone, Debug, Subcommand)]
pub enum RecordCommand {
    Start,
    Stop,
    /// The recordings on the box's disk
    List,
    /// An address from which one can be fetched for twelve hours, as in `curl -O "$(dais host … record link FILE)"`
    Link {
        file: Token,
    },
    /// Removes one
    Remove {
        file: Token,
    },
}

#[derive(Clone, Debug, Subcommand)]
pub enum OutputCommand {
    /// KIND is rtmp, srt or whip
    Start {
        #[arg(value_parser = named::<OutputKind>)]
        kind: OutputKind,
        url: String,
        /// The environment variable that holds the stream key
        #[arg(long, value_name = "VAR")]
        key_env: Option<String>,
        #[arg(long)]
        name: Option<Name>,
    },
    Stop {
        output_id: Token,
    },
}

#[derive(Debug, thiserror::Error)]
pub enum HostError {
    #[error("\"{0}\" is no console's user name: pairing gives out host-<id>")]
    User(String),
    #[error("{path} cannot be read: {source}")]
    Ca {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the variable {0}, which should hold the stream key, is not set")]
    NoKey(String),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the box told nothing about its {topic} within {} s; is it running?", SNAPSHOT.as_secs())]
    NoSnapshot { topic: &'static str },
    #[error(transparent)]
    Pair(#[from] door::DoorError),
    #[error(
        "the console needs a terminal to show itself in. For scripts name a command, as in `dais host … room --json`"
    )]
    NoTerminal,
    #[error("the terminal or the reader of what this command prints is gone: {0}")]
    Output(#[from] io::Error),
    #[error("the box no longer takes this console: {0}")]
    Unpaired(String),
}

/// What a command needs: one call, or to listen.
enum Task {
    Call(Call),
    Snapshot(&'static str),
    Watch,
    Talk(Id),
    Console,
}

/// Carries out one command, or runs the console. With `--json` an error of the box is printed too, as `{"method","error"}`.
pub async fn run(args: HostArgs) -> Result<(), HostError> {
    let task = match &args.command {
        Some(command) => task(command)?,
        None if io::stdin().is_terminal() && io::stdout().is_terminal() => Task::Console,
        None => return Err(HostError::NoTerminal),
    };
    let ca = args
        .ca
        .map(|path| std::fs::read(&path).map_err(|source| HostError::Ca { path, source }))
        .transpose()?;
    let paired = args.code.is_some();
    let (username, password, box_id) = match args.code {
        Some(code) => {
            let credential = door::pair(&args.url, &code, None, ca.clone()).await?;
            let password = Secret(credential.password);
            (credential.username, password, Some(credential.box_id))
        }
        None => {
            if args.password.is_some() && std::env::var_os("DAIS_PASSWORD").is_none() {
                eprintln!(
                    "dais: everybody on this machine can read a password on a command line; prefer the variable DAIS_PASSWORD"
                );
            }
            let password = Secret(args.password.unwrap_or_default());
            (args.user.unwrap_or_default(), password, args.box_id)
        }
    };
    let Some((Role::Host, user_id)) = Role::of(&username) else {
        return Err(HostError::User(username));
    };
    let box_id = match box_id {
        Some(box_id) => box_id,
        None => discover::find_box(&args.url, &username, &password, ca.as_deref()).await?,
    };
    let meters = matches!(
        args.command,
        None | Some(HostCommand::Watch { meters: true })
    );
    let config = ClientConfig {
        url: args.url,
        username,
        password,
        box_id,
        role: Role::Host,
        user_id,
        ca,
        meters,
    };
    let again = paired.then(|| {
        let Secret(password) = &config.password;
        format!(
            "dais: paired. Next time: DAIS_PASSWORD={password} dais host --url {} --user {}",
            config.url, config.username
        )
    });
    let own = config.user_id.clone();
    let (client, mut heard) = Client::connect(config).await?;
    let outcome = carry_out(task, &own, &client, &mut heard, args.json).await;
    client.leave().await;
    if let Some(again) = again {
        eprintln!("{again}");
    }
    outcome
}

async fn carry_out(
    task: Task,
    own: &Id,
    client: &Client,
    heard: &mut mpsc::Receiver<Heard>,
    json: bool,
) -> Result<(), HostError> {
    match task {
        Task::Call(call) => {
            let method = call.method();
            match client.call(call).await {
                Ok(result) if json => {
                    say(&json!({"method": method, "result": result}).to_string())?
                }
                Ok(result) => say(&show::result(method, &result))?,
                Err(error) => return Err(refused(json, method, error)),
            }
        }
        Task::Snapshot(topic) => {
            let event = timeout(SNAPSHOT, snapshot(heard, topic))
                .await
                .ok()
                .flatten()
                .ok_or(HostError::NoSnapshot { topic })?;
            say(&if json {
                event.to_string()
            } else {
                show::event(&event)
            })?;
        }
        Task::Watch => return watch(heard, json).await,
        Task::Talk(user) => return talk(client, own, heard, user, json).await,
        Task::Console => return console::run(client, own, heard).await,
    }
    Ok(())
}

/// With `--json` an error of the box is printed too.
fn refused(json: bool, method: &str, error: CallError) -> HostError {
    if let (true, Some(rpc)) = (json, error.rpc())
        && let Err(gone) = say(&json!({"method": method, "error": rpc}).to_string())
    {
        return gone.into();
    }
    error.into()
}

/// Not `println!`, which panics when the reader (`| head`) has gone.
fn say(line: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")
}

async fn snapshot(heard: &mut mpsc::Receiver<Heard>, topic: &str) -> Option<Value> {
    loop {
        let event = show::to_json(&heard.recv().await?);
        if event["event"] == topic {
            return Some(event);
        }
    }
}

async fn watch(heard: &mut mpsc::Receiver<Heard>, json: bool) -> Result<(), HostError> {
    let listen = async {
        while let Some(heard) = heard.recv().await {
            if let Heard::Refused { why } = heard {
                return Err(HostError::Unpaired(why));
            }
            let event = show::to_json(&heard);
            say(&if json {
                event.to_string()
            } else {
                show::event(&event)
            })?;
        }
        Ok(())
    };
    tokio::select! {
        () = told_to_end() => Ok(()),
        outcome = listen => outcome,
    }
}

/// Until SIGINT or SIGTERM.
async fn told_to_end() {
    match (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) {
        (Ok(mut interrupt), Ok(mut terminate)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        // Then the signals still have their usual effect.
        _ => std::future::pending().await,
    }
}

/// The box puts a host on air who has not said for 10 s that they still speak off air.
pub(crate) const STILL_TALKING: Duration = Duration::from_secs(3);

/// Until told to end, or until something else ended it: the guest went, another console took over.
async fn talk(
    client: &Client,
    own: &Id,
    heard: &mut mpsc::Receiver<Heard>,
    user: Id,
    json: bool,
) -> Result<(), HostError> {
    let set = |user_id| Call::TalkbackSet(TalkbackSet { user_id });
    let first = client.call(set(Some(user.clone()))).await;
    first.map_err(|error| refused(json, "talkback.set", error))?;
    let tell = |on: bool| {
        let words = if on {
            format!("only {user} hears the host, until this command ends")
        } else {
            "the host is on air again".into()
        };
        say(&if json {
            json!({"event": "talkback", "user_id": user, "on": on}).to_string()
        } else {
            words
        })
    };
    tell(true)?;
    let mut end = std::pin::pin!(told_to_end());
    let mut ours = false;
    let mut still = tokio::time::interval(STILL_TALKING);
    loop {
        tokio::select! {
            () = &mut end => {
                client.call(set(None)).await?;
                break;
            }
            _ = still.tick() => {
                client.call(set(Some(user.clone()))).await?;
            }
            event = heard.recv() => match event {
                Some(Heard::Pending(pending)) => {
                    let talkback = pending.talkback.filter(|t| t.user_id == user && t.by == *own);
                    if ours && talkback.is_none() {
                        break;
                    }
                    ours |= talkback.is_some();
                }
                Some(Heard::Refused { why }) => return Err(HostError::Unpaired(why)),
                Some(_) => {}
                None => break,
            },
        }
    }
    tell(false)?;
    Ok(())
}

fn task(command: &HostCommand) -> Result<Task, HostError> {
    let mute = |user: &Id, video: bool, muted: bool| MicSet {
        user_id: user.clone(),
        audio_muted: (!video).then_some(muted),
        video_muted: video.then_some(muted),
        gain_db: None,
    };
    let of = |user: &Id| OfUser {
        user_id: user.clone(),
    };
    let respond = |user: &Id, accept, seat, message| MicRespond {
        user_id: user.clone(),
        accept,
        seat,
        message,
    };
    Ok(Task::Call(match command.clone() {
        HostCommand::Requests => return Ok(Task::Snapshot("pending")),
        HostCommand::Room => return Ok(Task::Snapshot("room")),
        HostCommand::Outputs => return Ok(Task::Snapshot("outputs")),
        HostCommand::Health => return Ok(Task::Snapshot("health")),
        HostCommand::Watch { .. } => return Ok(Task::Watch),
        HostCommand::Talk { user } => return Ok(Task::Talk(user)),
        HostCommand::Accept { user, seat } => Call::MicRespond(respond(&user, true, seat, None)),
        HostCommand::Reject { user, message } => {
            Call::MicRespond(respond(&user, false, None, message))
        }
        HostCommand::Disconnect { user, message } => Call::MicDisconnect(MicDisconnect {
            user_id: user,
            message,
        }),
        HostCommand::Call {
            user,
            timeout,
            seat,
        } => Call::MicInvite(MicInvite {
            user_id: user,
            timeout_s: timeout,
            seat,
        }),
        HostCommand::Withdraw { user } => Call::MicWithdraw(of(&user)),
        HostCommand::People => Call::RoomPeople(Empty {}),
        HostCommand::Layout { layout } => Call::LayoutSet(LayoutSet { layout }),
        HostCommand::Mute { user, video } => Call::MicSet(mute(&user, video, true)),
        HostCommand::Unmute { user, video } => Call::MicSet(mute(&user, video, false)),
        HostCommand::Gain { user, db } => Call::MicSet(MicSet {
            user_id: user,
            audio_muted: None,
            video_muted: None,
            gain_db: Some(db),
        }),
        HostCommand::Move { user, seat } => Call::MicMove(MicMove {
            user_id: user,
            seat,
        }),
        HostCommand::Lock { seat } => Call::SeatLock(SeatLock { seat, locked: true }),
        HostCommand::Unlock { seat } => Call::SeatLock(SeatLock {
            seat,
            locked: false,
        }),
        HostCommand::Set {
            title,
            accepting,
            max_guests,
        } => Call::RoomSet(RoomSet {
            title,
            accepting,
            max_guests,
        }),
        HostCommand::Me {
            audio_muted,
            video_muted,
            name,
        } => Call::HostSet(HostSet {
            audio_muted,
            video_muted,
            name,
        }),
        HostCommand::Invite { uses, ttl } => Call::InviteCreate(InviteCreate { uses, ttl_s: ttl }),
        HostCommand::Revoke { invite } => Call::InviteRevoke(InviteRevoke { invite }),
        HostCommand::Ban { user } => Call::GuestBan(of(&user)),
        HostCommand::Consoles => Call::RoomHosts(Empty {}),
        HostCommand::Unpair { user } => Call::HostUnpair(of(&user)),
        HostCommand::Record(command) => match command {
            RecordCommand::Start => Call::RecordStart(Empty {}),
            RecordCommand::Stop => Call::RecordStop(Empty {}),
            RecordCommand::List => Call::RecordList(Empty {}),
            RecordCommand::Link { file } => Call::RecordLink(OfRecording { file }),
            RecordCommand::Remove { file } => Call::RecordRemove(OfRecording { file }),
        },
        HostCommand::Output(OutputCommand::Start {
            kind,
            url,
            key_env,
            name,
        }) => {
            let key = key_env
                .map(|variable| {
                    std::env::var(&variable)
                        .map(Secret)
                        .map_err(|_| HostError::NoKey(variable))
                })
                .transpose()?;
            Call::OutputStart(OutputStart {
                kind,
                url,
                key,
                name,
            })
        }
        HostCommand::Output(OutputCommand::Stop { output_id }) => {
            Call::OutputStop(OutputStop { output_id })
        }
    }))
}
