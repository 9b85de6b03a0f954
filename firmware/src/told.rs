//! What the box says of itself while it runs: to systemd (ready, and a status for people), and on standard output where it
//! is and how to pair with it.
//!
//! It is ready when its programme moves. A box whose media part does not start is ready too, in recovery: it serves those
//! who can mend it, and would only be ended and started again if systemd waited for more.

use std::io::Write;
use std::time::Duration;

use sd_notify::NotifyState;
use serde_json::Value;
use tokio::sync::watch;

use crate::plane::Plane;

/// A programme that did not move by then is taken for one that will not, before systemd gives up waiting (90 s).
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the box is.
pub struct Place {
    /// For a program: the addresses and the pairing code.
    pub line: Value,
    pub for_people: String,
}

/// Tells of each change, until the box ends.
pub async fn tell(place: Place, announce: bool, mut moving: watch::Receiver<bool>, plane: Plane) {
    let mut changes = plane.changes();
    let patience = tokio::time::sleep(PATIENCE);
    tokio::pin!(patience);
    let (mut late, mut moved, mut printed, mut status) = (false, false, false, None);
    loop {
        let moves = *moving.borrow_and_update();
        let trouble = (!moves).then(|| plane.why_not());
        let now = match &trouble {
            None => Some("The programme is moving.".to_owned()),
            Some(Some(_)) if plane.is_starting() && !late => None,
            Some(Some(why)) => Some(format!("In recovery: {why} Pairing and settings work.")),
            Some(None) if late || moved => {
                Some("No programme frame leaves the encoder. Pairing and settings work.".into())
            }
            Some(None) => None,
        };
        // A line feed would begin another variable of the notification.
        let now = now.map(|text| text.replace('\n', " "));
        if let Some(text) = now.filter(|now| Some(now) != status.as_ref()) {
            // To say READY again does no harm.
            let _ = sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(&text)]);
            if (moves && !moved) || !printed {
                say(&place, announce, moves, &text);
                printed = true;
            }
            moved |= moves;
            status = Some(text);
        }
        tokio::select! {
            changed = moving.changed() => if changed.is_err() { return },
            () = changes.next() => {}
            () = &mut patience, if !late => late = true,
        }
    }
}

fn say(place: &Place, announce: bool, moves: bool, status: &str) {
    let mut out = std::io::stdout();
    // Whoever started this may have closed its end; the box runs on all the same.
    let _ = if announce {
        let mut line = place.line.clone();
        line["event"] = if moves { "ready" } else { "recovery" }.into();
        if !moves {
            line["why"] = status.into();
        }
        writeln!(out, "{line}")
    } else if moves {
        writeln!(out, "{}", place.for_people)
    } else {
        writeln!(out, "{status} {}", place.for_people)
    };
}
