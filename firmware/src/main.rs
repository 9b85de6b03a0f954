//! `daisd`: runs the box in the foreground, as the systemd unit does.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use daisd::config::{Config, Settings};
use daisd::flight::{Fault, Flight};
use tokio::sync::watch;

/// What still runs when everything else has ended: a file of the flight recorder, a studio that is just starting.
const ENDING: Duration = Duration::from_secs(5);

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
    if arguments.check {
        return match Config::load_with_files(&path) {
            Ok(_) => {
                println!("{}: all is well.", path.display());
                ExitCode::SUCCESS
            }
            Err(error) => fail(&error),
        };
    }
    let settings = match Settings::load(&path) {
        Ok(settings) => settings,
        Err(error) => return fail(&error),
    };
    let flight = Flight::default();
    daisd::log::start(&flight);
    flight.on_panic();
    if let Some(mistake) = &settings.mistake {
        tracing::error!("{}", mistake.what);
    }
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
        tokio::spawn(write_when_asked(flight.clone()));
        daisd::start::run(settings, arguments.announce, flight, stop).await
    });
    // A device that hangs in its start must not keep the box from stopping.
    runtime.shutdown_timeout(ENDING);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the box stopped");
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn fail(error: &impl std::fmt::Display) -> ExitCode {
    eprintln!("{error}");
    ExitCode::FAILURE
}

/// SIGUSR1: the flight recorder as it is now.
async fn write_when_asked(flight: Flight) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut asked) = signal(SignalKind::user_defined1()) else {
        return;
    };
    while asked.recv().await.is_some() {
        flight.write_soon(Fault::Asked, "asked by SIGUSR1");
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
