//! The settings of a box: one TOML file, every key documented in `dais.example.toml`, unknown keys are errors.
//!
//! Below the file lie the settings of the board ([`Board`]), below those the defaults.
//!
//! A mistake is told with file, line and key, because the person who made it has the file open in an editor.

mod board;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use dais_protocol::{IceServer, Id, MaxGuests, Name, Secret};
use dais_studio::StudioConfig;
use dais_studio::config::{
    CaptureConfig, IceConfig, MixConfig, MonitorConfig, ProgrammeConfig, ReturnsConfig,
    SessionsConfig,
};
use serde::Deserialize;

use crate::tls::{self, Fault, Leaf, Own};
pub use board::{BOARD, Board};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    #[serde(rename = "box")]
    pub identity: BoxConfig,
    pub http: HttpConfig,
    pub https: HttpsConfig,
    pub mqtt: MqttConfig,
    pub broker: BrokerConfig,
    pub room: RoomConfig,
    pub outputs: OutputsConfig,
    pub capture: CaptureConfig,
    pub monitor: MonitorConfig,
    pub programme: ProgrammeConfig,
    pub mix: MixConfig,
    pub returns: ReturnsConfig,
    pub sessions: SessionsConfig,
    pub ice: IceConfig,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BoxConfig {
    pub id: Id,
    /// Credentials, invites, the journal and, unless told otherwise, recordings.
    pub data_dir: PathBuf,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    pub listen: SocketAddr,
    /// The origin that invites name, where it differs from what the box can know: behind a proxy, say.
    pub public_url: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpsConfig {
    pub enabled: bool,
    /// Left out: the address of [`HttpConfig::listen`] with port 443, or 8443 where the system does not give that.
    pub listen: Option<SocketAddr>,
    /// A certificate of the studio's own, in place of one by the box's authority.
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MqttConfig {
    pub listen: SocketAddr,
    pub max_connections: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BrokerMode {
    #[default]
    Embedded,
    External,
}

/// Who makes the users of an external broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provisioning {
    /// The box, by mosquitto's dynamic security plugin.
    #[default]
    Dynsec,
    /// The studio: it configures its broker to know `host` and `guest` credentials by other means.
    None,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BrokerConfig {
    pub mode: BrokerMode,
    /// `mqtt://host:port` or `mqtts://host:port`.
    pub url: Option<String>,
    pub username: Option<String>,
    pub password: Option<Secret>,
    pub password_file: Option<PathBuf>,
    pub ca_file: Option<PathBuf>,
    pub provisioning: Provisioning,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RoomConfig {
    /// What a new box starts with; consoles change it, and the journal keeps that.
    pub title: Name,
    pub host_name: Name,
    pub max_guests: MaxGuests,
    pub accepting: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutputsConfig {
    /// `recordings` in `box.data_dir` if left out.
    pub recordings: Option<PathBuf>,
    pub max_outputs: usize,
}

impl Default for BoxConfig {
    fn default() -> Self {
        Self {
            id: literal("dais"),
            data_dir: "/var/lib/dais".into(),
        }
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 8080)),
            public_url: None,
        }
    }
}

impl Default for HttpsConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: None,
            certificate: None,
            key: None,
        }
    }
}

impl HttpsConfig {
    /// The files of the studio's own certificate.
    pub fn own(&self) -> Option<Own> {
        Some(Own {
            certificate: self.certificate.clone()?,
            key: self.key.clone()?,
        })
    }

    /// What is wrong with them now: they may come later, or be renewed while the box runs.
    fn check_files(&self) -> Result<(), (&'static str, String)> {
        let Some(own) = self.own() else { return Ok(()) };
        let leaf = Leaf::load(&own.certificate, &own.key).map_err(|fault| match fault {
            Fault::Certificate(why) => ("https.certificate", why),
            Fault::Key(why) => ("https.key", why),
        })?;
        let now = tls::known(std::time::SystemTime::now());
        match now.and_then(|now| leaf.time_fault(now)) {
            Some(why) => Err((
                "https.certificate",
                format!("{}: {why}", own.certificate.display()),
            )),
            None => Ok(()),
        }
    }
}

impl Default for MqttConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 1883)),
            max_connections: 2000,
        }
    }
}

impl Default for RoomConfig {
    fn default() -> Self {
        Self {
            title: literal("Dais"),
            host_name: literal("Host"),
            max_guests: MaxGuests::default(),
            accepting: true,
        }
    }
}

impl Default for OutputsConfig {
    fn default() -> Self {
        Self {
            recordings: None,
            max_outputs: 4,
        }
    }
}

/// A literal of this file as a bounded value; the tests parse every one of them.
#[allow(
    clippy::expect_used,
    reason = "only literals of this file come here, and the test of the defaults builds each"
)]
fn literal<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse()
        .expect("a default of the settings is within its bounds")
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("The settings file {path} cannot be read: {source}. Name one with --config FILE.")]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path}:{line}: {key}{why}")]
    Mistake {
        path: PathBuf,
        line: usize,
        key: Key,
        why: String,
    },
}

