//! What a key asks for.

use dais_protocol::{
    Call, Empty, GainDb, HostSet, Id, InviteCreate, Layout, LayoutSet, MicDisconnect, MicMove,
    MicRespond, MicSet, OfUser, OutputState, OutputStop, RoomSet, Seat, SeatLock, TalkbackSet,
};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::Value;

use super::state::{Item, Prompt, State};

/// What has to be done.
#[derive(Debug, PartialEq)]
pub enum Deed {
    Leave,
    /// `done` is said when the box has done it.
    Call {
        call: Call,
        done: String,
    },
}

fn call(call: Call, done: impl Into<String>) -> Option<Deed> {
    Some(Deed::Call {
        call,
        done: done.into(),
    })
}

/// What is said of a call that was answered: some answers hold more than that it was done.
pub fn said(method: &str, result: &Value, done: String) -> String {
    match (method, result["url"].as_str(), result["file"].as_str()) {
        ("invite.create", Some(url), _) => format!("{done} {url}"),
        ("record.start", _, Some(file)) => format!("{done} {file}"),
        _ => done,
    }
}

impl State {
    pub fn press(&mut self, key: KeyEvent, now: u64) -> Option<Deed> {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return matches!(key.code, KeyCode::Char('c' | 'd')).then_some(Deed::Leave);
        }
        self.settle(now);
        if let Some(prompt) = self.prompt.take() {
            return self.answer(prompt, key.code);
        }
        match key.code {
            KeyCode::Char('q') => return Some(Deed::Leave),
            KeyCode::Up | KeyCode::Char('k') => self.step(-1),
            KeyCode::Down | KeyCode::Char('j') => self.step(1),
            KeyCode::Char('v') => self.prompt = Some(Prompt::Layout),
            KeyCode::Char('i') => {
                return call(
                    Call::InviteCreate(InviteCreate {
                        uses: None,
                        ttl_s: None,
                    }),
                    "Invite:",
                );
            }
            KeyCode::Char('o') => return self.open_or_close(),
            KeyCode::Char('r') => return self.record(),
            code => match self.cursor.clone()? {
                Item::Request(user) => {
                    let name = self.request(&user)?.name.to_string();
                    if code == KeyCode::Char('t') {
                        return self.talk(user, &name);
                    }
                    let (accept, done) = match code {
                        KeyCode::Enter | KeyCode::Char('a') => {
                            (true, format!("{name} was accepted."))
                        }
                        KeyCode::Char('x') => (false, format!("{name} was declined.")),
                        _ => return None,
                    };
                    let respond = MicRespond {
                        user_id: user,
                        accept,
                        seat: None,
                        message: None,
                    };
                    return call(Call::MicRespond(respond), done);
                }
                Item::Seat(0) => return self.on_host(code),
                Item::Seat(seat) => return self.on_seat(seat, code),
                Item::Recording => {}
                Item::Output(output_id) if code == KeyCode::Char('x') => {
                    let outputs = &self.outputs.as_ref()?.outputs;
                    let name = &outputs.iter().find(|o| o.output_id == output_id)?.name;
                    self.prompt = Some(Prompt::Sure {
                        question: format!("Stop sending to {name}?"),
                        done: format!("{name} was stopped."),
                        call: Call::OutputStop(OutputStop { output_id }),
                    });
                }
                Item::Output(_) => {}
            },
        }
        None
    }

    fn answer(&mut self, prompt: Prompt, code: KeyCode) -> Option<Deed> {
        let digit = match code {
            KeyCode::Char(c) => c.to_digit(10),
            _ => None,
        };
        match prompt {
            Prompt::Sure { call, done, .. } if code == KeyCode::Char('y') => {
                Some(Deed::Call { call, done })
            }
            Prompt::Sure { .. } => None,
            Prompt::Layout => {
                let layout = *Layout::ALL.get(digit?.checked_sub(1)? as usize)?;
                call(
                    Call::LayoutSet(LayoutSet { layout }),
                    format!("Layout {}.", name_of(layout)),
                )
            }
            Prompt::Move { user, name } => {
                let seat = Seat::try_from(f64::from(digit?)).ok()?;
                let done = format!("{name} sits on seat {} now.", seat.get());
                call(
                    Call::MicMove(MicMove {
                        user_id: user,
                        seat,
                    }),
                    done,
                )
            }
        }
    }

    fn open_or_close(&self) -> Option<Deed> {
        let accepting = !self.room.as_ref()?.accepting;
        let done = if accepting {
            "Requests are open."
        } else {
            "Requests are closed."
        };
        let set = RoomSet {
            title: None,
            accepting: Some(accepting),
            max_guests: None,
        };
        call(Call::RoomSet(set), done)
    }

    fn record(&mut self) -> Option<Deed> {
        let state = self.outputs.as_ref()?.record.state;
        if matches!(state, OutputState::Stopped | OutputState::Failed) {
            return call(Call::RecordStart(Empty {}), "Recording into");
        }
        self.prompt = Some(Prompt::Sure {
            question: "Stop recording?".into(),
            call: Call::RecordStop(Empty {}),
            done: "The recording was stopped.".into(),
        });
        None
    }

    fn on_host(&self, code: KeyCode) -> Option<Deed> {
        let host = &self.room.as_ref()?.host;
        let mut set = HostSet {
            audio_muted: None,
            video_muted: None,
            name: None,
        };
        let done = match code {
            KeyCode::Char('m') => {
                set.audio_muted = Some(!host.muted);
                if host.muted {
                    "You are heard again."
                } else {
                    "You are muted."
                }
            }
            KeyCode::Char('c') => {
                set.video_muted = Some(host.camera);
                if host.camera {
                    "Your camera is off."
                } else {
                    "Your camera is on."
                }
            }
            _ => return None,
        };
        call(Call::HostSet(set), done)
    }

    fn on_seat(&mut self, seat: u8, code: KeyCode) -> Option<Deed> {
        if code == KeyCode::Char('l') {
            let locked = !self.is_locked(seat);
            let done = format!(
                "Seat {seat} is {}.",
                if locked { "kept free" } else { "given free" }
            );
            let seat = Seat::try_from(f64::from(seat)).ok()?;
            return call(Call::SeatLock(SeatLock { seat, locked }), done);
        }
        let guest = self.guest_on(seat)?.clone();
        let (user_id, name) = (guest.user_id, guest.name);
        let mut set = MicSet {
            user_id: user_id.clone(),
            audio_muted: None,
            video_muted: None,
            gain_db: None,
        };
        let done = match code {
            KeyCode::Char('m') => {
                set.audio_muted = Some(!guest.muted_by_host);
                let now = if guest.muted_by_host {
                    "may be heard again"
                } else {
                    "is muted"
                };
                format!("{name} {now}.")
            }
            KeyCode::Char('c') => {
                set.video_muted = Some(!guest.hidden_by_host);
                let now = if guest.hidden_by_host {
                    "may be seen again"
                } else {
                    "is not seen"
                };
                format!("{name} {now}.")
            }
            KeyCode::Char(sign @ ('+' | '=' | '-')) => {
                let step = if sign == '-' { -1.0 } else { 1.0 };
                let db = (guest.gain_db.get() + step).clamp(GainDb::MIN, GainDb::MAX);
                set.gain_db = Some(GainDb::try_from(f64::from(db)).ok()?);
                format!("{name}: {db:+} dB.")
            }
            KeyCode::Char('t') => return self.talk(user_id, &name),
            KeyCode::Char('g') => {
                self.prompt = Some(Prompt::Move {
                    user: user_id,
                    name: name.to_string(),
                });
                return None;
            }
            KeyCode::Char('x') => {
                self.prompt = Some(Prompt::Sure {
                    question: format!("Disconnect {name}?"),
                    done: format!("{name} was disconnected."),
                    call: Call::MicDisconnect(MicDisconnect {
                        user_id,
                        message: None,
                    }),
                });
                return None;
            }
            KeyCode::Char('b') => {
                self.prompt = Some(Prompt::Sure {
                    question: format!("Ban {name} for the rest of the show?"),
                    done: format!("{name} was banned."),
                    call: Call::GuestBan(OfUser { user_id }),
                });
                return None;
            }
            _ => return None,
        };
        call(Call::MicSet(set), done)
    }

    /// Begins to speak to a guest off air, or ends it.
    fn talk(&self, user: Id, name: &str) -> Option<Deed> {
        let (user_id, done) = if self.talks_to() == Some(&user) {
            (None, "You are heard on air again.".to_owned())
        } else {
            (Some(user), format!("Only {name} hears you."))
        };
        call(Call::TalkbackSet(TalkbackSet { user_id }), done)
    }

    /// What can be pressed now.
    pub fn help(&self) -> &'static str {
        match (&self.prompt, &self.cursor) {
            (Some(Prompt::Sure { .. }), _) => "y yes · any other key: no",
            (Some(_), _) => "any other key: leave it as it is",
            (None, Some(Item::Request(_))) => "a accept · x decline · t talk off air",
            (None, Some(Item::Seat(0))) => "m mute · c camera",
            (None, Some(Item::Seat(seat))) if self.guest_on(*seat).is_some() => {
                "m mute · c camera · + - gain · g move · t talk off air · x disconnect · b ban · l lock"
            }
            (None, Some(Item::Seat(_))) => "l lock or unlock",
            (None, Some(Item::Output(_))) => "x stop sending",
            (None, Some(Item::Recording) | None) => "",
        }
    }
}

pub fn name_of(layout: Layout) -> &'static str {
    match layout {
        Layout::Auto => "auto",
        Layout::Solo => "solo",
        Layout::SideBySide => "side-by-side",
        Layout::Grid => "grid",
        Layout::Spotlight => "spotlight",
        Layout::Pip => "pip",
    }
}
