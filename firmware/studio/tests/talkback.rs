//! The host speaks to one guest alone: who hears that, who does not, and that the host is never left off air by accident.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::ear::Ear;
use common::*;
use dais_studio::Slot;
use dais_studio::api::{Scene, Source};

const HOST_HZ: f32 = 440.0;
const ANA_HZ: f32 = 700.0;
const BO_HZ: f32 = 1100.0;
/// The ramps take 20 ms, queues 200 ms at most: by then all is settled.
const SETTLED_S: usize = 1;

/// The host's microphone, which `config` leaves out.
struct Voice(Arc<AtomicBool>);

impl Voice {
    fn new(slot: Arc<Slot>, hz: f32) -> Voice {
        let stop = Arc::new(AtomicBool::new(false));
        let end = stop.clone();
        std::thread::spawn(move || {
            let mut due = Instant::now();
            for n in 0u64.. {
                if end.load(Ordering::Relaxed) {
                    return;
                }
                slot.audio.push(&tone(n * 480, 480, hz));
                due += Duration::from_millis(10);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        });
        Voice(stop)
    }
}

impl Drop for Voice {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Ana waits, Bo and the host are on air.
struct Stage {
    show: Show,
    _host: Voice,
    ana: Guest,
    _bo: Guest,
    of_ana: Ear,
    of_bo: Ear,
    /// Somebody in no seat hears the programme.
    programme: Ear,
}

impl Stage {
    async fn set() -> Stage {
        let show = Show::start(config()).await;
        let host = Voice::new(show.studio.shared().slots.add(Source::Host), HOST_HZ);
        let ana = Guest::new(&show.studio, "ana", Some([120, 60, 70]), ANA_HZ);
        let bo = Guest::new(&show.studio, "bo", Some([60, 200, 110]), BO_HZ);
        let watcher = show.studio.shared().slots.add(session("watcher"));
        let stage = Stage {
            of_ana: Ear::new(&show, &ana.slot),
            of_bo: Ear::new(&show, &bo.slot),
            programme: Ear::new(&show, &watcher),
            _host: host,
            ana,
            _bo: bo,
            show,
        };
        stage.scene(&["bo"], None);
        stage
    }

    fn scene(&self, seated: &[&str], talkback: Option<&str>) {
        let guests = seated.iter().zip(1..);
        let mut seats = vec![seat(0, Source::Host, quarter(0))];
        seats.extend(guests.map(|(id, n)| seat(n, session(id), quarter(i32::from(n)))));
        self.show.studio.scene(Scene {
            seats,
            talkback: talkback.map(String::from),
        });
    }

