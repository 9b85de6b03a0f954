//! The mixer of a sound card: the gain and the switch that a microphone has in the card itself.
//!
//! Many cards come up muted, and a switch is off when somebody played with it: the box switches on the control that its microphone
//! goes through, each time it opens the card. The gain stays as it is found unless `[capture] audio_gain_db` says one.

use alsa::mixer::{MilliBel, Mixer, Selem, SelemChannelId};
use alsa::{Round, mixer};
use serde::Serialize;

use super::pcm::said;

/// What drivers call the control that all captured sound goes through, or else that of the microphone.
const NAMES: [&str; 7] = [
    "Capture", "Mic", "Headset", "Digital", "ADC", "PGA", "Input",
];

/// One control of a card that captured sound goes through.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Control {
    pub name: String,
    /// Absent where the driver knows no decibels.
    pub gain_db: Option<f32>,
    pub range_db: Option<[f32; 2]>,
    /// Absent where it can't be switched.
    pub muted: Option<bool>,
}

/// Those of a card, the one that the box uses first.
pub(crate) fn controls(card: i32) -> Result<Vec<Control>, String> {
    let mixer = open(card)?;
    Ok(captures(&mixer).iter().map(describe).collect())
}

/// Switches a card's control on, and sets its gain if one is wanted. `None`: the card has no such controls.
pub(crate) fn prepare(
    card: i32,
    name: Option<&str>,
    gain_db: Option<f32>,
) -> Result<Option<Control>, String> {
    let mixer = open(card)?;
    let all = captures(&mixer);
    let Some(used) = choose(&all, name)? else {
        return match gain_db {
            Some(_) => Err("its gain can't be set: it has no control for that".into()),
            None => Ok(None),
        };
    };
    let failed = |error: alsa::Error| format!("{}: {}", called(used), said(&error));
    if used.has_capture_switch() {
        used.set_capture_switch_all(1).map_err(failed)?;
    }
    if let Some(wanted) = gain_db {
        let Some([least, most]) = range(used) else {
            return Err(format!(
                "{}: its driver knows no decibels: set it by alsamixer",
                called(used)
            ));
        };
        let gain = MilliBel::from_db(wanted.clamp(least, most));
        used.set_capture_db_all(gain, Round::Floor)
            .map_err(failed)?;
        if !(least..=most).contains(&wanted) {
            tracing::warn!(
                control = called(used),
                wanted,
                least,
                most,
                "the card has not the gain of [capture] audio_gain_db: the nearest is set"
            );
        }
    }
    Ok(Some(describe(used)))
}

fn open(card: i32) -> Result<Mixer, String> {
    Mixer::new(&format!("hw:{card}"), false).map_err(|error| said(&error))
}

fn called(control: &Selem<'_>) -> String {
    control
        .get_id()
        .get_name()
        .unwrap_or_default()
        .chars()
        .take(64)
        .collect()
}

/// What captured sound goes through, the likeliest first.
fn captures(mixer: &Mixer) -> Vec<Selem<'_>> {
    let mut all: Vec<Selem<'_>> = mixer
        .iter()
        .filter_map(mixer::Selem::new)
        .filter(|control| control.has_capture_volume() || control.has_capture_switch())
        .collect();
    let place = |control: &Selem<'_>| {
        let name = called(control);
        let known = NAMES.iter().position(|known| *known == name);
        (known.unwrap_or(NAMES.len()), !control.has_capture_volume())
    };
    all.sort_by_key(place);
    all
}

fn choose<'a, 'm>(
    all: &'a [Selem<'m>],
    name: Option<&str>,
) -> Result<Option<&'a Selem<'m>>, String> {
    let Some(name) = name else {
        return Ok(all.first());
    };
    let found = all.iter().find(|control| called(control) == name);
    found.map(Some).ok_or_else(|| {
        let there: Vec<String> = all.iter().map(called).collect();
        match there.is_empty() {
            true => format!("it has no control \"{name}\", and no other for capture"),
            false => format!("it has no control \"{name}\", but {}", there.join(", ")),
        }
    })
}

fn range(control: &Selem<'_>) -> Option<[f32; 2]> {
    if !control.has_capture_volume() {
        return None;
    }
    let (least, most) = control.get_capture_db_range();
    // What a driver without a scale says.
    (least.0 < most.0).then(|| [least.to_db(), most.to_db()])
}

fn describe(control: &Selem<'_>) -> Control {
    let channel = SelemChannelId::mono();
    let range_db = range(control);
    Control {
        name: called(control),
        gain_db: range_db.and_then(|_| Some(control.get_capture_vol_db(channel).ok()?.to_db())),
        range_db,
        muted: control
            .has_capture_switch()
            .then(|| control.get_capture_switch(channel) == Ok(0)),
    }
}
