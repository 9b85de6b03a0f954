//! What sessions leave behind: alone in its program, for it counts the threads and descriptors of the whole process.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod child;
mod session_peer;

use std::time::{Duration, Instant};

use session_peer::Setup;
use session_peer::bench::{GUEST, PATIENCE, start};

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

/// The weight once it has not changed for half a second.
async fn at_rest() -> (usize, usize, u64) {
    let until = Instant::now() + PATIENCE;
    let (mut last, mut same) = (weight(), 0);
    while same < 5 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = weight();
        assert!(Instant::now() < until, "it does not come to rest: {now:?}");
        same = if (now.0, now.1) == (last.0, last.1) {
            same + 1
        } else {
            0
        };
        last = now;
    }
    last
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
            settled = at_rest().await;
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