    async fn heard(&self) -> Heard {
        let ears = [&self.of_ana, &self.of_bo, &self.programme];
        let [ana, bo, programme] = ears.map(|ear| ear.second(SETTLED_S));
        let (ana, bo, programme) = tokio::join!(ana, bo, programme);
        let levels = |sound: Vec<f32>| {
            let [host, ana, bo] =
                [HOST_HZ, ANA_HZ, BO_HZ].map(|hz| level_db(&sound, f64::from(hz)));
            Levels { host, ana, bo }
        };
        Heard {
            ana: levels(ana),
            bo: levels(bo),
            programme: levels(programme),
        }
    }
}

/// Of each tone, in dB.
#[derive(Clone, Copy, Debug)]
struct Levels {
    host: f64,
    ana: f64,
    bo: f64,
}

/// What each of them hears.
#[derive(Clone, Copy, Debug)]
struct Heard {
    ana: Levels,
    bo: Levels,
    programme: Levels,
}

/// Tones are at -20 dB: 60 dB below that is nothing.
const TONE: f64 = -20.0;
const GONE: f64 = -80.0;

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1.0
}

#[tokio::test]
async fn only_the_guest_who_is_spoken_to_hears_the_host() {
    let stage = Stage::set().await;
    let heard = stage.heard().await;
    let on_air = heard.programme;
    assert!(
        near(on_air.host, TONE) && near(on_air.bo, TONE) && on_air.ana < GONE,
        "{heard:?}"
    );

    // Waiting, and spoken to before going on air: of her nothing is in the programme.
    stage.scene(&["bo"], Some("ana"));
    let heard = stage.heard().await;
    assert!(near(heard.ana.host, TONE), "Ana hears the host: {heard:?}");
    assert!(
        near(heard.ana.bo, TONE - 12.0),
        "and the rest lowered: {heard:?}"
    );
    assert!(heard.ana.ana < GONE, "and not herself: {heard:?}");
    for others in [heard.programme, heard.bo] {
        assert!(others.host < GONE && others.ana < GONE, "{heard:?}");
    }
    assert!(near(heard.programme.bo, TONE), "{heard:?}");

    // On a seat it is the same, and she is on air.
    stage.scene(&["bo", "ana"], Some("ana"));
    let heard = stage.heard().await;
    assert!(
        near(heard.ana.host, TONE) && heard.ana.ana < GONE,
        "{heard:?}"
    );
    for others in [heard.programme, heard.bo] {
        assert!(others.host < GONE && near(others.ana, TONE), "{heard:?}");
    }

    stage.scene(&["bo", "ana"], None);
    let heard = stage.heard().await;
    for all in [heard.programme, heard.bo, heard.ana] {
        assert!(near(all.host, TONE), "the host is back: {heard:?}");
    }
    assert!(near(heard.ana.bo, TONE), "{heard:?}");
    stage.show.studio.shutdown().await;
}

/// Nobody else makes a sound: every sample counts.
#[tokio::test]
async fn nothing_of_who_waits_is_on_air_not_even_for_a_moment() {
    let show = Show::start(config()).await;
    let ana = Guest::new(&show.studio, "ana", Some([120, 60, 70]), ANA_HZ);
    let watcher = show.studio.shared().slots.add(session("watcher"));
    let (of_ana, programme) = (Ear::new(&show, &ana.slot), Ear::new(&show, &watcher));
    let host = || seat(0, Source::Host, quarter(0));
    for talkback in [None, Some("ana".to_owned()), None] {
        show.studio.scene(Scene {
            seats: vec![host()],
            talkback,
        });
        programme.second(0).await;
    }
    for ear in [&of_ana, &programme] {
        let loud = ear.since(0).iter().filter(|x| **x != 0.0).count();
        assert_eq!(loud, 0, "samples of Ana were on air");
    }
    // She does sound, once she has a seat.
    show.studio
        .scene(scene(vec![host(), seat(1, session("ana"), quarter(1))]));
    let level = level_db(&programme.second(SETTLED_S).await, f64::from(ANA_HZ));
    assert!(near(level, TONE), "{level} dB");
    show.studio.shutdown().await;
}

#[tokio::test]
async fn a_host_who_is_muted_on_air_is_heard_off_air_and_stays_muted() {
    let stage = Stage::set().await;
    let muted = |talkback: Option<&str>| {
        let mut on = seat(0, Source::Host, quarter(0));
        on.audible = false;
        stage.show.studio.scene(Scene {
            seats: vec![on],
            talkback: talkback.map(String::from),
        });
    };
    muted(Some("ana"));
    let heard = stage.heard().await;
    assert!(near(heard.ana.host, TONE), "{heard:?}");
    assert!(heard.programme.host < GONE, "{heard:?}");
    muted(None);
    let heard = stage.heard().await;
    assert!(
        heard.programme.host < GONE && heard.ana.host < GONE,
        "{heard:?}"
    );
    stage.show.studio.shutdown().await;
}

#[tokio::test]
async fn a_session_that_takes_no_return_leaves_the_host_on_air() {
    let stage = Stage::set().await;
    stage.scene(&["bo"], Some("nobody"));
    let heard = stage.heard().await;
    assert!(
        near(heard.programme.host, TONE),
        "spoken to nobody: {heard:?}"
    );
    stage.scene(&["bo"], Some("ana"));
    let heard = stage.heard().await;
    assert!(heard.programme.host < GONE, "{heard:?}");
    // Her session is lost while she is spoken to, and the scene does not know yet.
    stage.ana.slot.sound_out.set(None);
    let ears = [&stage.of_bo, &stage.programme];
    for ear in ears {
        let level = level_db(&ear.second(SETTLED_S).await, f64::from(HOST_HZ));
        assert!(near(level, TONE), "the host is left off air at {level} dB");
    }
    stage.show.studio.shutdown().await;
}
