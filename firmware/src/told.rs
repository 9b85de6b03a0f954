//! What the box says of itself while it runs: to systemd (ready, and a status for people), and on standard output where it
//! is and how to pair with it.
//!
//! It is ready when its programme moves. A box whose media part does not start is ready too, in recovery: it serves those
//! who can mend it, and would only be ended and started again if systemd waited for more.

use std::io::Write;
use std::time::Duration;

use dais_protocol::Id;
use sd_notify::NotifyState;
use serde_json::Value;
use tokio::sync::watch;

use crate::plane::Plane;
use crate::reach::Reach;

/// A programme that did not move by then is taken for one that will not, before systemd gives up waiting (90 s).
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the box is. The pairing code is for whoever stands at the box: on its standard output, never in its log.
pub struct Place {
    pub reach: Reach,
    pub mqtt: String,
    pub box_id: Id,
    pub pairing_code: String,
    /// Of the authority that phones must trust, if they must.
    pub fingerprint: Option<String>,
}

impl Place {
    /// For a program.
    fn line(&self) -> Value {
        serde_json::json!({
            "http": self.reach.programs(),
            "https": self.reach.https(),
            "mqtt": self.mqtt,
            "box": self.box_id,
            "pairing_code": self.pairing_code,
            "trust": self.trust(),
            "ca_sha256": self.fingerprint,
        })
    }

    /// With a certificate of the studio's own there is nothing to install.
    fn trust(&self) -> Option<String> {
        self.fingerprint.as_ref()?;
        self.reach.trust()
    }

    fn words(&self) -> String {
        let mut words = format!(
            "The companion is at {}, and pairs with the code {}.",
            self.reach.people(),
            self.pairing_code
        );
        if let (Some(trust), Some(fingerprint)) = (self.trust(), &self.fingerprint) {
            words += &format!(
                "\nA phone that was never here opens {trust} first. The certificate there must show the SHA-256 fingerprint\n{fingerprint}"
            );
        }
        words
    }
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
        let mut line = place.line();
        line["event"] = if moves { "ready" } else { "recovery" }.into();
        if !moves {
            line["why"] = status.into();
        }
        writeln!(out, "{line}")
    } else if moves {
        writeln!(out, "{}", place.words())
    } else {
        writeln!(out, "{status} {}", place.words())
    };
}
