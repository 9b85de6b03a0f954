//! The settings that `dais dev` gives to `daisd`.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
};

use toml::{Table, Value};

use super::DevArgs;

const HTTP_PORT: u16 = 8080;
const HTTPS_PORT: u16 = 8443;
const MQTT_PORT: u16 = 1883;

#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("neither XDG_DATA_HOME nor a home folder is known; name a folder with --data")]
    NoHome,
    #[error("{path} cannot be made: {source}. Name another folder with --data")]
    Write { path: PathBuf, source: io::Error },
    #[error("{path} cannot be read: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is no TOML: {why}")]
    Toml { path: PathBuf, why: String },
}

/// Writes the file; returns the data folder and the file.
pub fn write(args: &DevArgs) -> Result<(PathBuf, PathBuf), SettingsError> {
    let data = match &args.data {
        Some(data) => data.clone(),
        None => home().ok_or(SettingsError::NoHome)?.join("dais/dev"),
    };
    let cannot = |path: &Path| {
        let path = path.to_owned();
        move |source| SettingsError::Write { path, source }
    };
    let data = std::path::absolute(&data).map_err(cannot(&data))?;
    fs::create_dir_all(&data).map_err(cannot(&data))?;
    let mut settings = own(args, &data);
    if let Some(path) = &args.config {
        let text = fs::read_to_string(path).map_err(|source| SettingsError::Read {
            path: path.clone(),
            source,
        })?;
        let over = text
            .parse()
            .map_err(|error: toml::de::Error| SettingsError::Toml {
                path: path.clone(),
                why: error.to_string(),
            })?;
        lay_over(&mut settings, over);
    }
    let file = data.join("daisd.toml");
    let text = format!(
        "# Written by `dais dev` at each start; settings of your own: --config FILE.\n{settings}"
    );
    fs::write(&file, text).map_err(cannot(&file))?;
    Ok((data, file))
}

fn home() -> Option<PathBuf> {
    let told = std::env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    told.or_else(|| Some(std::env::home_dir()?.join(".local/share")))
}

fn own(args: &DevArgs, data: &Path) -> Table {
    let ip = if args.lan {
        Ipv4Addr::UNSPECIFIED
    } else {
        Ipv4Addr::LOCALHOST
    };
    let listen = |told: Option<u16>, usual| {
        format!(
            "{ip}:{}",
            told.unwrap_or_else(|| free_or_any(ip.into(), usual))
        )
    };
    let text = |text: String| Value::String(text);
    // Who takes any port for the one, as tests do, means both.
    let https_port = args.https_port.or(args.http_port.filter(|port| *port == 0));
    let sections = [
        (
            "box",
            vec![
                ("id", text("dev".into())),
                ("data_dir", text(data.display().to_string())),
            ],
        ),
        (
            "http",
            vec![("listen", text(listen(args.http_port, HTTP_PORT)))],
        ),
        (
            "https",
            vec![("listen", text(listen(https_port, HTTPS_PORT)))],
        ),
        (
            "mqtt",
            vec![("listen", text(listen(args.mqtt_port, MQTT_PORT)))],
        ),
        ("broker", vec![("mode", text("embedded".into()))]),
        (
            "capture",
            vec![
                ("video", text(args.video.clone())),
                ("audio", text(args.audio.clone())),
            ],
        ),
        // A PC may have no network, and the guests of a test live on the same machine.
        ("ice", vec![("loopback", Value::Boolean(true))]),
    ];
    let table = |keys: Vec<(&str, Value)>| {
        Table::from_iter(keys.into_iter().map(|(key, value)| (key.to_owned(), value)))
    };
    sections
        .into_iter()
        .map(|(section, keys)| (section.to_owned(), Value::Table(table(keys))))
        .collect()
}

/// The usual port if nobody has it (a PC may well run a broker of its own), else 0: any.
fn free_or_any(ip: IpAddr, usual: u16) -> u16 {
    TcpListener::bind((ip, usual)).map_or(0, |_| usual)
}

fn lay_over(below: &mut Table, over: Table) {
    for (key, value) in over {
        match (below.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(over)) => lay_over(below, over),
            (_, value) => drop(below.insert(key, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: DevArgs,
    }

    fn written(arguments: &[&str]) -> Table {
        let data = tempfile::tempdir().unwrap();
        let mut line = vec!["dev", "--data", data.path().to_str().unwrap()];
        line.extend(arguments);
        let (folder, file) = write(&Line::parse_from(line).args).unwrap();
        assert_eq!(folder, data.path());
        fs::read_to_string(file).unwrap().parse().unwrap()
    }

    #[test]
    fn the_command_line_reaches_the_settings() {
        let settings = written(&[
            "--http-port",
            "0",
            "--mqtt-port",
            "2883",
            "--video",
            "v4l2:/dev/video7",
            "--audio",
            "none",
        ]);
        assert_eq!(settings["http"]["listen"].as_str(), Some("127.0.0.1:0"));
        assert_eq!(settings["mqtt"]["listen"].as_str(), Some("127.0.0.1:2883"));
        assert_eq!(
            settings["capture"]["video"].as_str(),
            Some("v4l2:/dev/video7")
        );
        assert_eq!(settings["capture"]["audio"].as_str(), Some("none"));
        assert_eq!(settings["ice"]["loopback"].as_bool(), Some(true));
        assert_eq!(
            written(&["--lan", "--http-port", "0"])["http"]["listen"].as_str(),
            Some("0.0.0.0:0")
        );
        assert_eq!(settings["https"]["listen"].as_str(), Some("127.0.0.1:0"));
        assert_eq!(
            written(&["--lan", "--https-port", "9443"])["https"]["listen"].as_str(),
            Some("0.0.0.0:9443")
        );
    }

    #[test]
    fn a_usual_port_that_is_in_use_is_not_insisted_on() {
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        assert_eq!(
            free_or_any(
                Ipv4Addr::LOCALHOST.into(),
                taken.local_addr().unwrap().port()
            ),
            0
        );
    }

    #[test]
    fn settings_of_ones_own_lie_over_those_of_the_command() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(
            file.path(),
            "[programme]\nwidth = 1280\n[ice]\nstun = [\"stun://s:3478\"]\n",
        )
        .unwrap();
        let settings = written(&["--config", file.path().to_str().unwrap()]);
        assert_eq!(settings["programme"]["width"].as_integer(), Some(1280));
        assert_eq!(settings["ice"]["loopback"].as_bool(), Some(true));
        assert_eq!(settings["ice"]["stun"][0].as_str(), Some("stun://s:3478"));
    }
}
