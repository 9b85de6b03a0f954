//! `dais analyse`: what is in a recording, measured: gaps, stills, silence, and by the marks of `daisstamp` and `daistonestamp` lost,
//! repeated and late frames, each source's latency, and the offset between its picture and its sound.

mod decode;
mod marks;
mod picture;
mod report;
mod sound;
mod spans;
mod times;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub use marks::{AvOffset, Source};
pub use picture::Stills;
pub use report::{Report, Stream};
pub use sound::Levels;
pub use spans::{Percentiles, Span, Spans};
pub use times::Times;

/// What is in a recording: gaps, stills, silence, levels; with marks lost and late frames, latency, A/V offset
#[derive(Clone, Debug, clap::Args)]
pub struct AnalyseArgs {
    /// The recording: Matroska, MP4, FLV, MPEG-TS, whatever GStreamer decodes here
    pub file: PathBuf,
    /// One JSON object, for programs
    #[arg(long)]
    pub json: bool,
    /// The mark of the programme itself (its host's): the others' age is measured by it
    #[arg(long, value_name = "SOURCE", default_value_t = 0)]
    pub reference: u8,
}

#[derive(Debug, thiserror::Error)]
pub enum AnalyseError {
    #[error("{} can't be read: {what}", file.display())]
    Unreadable { file: PathBuf, what: String },
    #[error("GStreamer is not complete on this machine: {0}")]
    GStreamer(String),
    #[error("the analysis broke off: {0}")]
    Broken(String),
}

/// Reads a whole file; takes as long as decoding it does.
pub fn analyse(file: &Path, reference: u8) -> Result<Report, AnalyseError> {
    gst::init().map_err(|error| AnalyseError::GStreamer(error.to_string()))?;
    let decoded = decode::decode(file)?;
    Ok(Report::new(file.display().to_string(), decoded, reference))
}

/// Prints the report. Failure if only a part of the file could be read.
pub async fn run(args: AnalyseArgs) -> Result<ExitCode, AnalyseError> {
    let AnalyseArgs {
        file,
        json,
        reference,
    } = args;
    let report = tokio::task::spawn_blocking(move || analyse(&file, reference))
        .await
        .map_err(|error| AnalyseError::Broken(error.to_string()))??;
    if json {
        let line = serde_json::to_string(&report)
            .map_err(|error| AnalyseError::Broken(error.to_string()))?;
        println!("{line}");
    } else {
        print!("{report}");
    }
    for problem in &report.problems {
        eprintln!("dais: {} is read only in part: {problem}", report.file);
    }
    Ok(if report.problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
