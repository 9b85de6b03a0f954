//! The rungs that this machine has, the best first, and where an encoder's place stands on them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::rung::SOFTWARE;
use super::trial::gives_a_picture;
use super::{Key, Passport, Passports, Rung, Terms, VideoShape, try_out};
use crate::config::ProgrammeConfig;
use crate::error::StudioError;

/// The rungs as they are set, the software's below them, whether they exist or not.
pub(crate) fn rungs(config: &ProgrammeConfig) -> Vec<Rung> {
    let named = match config.encoder.as_str() {
        "auto" => config.encoders.clone(),
        one => vec![one.to_owned()],
    };
    let mut elements: Vec<String> = Vec::new();
    let software = SOFTWARE.map(String::from);
    for name in named.into_iter().chain(software) {
        let element = match name.as_str() {
            "x264" => "x264enc".into(),
            "openh264" => "openh264enc".into(),
            _ => name,
        };
        if !elements.contains(&element) {
            elements.push(element);
        }
    }
    elements
        .iter()
        .map(|element| Rung::new(element, &config.encoder_settings))
        .collect()
}

/// What was found at the start.
pub(crate) struct Found {
    /// From the rung that is used downwards: the way that a failure in service goes.
    pub rungs: Vec<Rung>,
    /// Those that have no passport yet and may be tried beside the programme.
    pub untried: Vec<Rung>,
    /// Better ones that were found wrong, and how.
    pub refused: Vec<(String, String)>,
}

/// Finds the best rung for this shape; see the parent module for what is tried when. `quick`: what will be used must
/// also give a picture now, if it may have none.
pub(crate) fn find(
    config: &ProgrammeConfig,
    shape: &VideoShape,
    passports: &Passports,
    quick: bool,
) -> Result<Found, StudioError> {
    let mut found = Found {
        rungs: Vec::new(),
        untried: Vec::new(),
        refused: Vec::new(),
    };
    let (mut refused, mut why_not) = (Vec::new(), Vec::new());
    for rung in rungs(config) {
        if !rung.exists() {
            if config.encoder == rung.element {
                tracing::warn!(
                    encoder = rung.element,
                    "[programme] encoder names this one, and it is not on this machine"
                );
                why_not.push(format!("{}: it is not installed", rung.element));
            }
            continue;
        }
        match judge(&rung, shape, passports, quick, found.rungs.is_empty()) {
            Judged::Good => found.rungs.push(rung),
            Judged::Unknown => {
                found.untried.push(rung.clone());
                found.rungs.push(rung);
            }
            Judged::NotNow => {}
            Judged::Refused(why) => {
                tracing::warn!(encoder = rung.element, why, "this encoder is not used");
                why_not.push(format!("{}: {why}", rung.element));
                if found.rungs.is_empty() {
                    found.refused.push((rung.element.clone(), why));
                }
                if rung.is_software() {
                    refused.push(rung);
                }
            }
        }
    }
    if found.rungs.is_empty() {
        // A poor picture is better than none.
        found.rungs = refused;
        found.rungs.retain(|r| gives_a_picture(r, shape).is_ok());
    }
    match found.rungs.first() {
        Some(best) => {
            tracing::info!(
                encoder = best.element,
                below = found.rungs.len() - 1,
                width = shape.width,
                height = shape.height,
                "this H.264 encoder works here"
            );
            Ok(found)
        }
        None => Err(StudioError::NoEncoder {
            codec: "H.264",
            tried: why_not.join("; "),
        }),
    }
}

impl Found {
    /// A board has its encoder for something: that another one works in its place is not as it should be. What is wrong with which
    /// of a line's encoders, and what it means.
    pub fn troubles(&self, line: &str) -> Vec<(String, String)> {
        let Some(best) = self.rungs.first().map(|rung| &rung.element) else {
            return Vec::new();
        };
        let trouble = |(element, why): &(String, String)| {
            let advice = match element == best {
                true => format!("{why}. It is used all the same, since no other works here."),
                false => format!(
                    "It is not used: {why}. {best} encodes the {line}. A newer driver or firmware may mend it; dais doctor shows what was measured."
                ),
            };
            (format!("the {line} encoder {element}"), advice)
        };
        self.refused.iter().map(trouble).collect()
    }
}

enum Judged {
    Good,
    /// It gives pictures; which, nobody knows yet.
    Unknown,
    /// Nothing is known of it, and it is not needed now.
    NotNow,
    Refused(String),
}

