//! What a synthetic guest shows and says: `test`, `test:color=#e33,tone=500,mark=3`, `file:PATH`, `v4l2:DEVICE`, `alsa:DEVICE`, `none`.

use std::path::PathBuf;
use std::str::FromStr;

/// Which source the marks of `daisstamp` and `daistonestamp` name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The guest's number.
    Own,
    Number(u8),
}

impl Mark {
    fn parse(text: &str) -> Option<Mark> {
        match text {
            "own" => Some(Mark::Own),
            _ => text.parse().ok().map(Mark::Number),
        }
    }

    /// For guest `number`.
    pub fn source(self, number: u32) -> u32 {
        match self {
            Mark::Own => number % 256,
            Mark::Number(source) => source.into(),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum VideoSpec {
    /// A ball that moves over a plain colour (`0xRRGGBB`); each guest's own unless given.
    Test {
        color: Option<u32>,
        mark: Option<Mark>,
    },
    File(PathBuf),
    V4l2(String),
}

#[derive(Clone, Debug, PartialEq)]
pub enum AudioSpec {
    /// A sine; each guest's own frequency unless given.
    Test {
        tone_hz: Option<u32>,
        mark: Option<Mark>,
    },
    File(PathBuf),
    Alsa(String),
    /// Silence.
    None,
}

#[derive(Debug, thiserror::Error, PartialEq)]
#[error("\"{spec}\" is no {what}: {why}")]
pub struct SpecError {
    spec: String,
    what: &'static str,
    why: &'static str,
}

/// One colour a guest, far enough apart to be told from each other after encoding.
const COLORS: [u32; 9] = [
    0xd03030, 0x30a030, 0x3050d0, 0xc0a020, 0xa030b0, 0x20a0a0, 0xe07020, 0x806040, 0x607090,
];

/// The colour of guest `number`, counted from 1.
pub fn color(number: u32) -> u32 {
    COLORS[(number.max(1) - 1) as usize % COLORS.len()]
}

/// The tone of guest `number`, counted from 1: 400 Hz, 500 Hz …
pub fn tone_hz(number: u32) -> u32 {
    300 + 100 * number
}

fn parameter<'a>(rest: &'a str, name: &str) -> Option<&'a str> {
    rest.split(',').find_map(|part| {
        part.split_once('=')
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| value)
    })
}

/// Only names of the list may stand before a `=`.
fn only(rest: &str, names: &[&str]) -> bool {
    rest.split(',').all(|part| {
        part.split_once('=')
            .is_some_and(|(key, _)| names.contains(&key))
    })
}

fn hex_color(text: &str) -> Option<u32> {
    let digits = text.strip_prefix('#').unwrap_or(text);
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    match digits.len() {
        6 => u32::from_str_radix(digits, 16).ok(),
        3 => u32::from_str_radix(&digits.chars().flat_map(|c| [c, c]).collect::<String>(), 16).ok(),
        _ => None,
    }
}

// Both halves may stand in one word, so that one SPEC can be given for picture and sound.
const TEST_NAMES: [&str; 3] = ["color", "tone", "mark"];

const NO_MARK: &str = "a mark is 0 to 255, or own for the guest's number";

impl FromStr for VideoSpec {
    type Err = SpecError;

    fn from_str(spec: &str) -> Result<VideoSpec, SpecError> {
        let bad = |why| SpecError {
            spec: spec.into(),
            what: "picture",
            why,
        };
        match spec.split_once(':') {
            None if spec == "test" => Ok(VideoSpec::Test {
                color: None,
                mark: None,
            }),
            Some(("test", rest)) if only(rest, &TEST_NAMES) => {
                let color = parameter(rest, "color")
                    .map(|text| hex_color(text).ok_or_else(|| bad("a colour is #rrggbb")));
                let mark = parameter(rest, "mark")
                    .map(|text| Mark::parse(text).ok_or_else(|| bad(NO_MARK)));
                Ok(VideoSpec::Test {
                    color: color.transpose()?,
                    mark: mark.transpose()?,
                })
            }
            Some(("file", path)) if !path.is_empty() => Ok(VideoSpec::File(path.into())),
            Some(("v4l2", device)) if !device.is_empty() => Ok(VideoSpec::V4l2(device.into())),
            _ => Err(bad(
                "it is test, test:color=#rrggbb,mark=N, file:PATH or v4l2:DEVICE",
            )),
        }
    }
}

