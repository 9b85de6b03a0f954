//! `dais dev`: a whole box on a PC. Writes its settings, starts `daisd`, pairs a console through the box's own door, makes an
//! invite, and says where everything is.

mod screen;
mod settings;

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use dais_protocol::{Call, Credential, Invite, InviteCreate};
use serde::Deserialize;
use serde_json::json;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};

use crate::{
    client::{CallError, Client, ClientConfig, ConnectError},
    daisd::{Daisd, DaisdError},
    door::{self, DoorError},
};

pub use settings::SettingsError;

/// Devices and encoders are tried before the first frame leaves; on two loaded cores that took a few seconds.
const UNTIL_MOVING: Duration = Duration::from_secs(60);

/// A whole box on this PC, with test sources unless told otherwise.
#[derive(Clone, Debug, clap::Args)]
pub struct DevArgs {
    /// One JSON line when the programme is moving, for programs
    #[arg(long)]
    pub json: bool,
    /// The companion's port; 0 takes a free one. 8080, or a free one if it is in use
    #[arg(long, value_name = "N")]
    pub http_port: Option<u16>,
    /// The port of https://; 0 takes a free one. 8443, or a free one if it is in use or --http-port is 0
    #[arg(long, value_name = "N")]
    pub https_port: Option<u16>,
    /// The MQTT port; 0 takes a free one. 1883, or a free one if it is in use
    #[arg(long, value_name = "N")]
    pub mqtt_port: Option<u16>,
    /// Where the box keeps its state and recordings; ~/.local/share/dais/dev if left out
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// What the host shows: test, v4l2:/dev/video0, file:PATH
    #[arg(long, value_name = "SPEC", default_value = "test")]
    pub video: String,
    /// What the host says: test, alsa:hw:1, file:PATH, none
    #[arg(long, value_name = "SPEC", default_value = "test")]
    pub audio: String,
    /// Listen on all interfaces, for phones in the same network
    #[arg(long)]
    pub lan: bool,
    /// Settings of `daisd` to lay over those of this command
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum DevError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Daisd(#[from] DaisdError),
    #[error("{0}")]
    Died(String),
    #[error("after {} s the programme does not move yet{last_words}", UNTIL_MOVING.as_secs())]
    NotMoving { last_words: String },
    #[error("the box is up, and its programme will not move: {why}")]
    NoProgramme { why: String },
    #[error("daisd announced itself with something this version does not know: {line}")]
    Announcement { line: String },
    #[error("{0}")]
    Stop(String),
    #[error("this command could not pair with its own box: {0}")]
    Pair(#[from] DoorError),
    #[error("this command could not connect to its own box: {0}")]
    Connect(#[from] ConnectError),
    #[error("this command could not make an invite: {0}")]
    Invite(#[from] CallError),
    #[error("{path} cannot be written: {source}")]
    Keep { path: PathBuf, source: io::Error },
    #[error("signals cannot be waited for: {0}")]
    Signals(io::Error),
}

/// What `daisd --announce` says once.
#[derive(Clone, Debug, Deserialize)]
pub struct Announced {
    pub http: String,
    pub mqtt: String,
    #[serde(rename = "box")]
    pub box_id: dais_protocol::Id,
    pub pairing_code: String,
    /// The same pages by `https://`.
    #[serde(default)]
    pub https: Option<String>,
    /// Where a phone in the network gets the certificate that it must trust.
    #[serde(default)]
    pub trust: Option<String>,
    /// The fingerprint of that certificate.
    #[serde(default)]
    pub ca_sha256: Option<String>,
    /// Why its programme does not move, if it will not.
    pub why: Option<String>,
}

/// All that a person or a program needs to use the box.
pub struct Ready {
    pub announced: Announced,
    pub host: Credential,
    pub invite_url: String,
    pub data: PathBuf,
}

impl Ready {
    fn line(&self) -> String {
        json!({
            "event": "ready",
            "http": self.announced.http,
            "mqtt": self.announced.mqtt,
            "box": self.announced.box_id,
            "host": {"user_id": self.host.user_id, "username": self.host.username, "password": self.host.password},
            "invite_url": self.invite_url,
            "data": self.data,
            "pairing_code": self.announced.pairing_code,
            "https": self.announced.https,
            "ca_file": self.announced.ca_sha256.as_ref().map(|_| self.data.join("tls/ca.pem")),
        })
        .to_string()
    }
}

/// Runs until SIGINT or SIGTERM, which is a good end; anything else that ends the box is an error. To be awaited on the main thread
/// (see [`Daisd::start`]).
pub async fn run(args: DevArgs) -> Result<(), DevError> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(DevError::Signals)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(DevError::Signals)?;
    let (data, config) = settings::write(&args)?;
    let config = config.display().to_string();
    let mut daisd = Daisd::start(&["--config", &config, "--announce"])?;
    let outcome = tokio::select! {
        outcome = live(&mut daisd, &args, &data) => outcome,
        () = told_to_stop(&mut interrupt, &mut terminate) => Ok(()),
    };
    if let Err(DevError::Died(_)) = outcome {
        return outcome;
    }
    let stopped = daisd.stop().await;
    outcome?;
    match stopped {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(DevError::Stop(format!(
            "daisd did not end well ({status}){}",
            daisd.last_words()
        ))),
        Err(why) => Err(DevError::Stop(why)),
    }
}

async fn told_to_stop(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// Until the box ends by itself, which it must not.
async fn live(daisd: &mut Daisd, args: &DevArgs, data: &Path) -> Result<(), DevError> {
    let Some(mut lines) = daisd.announcements() else {
        return Err(DevError::Died(daisd.ended().await));
    };
    let line = match timeout(UNTIL_MOVING, lines.next_line()).await {
        Ok(Ok(Some(line))) => line,
        Ok(_) => return Err(DevError::Died(daisd.ended().await)),
        Err(_) => {
            return Err(DevError::NotMoving {
                last_words: daisd.last_words(),
            });
        }
    };
    let announced: Announced =
        serde_json::from_str(&line).map_err(|_| DevError::Announcement { line })?;
    if let Some(why) = announced.why {
        return Err(DevError::NoProgramme { why });
    }
    let (host, client) = console(&announced, data).await?;
    let invite: Invite = client
        .ask(Call::InviteCreate(InviteCreate {
            uses: None,
            ttl_s: None,
        }))
        .await?;
    client.leave().await;
    let ready = Ready {
        announced,
        host,
        invite_url: invite.url,
        data: data.to_owned(),
    };
    let mut stdout = io::stdout();
    // Whoever started this may have closed its end; the box runs on all the same.
    let _ = if args.json {
        writeln!(stdout, "{}", ready.line())
    } else {
        write!(stdout, "{}", screen::text(&ready))
    };
    let _ = stdout.flush();
    Err(DevError::Died(daisd.ended().await))
}

/// This command's own console. It keeps its credential, so that a box does not gather one more console with each start.
async fn console(announced: &Announced, data: &Path) -> Result<(Credential, Client), DevError> {
    let path = data.join("console.json");
    let kept = fs::read(&path)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Credential>(&bytes).ok());
    if let Some(credential) = kept.filter(|kept| kept.box_id == announced.box_id) {
        match connect(announced, &credential).await {
            Ok(client) => return Ok((credential, client)),
            // Unpaired, or the box forgot: pair again.
            Err(ConnectError::Refused { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let credential = door::pair(
        &announced.http,
        &announced.pairing_code,
        "dais dev".parse().ok(),
        None,
    )
    .await?;
    keep(&path, &credential).map_err(|source| DevError::Keep { path, source })?;
    let client = connect(announced, &credential).await?;
    Ok((credential, client))
}

async fn connect(announced: &Announced, credential: &Credential) -> Result<Client, ConnectError> {
    let config = ClientConfig::new(announced.mqtt.as_str(), credential)?;
    Ok(Client::connect(config).await?.0)
}

fn keep(path: &Path, credential: &Credential) -> io::Result<()> {
    // A password: for its owner's eyes only.
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    serde_json::to_writer(&mut file, credential)?;
    file.flush()
}