/// The key of a mistake, where there is one: `programme.fps: `.
#[derive(Debug)]
pub struct Key(Option<String>);

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(key) => write!(f, "{key}: "),
            None => Ok(()),
        }
    }
}

/// What a box runs with.
pub struct Settings {
    pub config: Config,
    pub mistake: Option<Recovered>,
}

/// A mistake in the settings that the box runs in spite of.
pub struct Recovered {
    /// The mistake, and what is done instead.
    pub what: String,
    /// Whether it is the media part's: then that does not start. A box that shows something else than it was told to
    /// would be worse than one that says why it does not.
    pub media: bool,
}

/// Sections that the media part lives by; the others are the doors'.
const MEDIA_SECTIONS: [&str; 6] = ["capture", "programme", "mix", "returns", "sessions", "ice"];

fn is_media(section: &str) -> bool {
    MEDIA_SECTIONS.contains(&section)
}

impl Settings {
    /// Reads the settings of a box that nobody can log in to: a mistake must not lock people out. A section that cannot
    /// be followed counts as left out, and its mistake is told on every console.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::load_over(Path::new(BOARD), path)
    }

    fn load_over(board: &Path, path: &Path) -> Result<Self, ConfigError> {
        let text = read(path)?;
        let (board, wrong) = match Board::read(board) {
            Ok(board) => (board, None),
            Err(mistake) => (Board::default(), Some(mistake)),
        };
        let mut settings = match Config::parse_over(&board, path, &text) {
            Ok(config) => Self {
                config,
                mistake: None,
            },
            Err(mistake) => Self::recover(&board, &text, &mistake),
        };
        if let Some(wrong) = wrong {
            let own = settings.mistake.map(|own| format!(" {}", own.what));
            settings.mistake = Some(Recovered {
                what: format!(
                    "{wrong}. The board's settings are not followed: install the image anew.{}",
                    own.unwrap_or_default()
                ),
                media: true,
            });
        }
        Ok(settings)
    }

    fn recover(board: &Board, text: &str, mistake: &ConfigError) -> Self {
        let over_board =
            |own: toml::Table| board.below(own).try_into::<Config>().unwrap_or_default();
        let Ok(table) = text.parse::<toml::Table>() else {
            return Self {
                config: over_board(toml::Table::new()),
                mistake: Some(Recovered {
                    what: format!("{mistake}. All settings are at their defaults."),
                    media: true,
                }),
            };
        };
        let alone = |(section, value): (String, toml::Value)| {
            let one = toml::Table::from_iter([(section.clone(), value.clone())]);
            one.try_into::<Config>().ok().map(|_| (section, value))
        };
        let sections: Vec<String> = table.keys().cloned().collect();
        let mut good: toml::Table = table.into_iter().filter_map(alone).collect();
        let config = loop {
            let config = over_board(good.clone());
            let Err((key, _)) = config.check() else {
                break config;
            };
            let section = key.split('.').next().unwrap_or(key);
            if good.remove(section).is_none() {
                // Its default goes ill with another section.
                good.retain(|section, _| !is_media(section));
            }
        };
        let bad: Vec<&str> = sections
            .iter()
            .filter(|section| !good.contains_key(*section))
            .map(String::as_str)
            .collect();
        let media = bad.iter().any(|section| is_media(section));
        let what = format!(
            "{mistake}. What stands under [{}] is not followed.",
            bad.join("], [")
        );
        Self {
            config,
            mistake: Some(Recovered { what, media }),
        }
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
        path: path.into(),
        source,
    })
}

