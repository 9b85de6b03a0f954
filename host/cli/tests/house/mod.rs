//! A whole box for a test: a real `daisd` on free ports, with a small programme so that two cores serve several.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod film;
#[path = "../../../../firmware/broker/tests/common/mosquitto.rs"]
pub mod mosquitto;
pub mod wire;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use dais_cli::client::{Client, ClientConfig, Heard};
use dais_protocol::{Call, Credential, Invite};
use serde_json::Value;
use tempfile::TempDir;

pub const PATIENCE: Duration = Duration::from_secs(60);

/// A programme that costs little; tests of size and rate name their own.
pub const SMALL: &str = "[programme]\nwidth = 640\nheight = 360\nfps = 15\nbitrate_kbps = 800\n[returns]\nwidth = 320\nheight = 180\nfps = 15\nbitrate_kbps = 200\n";

pub struct House {
    pub data: TempDir,
    daisd: Child,
    pub http: String,
    pub https: Option<String>,
    pub mqtt: String,
    pub code: String,
    web: String,
    settings: String,
    broker: Option<mosquitto::Mosquitto>,
}

impl House {
    /// `settings` are TOML sections beside `[box]`, `[http]`, `[mqtt]` and `[ice]`; without `[https]` it takes a free port.
    pub fn start(settings: &str) -> Self {
        Self::start_with("", settings, "info")
    }

    /// With more keys for `[http]`.
    pub fn start_as(web: &str, settings: &str) -> Self {
        Self::start_with(web, settings, "info")
    }

    /// One that logs what only developers want to read.
    pub fn start_talkative(settings: &str) -> Self {
        Self::start_with("", settings, "debug")
    }

    fn start_with(web: &str, settings: &str, level: &str) -> Self {
        let data = tempfile::tempdir().unwrap();
        // Without them it is as a new box is.
        let _ = fs::copy(passports(), data.path().join(PASSPORTS));
        let (daisd, said) = launch(data.path(), web, settings, [0, 0], level);
        let text = |key: &str| said[key].as_str().unwrap().to_owned();
        Self {
            http: text("http"),
            https: said["https"].as_str().map(ToOwned::to_owned),
            mqtt: text("mqtt"),
            code: text("pairing_code"),
            daisd,
            data,
            web: web.to_owned(),
            settings: settings.to_owned(),
            broker: None,
        }
    }

    /// The same with a real mosquitto, whose users the box makes.
    pub async fn start_with_mosquitto(settings: &str) -> Self {
        let broker = mosquitto::Mosquitto::start("right").await;
        Self::start_beside(broker, settings)
    }

    /// The same while the mosquitto is not there; [`House::start_mosquitto`] starts it.
    pub async fn start_before_mosquitto(settings: &str) -> Self {
        let mut broker = mosquitto::Mosquitto::start("right").await;
        broker.kill().await;
        Self::start_beside(broker, settings)
    }

    fn start_beside(broker: mosquitto::Mosquitto, settings: &str) -> Self {
        let external = format!(
            "[broker]\nmode = \"external\"\nurl = \"mqtt://127.0.0.1:{}\"\nusername = \"box\"\npassword = \"right\"\n",
            broker.port
        );
        let mut house = Self::start(&format!("{external}{settings}"));
        house.broker = Some(broker);
        house
    }

    pub async fn start_mosquitto(&mut self) {
        self.broker.as_mut().unwrap().restart().await;
    }

    /// Starts the box again on the same data and ports, after [`House::kill`].
    pub fn restart(&mut self) {
        let port = |url: &str| url.rsplit(':').next().unwrap().parse().unwrap();
        let ports = [port(&self.http), port(&self.mqtt)];
        let (daisd, said) = launch(self.data.path(), &self.web, &self.settings, ports, "info");
        self.daisd = daisd;
        let text = |key: &str| said[key].as_str().unwrap().to_owned();
        self.https = said["https"].as_str().map(ToOwned::to_owned);
        (self.http, self.mqtt, self.code) = (text("http"), text("mqtt"), text("pairing_code"));
    }

    /// Without a warning, as a power cut does.
    pub fn kill(&mut self) {
        self.daisd.kill().unwrap();
        self.daisd.wait().unwrap();
    }

    /// As systemd does; the exit code.
    pub fn stop(&mut self) -> Option<i32> {
        signal(self.daisd.id(), "TERM");
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.daisd.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < end, "daisd did not stop");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn pid(&self) -> u32 {
        self.daisd.id()
    }

