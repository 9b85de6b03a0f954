//! `daisd`: runs the box in the foreground, as the systemd unit does.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use daisd::config::Config;
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

#[derive(Parser)]
#[command(version, about = "The firmware of a Dais box")]
struct Arguments {
    /// The settings; see dais.example.toml.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only says what is wrong with the settings, key and line.
    #[arg(long)]
    check: bool,
    /// Says on standard output where the box is, in one line of JSON, once the programme moves.
    #[arg(long)]
    announce: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Says what this machine can capture, encode and mix, measured; with --config, as that box is set.
    Doctor {
        #[arg(long)]
        json: bool,
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(Command::Doctor { json, config }) = arguments.command {
        let config = config.or(arguments.config);
        return daisd::doctor::run(config.as_deref(), json);
    }
    let Some(path) = arguments.config else {
        eprintln!("Name the settings with --config FILE.");
        return ExitCode::from(2);
    };
    let config = match Config::load(&path) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    if arguments.check {
        println!("{}: all is well.", path.display());
        return ExitCode::SUCCESS;
    }
    let filter = EnvFilter::try_from_env("DAIS_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("The box cannot start its threads: {error}.");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async {
        let (stop_out, stop) = watch::channel(false);
        tokio::spawn(async move {
            wait_for_signal().await;
            let _ = stop_out.send(true);
        });
        daisd::start::run(config, arguments.announce, stop).await
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the box stopped");
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
