//! The console in a terminal: what it paints, and a show that is run by its keys in a real one.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod house;

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use dais_cli::client::Heard;
use dais_cli::console::draw::draw;
use dais_cli::console::keys::Deed;
use dais_cli::console::state::{Item, State};
use house::{House, PATIENCE, SMALL};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use serde_json::{Value, json};

const COLUMNS: u16 = 110;
const ROWS: u16 = 34;

fn key(code: KeyCode) -> KeyEvent {
    KeyEvent::new(code, KeyModifiers::NONE)
}

fn press(state: &mut State, keys: &str, now: u64) -> Vec<Value> {
    let deeds = keys.chars().filter_map(|c| {
        let code = match c {
            '\n' => KeyCode::Enter,
            '↓' => KeyCode::Down,
            '↑' => KeyCode::Up,
            c => KeyCode::Char(c),
        };
        state.press(key(code), now)
    });
    let asked = deeds.map(|deed| match deed {
        Deed::Call { call, .. } => json!({"method": call.method(), "params": call.params()}),
        Deed::Leave => json!("leave"),
    });
    asked.collect()
}

fn of<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn guest(seat: u8, user: &str, name: &str) -> Value {
    json!({"seat": seat, "user_id": user, "name": name, "state": "on_air", "camera": true, "audio_muted": false,
           "video_muted": false, "muted_by_host": false, "gain_db": 0.0, "speaking": true, "connected_ms": 81_234})
}

fn room(guests: Vec<Value>) -> Heard {
    Heard::Room(of(
        json!({"rev": 41, "title": "Friday live", "accepting": true, "max_guests": 9, "layout": "auto",
        "host": {"name": "Studio A", "muted": false, "camera": true}, "guests": guests, "locked_seats": [9]}),
    ))
}

fn pending(users: &[(&str, &str, u64)]) -> Heard {
    let requests = users.iter().map(|(user, name, left)| {
        json!({"request_id": format!("r-{user}"), "user_id": user, "name": name, "camera": *user != "c2", "expires_in_ms": left})
    });
    Heard::Pending(of(
        json!({"rev": 41, "requests": requests.collect::<Vec<_>>()}),
    ))
}

fn show() -> State {
    let mut state = State::of(of(json!("h1")));
    let mut muted = guest(3, "d4", "李明");
    muted["muted_by_host"] = json!(true);
    muted["gain_db"] = json!(-3.0);
    muted["state"] = json!("reconnecting");
    state.hear(room(vec![guest(1, "b7", "Ana"), muted]), 0);
    state.hear(
        pending(&[
            ("c1", "Bo", 42_000),
            ("c2", "Cleo with a name as long as names are", 9_000),
        ]),
        0,
    );
    state.hear(Heard::Outputs(of(json!({"rev": 41,
        "outputs": [
            {"output_id": "o1", "kind": "rtmp", "name": "Main", "state": "live", "since_ms": 60_000, "kbps": 6100, "dropped": 12},
            {"output_id": "o2", "kind": "whip", "name": "Far", "state": "failed", "since_ms": 60_000, "kbps": 0, "dropped": 0,
             "error": "the server refuses the key (401)"}],
        "record": {"state": "live", "file": "/var/lib/dais/recordings/programme-0007.mkv", "bytes": 45_000_000, "seconds_left": 86_400}}))), 0);
    state.hear(Heard::Health(of(json!({"rev": 41, "uptime_ms": 60_000, "fps": 30.0, "frames": 1800, "dropped": {"mix": 2},
        "latency": {"capture_to_encoded": {"p50_ms": 4.0, "p99_ms": 5.75}}, "cpu": 0.75, "memory_bytes": 310_000_000,
        "camera": "ok",
        "temperature_c": 51.5, "disk_free_bytes": 20_000_000_000u64, "watchers": 1, "alarms": []}))), 0);
    state.hear(
        Heard::Meters(of(json!({"rev": 41, "seats": [
        {"seat": 0, "level_db": -18.0, "peak_db": -10.0, "speaking": false},
        {"seat": 1, "level_db": -30.0, "peak_db": -20.0, "speaking": true}]}))),
        2_000,
    );
    state
}

/// What is on the screen, without the blanks at the ends of lines.
fn painted(state: &State, now: u64, (columns, rows): (u16, u16)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| draw(frame, state, now)).unwrap();
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for y in 0..rows {
        let mut line = String::new();
        let mut x = 0;
        while x < columns {
            let symbol = buffer[(x, y)].symbol();
            line.push_str(symbol);
            // A wide character stands in two cells, of which the second is blank.
            let wide = symbol.chars().any(|c| {
                ('\u{1100}'..'\u{fb00}').contains(&c) && !('\u{2000}'..'\u{2e80}').contains(&c)
            });
            x += 1 + u16::from(wide);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.trim_end().to_owned() + "\n"
}

fn assert_golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        golden == text,
        "{name} is painted as\n{text}\nand was\n{golden}(UPDATE=1 keeps the new one)"
    );
}