impl Config {
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::parse_over(&Board::read(Path::new(BOARD))?, path, &read(path)?)
    }

    /// [`Config::load`], and looks at the files that it names.
    pub fn load_with_files(path: &Path) -> Result<Self, ConfigError> {
        let config = Self::load(path)?;
        config.https.check_files().map_err(|(key, why)| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            ConfigError::Mistake {
                path: path.into(),
                line: line_of_key(&text, key),
                key: Key(Some(key.to_owned())),
                why,
            }
        })?;
        Ok(config)
    }

    /// Parses and checks, without a board; `path` is only named in errors.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        Self::parse_over(&Board::default(), path, text)
    }

    /// The same, with a board's settings below.
    pub fn parse_over(board: &Board, path: &Path, text: &str) -> Result<Self, ConfigError> {
        let mistake = |line, key, why: String| ConfigError::Mistake {
            path: path.into(),
            line,
            key: Key(key),
            why,
        };
        let document = toml::Deserializer::parse(text).map_err(|e| {
            mistake(
                e.span().map_or(1, |s| line_of(text, s.start)),
                None,
                e.message().to_owned(),
            )
        })?;
        let own: Self = serde_path_to_error::deserialize(document).map_err(|e| {
            let key = Some(e.path().to_string()).filter(|path| path != ".");
            let secret = key
                .as_ref()
                .is_some_and(|key| key.ends_with("password") || key.ends_with("credential"));
            let why = if secret {
                // The parser's own words name the value.
                "this must be text in quotes".to_owned()
            } else {
                e.inner().message().to_owned()
            };
            mistake(
                e.inner().span().map_or(1, |s| line_of(text, s.start)),
                key,
                why,
            )
        })?;
        // Both are well typed alone, and so they are together.
        let all = text.parse().map(|own: toml::Table| board.below(own)).ok();
        let config = all.and_then(|all| all.try_into().ok()).unwrap_or(own);
        config
            .check()
            .map_err(|(key, why)| mistake(line_of_key(text, key), Some(key.to_owned()), why))?;
        Ok(config)
    }

    /// What no single key can say alone.
    fn check(&self) -> Result<(), (&'static str, String)> {
        if self.broker.mode == BrokerMode::External && self.broker.url.is_none() {
            return Err((
                "broker.mode",
                "an external broker needs broker.url, like \"mqtts://broker.example:8883\"".into(),
            ));
        }
        if self.broker.mode == BrokerMode::Embedded && self.broker.url.is_some() {
            return Err((
                "broker.url",
                "this is only used with broker.mode = \"external\"".into(),
            ));
        }
        if self.broker.password.is_some() && self.broker.password_file.is_some() {
            return Err((
                "broker.password_file",
                "give either broker.password or broker.password_file, not both".into(),
            ));
        }
        if let Some(url) = &self.http.public_url
            && !(url.starts_with("http://") || url.starts_with("https://"))
        {
            return Err((
                "http.public_url",
                format!("\"{url}\" does not begin with http:// or https://"),
            ));
        }
        match (&self.https.certificate, &self.https.key) {
            (Some(_), None) => {
                return Err(("https.certificate", "name its key too, in https.key".into()));
            }
            (None, Some(_)) => {
                return Err((
                    "https.key",
                    "name its certificate too, in https.certificate".into(),
                ));
            }
            // Invites must name what the certificate is for, and the box has no way to know which of its names that is.
            (Some(_), Some(_)) if self.http.public_url.is_none() => {
                return Err((
                    "https.certificate",
                    "say in http.public_url which address the certificate is for, like \"https://studio.example\"".into(),
                ));
            }
            _ => {}
        }
        if !(1..=16).contains(&self.outputs.max_outputs) {
            return Err((
                "outputs.max_outputs",
                format!("{} is not between 1 and 16", self.outputs.max_outputs),
            ));
        }
        self.studio().check().map_err(|error| match error {
            dais_studio::StudioError::Config { key, what } => (key, what),
            other => ("capture", other.to_string()),
        })
    }

    pub fn studio(&self) -> StudioConfig {
        StudioConfig {
            capture: self.capture.clone(),
            monitor: self.monitor.clone(),
            programme: self.programme.clone(),
            mix: self.mix.clone(),
            returns: self.returns.clone(),
            sessions: self.sessions.clone(),
            ice: self.ice.clone(),
            passports: Some(self.identity.data_dir.join("encoders.json")),
        }
    }

    pub fn recordings(&self) -> PathBuf {
        self.outputs
            .recordings
            .clone()
            .unwrap_or_else(|| self.identity.data_dir.join("recordings"))
    }

    /// What guests are told to reach the box through.
    pub fn ice_servers(&self) -> Vec<IceServer> {
        // Browsers write `stun:host`, GStreamer `stun://host`: one setting serves both.
        let browser_form = |url: &str| url.replacen("://", ":", 1);
        let stun = self.ice.stun.iter().map(|url| IceServer {
            urls: vec![browser_form(url)],
            username: None,
            credential: None,
        });
        let turn = self.ice.turn.iter().map(|turn| IceServer {
            urls: vec![browser_form(&turn.url)],
            username: Some(turn.username.clone()),
            credential: Some(Secret(turn.credential.reveal().to_owned())),
        });
        stun.chain(turn).collect()
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()
        .iter()
        .take(offset)
        .filter(|b| **b == b'\n')
        .count()
        + 1
}

/// The line where `section.key` stands, or its section, or 1: for mistakes that show only when keys are seen together.
fn line_of_key(text: &str, key: &str) -> usize {
    let Ok(document) = toml::de::DeTable::parse(text) else {
        return 1;
    };
    let mut line = 1;
    let mut table = document.get_ref();
    // "programme.width and programme.height": the first of them.
    for part in key.split_whitespace().next().unwrap_or(key).split('.') {
        let Some((name, value)) = table.iter().find(|(name, _)| name.get_ref() == part) else {
            break;
        };
        line = line_of(text, name.span().start);
        match value.get_ref() {
            toml::de::DeValue::Table(inner) => table = inner,
            _ => break,
        }
    }
    line
}

#[cfg(test)]
mod tests;
