//! What sessions leave behind: alone in its program, for it counts the threads and descriptors of the whole process.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod child;
mod session_peer;

use std::time::{Duration, Instant};

use session_peer::bench::{GUEST, PATIENCE, start};
use session_peer::{PeerProcess, Setup};

#[test]
#[ignore = "the other side of the tests below, which start it"]
fn peer_process() {
    session_peer::run();
}

/// Threads, file descriptors, and resident memory in KiB.
fn weight() -> (usize, usize, u64) {
    let count = |what: &str| {
        std::fs::read_dir(format!("/proc/self/{what}"))
            .unwrap()
            .count()
    };
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let rss = status
        .lines()
        .find_map(|l| l.strip_prefix("VmRSS:"))
        .unwrap();
    (
        count("task"),
        count("fd"),
        rss.trim().trim_end_matches(" kB").parse().unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_sessions_leave_no_thread_and_no_descriptor() {
    let mut b = start();
    let mut settled = (0, 0, 0);
    for cycle in 0..30 {
        let id = format!("s{cycle}");
        let peer = b.join(&id, GUEST, &Setup::default()).await;
        if cycle == 9 {
            println!("connected: threads, descriptors, KiB: {:?}", weight());
        }
        b.studio.close(&id);
        drop(peer);
        if cycle == 9 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            settled = weight();
        }
    }
    let until = Instant::now() + PATIENCE;
    loop {
        let now = weight();
        // A worker of a pool may come or go; a session has more than ten threads and fifteen descriptors.
        if now.0 <= settled.0 + 4 && now.1 <= settled.1 + 4 {
            println!("after 10: {settled:?}, after 30: {now:?} (threads, descriptors, KiB)");
            return;
        }
        assert!(
            Instant::now() < until,
            "after 10: {settled:?}, after 30: {now:?}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Hundredths of a second of CPU of this process.
fn cpu_ticks() -> u64 {
    ticks_of(std::path::Path::new("/proc/self/stat"))
}

fn ticks_of(stat: &std::path::Path) -> u64 {
    let stat = std::fs::read_to_string(stat).unwrap();
    let (_, after) = stat.rsplit_once(')').unwrap();
    let field = |n: usize| {
        after
            .split_whitespace()
            .nth(n)
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    field(11) + field(12)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, not a test: run it by name"]
async fn measure_nine_sessions() {
    let mut b = start();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let measure = async |what: &str| {
        let (ticks, at) = (cpu_ticks(), Instant::now());
        tokio::time::sleep(Duration::from_secs(10)).await;
        let percent = (cpu_ticks() - ticks) as f64 / at.elapsed().as_secs_f64();
        println!(
            "{what}: {percent:.1} % of a core; threads, descriptors, KiB: {:?}",
            weight()
        );
    };
    measure("no session").await;
    let mut peers: Vec<PeerProcess> = Vec::new();
    let (width, height) = if std::env::var_os("BIG").is_some() {
        (640, 360)
    } else {
        (320, 240)
    };
    for guest in 1..=9 {
        let setup = Setup {
            width,
            height,
            ..Setup::default()
        };
        let joined = Instant::now();
        peers.push(b.join(&format!("s{guest}"), GUEST, &setup).await);
        println!("guest {guest} alive after {:?}", joined.elapsed());
    }
    measure("nine sessions").await;
    let health = serde_json::to_value(b.studio.health().sessions).unwrap();
    let fps: Vec<_> = health
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["fps"].clone())
        .collect();
    println!("decoded fps: {fps:?}");
    // Which threads worked: name → (how many, hundredths of a second since their start).
    let mut threads = std::collections::BTreeMap::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let path = task.unwrap().path();
        let name = std::fs::read_to_string(path.join("comm")).unwrap();
        let name: String = name
            .trim()
            .chars()
            .filter(|c| !c.is_ascii_digit())
            .collect();
        let entry = threads.entry(name).or_insert((0, 0));
        *entry = (entry.0 + 1, entry.1 + ticks_of(&path.join("stat")));
    }
    println!("{threads:?}");
}