#[test]
fn a_show_is_painted_as_it_was() {
    let size = (COLUMNS, ROWS);
    assert_golden("console-waiting.txt", &painted(&State::default(), 0, size));
    let mut state = show();
    assert_golden("console-show.txt", &painted(&state, 2_500, size));
    // On a phone's terminal.
    assert_golden("console-small.txt", &painted(&state, 2_500, (50, 24)));
    press(&mut state, "↓↓↓↓", 2_500);
    state.say(
        Err("the box refused mic.move: seat 9 is locked".into()),
        2_500,
    );
    state.hear(
        Heard::Lost {
            why: "connection reset".into(),
        },
        2_500,
    );
    state.hear(Heard::Health(of(json!({"rev": 41, "uptime_ms": 60_000, "fps": 12.0, "frames": 1800, "dropped": {}, "latency": {}, "cpu": 2.0,
        "memory_bytes": 1, "temperature_c": null, "disk_free_bytes": null, "watchers": 0,
        "alarms": [{"what": "the disk is nearly full", "since_ms": 4000, "advice": "Stop the recording or free space."}]}))), 2_500);
    assert_golden("console-trouble.txt", &painted(&state, 2_600, size));
}

#[test]
fn a_host_who_speaks_off_air_reads_it_here_too() {
    let mut state = show();
    assert!(!painted(&state, 0, (COLUMNS, ROWS)).contains("hears the host"));
    let pending = json!({"rev": 42, "requests": [], "talkback": {"user_id": "b7", "by": "h2"}});
    state.hear(Heard::Pending(of(pending)), 0);
    assert!(painted(&state, 0, (COLUMNS, ROWS)).contains("only Ana hears the host"));
}

#[test]
fn one_key_begins_to_talk_off_air_and_ends_it() {
    let mut state = show();
    let talk = |to: Value| json!({"method": "talkback.set", "params": to});
    let talkback = |by: &str| {
        let user = json!({"user_id": "b7", "by": by});
        Heard::Pending(of(json!({"rev": 42, "requests": [], "talkback": user})))
    };
    assert_eq!(press(&mut state, "t", 0), [talk(json!({"user_id": "c1"}))]);
    assert_eq!(
        press(&mut state, "↓↓↓t", 0),
        [talk(json!({"user_id": "b7"}))]
    );
    // Another console speaks to that guest: the key asks to take over.
    state.hear(talkback("h2"), 0);
    assert_eq!(state.talks_to(), None);
    assert_eq!(press(&mut state, "t", 0), [talk(json!({"user_id": "b7"}))]);
    state.hear(talkback("h1"), 0);
    assert_eq!(press(&mut state, "t", 0), [talk(json!({}))]);
}

#[test]
fn a_key_means_the_line_under_the_cursor() {
    let mut state = show();
    let respond = |user: &str, accept: bool| json!({"method": "mic.respond", "params": {"user_id": user, "accept": accept}});
    // The first request is chosen by itself.
    assert_eq!(press(&mut state, "a", 0), [respond("c1", true)]);
    assert_eq!(press(&mut state, "↓x", 0), [respond("c2", false)]);
    let asked = press(&mut state, "↓m↓m-+cx y", 0);
    let set = |what: &str, value: Value| json!({"method": "mic.set", "params": {"user_id": "b7", what: value}});
    assert_eq!(
        asked[0],
        json!({"method": "host.set", "params": {"audio_muted": true}})
    );
    assert_eq!(
        asked[1..5],
        [
            set("audio_muted", json!(true)),
            set("gain_db", json!(-1.0)),
            set("gain_db", json!(1.0)),
            set("video_muted", json!(true))
        ]
    );
    // After x, a blank was no yes; and a y by itself means nothing.
    assert_eq!(asked.len(), 5);
    assert_eq!(
        press(&mut state, "v4", 0),
        [json!({"method": "layout.set", "params": {"layout": "grid"}})]
    );
    assert_eq!(
        press(&mut state, "xy", 0),
        [json!({"method": "mic.disconnect", "params": {"user_id": "b7"}})]
    );
    assert_eq!(
        press(&mut state, "g7", 0),
        [json!({"method": "mic.move", "params": {"user_id": "b7", "seat": 7}})]
    );
    assert_eq!(
        press(&mut state, "l", 0),
        [json!({"method": "seat.lock", "params": {"seat": 1, "locked": true}})]
    );
    assert_eq!(
        press(&mut state, "by", 0),
        [json!({"method": "guest.ban", "params": {"user_id": "b7"}})]
    );
    assert_eq!(
        press(&mut state, "ry", 0),
        [json!({"method": "record.stop", "params": {}})]
    );
    assert_eq!(
        press(&mut state, "o", 0),
        [json!({"method": "room.set", "params": {"accepting": false}})]
    );
    assert_eq!(
        press(&mut state, "↓↓↓↓↓↓↓↓↓↓xy", 0),
        [json!({"method": "output.stop", "params": {"output_id": "o1"}})]
    );
    assert_eq!(press(&mut state, "q", 0), [json!("leave")]);
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(state.press(interrupt, 0), Some(Deed::Leave));
}