    pub async fn pair(&self) -> Credential {
        dais_cli::door::pair(&self.http, &self.code, Some("Test".parse().unwrap()), None)
            .await
            .unwrap()
    }

    pub async fn console(&self) -> Console {
        let credential = self.pair().await;
        self.console_of(&credential).await
    }

    pub async fn console_of(&self, credential: &Credential) -> Console {
        let (client, heard) = Client::connect(ClientConfig::new(&self.mqtt, credential).unwrap())
            .await
            .unwrap();
        Console { client, heard }
    }

    pub async fn join(&self, console: &Console, name: &str) -> Credential {
        let invite = console.invite().await;
        self.join_by(&invite, name).await
    }

    pub async fn join_by(&self, invite: &Invite, name: &str) -> Credential {
        dais_cli::door::join(
            &self.http,
            invite.invite.clone(),
            name.parse().unwrap(),
            None,
        )
        .await
        .unwrap()
    }

    /// Real guests by `dais guest`.
    pub async fn guests(&self, console: &Console, arguments: &[&str]) -> Guests {
        Guests::start(&console.invite().await.url, arguments)
    }

    pub fn recordings(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = fs::read_dir(self.data.path().join("recordings"))
            .unwrap()
            .map(|f| f.unwrap().path())
            .collect();
        files.sort();
        files
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = self.daisd.kill();
        let _ = self.daisd.wait();
        share_passports(self.data.path());
        if std::thread::panicking() {
            // Its log and its recordings say why.
            self.data.disable_cleanup(true);
            eprintln!("the box's data is kept in {}", self.data.path().display());
        }
    }
}

/// What a box found out about this machine's encoders. To try them takes most of two cores for half a minute, beside the guests of
/// the test; the next boxes know.
const PASSPORTS: &str = "encoders.json";

fn passports() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(PASSPORTS)
}

fn share_passports(data: &Path) {
    let Ok(text) = fs::read_to_string(data.join(PASSPORTS)) else {
        return;
    };
    let document: Value = serde_json::from_str(&text).unwrap_or_default();
    let all = document["passports"].as_array();
    // A refusal may be of a moment in which many tests ran: the next box finds out for itself.
    if all.is_some_and(|all| all.iter().all(|passport| passport["refused"].is_null())) {
        // Whole, whoever reads it now. Without it the next one tries them itself.
        if let Ok(draft) = tempfile::NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR"))
            && fs::write(draft.path(), text).is_ok()
        {
            let _ = draft.persist(passports());
        }
    }
}

pub fn call(method: &str, params: Value) -> Call {
    Call::parse(method, Some(params)).unwrap()
}

pub fn signal(pid: u32, name: &str) {
    assert!(
        Command::new("kill")
            .args([&format!("-{name}"), &pid.to_string()])
            .status()
            .unwrap()
            .success()
    );
}

fn daisd() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_dais")).with_file_name("daisd");
    assert!(
        path.exists(),
        "{} is not built: run `cargo build -p daisd`, as `make test` does",
        path.display()
    );
    path
}

fn launch(
    data: &Path,
    more: &str,
    settings: &str,
    [web, mqtt]: [u16; 2],
    level: &str,
) -> (Child, Value) {
    let file = data.join("dais.toml");
    let https = if settings.contains("[https]") {
        ""
    } else {
        "[https]\nlisten = \"127.0.0.1:0\"\n"
    };
    let house = format!(
        "[box]\nid = \"dev\"\ndata_dir = {data:?}\n[http]\nlisten = \"127.0.0.1:{web}\"\n{more}[mqtt]\nlisten = \"127.0.0.1:{mqtt}\"\n[ice]\naddresses = [\"127.0.0.1\"]\n{https}{settings}"
    );
    fs::write(&file, house).unwrap();
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(data.join("log"))
        .unwrap();
    let mut child = Command::new(daisd())
        .arg("--announce")
        .arg("--config")
        .arg(&file)
        .env("MALLOC_ARENA_MAX", "2")
        .env("DAIS_LOG", level)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .unwrap();
    let out = child.stdout.take().unwrap();
    let (said, hear) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            if said.send(line).is_err() {
                break;
            }
        }
    });
    match hear.recv_timeout(PATIENCE) {
        Ok(line) => (child, serde_json::from_str(&line).unwrap()),
        Err(_) => {
            let _ = child.kill();
            panic!(
                "the box was not ready:\n{}",
                fs::read_to_string(data.join("log")).unwrap()
            );
        }
    }
}

