//! What a show costs and how quick the box is, from one run on this machine: `make bench`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../tests/house/mod.rs"]
mod house;

use std::path::Path;
use std::time::{Duration, Instant};

use dais_cli::client::{Client, ClientConfig, Heard};
use dais_protocol::Credential;
use house::{Console, House, call};
use serde_json::json;

const SHOW: Duration = Duration::from_secs(30);
/// Below the 20 requests a second that the box allows a client.
const PACE: Duration = Duration::from_millis(60);
const CALLS: usize = 60;
const ROUNDS: usize = 3;
const RESTARTS: usize = 10;
const TRIALS: Duration = Duration::from_secs(180);
/// Requests that get a session before they are accepted.
const EARLY_SESSIONS: usize = 4;

fn main() {
    // `cargo test --benches` compiles and starts this; only `cargo bench` shall wait for it.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async {
            println!("machine: {}", machine());
            restarts();
            round_trips().await;
            show(30).await;
            show(60).await;
        });
}

fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| {
        line.strip_prefix("model name")?
            .split_once(": ")
            .map(|(_, name)| name.to_owned())
    });
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!(
        "{} cores of {}, load {}",
        cores,
        model.unwrap_or_default(),
        load.split(' ').next().unwrap_or("?")
    )
}

/// From SIGKILL until the box says that its programme moves. A service manager adds its own pause (RestartSec).
fn restarts() {
    let mut house = House::start("");
    let passports = house.data.path().join("encoders.json");
    let mut restart = |forget: bool| -> Vec<Duration> {
        let times = (0..RESTARTS).map(|_| {
            let start = Instant::now();
            house.kill();
            if forget {
                let _ = std::fs::remove_file(&passports);
            }
            house.restart();
            start.elapsed()
        });
        times.collect()
    };
    let what = "killed to first programme frame, 1080p30, without the 300 ms of the unit";
    report(&format!("{what}, no encoder known"), restart(true));
    // Two encoders in software, two shapes: tried beside the programme, at a fifth of their speed.
    let began = Instant::now();
    while kept(&passports) < 4 {
        if began.elapsed() > TRIALS {
            println!("{what}, encoders known: not measured, their trials came to no end");
            return;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    report(&format!("{what}, encoders known"), restart(false));
}

/// How many encoders have a passport.
fn kept(passports: &Path) -> usize {
    let text = std::fs::read_to_string(passports).unwrap_or_default();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    document["passports"].as_array().map_or(0, Vec::len)
}

async fn round_trips() {
    let house = House::start(house::SMALL);
    let console = house.console().await;
    let invite = console.invite().await;
    let mut crowd = Vec::new();
    for size in [1usize, 100, 1000] {
        while crowd.len() + 1 < size {
            let credential = house.join_by(&invite, "Crowd").await;
            crowd.push(connect(&house, &credential).await);
        }
        let mut times = Vec::new();
        for _ in 0..CALLS {
            let start = Instant::now();
            console
                .client
                .call(call("layout.set", json!({"layout": "grid"})))
                .await
                .unwrap();
            times.push(start.elapsed());
            tokio::time::sleep(PACE).await;
        }
        report(
            &format!("command round trip, journalled, {size} clients"),
            times,
        );
    }
}

async fn connect(house: &House, credential: &Credential) -> Client {
    let (client, mut heard) = Client::connect(ClientConfig::new(&house.mqtt, credential).unwrap())
        .await
        .unwrap();
    tokio::spawn(async move { while heard.recv().await.is_some() {} });
    client
}

async fn show(fps: u32) {
    let house = House::start(&format!("[programme]\nfps = {fps}\n"));
    let mut console = house.console().await;
    let mut on_air = Vec::new();
    for round in 0..ROUNDS {
        let guests = house.guests(&console, &["--count", "9"]).await;
        let users = console.until_pending(9).await;
        let mut connected = 0;
        guests.until("nine connections", |line| {
            connected += usize::from(line["event"] == "connected");
            (connected >= EARLY_SESSIONS).then_some(())
        });
        for (n, user) in users.iter().enumerate() {
            let start = Instant::now();
            console.accept(user).await;
            console.until_seats("on_air", n + 1).await;
            on_air.push(start.elapsed());
        }
        if round + 1 == ROUNDS {
            cost(&house, &mut console, fps).await;
        }
        for user in &users {
            console
                .ask("mic.disconnect", json!({"user_id": user}))
                .await
                .unwrap();
        }
        console.until_seats("on_air", 0).await;
    }
    // The first requests are offered a session while they wait; the others only when they are accepted.
    report(
        &format!("accept to on air, of nine who ask at once, 1080p{fps}"),
        on_air,
    );
}

async fn cost(house: &House, console: &mut Console, fps: u32) {
    let start = (Instant::now(), busy(house.pid()));
    let mut health: Option<dais_protocol::Health> = None;
    let mut before: Option<(dais_protocol::Health, Instant)> = None;
    let mut last = Instant::now();
    while start.0.elapsed() < SHOW {
        health = Some(
            console
                .until("health", |heard| match heard {
                    Heard::Health(health) => Some(health.clone()),
                    _ => None,
                })
                .await,
        );
        last = Instant::now();
        before = before.or_else(|| Some((health.clone()?, last)));
    }
    let (health, (before, first)) = (health.unwrap(), before.unwrap());
    let cores = (busy(house.pid()) - start.1).as_secs_f64() / start.0.elapsed().as_secs_f64();
    println!(
        "ten-person show, 1080p{fps}, nine 640x360 guests: {cores:.2} cores, {} MB, {:.1} frames mixed a second",
        health.memory_bytes >> 20,
        (health.frames - before.frames) as f64 / (last - first).as_secs_f64()
    );
    for (stage, latency) in &health.latency {
        println!(
            "host path, {stage}: p50 {:.1} ms, p99 {:.1} ms",
            latency.p50_ms, latency.p99_ms
        );
    }
    let dropped: Vec<(&String, u64)> = health
        .dropped
        .iter()
        .map(|(what, count)| (what, count - before.dropped.get(what).unwrap_or(&0)))
        .collect();
    println!("dropped meanwhile: {dropped:?}");
}

/// User and system time of a process; /proc counts in hundredths of a second.
fn busy(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |part: f64| {
        times[((times.len() - 1) as f64 * part).round() as usize].as_secs_f64() * 1000.0
    };
    println!(
        "{what}: p50 {:.1} ms, p95 {:.1} ms, max {:.1} ms of {}",
        at(0.5),
        at(0.95),
        at(1.0),
        times.len()
    );
}
