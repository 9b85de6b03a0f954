//! What `dais analyse` found: one object for programs, short lines for people.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use super::decode::{Content, Decoded};
use super::marks::{self, Source};
use super::picture::Stills;
use super::sound::{Levels, Marker};
use super::spans::{Percentiles, Spans};
use super::times::{self, Times};

/// What a container says of its duration may be estimated; a file that ends this much earlier is cut or damaged.
const MISSING_S: f64 = 1.0;
const MISSING_PART: f64 = 0.05;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    pub file: String,
    pub container: Option<String>,
    pub duration_s: f64,
    pub streams: Vec<Stream>,
    /// Why a part of the file is missing here.
    pub problems: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Stream {
    Video {
        codec: String,
        width: usize,
        height: usize,
        /// As the stream says of itself.
        fps: Option<f64>,
        frames: u64,
        start_s: f64,
        duration_s: f64,
        times: Option<Times>,
        #[serde(flatten)]
        stills: Stills,
        sources: Vec<Source>,
    },
    Audio {
        codec: String,
        rate: u32,
        channels: u32,
        start_s: f64,
        duration_s: f64,
        times: Option<Times>,
        #[serde(flatten)]
        levels: Levels,
        /// Markers that were heard, of all sources.
        markers: u64,
    },
}

impl Report {
    /// `reference`: whose mark is the programme's own.
    pub fn new(file: String, decoded: Decoded, reference: u8) -> Report {
        let Decoded {
            container,
            said,
            packets,
            streams,
            mut problems,
        } = decoded;
        let markers: Vec<Marker> = streams
            .iter()
            .flat_map(|stream| match &stream.content {
                Content::Sound { sound, .. } => sound.markers.as_slice(),
                Content::Picture(_) => &[],
            })
            .copied()
            .collect();
        let mut duration_s = 0f64;
        let streams = streams.into_iter().map(|stream| {
            let packets = packets.get(&stream.id);
            let codec = packets.map_or_else(|| "?".into(), |p| p.codec.clone());
            let times = packets.map(|p| times::judge(&p.times));
            match stream.content {
                Content::Picture(picture) => {
                    duration_s = duration_s.max(picture.end);
                    let start_s = picture.first.unwrap_or(0.0);
                    Stream::Video {
                        codec,
                        width: picture.size.0,
                        height: picture.size.1,
                        fps: picture.fps,
                        frames: picture.frames,
                        start_s,
                        duration_s: picture.end - start_s,
                        times,
                        sources: marks::judge(&picture.sights, &markers, reference),
                        stills: picture.stills(),
                    }
                }
                Content::Sound { sound, shape } => {
                    duration_s = duration_s.max(sound.end);
                    let start_s = sound.first.unwrap_or(0.0);
                    Stream::Audio {
                        codec,
                        rate: shape.0,
                        channels: shape.1,
                        start_s,
                        duration_s: sound.end - start_s,
                        times,
                        markers: sound.markers.len() as u64,
                        levels: sound.levels(),
                    }
                }
            }
        });
        let streams = streams.collect();
        if let Some(said) =
            said.filter(|said| *said - duration_s > MISSING_S.max(MISSING_PART * said))
        {
            problems.push(format!(
                "its container says {said:.2} s, and what could be decoded ends at {duration_s:.2} s"
            ));
        }
        Report {
            file,
            container,
            duration_s,
            streams,
            problems,
        }
    }
}

fn percentiles(name: &str, figures: &Option<Percentiles>, f: &mut Formatter<'_>) -> fmt::Result {
    match figures {
        Some(p) => writeln!(
            f,
            "    {name}: p50 {:.1}, p95 {:.1}, p99 {:.1}, max {:.1} ms",
            p.p50, p.p95, p.p99, p.max
        ),
        None => Ok(()),
    }
}

fn spans(name: &str, spans: &Spans, f: &mut Formatter<'_>) -> fmt::Result {
    let Some(first) = spans.first.first() else {
        return Ok(());
    };
    write!(
        f,
        "  {name} {:.2} s in all, {} time",
        spans.seconds, spans.count
    )?;
    if spans.count > 1 {
        f.write_str("s")?;
    }
    writeln!(
        f,
        ", first at {:.2} s for {:.2} s",
        first.from_s, first.seconds
    )
}

fn timestamps(times: &Option<Times>, f: &mut Formatter<'_>) -> fmt::Result {
    let Some(times) = times else {
        return Ok(());
    };
    writeln!(
        f,
        "  {} packets, usually {:.1} ms apart, at most {:.1} ms; {} repeated, {} without a timestamp",
        times.packets, times.step_ms, times.longest_step_ms, times.repeated, times.without
    )?;
    spans("gaps:", &times.gaps, f)
}

fn source(source: &Source, f: &mut Formatter<'_>) -> fmt::Result {
    writeln!(
        f,
        "  mark {}: {} frames ({} to {}), {} lost, {} repeated, {} out of order, {} unread",
        source.source,
        source.frames,
        source.first,
        source.last,
        source.lost,
        source.repeated,
        source.out_of_order,
        source.unread
    )?;
    if source.restarts > 0 {
        writeln!(f, "    started anew {} times", source.restarts)?;
    }
    percentiles("jitter", &source.jitter_ms, f)?;
    percentiles("behind the programme's mark", &source.latency_ms, f)?;
    if let Some(av) = &source.av {
        let late = if av.p50_ms < 0.0 { "early" } else { "late" };
        writeln!(
            f,
            "    sound {:.1} ms {late} (median of {}; worst {:+.1} ms)",
            av.p50_ms.abs(),
            av.markers,
            av.worst_ms
        )?;
    }
    Ok(())
}

impl Display for Stream {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Stream::Video {
                codec,
                width,
                height,
                fps,
                frames,
                start_s,
                duration_s,
                times,
                stills,
                sources,
            } => {
                write!(f, "picture: {codec} {width}x{height}")?;
                if let Some(fps) = fps {
                    write!(f, " at {fps:.2}/s")?;
                }
                writeln!(
                    f,
                    ", {frames} frames, {duration_s:.2} s from {start_s:.2} s"
                )?;
                timestamps(times, f)?;
                if stills.backward > 0 {
                    writeln!(f, "  {} frames not after the one before", stills.backward)?;
                }
                spans("black", &stills.black, f)?;
                spans("frozen", &stills.frozen, f)?;
                sources.iter().try_for_each(|s| source(s, f))
            }
            Stream::Audio {
                codec,
                rate,
                channels,
                start_s,
                duration_s,
                times,
                levels,
                markers,
            } => {
                writeln!(
                    f,
                    "sound: {codec} {rate} Hz, {channels} channels, {duration_s:.2} s from {start_s:.2} s"
                )?;
                timestamps(times, f)?;
                match levels.peak_db {
                    Some(peak) => write!(f, "  peak {peak:.1} dBFS")?,
                    None => write!(f, "  digital silence")?,
                }
                if let Some(loudness) = levels.loudness_lufs {
                    write!(f, ", loudness {loudness:.1} LUFS")?;
                }
                if levels.clipped_samples > 0 {
                    write!(f, ", {} samples at full scale", levels.clipped_samples)?;
                }
                if *markers > 0 {
                    write!(f, ", {markers} markers")?;
                }
                writeln!(f)?;
                spans("silence", &levels.silence, f)
            }
        }
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let container = self.container.as_deref().unwrap_or("no container");
        writeln!(f, "{}: {container}, {:.2} s", self.file, self.duration_s)?;
        self.streams.iter().try_for_each(|s| write!(f, "{s}"))
    }
}