/// A connected console, and all it hears.
pub struct Console {
    pub client: Client,
    pub heard: tokio::sync::mpsc::Receiver<Heard>,
}

impl Console {
    pub async fn ask(&self, method: &str, params: Value) -> Result<Value, dais_protocol::RpcError> {
        self.client
            .call(call(method, params))
            .await
            .map_err(|error| {
                error
                    .rpc()
                    .unwrap_or_else(|| panic!("{method}: {error}"))
                    .clone()
            })
    }

    /// One that anybody may use, as often as they like.
    pub async fn invite(&self) -> Invite {
        self.client
            .ask(call("invite.create", serde_json::json!({})))
            .await
            .unwrap()
    }

    /// The first thing heard that `pick` takes.
    pub async fn until<T>(&mut self, what: &str, mut pick: impl FnMut(&Heard) -> Option<T>) -> T {
        let search = async {
            loop {
                let heard = self
                    .heard
                    .recv()
                    .await
                    .unwrap_or_else(|| panic!("the connection ended while waiting for {what}"));
                if let Some(found) = pick(&heard) {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, search)
            .await
            .unwrap_or_else(|_| panic!("waited in vain for {what}"))
    }

    /// Until the room has `n` guests in this state, by name of the state on the wire.
    pub async fn until_seats(&mut self, state: &str, n: usize) -> dais_protocol::RoomSnapshot {
        self.until(&format!("{n} guests {state}"), |heard| match heard {
            Heard::Room(room) => {
                let count = room
                    .guests
                    .iter()
                    .filter(|g| serde_json::to_value(g.state).unwrap() == state)
                    .count();
                (count == n).then(|| room.clone())
            }
            _ => None,
        })
        .await
    }

    /// Until `pending` has `n` requests; their users, oldest first.
    pub async fn until_pending(&mut self, n: usize) -> Vec<String> {
        self.until(&format!("{n} requests"), |heard| match heard {
            Heard::Pending(p) if p.requests.len() == n => {
                Some(p.requests.iter().map(|r| r.user_id.to_string()).collect())
            }
            _ => None,
        })
        .await
    }

    /// The next snapshot of the room.
    pub async fn room(&mut self) -> dais_protocol::RoomSnapshot {
        self.until("the room", |heard| match heard {
            Heard::Room(room) => Some(room.clone()),
            _ => None,
        })
        .await
    }

    /// Until a recording grows; its file.
    pub async fn until_recording(&mut self) -> String {
        self.until("a recording that grows", |heard| match heard {
            Heard::Outputs(o) if o.record.bytes > 0 => o.record.file.clone(),
            _ => None,
        })
        .await
    }

    /// Until the recording that was stopped is whole.
    pub async fn until_recorded(&mut self) {
        self.until("the end of the recording", |heard| match heard {
            Heard::Outputs(o)
                if o.record.state == dais_protocol::OutputState::Stopped && o.record.bytes > 0 =>
            {
                Some(())
            }
            _ => None,
        })
        .await
    }

    pub async fn accept(&self, user: &str) {
        self.ask(
            "mic.respond",
            serde_json::json!({"user_id": user, "accept": true}),
        )
        .await
        .unwrap();
    }
}

/// `dais guest --json`, and what it tells.
pub struct Guests {
    pub process: Child,
    lines: mpsc::Receiver<Value>,
}

impl Guests {
    pub fn start(link: &str, arguments: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_dais"))
            .args(["guest", "--json", "--join", link])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let out = process.stdout.take().unwrap();
        let (said, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if let Ok(line) = serde_json::from_str(&line)
                    && said.send(line).is_err()
                {
                    break;
                }
            }
        });
        Self { process, lines }
    }

    /// The next line that `pick` takes; blocks the test's thread, bounded.
    pub fn until<T>(&self, what: &str, mut pick: impl FnMut(&Value) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            let line = self
                .lines
                .recv_timeout(end.saturating_duration_since(Instant::now()))
                .unwrap_or_else(|_| panic!("waited in vain for a guest's {what}"));
            if let Some(found) = pick(&line) {
                return found;
            }
        }
    }

    pub fn until_event(&self, event: &str) -> Value {
        self.until(event, |line| (line["event"] == event).then(|| line.clone()))
    }

    /// What was told up to now.
    pub fn so_far(&self) -> Vec<Value> {
        self.lines.try_iter().collect()
    }
}

impl Drop for Guests {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