#[test]
fn the_camera_key_hides_a_guest_whatever_they_have_turned_off_themselves() {
    let mut state = show();
    let mut dark = guest(2, "b7", "Ben");
    dark["video_muted"] = json!(true);
    state.hear(room(vec![dark.clone()]), 0);
    let hides = |hidden: bool| json!({"method": "mic.set", "params": {"user_id": "b7", "video_muted": hidden}});
    state.cursor = Some(Item::Seat(2));
    assert_eq!(press(&mut state, "c", 0), [hides(true)]);
    dark["hidden_by_host"] = json!(true);
    state.hear(room(vec![dark]), 0);
    assert_eq!(press(&mut state, "c", 0), [hides(false)]);
}

#[test]
fn who_answered_a_request_first_is_said() {
    let mut state = show();
    state.hear(pending(&[("c1", "Cleo", 30_000)]), 0);
    let answered = |by: &str| Heard::Notification {
        rev: 9,
        notification: of(json!({"method": "mic.request_answered", "params":
            {"request_id": "r1", "user_id": "c1", "by": by, "by_name": "Tablet", "accept": true}})),
    };
    state.hear(answered("h1"), 0);
    assert_eq!(state.said(0), None);
    state.hear(answered("h2"), 0);
    assert_eq!(
        state.said(0),
        Some(&Ok("Tablet accepted Cleo first.".to_owned()))
    );
}

#[test]
fn a_key_for_a_request_that_has_just_ended_meets_no_other() {
    let mut state = show();
    state.hear(pending(&[("c2", "Cleo", 9_000)]), 1_000);
    assert_eq!(press(&mut state, "a", 1_100), Vec::<Value>::new());
    // A moment later the one that is left is chosen.
    assert_eq!(press(&mut state, "a", 3_000).len(), 1);
}

/// A program in a terminal of its own.
struct Pty {
    child: Child,
    master: File,
    /// Kept open, so that what was written can be read after the program's end.
    slave: File,
    screen: Arc<Mutex<vt100::Parser>>,
    changed: mpsc::Receiver<()>,
}

