//! A thousand clients at once, and what they cost.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Book, Dial, PATIENCE, embedded, guest, password_of, topic};
use dais_broker::{Broker, Limits};
use dais_room::access::Identity;
use tokio::sync::Semaphore;

const CLIENTS: usize = 1000;
/// Three file descriptors a connection in the broker and one in the test.
const FDS: usize = 4 * CLIENTS + 200;

fn proc_figure(file: &str, key: &str) -> usize {
    let text = std::fs::read_to_string(format!("/proc/self/{file}")).unwrap();
    let line = text.lines().find(|l| l.starts_with(key)).unwrap();
    line[key.len()..]
        .split_whitespace()
        .find_map(|w| w.parse().ok())
        .unwrap_or(usize::MAX)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_clients_hear_the_box_within_a_second_or_two() {
    let allowed = proc_figure("limits", "Max open files");
    let clients = if allowed < FDS {
        assert!(
            std::env::var_os("CI").is_none(),
            "only {allowed} file descriptors are allowed: `ulimit -n {FDS}`"
        );
        let fit = allowed.saturating_sub(200) / 4;
        println!(
            "only {allowed} file descriptors are allowed (`ulimit -n {FDS}` would do): {fit} clients instead of {CLIENTS}"
        );
        fit
    } else {
        CLIENTS
    };
    let rss_of_test = proc_figure("status", "VmRSS:");
    let book = Arc::new(Book::default());
    book.add(&Identity::the_box(), &password_of(&Identity::the_box()));
    let broker = embedded(&book, ([127, 0, 0, 1], 0).into(), Limits::default()).await;
    let rss_idle = proc_figure("status", "VmRSS:");
    let mut the_box = Dial::new(&Identity::the_box())
        .to(broker.endpoint())
        .connect()
        .await
        .unwrap();

    let at_once = Arc::new(Semaphore::new(32));
    let began = Instant::now();
    let mut joining = tokio::task::JoinSet::new();
    for n in 0..clients {
        let who = guest(&format!("g{n}"));
        book.add(&who, &password_of(&who));
        let (endpoint, at_once) = (broker.endpoint(), Arc::clone(&at_once));
        joining.spawn(async move {
            let _turn = at_once.acquire().await.unwrap();
            let mut client = Dial::new(&who).to(endpoint).connect().await.unwrap();
            client.subscribe(&topic("room")).await;
            client
        });
    }
    let mut crowd = tokio::time::timeout(3 * PATIENCE, joining.join_all())
        .await
        .expect("not all could join");
    let joined = began.elapsed();
    let rss_full = proc_figure("status", "VmRSS:");

    let mut worst = Duration::ZERO;
    for round in 0..5 {
        let began = Instant::now();
        the_box.publish(&topic("room"), &round.to_string()).await;
        for client in &mut crowd {
            assert_eq!(client.next().await.1, round.to_string());
        }
        worst = worst.max(began.elapsed());
    }
    println!(
        "{clients} clients: joined in {joined:?}, slowest fan-out {worst:?}; RSS {rss_of_test} kB, broker idle {rss_idle} kB, all joined (clients included) {rss_full} kB"
    );
    assert!(worst < Duration::from_secs(10), "a fan-out took {worst:?}");
    broker.stop().await;
}
