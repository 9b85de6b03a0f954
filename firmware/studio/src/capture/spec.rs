//! What the settings say of capture, parsed.

use std::path::PathBuf;

use super::Device;
use super::signal::Signal;
use crate::error::StudioError;

/// Where the host's picture comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VideoSpec {
    Test,
    /// The likeliest camera that is there.
    Auto,
    V4l2(Device),
    File(PathBuf),
}

/// Where the host's sound comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AudioSpec {
    Test,
    /// The camera's own sound card, else the likeliest that is there.
    Auto,
    Alsa(Device),
    File(PathBuf),
    None,
}

impl VideoSpec {
    pub fn parse(spec: &str) -> Result<VideoSpec, StudioError> {
        let known = match spec.split_once(':') {
            None if spec == "test" => Some(VideoSpec::Test),
            None if spec == "auto" => Some(VideoSpec::Auto),
            Some(("v4l2", device)) => Device::camera(device).map(VideoSpec::V4l2),
            Some(("file", path)) if !path.is_empty() => Some(VideoSpec::File(path.into())),
            _ => None,
        };
        known.ok_or_else(|| StudioError::Config {
            key: "capture.video",
            what: format!(
                "\"{spec}\" is none of \"auto\", \"test\", \"v4l2:DEVICE\", \"file:PATH\""
            ),
        })
    }
}

impl AudioSpec {
    pub fn parse(spec: &str) -> Result<AudioSpec, StudioError> {
        let known = match spec.split_once(':') {
            None if spec == "test" => Some(AudioSpec::Test),
            None if spec == "auto" => Some(AudioSpec::Auto),
            None if spec == "none" => Some(AudioSpec::None),
            Some(("alsa", device)) => Device::sound(device).map(AudioSpec::Alsa),
            Some(("file", path)) if !path.is_empty() => Some(AudioSpec::File(path.into())),
            _ => None,
        };
        known.ok_or_else(|| StudioError::Config {
            key: "capture.audio",
            what: format!(
                "\"{spec}\" is none of \"auto\", \"test\", \"alsa:DEVICE\", \"file:PATH\", \"none\""
            ),
        })
    }
}

const NO_SOUND: &str = "the host's microphone gives no sound";

/// What one capture pipeline makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Picture(VideoSpec),
    Sound(AudioSpec),
    /// Both from one file, so that they stay together.
    Both(PathBuf),
}

impl What {
    pub fn noun(&self) -> &'static str {
        match self {
            What::Sound(_) => "the host's sound",
            What::Picture(_) | What::Both(_) => "the host's picture",
        }
    }

    pub fn trouble(&self) -> (&'static str, String) {
        match self {
            What::Picture(VideoSpec::V4l2(device)) => (
                Signal::NoCamera.trouble(),
                format!("Check the camera and its cable: {device}. It is tried again."),
            ),
            What::Picture(VideoSpec::Auto) => (
                Signal::NoCamera.trouble(),
                "Plug in a camera or a capture card, and check its cable. It is tried again."
                    .into(),
            ),
            What::Sound(AudioSpec::Auto) => (
                NO_SOUND,
                "Plug in a microphone, or say audio = \"none\" in [capture]. It is tried again."
                    .into(),
            ),
            What::Sound(AudioSpec::Alsa(device)) => (
                NO_SOUND,
                format!("Check the microphone and its cable: {device}. It is tried again."),
            ),
            What::Picture(VideoSpec::File(path))
            | What::Sound(AudioSpec::File(path))
            | What::Both(path) => (
                "the host's file can't be played",
                format!("Check the file {}. It is tried again.", path.display()),
            ),
            What::Picture(VideoSpec::Test) | What::Sound(AudioSpec::Test | AudioSpec::None) => (
                "the test source stands still",
                "This machine may be overloaded. It is tried again.".into(),
            ),
        }
    }

    pub fn is_camera(&self) -> bool {
        matches!(self, What::Picture(VideoSpec::V4l2(_) | VideoSpec::Auto))
    }

    /// The device of it is the box's own choice.
    pub fn is_auto(&self) -> bool {
        matches!(
            self,
            What::Picture(VideoSpec::Auto) | What::Sound(AudioSpec::Auto)
        )
    }

    pub fn is_file(&self) -> bool {
        matches!(
            self,
            What::Both(_) | What::Picture(VideoSpec::File(_)) | What::Sound(AudioSpec::File(_))
        )
    }
}