impl Pty {
    fn start(command: &mut Command) -> Pty {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let slave = File::options().read(true).write(true).open(name).unwrap();
        let size = Winsize {
            ws_row: ROWS,
            ws_col: COLUMNS,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&slave, size).unwrap();
        assert!(Pty::is_usual(&slave));
        let end = || slave.try_clone().unwrap();
        let child = command
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        let master = File::from(master);
        let (rows, columns) = (ROWS.try_into().unwrap(), COLUMNS.try_into().unwrap());
        let screen = Arc::new(Mutex::new(vt100::Parser::new(rows, columns, 0)));
        let (changes, changed) = mpsc::channel();
        let (mut reading, painted) = (master.try_clone().unwrap(), screen.clone());
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n) = reading.read(&mut bytes) {
                painted.lock().unwrap().process(&bytes[..n]);
                if n == 0 || changes.send(()).is_err() {
                    return;
                }
            }
        });
        Pty {
            child,
            master,
            slave,
            screen,
            changed,
        }
    }

    /// A shell's terminal: lines are edited and echoed.
    fn is_usual(terminal: &File) -> bool {
        let modes = tcgetattr(terminal).unwrap().local_modes;
        modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }

    fn press(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    fn contents(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    fn until(&mut self, what: &str, mut is_it: impl FnMut(&str) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !is_it(&self.contents()) {
            let left = end.saturating_duration_since(Instant::now());
            if self.changed.recv_timeout(left).is_err() {
                panic!(
                    "waited in vain for {what}; the screen is\n{}",
                    self.contents()
                );
            }
        }
    }

    /// The program ends well, and the terminal is as it was.
    fn until_left(&mut self) -> bool {
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < end, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        };
        assert!(Pty::is_usual(&self.slave), "the terminal is left raw");
        // The last of what it wrote may still be on its way.
        let (slave, screen) = (&self.slave, self.screen.clone());
        (&*slave).write_all(b"(end)").unwrap();
        let left = |s: &vt100::Screen| !s.alternate_screen() && !s.hide_cursor();
        self.until("the end of what was written", |text| text.contains("(end)"));
        assert!(
            left(screen.lock().unwrap().screen()),
            "the screen is not given back"
        );
        status.success()
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn console(house: &House, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dais"));
    command.args(["host", "--url", &house.http]).args(arguments);
    command
        .env("TERM", "xterm-256color")
        .env_remove("DAIS_PASSWORD");
    command
}

/// The line of a seat.
fn seat(screen: &str, number: u8) -> &str {
    let of_seat = |line: &&str| {
        line.trim_start_matches(['>', ' '])
            .starts_with(&format!("{number} "))
    };
    screen.lines().find(of_seat).unwrap_or_default()
}

/// For how many seconds the guest on the first seat has been on air.
fn on_air(screen: &str) -> u64 {
    let (_, rest) = seat(screen, 1).split_once("on air ").unwrap_or_default();
    let (minutes, seconds) = rest.split_once(':').unwrap_or_default();
    let number = |digits: &str| digits.parse::<u64>().unwrap_or_default();
    number(minutes) * 60 + number(seconds.get(..2).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_show_is_run_by_keys_and_the_terminal_is_given_back() {
    let house = House::start(SMALL);
    let other = house.console().await;
    let mut terminal = Pty::start(&mut console(&house, &["--code", &house.code]));
    terminal.until("an empty room", |s| {
        s.contains("nobody asks to come on air")
    });
    terminal.until("the host's level", |s| seat(s, 0).contains('█'));
    let _guests = house.guests(&other, &["--name", "Ana"]).await;
    terminal.until("the request", |s| {
        s.contains("Requests (1)") && s.contains("> Ana")
    });
    terminal.press("a");
    terminal.until("the guest on air", |s| {
        seat(s, 1).contains("Ana") && seat(s, 1).contains("on air")
    });
    terminal.until("the guest's level", |s| seat(s, 1).contains('█'));
    // Down by an arrow, from the host to the guest.
    terminal.press("j\x1b[B");
    terminal.until("the guest chosen", |s| {
        s.lines()
            .any(|l| l.starts_with("> 1") || l.starts_with(">1"))
    });
    terminal.press("m");
    terminal.until("the guest muted", |s| seat(s, 1).contains("muted by host"));
    terminal.press("t");
    let talks = |s: &str| s.contains("only Ana hears the host");
    terminal.until("the word off air", talks);
    let begun = on_air(&terminal.contents());
    // Longer than the box would let it last by itself.
    terminal.until("it lasts", |s| on_air(s) > begun + 12 || !talks(s));
    assert!(talks(&terminal.contents()));
    terminal.press("t");
    terminal.until("the end of it", |s| !talks(s));
    terminal.press("v4");
    terminal.until("the layout", |s| s.contains("layout grid"));
    terminal.press("r");
    terminal.until("a recording", |s| {
        s.contains("programme-0001.mkv") && s.contains("live")
    });
    terminal.press("xy");
    terminal.until("an empty seat", |s| !seat(s, 1).contains("Ana"));
    terminal.press("q");
    assert!(terminal.until_left());
    assert!(
        terminal.contents().contains("paired. Next time"),
        "{}",
        terminal.contents()
    );

    let credential = house.pair().await;
    let mut command = console(&house, &["--user", &credential.username]);
    let mut terminal = Pty::start(command.env("DAIS_PASSWORD", &credential.password));
    terminal.until("the room", |s| s.contains("layout grid"));
    house::signal(terminal.child.id(), "TERM");
    assert!(terminal.until_left());
}

#[test]
fn without_a_terminal_it_says_what_to_do() {
    let out = Command::new(env!("CARGO_BIN_EXE_dais"))
        .args(["host", "--url", "http://127.0.0.1:9", "--user", "host-a"])
        .env("DAIS_PASSWORD", "x")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(
        !out.status.success() && said.contains("needs a terminal"),
        "{said}"
    );
}

/// A console that breaks; started by the next test.
#[test]
#[ignore = "a part of the next test"]
fn breaking_console() {
    let mut screen = dais_cli::console::terminal::open().unwrap();
    screen
        .draw(|frame| draw(frame, &State::default(), 0))
        .unwrap();
    panic!("it breaks here");
}

#[test]
fn a_panic_gives_the_terminal_back_and_is_read_there() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "breaking_console", "--nocapture"]);
    let mut terminal = Pty::start(command.env("TERM", "xterm-256color"));
    assert!(!terminal.until_left());
    assert!(
        terminal.contents().contains("it breaks here"),
        "{}",
        terminal.contents()
    );
}