/// `first`: no better one was found, so that this one will be used.
fn judge(
    rung: &Rung,
    shape: &VideoShape,
    passports: &Passports,
    quick: bool,
    first: bool,
) -> Judged {
    let key = Key::of(rung, shape);
    let passport = passports.get(&key);
    if let Some(Err(why)) = passport.as_ref().map(Passport::verdict) {
        return Judged::Refused(why);
    }
    if passport.is_none() && !rung.is_software() {
        if !first {
            return Judged::NotNow;
        }
        tracing::info!(encoder = rung.element, "trying this encoder");
        let Some(tried) = try_out(rung, shape, &Terms::alone()) else {
            return Judged::Refused("its trial came to no end".into());
        };
        let passport = Passport::new(key, tried);
        let verdict = passport.verdict();
        passports.put(passport);
        return verdict.map_or_else(Judged::Refused, |()| Judged::Good);
    }
    // Software with a passport was here and right at an earlier start: nothing else can be wrong with it now.
    let proven = rung.is_software() && passport.is_some();
    if quick
        && first
        && !proven
        && let Err(why) = gives_a_picture(rung, shape)
    {
        return Judged::Refused(why);
    }
    match passport {
        Some(_) => Judged::Good,
        None => Judged::Unknown,
    }
}

/// Where one encoder's place stands. It only goes down: a rung that failed is not tried again before the box is restarted,
/// because outputs suffer more from one change a minute than from the software encoder.
pub(crate) struct Ladder {
    rungs: Vec<Rung>,
    pub shape: VideoShape,
    at: AtomicUsize,
    condemned: Mutex<Vec<(String, String)>>,
}

impl Ladder {
    /// `rungs` has at least one.
    pub fn new(rungs: Vec<Rung>, shape: VideoShape) -> Ladder {
        Ladder {
            rungs,
            shape,
            at: AtomicUsize::new(0),
            condemned: Mutex::default(),
        }
    }

    pub fn rung(&self) -> Option<&Rung> {
        self.rungs.get(self.at.load(Ordering::Relaxed))
    }

    /// The rungs that were left.
    pub fn left(&self) -> &[Rung] {
        let at = self.at.load(Ordering::Relaxed);
        self.rungs.get(..at).unwrap_or_default()
    }

    /// Down to the next rung, if there is one.
    pub fn step(&self) -> Option<&Rung> {
        let next = self.at.load(Ordering::Relaxed) + 1;
        let rung = self.rungs.get(next)?;
        self.at.store(next, Ordering::Relaxed);
        Some(rung)
    }

    /// A trial beside the programme found something wrong with it.
    pub fn condemn(&self, element: &str, why: &str) {
        self.condemned
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((element.into(), why.into()));
    }

    /// Why the rung in use is not to be used, if there is another.
    pub fn condemned(&self) -> Option<String> {
        let rung = self.rung()?;
        self.rungs.get(self.at.load(Ordering::Relaxed) + 1)?;
        let condemned = self
            .condemned
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let of = condemned.iter().find(|(name, _)| *name == rung.element);
        of.map(|(_, why)| why.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(config: &ProgrammeConfig) -> Vec<String> {
        rungs(config).into_iter().map(|r| r.element).collect()
    }

    #[test]
    fn software_stands_below_whatever_a_board_says() {
        let mut config = ProgrammeConfig::default();
        let all = elements(&config);
        assert_eq!(all[all.len() - 2..], ["x264enc", "openh264enc"]);
        config.encoders = vec!["mpph264enc".into(), "openh264enc".into()];
        assert_eq!(elements(&config), ["mpph264enc", "openh264enc", "x264enc"]);
        config.encoder = "openh264".into();
        assert_eq!(elements(&config), ["openh264enc", "x264enc"]);
        config.encoder = "vah264enc".into();
        assert_eq!(elements(&config), ["vah264enc", "x264enc", "openh264enc"]);
    }

    #[test]
    fn a_place_only_goes_down_and_never_below_its_last_rung() {
        let config = ProgrammeConfig {
            encoder: "vah264enc".into(),
            ..ProgrammeConfig::default()
        };
        let shape = VideoShape::of_programme(&crate::StudioConfig::default());
        let ladder = Ladder::new(rungs(&config), shape);
        ladder.condemn("x264enc", "it garbles");
        assert_eq!(ladder.condemned(), None);
        assert!(ladder.step().is_some_and(|r| r.element == "x264enc"));
        assert_eq!(ladder.condemned().as_deref(), Some("it garbles"));
        assert!(ladder.step().is_some_and(|r| r.element == "openh264enc"));
        // Condemned, but there is nothing below.
        ladder.condemn("openh264enc", "it garbles");
        assert_eq!(ladder.condemned(), None);
        assert!(ladder.step().is_none());
        assert!(ladder.rung().is_some_and(|r| r.element == "openh264enc"));
        assert_eq!(ladder.left().len(), 2);
    }
}
