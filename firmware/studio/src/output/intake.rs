//! The way of the programme into an output's pipeline: bounded, leaky to the next keyframe, stamped from zero.

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gst::ClockTime;

use crate::feed::{Feed, Feeds, Subscription};

/// Seconds of programme that may wait for a disk or a network before pictures are dropped.
const WAITING_S: u64 = 4;
/// AAC units in a second, rounded up.
const SOUND_UNITS: u64 = 48_000 / 1024 + 1;

/// An encoder of sound that gives nothing for so long has failed; pictures are better than nothing.
const SOUND_COMES: Duration = Duration::from_secs(1);

pub(crate) struct Intake {
    pub video: gst_app::AppSrc,
    pub sound: gst_app::AppSrc,
    /// The first keyframe's time in the programme: zero in the output.
    start: Arc<OnceLock<ClockTime>>,
    subscriptions: Option<[Subscription; 2]>,
    /// What was lost before the subscriptions ended.
    lost: u64,
}

impl Intake {
    /// Two appsrcs, not fed yet.
    pub fn new() -> Intake {
        let appsrc = |name| {
            gst_app::AppSrc::builder()
                .name(name)
                .format(gst::Format::Time)
                .max_bytes(0)
                .max_buffers(0)
                .block(false)
                .build()
        };
        Intake {
            video: appsrc("video"),
            sound: appsrc("sound"),
            start: Arc::default(),
            subscriptions: None,
            lost: 0,
        }
    }

    /// From the next keyframe on. Sound comes first, and is waited for: its encoder starts with its first taker, in some
    /// 100 ms, and an output that began without it would begin silent. Blocks until then, at most [`SOUND_COMES`].
    pub fn open(&mut self, name: &str, feeds: &Feeds, fps: u32) {
        let (sounds, first_sound) = sync_channel(1);
        let sound = {
            let (appsrc, start, feed) =
                (self.sound.clone(), self.start.clone(), feeds.sound.clone());
            let take = move |unit: &gst::Buffer| {
                let _ = sounds.try_send(());
                // What sounded before the first picture is not in the output.
                let (Some(pts), Some(start)) = (unit.pts(), start.get()) else {
                    return true;
                };
                if pts < *start {
                    return true;
                }
                if appsrc.current_level_buffers() >= WAITING_S * SOUND_UNITS {
                    return false;
                }
                push(&appsrc, &feed, unit, pts, *start)
            };
            feeds.sound.subscribe(name, take)
        };
        let _ = first_sound.recv_timeout(SOUND_COMES);
        let video = {
            let (appsrc, start, feed) = (
                self.video.clone(),
                self.start.clone(),
                feeds.programme.clone(),
            );
            let max = WAITING_S * u64::from(fps);
            let take = move |unit: &gst::Buffer| {
                let Some(pts) = unit.pts() else { return true };
                if appsrc.current_level_buffers() >= max {
                    return false;
                }
                let start = *start.get_or_init(|| pts);
                push(&appsrc, &feed, unit, pts, start)
            };
            feeds.programme.subscribe(name, take)
        };
        self.subscriptions = Some([video, sound]);
    }

    pub fn has_begun(&self) -> bool {
        self.start.get().is_some()
    }

    /// Pictures and blocks of sound that found no place.
    pub fn dropped(&self) -> u64 {
        self.lost
            + self
                .subscriptions
                .as_ref()
                .map_or(0, |s| s.iter().map(Subscription::dropped).sum())
    }

    /// Nothing more comes in; what waits goes out, then the end of the stream.
    pub fn close(&mut self) {
        self.lost = self.dropped();
        self.subscriptions = None;
        for appsrc in [&self.video, &self.sound] {
            let _ = appsrc.end_of_stream();
        }
    }
}

fn push(
    appsrc: &gst_app::AppSrc,
    feed: &Arc<Feed>,
    unit: &gst::Buffer,
    pts: ClockTime,
    start: ClockTime,
) -> bool {
    if let Some(caps) = feed.caps()
        && appsrc.caps().as_ref() != Some(&caps)
    {
        appsrc.set_caps(Some(&caps));
    }
    let mut unit = unit.clone();
    let stamped = unit.make_mut();
    stamped.set_pts(pts.saturating_sub(start));
    stamped.set_dts(pts.saturating_sub(start));
    appsrc.push_buffer(unit).is_ok()
}
