//! What the marks of one video stream, and the markers of the sound, say of each source.

use std::collections::BTreeMap;

use gstdais::mark::{Mark, Step, TICKS_PER_SECOND, Tally};
use gstdais::tone::SECONDS;
use serde::Serialize;

use super::picture::Sight;
use super::sound::Marker;
use super::spans::{Percentiles, median, percentiles};

/// Picture and sound further apart than this are not looked for.
const MOST_OFFSET_S: f64 = 5.0;
/// Frames of this much before and after a second say where it lies in the picture.
const AROUND_S: f64 = 0.5;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Source {
    pub source: u8,
    pub first: u32,
    pub last: u32,
    /// Different frames.
    pub frames: u64,
    pub lost: u64,
    pub repeated: u64,
    pub out_of_order: u64,
    pub restarts: u64,
    /// Of the file's frames between its first and its last, those that show no mark of it that can be read.
    pub unread: u64,
    /// How unevenly its frames are shown: each one's delay beyond the least one.
    pub jitter_ms: Option<Percentiles>,
    /// How old it is beside the reference's mark in the same frame; only where both stamp the same clock.
    pub latency_ms: Option<Percentiles>,
    pub av: Option<AvOffset>,
}

/// Positive: the sound is late.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct AvOffset {
    pub p50_ms: f64,
    pub worst_ms: f64,
    pub markers: u64,
}

/// One source's frames, each where it is shown first.
#[derive(Default)]
struct Track {
    tally: Tally,
    /// When it is shown; and its stamped time, in seconds since the first.
    shown: Vec<(f64, f64)>,
    origin: Option<u32>,
    in_frames: u64,
    first_frame: u64,
    last_frame: u64,
    /// Not counted twice in a frame that shows it twice.
    last_seen: Option<u64>,
}

impl Track {
    fn add(&mut self, sight: &Sight) {
        if self.last_seen == Some(sight.frame) {
            return;
        }
        if self.last_seen.is_none() {
            self.first_frame = sight.frame;
        }
        self.last_seen = Some(sight.frame);
        self.last_frame = sight.frame;
        self.in_frames += 1;
        let origin = *self.origin.get_or_insert(sight.mark.time);
        if self.tally.add(sight.mark.number) != Step::Repeated {
            self.shown
                .push((sight.at, sight.mark.seconds_since(origin)));
        }
    }

    fn jitter(&self) -> Option<Percentiles> {
        let delays: Vec<f64> = self.shown.iter().map(|(at, time)| at - time).collect();
        let least = delays.iter().copied().fold(f64::INFINITY, f64::min);
        percentiles(delays.iter().map(|d| 1000.0 * (d - least)).collect())
    }

    /// Where the picture shows this second of the source's time, near this time of the file.
    fn second_shown(&self, second: u32, near: f64) -> Option<f64> {
        let origin = f64::from(self.origin?) / TICKS_PER_SECOND as f64;
        let from = self
            .shown
            .partition_point(|(at, _)| *at < near - MOST_OFFSET_S);
        let places = self.shown[from..]
            .iter()
            .take_while(|(at, _)| *at <= near + MOST_OFFSET_S)
            .filter_map(|(at, time)| {
                let period = f64::from(SECONDS);
                let past = (origin + time - f64::from(second) + period / 2.0).rem_euclid(period);
                let past = past - period / 2.0;
                (past.abs() <= AROUND_S).then_some(at - past)
            });
        median(places.collect())
    }

    fn offset(&self, markers: &[Marker], source: u8) -> Option<AvOffset> {
        let offsets: Vec<f64> = markers
            .iter()
            .filter(|m| m.source == source)
            .filter_map(|m| Some(1000.0 * (m.at - self.second_shown(m.second, m.at)?)))
            .filter(|ms| ms.abs() <= 1000.0 * MOST_OFFSET_S)
            .collect();
        let markers = offsets.len() as u64;
        let worst_ms = offsets
            .iter()
            .copied()
            .max_by(|a, b| a.abs().total_cmp(&b.abs()))?;
        Some(AvOffset {
            p50_ms: median(offsets)?,
            worst_ms,
            markers,
        })
    }
}

/// `reference`: whose mark the others' age is measured by. Sights are in the order of the file.
pub fn judge(sights: &[Sight], markers: &[Marker], reference: u8) -> Vec<Source> {
    let mut tracks: BTreeMap<u8, Track> = BTreeMap::new();
    let mut ages: BTreeMap<u8, Vec<f64>> = BTreeMap::new();
    for frame in sights.chunk_by(|a, b| a.frame == b.frame) {
        let now: Option<Mark> = frame
            .iter()
            .find(|s| s.mark.source == reference)
            .map(|s| s.mark);
        for sight in frame {
            tracks.entry(sight.mark.source).or_default().add(sight);
            if let Some(now) = now.filter(|_| sight.mark.source != reference) {
                let age = 1000.0 * now.seconds_since(sight.mark.time);
                ages.entry(sight.mark.source).or_default().push(age);
            }
        }
    }
    tracks
        .into_iter()
        .map(|(source, track)| {
            let tally = &track.tally;
            Source {
                source,
                first: tally.first.unwrap_or(0),
                last: tally.last.unwrap_or(0),
                frames: tally.frames,
                lost: tally.lost,
                repeated: tally.repeated,
                out_of_order: tally.out_of_order,
                restarts: tally.restarts,
                unread: track.last_frame + 1 - track.first_frame - track.in_frames,
                jitter_ms: track.jitter(),
                latency_ms: ages.remove(&source).and_then(percentiles),
                av: track.offset(markers, source),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sight(frame: u64, number: u64, time_ms: u64, source: u8) -> Sight {
        Sight {
            frame,
            at: frame as f64 / 25.0,
            mark: Mark::new(number, time_ms * 1_000_000, source),
        }
    }

    #[test]
    fn a_guests_age_is_measured_by_the_hosts_mark_in_the_same_frame() {
        // The guest is 80 ms behind, and every second frame shows its picture again.
        let sights: Vec<Sight> = (0..100)
            .flat_map(|n| {
                let guest = n / 2;
                [
                    sight(n, n, 5000 + n * 40, 0),
                    sight(n, guest, 4920 + guest * 80, 7),
                ]
            })
            .collect();
        let sources = judge(&sights, &[], 0);
        assert_eq!(sources[0].latency_ms, None);
        let guest = &sources[1];
        assert_eq!(
            (guest.frames, guest.repeated, guest.lost, guest.unread),
            (50, 50, 0, 0)
        );
        let age = guest.latency_ms.unwrap();
        assert_eq!((age.p50, age.max), (80.0, 120.0));
        assert!(guest.jitter_ms.unwrap().max < 0.001);
    }

    #[test]
    fn the_offset_of_the_sound_is_found_across_the_markers_wrap() {
        let sights: Vec<Sight> = (0..250)
            .map(|n| sight(n, n, 4_093_000 + n * 40, 2))
            .collect();
        // Sound 120 ms late; in the file second 4094 is shown at 1 s.
        let markers: Vec<Marker> = (1..9u32)
            .map(|n| Marker {
                source: 2,
                second: (4093 + n) % SECONDS,
                at: f64::from(n) + 0.12,
            })
            .collect();
        let av = judge(&sights, &markers, 0)[0].av.unwrap();
        assert_eq!(av.markers, 8);
        assert!((av.p50_ms - 120.0).abs() < 0.01, "{av:?}");
        assert!((av.worst_ms - 120.0).abs() < 0.01, "{av:?}");
    }
}
