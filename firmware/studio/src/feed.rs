//! Fans encoded access units (and the programme's sound as it is mixed) out to sessions and outputs, none of which can hold up the encoder or another.
//!
//! A sink that is full loses whole pictures up to the next keyframe, which is asked for; the loss is counted.
//! Timestamps are running time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// One keyframe serves all who ask within this time; each costs every receiver bits.
const KEYFRAME_INTERVAL: Duration = Duration::from_millis(300);

type Sink = Box<dyn Fn(&gst::Buffer) -> bool + Send + Sync>;

/// One encoded stream, whoever takes it.
pub struct Feed {
    name: &'static str,
    state: Mutex<State>,
    units: AtomicU64,
    bytes: AtomicU64,
}

#[derive(Default)]
struct State {
    caps: Option<gst::Caps>,
    subscribers: Arc<Vec<Arc<Subscriber>>>,
    ask_encoder: Option<Arc<dyn Fn() + Send + Sync>>,
    keyframe_wanted: bool,
    keyframe_asked: Option<Instant>,
}

struct Subscriber {
    name: String,
    sink: Sink,
    waits_for_keyframe: AtomicBool,
    dropped: AtomicU64,
    gone: AtomicBool,
}

/// What a feed counted, for health.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct FeedHealth {
    pub feed: &'static str,
    pub units: u64,
    pub bytes: u64,
    pub subscribers: Vec<SubscriberHealth>,
}

#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct SubscriberHealth {
    pub name: String,
    pub dropped: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Feed {
    pub(crate) fn new(name: &'static str) -> Arc<Feed> {
        Arc::new(Feed {
            name,
            state: Mutex::default(),
            units: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        })
    }

    /// `sink` is called on the encoder's thread for each access unit and must not block: it returns `false` when it is full.
    /// It gets nothing before a keyframe, which is requested now. Dropping the subscription ends it.
    pub fn subscribe(
        self: &Arc<Self>,
        name: impl Into<String>,
        sink: impl Fn(&gst::Buffer) -> bool + Send + Sync + 'static,
    ) -> Subscription {
        let subscriber = Arc::new(Subscriber {
            name: name.into(),
            sink: Box::new(sink),
            waits_for_keyframe: AtomicBool::new(true),
            dropped: AtomicU64::new(0),
            gone: AtomicBool::new(false),
        });
        Arc::make_mut(&mut lock(&self.state).subscribers).push(subscriber.clone());
        self.request_keyframe();
        Subscription {
            feed: Arc::downgrade(self),
            subscriber,
        }
    }

    /// Feeds an `appsrc`, of which at most `queue` access units may wait. Its caps are set from the feed; its own limits are lifted.
    pub fn feed_into(
        self: &Arc<Self>,
        name: impl Into<String>,
        queue: u64,
        appsrc: &gst_app::AppSrc,
    ) -> Subscription {
        appsrc.set_max_buffers(0);
        appsrc.set_max_bytes(0);
        appsrc.set_max_time(gst::ClockTime::ZERO);
        let feed = Arc::downgrade(self);
        let appsrc = appsrc.clone();
        self.subscribe(name, move |unit| {
            if appsrc.current_level_buffers() >= queue {
                return false;
            }
            if let Some(caps) = feed.upgrade().and_then(|f| f.caps())
                && appsrc.caps().as_ref() != Some(&caps)
            {
                appsrc.set_caps(Some(&caps));
            }
            appsrc.push_buffer(unit.clone()).is_ok()
        })
    }

    /// Known once the encoder has put out its first unit.
    pub fn caps(&self) -> Option<gst::Caps> {
        lock(&self.state).caps.clone()
    }

    /// At most one in 300 ms goes to the encoder; one that comes sooner is kept and sent then.
    pub fn request_keyframe(&self) {
        lock(&self.state).keyframe_wanted = true;
        self.ask_if_due();
    }

    /// Whether anybody takes this feed: what nobody takes is not encoded.
    pub fn is_wanted(&self) -> bool {
        !lock(&self.state).subscribers.is_empty()
    }

    pub fn health(&self) -> FeedHealth {
        let subscribers = lock(&self.state).subscribers.clone();
        FeedHealth {
            feed: self.name,
            units: self.units.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            subscribers: subscribers
                .iter()
                .map(|s| SubscriberHealth {
                    name: s.name.clone(),
                    dropped: s.dropped.load(Ordering::Relaxed),
                })
                .collect(),
        }
    }

    pub(crate) fn units(&self) -> u64 {
        self.units.load(Ordering::Relaxed)
    }

    /// How this feed's encoder is asked for a keyframe.
    pub(crate) fn on_keyframe_request(&self, ask: impl Fn() + Send + Sync + 'static) {
        lock(&self.state).ask_encoder = Some(Arc::new(ask));
    }

    pub(crate) fn set_caps(&self, caps: &gst::CapsRef) {
        let mut state = lock(&self.state);
        if state
            .caps
            .as_ref()
            .is_none_or(|known| known.as_ref() != caps)
        {
            state.caps = Some(caps.to_owned());
        }
    }

    /// Hands one access unit, stamped with running time, to all subscribers.
    pub(crate) fn publish(&self, unit: &gst::Buffer) {
        self.units.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(unit.size() as u64, Ordering::Relaxed);
        let subscribers = lock(&self.state).subscribers.clone();
        let is_keyframe = !unit.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let mut keyframe_wanted = false;
        for subscriber in subscribers.iter() {
            if subscriber.gone.load(Ordering::Acquire) {
                continue;
            }
            if !is_keyframe && subscriber.waits_for_keyframe.load(Ordering::Relaxed) {
                // Counted as lost only after a first keyframe: before it the subscriber had no picture to lose.
                subscriber.count_gap();
                continue;
            }
            let taken = (subscriber.sink)(unit);
            if taken {
                subscriber
                    .waits_for_keyframe
                    .store(false, Ordering::Relaxed);
            } else {
                subscriber.waits_for_keyframe.store(true, Ordering::Relaxed);
                subscriber.dropped.fetch_add(1, Ordering::Relaxed);
                keyframe_wanted = true;
            }
        }
        if keyframe_wanted {
            lock(&self.state).keyframe_wanted = true;
        }
        self.ask_if_due();
    }

    fn ask_if_due(&self) {
        let ask = {
            let mut state = lock(&self.state);
            let due = state
                .keyframe_asked
                .is_none_or(|at| at.elapsed() >= KEYFRAME_INTERVAL);
            if !state.keyframe_wanted || !due {
                return;
            }
            let Some(ask) = state.ask_encoder.clone() else {
                return;
            };
            state.keyframe_wanted = false;
            state.keyframe_asked = Some(Instant::now());
            ask
        };
        ask();
    }

    fn remove(&self, subscriber: &Arc<Subscriber>) {
        Arc::make_mut(&mut lock(&self.state).subscribers).retain(|s| !Arc::ptr_eq(s, subscriber));
    }
}

