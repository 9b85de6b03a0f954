//! What can go wrong in the studio, and whose it is.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum StudioError {
    /// The user's: a setting that can't be.
    #[error("the setting {key} can't be used: {what}")]
    Config { key: &'static str, what: String },
    /// The machine's: a GStreamer element is not installed.
    #[error(
        "the GStreamer element {element} is missing on this machine: install the package {package}"
    )]
    MissingElement {
        element: String,
        package: &'static str,
    },
    /// The machine's: nothing that was tried encodes.
    #[error(
        "no {codec} encoder of this machine produced a frame (tried {tried}): install gstreamer1.0-plugins-ugly"
    )]
    NoEncoder { codec: &'static str, tried: String },
    #[error("GStreamer could not be started: {0}")]
    Gstreamer(#[from] gst::glib::Error),
    #[error("the {which} pipeline could not be built: {what}")]
    Pipeline { which: String, what: String },
    /// Nothing is broken, but it can't be served now.
    #[error("{why}")]
    Unavailable { why: String },
    #[error("the session {session} exists already")]
    SessionExists { session: String },
    #[error("the output {output_id} is running already: stop it first")]
    OutputExists { output_id: String },
    /// The user's: the address of an output.
    #[error("the output's address can't be used: {what}")]
    BadUrl { what: String },
    /// The user's: the key of an output.
    #[error("the output's key can't be used: {what}")]
    BadKey { what: String },
    #[error("a recording is running already, to {path}: stop it first")]
    Recording { path: PathBuf },
    #[error("the recording {path} could not be created: {source}")]
    CreateFile {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("a thread could not be started: {0}")]
    Thread(std::io::Error),
}

impl StudioError {
    pub(crate) fn pipeline(which: impl Into<String>, what: impl std::fmt::Display) -> StudioError {
        StudioError::Pipeline {
            which: which.into(),
            what: what.to_string(),
        }
    }
}

/// Why an answer or a candidate of a session could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The other side's: `bad_media` of the contract.
    #[error("{what}")]
    Bad { what: String },
    #[error("there is no session {session}")]
    NoSuchSession { session: String },
    /// Ours or the machine's: `unavailable` of the contract.
    #[error("{why}")]
    Unavailable { why: String },
}
