//! `dais doctor`: what this machine can capture, encode and mix. The firmware measures it, with the code that later does it.

use std::process::ExitCode;

use crate::daisd::{self, DaisdError};

#[derive(Clone, Debug, clap::Args)]
pub struct DoctorArgs {
    /// One JSON object, for programs
    #[arg(long)]
    pub json: bool,
    /// The settings of a box: its programme and encoders are tried, and what it found at its own starts is shown
    #[arg(long, value_name = "FILE")]
    pub config: Option<std::path::PathBuf>,
}

/// Runs `daisd doctor`, whose output and exit code are this command's.
pub async fn run(args: DoctorArgs) -> Result<ExitCode, DaisdError> {
    let program = daisd::find()?;
    let mut command = tokio::process::Command::new(&program);
    command.arg("doctor").args(args.json.then_some("--json"));
    if let Some(config) = &args.config {
        command.arg("--config").arg(config);
    }
    let status = command.status().await;
    let status = status.map_err(|source| DaisdError::Start {
        program: program.display().to_string(),
        source,
    })?;
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from))
}
