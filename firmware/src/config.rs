//! The settings of a box: one TOML file, every key documented in `dais.example.toml`, unknown keys are errors.
//!
//! A mistake is told with file, line and key, because the person who made it has the file open in an editor.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use dais_protocol::{IceServer, Id, MaxGuests, Name, Secret};
use dais_studio::StudioConfig;
use dais_studio::config::{
    CaptureConfig, IceConfig, MixConfig, ProgrammeConfig, ReturnsConfig, SessionsConfig,
};
use serde::Deserialize;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    #[serde(rename = "box")]
    pub identity: BoxConfig,
    pub http: HttpConfig,
    pub mqtt: MqttConfig,
    pub broker: BrokerConfig,
    pub room: RoomConfig,
    pub outputs: OutputsConfig,
    pub capture: CaptureConfig,
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

impl Config {
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.into(),
            source,
        })?;
        Self::parse(path, &text)
    }

    /// Parses and checks; `path` is only named in errors.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
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
        let config: Self = serde_path_to_error::deserialize(document).map_err(|e| {
            let key = Some(e.path().to_string()).filter(|path| path != ".");
            mistake(
                e.inner().span().map_or(1, |s| line_of(text, s.start)),
                key,
                e.inner().message().to_owned(),
            )
        })?;
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
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn complaint(text: &str) -> String {
        Config::parse(Path::new("dais.toml"), text)
            .expect_err("a mistake was taken")
            .to_string()
    }

    #[test]
    fn the_example_file_parses_and_shows_the_defaults() {
        let text = include_str!("../dais.example.toml");
        let example = Config::parse(Path::new("dais.example.toml"), text).unwrap();
        assert_eq!(format!("{example:?}"), format!("{:?}", Config::default()));
    }

    #[test]
    fn every_key_stands_in_the_example_file() {
        // The commented keys too: uncommented, each is known and well typed.
        let text: String = include_str!("../dais.example.toml")
            .lines()
            .map(|line| line.strip_prefix("#: ").unwrap_or(line).to_owned() + "\n")
            .collect();
        let text = text.replace("mode = \"embedded\"", "mode = \"external\"");
        let whole = Config::parse(Path::new("dais.example.toml"), &text).unwrap();
        assert!(
            whole.broker.url.is_some()
                && !whole.ice.turn.is_empty()
                && whole.http.public_url.is_some()
        );
    }

    #[test]
    fn a_mistake_names_file_line_and_key() {
        let unknown = complaint("[http]\nlisten = \"127.0.0.1:80\"\n\n[programme]\nfsp = 30\n");
        assert!(
            unknown.starts_with("dais.toml:5: ") && unknown.contains("fsp"),
            "{unknown}"
        );
        let typed = complaint("[programme]\nwidth = 1280\nfps = \"fast\"\n");
        assert!(typed.starts_with("dais.toml:3: programme.fps: "), "{typed}");
        let bound = complaint("[room]\n\nmax_guests = 10\n");
        assert!(
            bound.starts_with("dais.toml:3: room.max_guests: ") && bound.contains("1 to 9"),
            "{bound}"
        );
        let syntax = complaint("[room]\ntitle = \n");
        assert!(syntax.starts_with("dais.toml:2: "), "{syntax}");
        let section = complaint("[rooom]\ntitle = \"x\"\n");
        assert!(
            section.starts_with("dais.toml:1: ") && section.contains("rooom"),
            "{section}"
        );
    }

    #[test]
    fn a_mistake_that_two_keys_make_names_a_line() {
        let fps = complaint("# a box\n[programme]\nfps = 999\n");
        assert!(fps.starts_with("dais.toml:3: programme.fps: "), "{fps}");
        let broker = complaint("[broker]\nmode = \"external\"\n");
        assert!(broker.starts_with("dais.toml:2: broker.mode: "), "{broker}");
    }

    #[test]
    fn a_board_names_its_encoders_and_their_settings() {
        let board = "[programme]\nencoders = [\"mpph264enc\"]\n[programme.encoder_settings.mpph264enc]\nmax-pending = 1\nzero-copy-pkt = true\nbps = \"{bps}\"\n";
        let config = Config::parse(Path::new("x"), board).unwrap().studio();
        assert_eq!(config.programme.encoders, ["mpph264enc"]);
        let settings = &config.programme.encoder_settings["mpph264enc"];
        assert_eq!(settings["max-pending"].to_string(), "1");
        assert_eq!(settings["zero-copy-pkt"].to_string(), "true");
        assert_eq!(settings["bps"].to_string(), "{bps}");
        let name = complaint("[programme]\nencoders = [\"x264enc ! fakesink\"]\n");
        assert!(
            name.starts_with("dais.toml:2: programme.encoders: "),
            "{name}"
        );
        let value = complaint("[programme.encoder_settings.x264enc]\ntune = [1]\n");
        assert!(
            value.starts_with("dais.toml:") && value.contains("encoder_settings"),
            "{value}"
        );
    }

    #[test]
    fn secrets_do_not_print() {
        let config = Config::parse(
            Path::new("x"),
            "[broker]\nmode='external'\nurl='mqtt://h:1'\npassword='hush'\n[[ice.turn]]\nurl='turn://t:3478'\nusername='u'\ncredential='hush'\n",
        );
        assert!(!format!("{:?}", config.unwrap()).contains("hush"));
    }
}
