//! A real `daisd`, started as systemd starts it: told by environment where to notify, heard on a socket.
#![allow(dead_code, reason = "each test file uses its part")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

pub const PATIENCE: Duration = Duration::from_secs(90);
/// What the unit's WatchdogSec would be here.
pub const WATCHDOG: Duration = Duration::from_secs(4);

/// A programme that costs little.
pub const SMALL: &str = "[programme]\nwidth = 320\nheight = 180\nfps = 10\nbitrate_kbps = 300\n[returns]\nwidth = 160\nheight = 90\nfps = 10\n";

/// Between an encoder and whoever takes what it makes: while the file exists that DAIS_TEST_STALL names, every video
/// encoder of the process takes frames and gives none.
const STALL: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>
int gst_video_encoder_finish_frame(void *encoder, void *frame) {
  static int (*real)(void *, void *);
  const char *stall = getenv("DAIS_TEST_STALL");
  if (stall && access(stall, F_OK) == 0) return 0;
  if (!real) real = (int (*)(void *, void *))dlsym(RTLD_NEXT, "gst_video_encoder_finish_frame");
  return real(encoder, frame);
}
"#;

pub struct Service {
    pub folder: TempDir,
    process: Child,
    notified: UnixDatagram,
    lines: mpsc::Receiver<String>,
}

pub struct Options<'a> {
    pub settings: &'a str,
    /// Encoders give nothing from the start.
    pub stalled: bool,
    pub env: &'a [(&'a str, &'a str)],
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            settings: SMALL,
            stalled: false,
            env: &[],
        }
    }
}

impl Service {
    pub fn start(options: &Options<'_>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("run")).unwrap();
        fs::write(
            path("dais.toml"),
            format!(
                "[box]\ndata_dir = {:?}\n[http]\nlisten = \"127.0.0.1:0\"\n[mqtt]\nlisten = \"127.0.0.1:0\"\n[ice]\nloopback = true\n{}\n[https]\nlisten = \"127.0.0.1:0\"\n",
                path("data"),
                options.settings
            ),
        )
        .unwrap();
        if options.stalled {
            fs::write(path("stall"), "").unwrap();
        }
        let notified = UnixDatagram::bind(path("notify")).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_daisd"))
            .arg("--announce")
            .arg("--config")
            .arg(path("dais.toml"))
            .env("NOTIFY_SOCKET", path("notify"))
            .env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string())
            .env("RUNTIME_DIRECTORY", path("run"))
            .env("LD_PRELOAD", stall_library(folder.path()))
            .env("DAIS_TEST_STALL", path("stall"))
            .env("NO_COLOR", "1")
            .envs(options.env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(path("log")).unwrap())
            .spawn()
            .unwrap();
        let out = process.stdout.take().unwrap();
        let (said, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if said.send(line).is_err() {
                    break;
                }
            }
        });
        Self {
            folder,
            process,
            notified,
            lines,
        }
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub fn stall(&self, stall: bool) {
        let file = self.path("stall");
        if stall {
            fs::write(file, "").unwrap();
        } else {
            fs::remove_file(file).unwrap();
        }
    }

    /// The next notification, if one comes in time.
    pub fn notified_within(&self, time: Duration) -> Option<String> {
        let mut message = [0; 4096];
        self.notified.set_read_timeout(Some(time)).unwrap();
        let length = self.notified.recv(&mut message).ok()?;
        Some(String::from_utf8_lossy(&message[..length]).into_owned())
    }

    /// The first notification that holds this.
    pub fn until_notified(&self, wanted: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.notified_within(left.max(Duration::from_millis(1))) {
                Some(message) if message.contains(wanted) => return message,
                Some(_) => {}
                None => panic!("systemd was never told {wanted:?}:\n{}", self.log()),
            }
        }
    }

    /// The next line on its standard output.
    pub fn announced(&self) -> Value {
        let line = self
            .lines
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| panic!("nothing was announced:\n{}", self.log()));
        serde_json::from_str(&line).unwrap()
    }

    /// The flight recorder's first file of this fault, once it is there: its header, and its lines.
    pub fn flight_of(&self, fault: &str) -> (Value, Vec<Value>) {
        let mut found = None;
        until("a file of the flight recorder", || {
            let files = (1..9).map(|n| self.path(&format!("data/flight/flight-{n:04}.jsonl.gz")));
            found = files
                .filter(|path| path.exists())
                .map(Self::read_flight)
                .find(|(header, _)| header["fault"] == fault);
            found.is_some()
        });
        found.unwrap()
    }

    fn read_flight(path: PathBuf) -> (Value, Vec<Value>) {
        let text =
            std::io::read_to_string(flate2::read::GzDecoder::new(fs::File::open(path).unwrap()))
                .unwrap();
        let mut lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        (lines.next().unwrap(), lines.collect())
    }

    pub fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        let mut kill = Command::new("kill");
        kill.args([&format!("-{name}"), &pid]);
        assert!(kill.status().unwrap().success());
    }

    /// The exit code after SIGTERM.
    pub fn stop(mut self) -> Option<i32> {
        self.signal("TERM");
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < end, "daisd did not stop:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("its log:\n{}", self.log());
        }
    }
}

pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn stall_library(folder: &Path) -> PathBuf {
    let (source, library) = (folder.join("stall.c"), folder.join("stall.so"));
    fs::write(&source, STALL).unwrap();
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .status();
    assert!(built.expect("the tests need a C compiler").success());
    library
}

/// Status and body.
pub fn http(origin: &str, method: &str, path: &str, body: &str) -> (u16, String) {
    let address = origin.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address.replace("localhost", "127.0.0.1")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
    (status, body)
}
