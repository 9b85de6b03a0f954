//! Where log lines go: to journald with their fields (`journalctl DAIS_SESSION=…`) where systemd started the box, else to
//! standard error as text. The flight recorder keeps them in either case, from `info` on.

use std::os::unix::fs::MetadataExt;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::flight::{Flight, FlightLayer};

/// Before a field's name, so that none of ours is taken for one of journald's own.
const PREFIX: &str = "DAIS";

/// To be called once. `DAIS_LOG` says how much, as `tracing-subscriber` reads it; `info` if left out.
pub fn start(flight: &Flight) {
    let filter = || EnvFilter::try_from_env("DAIS_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let journal = std::env::var("JOURNAL_STREAM")
        .ok()
        .filter(|stream| standard_error_is(stream))
        .and_then(|_| tracing_journald::layer().ok())
        .map(|layer| layer.with_field_prefix(Some(PREFIX.into())));
    let text = journal
        .is_none()
        .then(|| tracing_subscriber::fmt::layer().with_writer(std::io::stderr));
    tracing_subscriber::registry()
        .with(journal.map(|journal| journal.with_filter(filter())))
        .with(text.map(|text| text.with_filter(filter())))
        .with(FlightLayer(flight.clone()).with_filter(LevelFilter::INFO))
        .init();
}

/// Whether `JOURNAL_STREAM` (`device:inode`) speaks of this process: a child of a service, whose standard error goes to
/// a file, inherits the variable too.
fn standard_error_is(stream: &str) -> bool {
    let Ok(own) = std::fs::metadata("/proc/self/fd/2") else {
        return false;
    };
    stream == format!("{}:{}", own.dev(), own.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_stream_of_this_process_counts() {
        let own = std::fs::metadata("/proc/self/fd/2").map(|m| (m.dev(), m.ino()));
        let Ok((device, inode)) = own else { return };
        assert!(standard_error_is(&format!("{device}:{inode}")));
        assert!(!standard_error_is(&format!("{device}:{}", inode + 1)));
        assert!(!standard_error_is(""));
    }
}
