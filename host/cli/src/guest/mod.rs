//! `dais guest`: real guests without a browser. They join with an invite, ask to go on air, send a picture and a sound of
//! their own, and measure what comes back: above all, that they do not hear themselves.

mod event;
mod life;
mod peer;
mod profile;
mod returned;
mod source;
mod spec;
mod tones;

use std::time::Duration;

use tokio::sync::watch;

pub use event::{Event, Line};
pub use life::GuestError;
pub use peer::{Peer, PeerError, PeerEvent, PeerSetup};
pub use profile::{Profile, Shape};
pub use returned::Returned;
pub use source::{Codec, Want};
pub use spec::{AudioSpec, Mark, SpecError, VideoSpec};
pub use tones::Heard;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum CodecName {
    H264,
    Vp8,
}

/// One or more real guests without a browser.
#[derive(Clone, Debug, clap::Args)]
pub struct GuestArgs {
    /// The invite link, http(s)://…/join?invite=…
    #[arg(long, value_name = "URL")]
    pub join: String,
    /// How many guests; each with a colour and a tone of its own (guest N: 300 + 100 N Hz)
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub count: u32,
    /// The number of the first guest, where several commands run at once
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub first: u32,
    /// What they show: test, test:color=#rrggbb,mark=N, file:PATH, v4l2:DEVICE; mark=own is each guest's number, for dais analyse
    #[arg(long, value_name = "SPEC", default_value = "test")]
    pub video: VideoSpec,
    /// What they say: test, test:tone=HZ,mark=N, file:PATH, alsa:DEVICE, none
    #[arg(long, value_name = "SPEC", default_value = "test")]
    pub audio: AudioSpec,
    /// Leave after so many seconds; until interrupted if left out
    #[arg(long = "for", value_name = "SECONDS")]
    pub seconds: Option<f64>,
    /// One JSON object a line, for programs
    #[arg(long)]
    pub json: bool,
    /// Their name; a number is added if there are several
    #[arg(long, default_value = "Guest")]
    pub name: String,
    /// The codec of the picture, both ways
    #[arg(long, value_enum, default_value = "h264")]
    pub codec: CodecName,
    /// Send as if through such a network: slower, later, and with losses
    #[arg(long, value_enum)]
    pub profile: Option<Profile>,
    /// Come without a picture
    #[arg(long)]
    pub no_camera: bool,
    /// Send silence
    #[arg(long)]
    pub muted: bool,
    /// Leave the request open for so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=300))]
    pub timeout: u32,
    /// Certificates in PEM to trust, instead of the system's
    #[arg(long, value_name = "FILE")]
    pub ca: Option<std::path::PathBuf>,
}

/// Runs until all guests are gone: on their own, by `--for`, or at SIGINT and SIGTERM. The first error of any guest is returned.
pub async fn run(args: GuestArgs) -> Result<(), GuestError> {
    let (end, ended) = watch::channel(false);
    let lines = event::Lines::new(args.json);
    let guests: Vec<_> = (0..args.count)
        .map(|index| {
            tokio::spawn(life::live(
                args.clone(),
                args.first + index,
                lines.clone(),
                ended.clone(),
            ))
        })
        .collect();
    let mut all = tokio::spawn(async move {
        let mut outcome = Ok(());
        for guest in guests {
            let one = guest
                .await
                .unwrap_or_else(|error| Err(GuestError::Broken(error.to_string())));
            outcome = outcome.and(one);
        }
        outcome
    });
    tokio::select! {
        outcome = &mut all => return finished(outcome),
        () = time_is_up(args.seconds) => {}
        () = interrupted() => {}
    }
    end.send_replace(true);
    finished(all.await)
}

fn finished(
    outcome: Result<Result<(), GuestError>, tokio::task::JoinError>,
) -> Result<(), GuestError> {
    outcome.unwrap_or_else(|error| Err(GuestError::Broken(error.to_string())))
}

async fn time_is_up(seconds: Option<f64>) {
    match seconds.and_then(|s| Duration::try_from_secs_f64(s).ok()) {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
