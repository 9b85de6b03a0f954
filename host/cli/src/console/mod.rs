//! `dais host` without a command: the show in a terminal, run by keys.
//!
//! [`state`] knows what the box told and where the cursor stands, [`keys`] says what a key asks for, [`draw`] paints it: all
//! three without I/O and without a clock. Here is what connects them to a terminal and a box.

pub mod draw;
pub mod keys;
pub mod state;
pub mod terminal;

use std::time::{Duration, Instant};

use dais_protocol::{Call, Id, TalkbackSet};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use crate::client::{Client, Heard};
use crate::host::{HostError, STILL_TALKING};
use keys::Deed;
use state::State;

/// Meters come ten times a second, and what runs out is counted down by itself.
const FRAME: Duration = Duration::from_millis(100);

/// Until the person leaves, the terminal closes, a signal comes, or the box no longer takes this console.
pub async fn run(
    client: &Client,
    own: &Id,
    heard: &mut mpsc::Receiver<Heard>,
) -> Result<(), HostError> {
    let mut signals = [
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
        signal(SignalKind::hangup())?,
    ];
    let [interrupt, terminate, hangup] = &mut signals;
    let mut screen = terminal::open()?;
    let mut pressed = terminal::keys()?;
    let started = Instant::now();
    let now = || u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let mut state = State::of(own.clone());
    let (answered, mut answers) = mpsc::unbounded_channel();
    let mut tick = interval(FRAME);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut still = interval(STILL_TALKING);
    loop {
        tokio::select! {
            message = heard.recv() => match message {
                Some(Heard::Refused { why }) => return Err(HostError::Unpaired(why)),
                // Painted with the next tick: ten meters a second are no reason to keep a slow terminal busy.
                Some(message) => {
                    state.hear(message, now());
                    continue;
                }
                None => return Ok(()),
            },
            key = pressed.recv() => {
                let Some(key) = key else { return Ok(()) };
                match state.press(key, now()) {
                    Some(Deed::Leave) => return Ok(()),
                    Some(Deed::Call { call, done }) => {
                        let (client, answered) = (client.clone(), answered.clone());
                        tokio::spawn(async move {
                            let method = call.method();
                            let answer = client.call(call).await;
                            let said = match answer {
                                Ok(result) => Ok(keys::said(method, &result, done)),
                                Err(error) => Err(error.to_string()),
                            };
                            // The console was left meanwhile.
                            let _ = answered.send(said);
                        });
                    }
                    None => {}
                }
            },
            Some(answer) = answers.recv() => state.say(answer, now()),
            _ = tick.tick() => {}
            _ = still.tick() => if let Some(user) = state.talks_to() {
                let (client, user_id) = (client.clone(), Some(user.clone()));
                // Should it not arrive, the box ends the talkback and tells so.
                tokio::spawn(async move { client.call(Call::TalkbackSet(TalkbackSet { user_id })).await });
            },
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            _ = hangup.recv() => return Ok(()),
        }
        screen.draw(|frame| draw::draw(frame, &state, now()))?;
    }
}