impl FromStr for AudioSpec {
    type Err = SpecError;

    fn from_str(spec: &str) -> Result<AudioSpec, SpecError> {
        let bad = |why| SpecError {
            spec: spec.into(),
            what: "sound",
            why,
        };
        match spec.split_once(':') {
            None if spec == "test" => Ok(AudioSpec::Test {
                tone_hz: None,
                mark: None,
            }),
            None if spec == "none" => Ok(AudioSpec::None),
            Some(("test", rest)) if only(rest, &TEST_NAMES) => {
                let tone = parameter(rest, "tone").map(|text| {
                    let hz = text.parse().ok().filter(|hz| (50..=2900).contains(hz));
                    hz.ok_or_else(|| bad("a tone is 50 to 2900 Hz"))
                });
                let mark = parameter(rest, "mark")
                    .map(|text| Mark::parse(text).ok_or_else(|| bad(NO_MARK)));
                Ok(AudioSpec::Test {
                    tone_hz: tone.transpose()?,
                    mark: mark.transpose()?,
                })
            }
            Some(("file", path)) if !path.is_empty() => Ok(AudioSpec::File(path.into())),
            Some(("alsa", device)) if !device.is_empty() => Ok(AudioSpec::Alsa(device.into())),
            _ => Err(bad(
                "it is test, test:tone=HZ,mark=N, file:PATH, alsa:DEVICE or none",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_spec_is_read_or_refused_with_what_it_could_be() {
        let video = |color, mark| Ok(VideoSpec::Test { color, mark });
        let audio = |tone_hz, mark| Ok(AudioSpec::Test { tone_hz, mark });
        assert_eq!("test".parse(), video(None, None));
        assert_eq!(
            "test:color=#e33,tone=500".parse(),
            video(Some(0xee3333), None)
        );
        assert_eq!(
            "test:color=#102030,tone=500".parse(),
            audio(Some(500), None)
        );
        assert_eq!(
            "test:tone=500,mark=7".parse(),
            video(None, Some(Mark::Number(7)))
        );
        assert_eq!("test:mark=own".parse(), audio(None, Some(Mark::Own)));
        assert_eq!(
            (Mark::Own.source(300), Mark::Number(7).source(300)),
            (44, 7)
        );
        assert_eq!(
            "file:/a:b.mp4".parse(),
            Ok(VideoSpec::File("/a:b.mp4".into()))
        );
        assert_eq!("alsa:hw:1,0".parse(), Ok(AudioSpec::Alsa("hw:1,0".into())));
        for bad in [
            "",
            "tests",
            "test:",
            "test:colour=#fff",
            "test:color=red",
            "test:mark=256",
            "file:",
            "v4l2:",
            "rtsp://x",
        ] {
            assert!(
                bad.parse::<VideoSpec>()
                    .unwrap_err()
                    .to_string()
                    .contains("no picture"),
                "{bad}"
            );
        }
        for bad in [
            "",
            "test:tone=0",
            "test:tone=20000",
            "test:tone=a",
            "test:mark=",
            "file:",
        ] {
            assert!(
                bad.parse::<AudioSpec>()
                    .unwrap_err()
                    .to_string()
                    .contains("no sound"),
                "{bad}"
            );
        }
    }

    #[test]
    fn nine_guests_differ_in_colour_and_tone() {
        for a in 1..=9 {
            for b in 1..a {
                assert_ne!(color(a), color(b));
                assert_ne!(tone_hz(a), tone_hz(b));
            }
        }
    }
}
