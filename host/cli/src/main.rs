//! `dais`: a box on this PC, real guests without a browser, a console in a terminal.

use std::{
    io::{IsTerminal, stderr},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use dais_cli::{analyse, daisd, dev, doctor, guest, host};
use tracing_subscriber::EnvFilter;

/// Without rumqttc's warning for each refused subscription: to ask for a box's id is to try a few (see `discover`).
const QUIET: &str = "warn,rumqttc=error";

#[derive(Parser)]
#[command(
    name = "dais",
    version,
    about = "A Dais box on this PC, guests without a browser, and a console in a terminal"
)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Dev(dev::DevArgs),
    Guest(guest::GuestArgs),
    Host(host::HostArgs),
    Analyse(analyse::AnalyseArgs),
    /// Says what this machine can capture, encode and mix, measured, and what to install for the rest
    Doctor(doctor::DoctorArgs),
    /// Becomes PROGRAM, tied to the life of PARENT
    #[command(name = daisd::TIED, hide = true)]
    RunTied {
        parent: u32,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        program: Vec<String>,
    },
}

/// The main thread awaits the command itself, so that what it starts is tied to the life of the process (see [`daisd::Daisd`]).
#[tokio::main]
async fn main() -> ExitCode {
    let line = Line::parse();
    let filter = match &line.command {
        // A line of the log would be written over the console.
        Command::Host(args) if args.takes_the_terminal() && stderr().is_terminal() => {
            EnvFilter::new("off")
        }
        _ => EnvFilter::try_from_env("DAIS_LOG").unwrap_or_else(|_| EnvFilter::new(QUIET)),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(stderr().is_terminal())
        .with_writer(stderr)
        .init();
    let outcome = match line.command {
        Command::Dev(args) => dev::run(args).await.map_err(|error| error.to_string()),
        Command::Guest(args) => guest::run(args).await.map_err(|error| error.to_string()),
        Command::Host(args) => host::run(args).await.map_err(|error| error.to_string()),
        Command::Analyse(args) => match analyse::run(args).await {
            Ok(code) => return code,
            Err(error) => Err(error.to_string()),
        },
        Command::Doctor(args) => match doctor::run(args).await {
            Ok(code) => return code,
            Err(error) => Err(error.to_string()),
        },
        Command::RunTied { parent, program } => Err(daisd::run_tied(parent, &program).to_string()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dais: {error}");
            ExitCode::FAILURE
        }
    }
}