impl Subscriber {
    fn count_gap(&self) {
        if self.dropped.load(Ordering::Relaxed) > 0 {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Membership in a feed, ended by dropping it.
pub struct Subscription {
    feed: Weak<Feed>,
    subscriber: Arc<Subscriber>,
}

impl Subscription {
    /// Access units this subscriber lost.
    pub fn dropped(&self) -> u64 {
        self.subscriber.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.subscriber.gone.store(true, Ordering::Release);
        if let Some(feed) = self.feed.upgrade() {
            feed.remove(&self.subscriber);
        }
    }
}

/// The encoded streams of the studio.
#[derive(Clone)]
pub struct Feeds {
    /// H.264, byte-stream, access units; headers with each keyframe.
    pub programme: Arc<Feed>,
    /// AAC, raw; encoded only while someone takes it.
    pub sound: Arc<Feed>,
    /// The programme's sound before it is encoded: 10 ms of F32LE, stereo, 48 kHz, interleaved. Published only while someone
    /// takes it.
    pub sound_raw: Arc<Feed>,
    /// The return picture: H.264 constrained baseline, byte-stream, access units; encoded only while someone takes it.
    pub return_h264: Arc<Feed>,
    /// The return picture for who can't decode H.264; encoded only while someone takes it.
    pub return_vp8: Arc<Feed>,
}

impl Feeds {
    pub(crate) fn new() -> Feeds {
        Feeds {
            programme: Feed::new("programme"),
            sound: Feed::new("sound"),
            sound_raw: Feed::new("sound_raw"),
            return_h264: Feed::new("return_h264"),
            return_vp8: Feed::new("return_vp8"),
        }
    }

    pub fn all(&self) -> [&Arc<Feed>; 5] {
        [
            &self.programme,
            &self.sound,
            &self.sound_raw,
            &self.return_h264,
            &self.return_vp8,
        ]
    }
}
