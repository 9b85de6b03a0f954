//! What trials found, kept in one small JSON file so that the next start need not try again.
//!
//! A passport holds for exactly what was tried: this machine, kernel, driver, GStreamer, plugin, shape and settings ([`Key`]). It
//! is written when a trial ends and when a rung fails in service, never otherwise: on a box that runs well, once for an
//! update. A file that can't be read as passports is ignored, told about, and made anew.
//!
//! A rung that failed in service keeps its passport, with the failure in it, because a box may run for months and one
//! stall is no verdict; the third one is.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use gst::prelude::*;
use serde::{Deserialize, Serialize};

use super::trial::Tried;
use super::{Figures, Rung, VideoShape};
use crate::disk::replace;

/// Grows when a trial measures something else, or judges otherwise.
const FORMAT: u32 = 2;
/// Passports of the other slot's kernel stay: an update may be rolled back.
const MOST: usize = 64;
const MOST_BYTES: u64 = 256 * 1024;
/// A rung that failed so often in service is not used again.
const FAILURES: u32 = 3;

/// What a passport holds for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Key {
    pub element: String,
    /// Name and version.
    pub plugin: String,
    /// Driver and device, where there is one.
    pub device: String,
    pub machine: String,
    pub kernel: String,
    pub gstreamer: String,
    pub shape: VideoShape,
    pub settings: Vec<(String, String)>,
}

/// What a trial found about one rung.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Passport {
    pub key: Key,
    pub figures: Figures,
    /// Why it is not used.
    pub refused: Option<String>,
    pub remarks: Vec<String>,
    /// How often it failed in service since it was tried, and how at last.
    pub failures: u32,
    pub last_failure: Option<String>,
}

impl Passport {
    pub(crate) fn new(key: Key, tried: Tried) -> Passport {
        Passport {
            key,
            figures: tried.figures,
            refused: tried.refused,
            remarks: tried.remarks,
            failures: 0,
            last_failure: None,
        }
    }

    /// Why this rung is not used, whatever the reason.
    pub fn verdict(&self) -> Result<(), String> {
        match (&self.refused, &self.last_failure) {
            (Some(why), _) => Err(why.clone()),
            (None, Some(last)) if self.failures >= FAILURES => Err(format!(
                "it failed {} times in service, at last so: {last}",
                self.failures
            )),
            _ => Ok(()),
        }
    }
}

impl Key {
    /// As the rung is here and now. Its element must exist.
    pub(crate) fn of(rung: &Rung, shape: &VideoShape) -> Key {
        let factory = gst::ElementFactory::find(&rung.element);
        let plugin = factory.and_then(|f| f.plugin()).map_or(String::new(), |p| {
            format!("{} {}", p.plugin_name(), p.version())
        });
        Key {
            element: rung.element.clone(),
            plugin,
            device: if rung.is_software() {
                String::new()
            } else {
                device(&rung.element)
            },
            machine: machine(),
            kernel: first_line(Path::new("/proc/sys/kernel/osrelease")),
            gstreamer: gst::version_string().to_string(),
            shape: shape.clone(),
            settings: rung.settings(shape),
        }
    }
}

fn first_line(path: &Path) -> String {
    // A device tree's text ends with a zero.
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines()
        .next()
        .unwrap_or_default()
        .trim_end_matches('\0')
        .to_owned()
}

/// A card in another box is another box.
fn machine() -> String {
    let board = first_line(Path::new("/proc/device-tree/model"));
    if !board.is_empty() {
        return board;
    }
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    cpu.lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or(String::new(), |name| {
            name.trim_start_matches([' ', '\t', ':']).to_owned()
        })
}

/// What drives the element's device, as far as the kernel tells.
fn device(element: &str) -> String {
    if element.starts_with("nv") {
        return first_line(Path::new("/proc/driver/nvidia/version"));
    }
    let Ok(element) = gst::ElementFactory::make(element).build() else {
        return String::new();
    };
    let path = ["device", "device-path"].into_iter().find_map(|name| {
        element.find_property(name)?;
        element.property_value(name).get::<Option<String>>().ok()?
    });
    path.map_or(String::new(), |path| described(&path))
}

fn described(path: &str) -> String {
    let Some(name) = Path::new(path).file_name().and_then(|n| n.to_str()) else {
        return path.to_owned();
    };
    let card = first_line(&Path::new("/sys/class/video4linux").join(name).join("name"));
    let uevent = Path::new("/sys/class/drm").join(name).join("device/uevent");
    let uevent = fs::read_to_string(uevent).unwrap_or_default();
    let chip = uevent
        .lines()
        .filter(|line| line.starts_with("DRIVER=") || line.starts_with("PCI_ID="));
    std::iter::once(path)
        .chain(Some(card.as_str()).filter(|c| !c.is_empty()))
        .chain(chip)
        .collect::<Vec<_>>()
        .join(" ")
}

#[derive(Serialize, Deserialize)]
struct Document {
    format: u32,
    passports: Vec<Passport>,
}

/// All that this box has.
pub(crate) struct Passports {
    path: Option<PathBuf>,
    kept: Mutex<Vec<Passport>>,
    /// Why the file was ignored.
    damage: Option<String>,
}

impl Passports {
    /// Of a file, or of this run only.
    pub fn open(path: Option<PathBuf>) -> Passports {
        let (kept, damage) = match path.as_deref().map(read) {
            None => (Vec::new(), None),
            Some(Ok(kept)) => (kept, None),
            Some(Err(why)) => (Vec::new(), Some(why)),
        };
        if let (Some(path), Some(why)) = (&path, &damage) {
            tracing::warn!(
                file = %path.display(),
                why,
                "the encoders' passports can't be read: the encoders are tried again"
            );
        }
        Passports {
            path,
            kept: Mutex::new(kept),
            damage,
        }
    }

    pub fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    /// Whether what is found is kept.
    pub fn are_kept(&self) -> bool {
        self.path.is_some()
    }

    pub fn all(&self) -> Vec<Passport> {
        self.lock().clone()
    }

    pub fn get(&self, key: &Key) -> Option<Passport> {
        self.lock().iter().find(|p| p.key == *key).cloned()
    }

    pub fn put(&self, passport: Passport) {
        let mut kept = self.lock();
        kept.retain(|p| p.key != passport.key);
        kept.push(passport);
        let too_many = kept.len().saturating_sub(MOST);
        kept.drain(..too_many);
        let document = Document {
            format: FORMAT,
            passports: kept.clone(),
        };
        // Held while it is written, so that the newest is the last on the disk.
        if let Some(path) = &self.path
            && let Err(error) = write(path, &document)
        {
            tracing::warn!(
                file = %path.display(),
                %error,
                "the encoders' passports can't be written: the next start tries them again"
            );
        }
    }

    /// A rung with a passport failed in service.
    pub fn failed(&self, key: &Key, how: &str) {
        if let Some(mut passport) = self.get(key) {
            passport.failures += 1;
            passport.last_failure = Some(how.to_owned());
            self.put(passport);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Passport>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(path: &Path) -> Result<Vec<Passport>, String> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.to_string()),
    };
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| e.to_string())?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(format!("it is larger than {MOST_BYTES} bytes"));
    }
    #[derive(Deserialize)]
    struct Head {
        format: u32,
    }
    let head: Head = serde_json::from_slice(&bytes).map_err(|e| e.to_string())?;
    if head.format != FORMAT {
        // Of another version of the box: its trials measured something else, and nothing is wrong.
        return Ok(Vec::new());
    }
    let document: Document = serde_json::from_slice(&bytes).map_err(|e| e.to_string())?;
    Ok(document.passports)
}

fn write(path: &Path, document: &Document) -> io::Result<()> {
    replace(path, &serde_json::to_vec(document)?).map(drop)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn passport(kbps: u32) -> Passport {
        gst::init().unwrap();
        let shape = VideoShape {
            width: 320,
            height: 180,
            fps: 30,
            kbps,
            keyframe: 60,
            baseline: false,
        };
        let rung = Rung::new("x264enc", &Default::default());
        let tried = Tried {
            figures: Figures {
                fps: Some(123.4),
                psnr_db: Some([40.0, 41.0, 42.0]),
                ..Figures::default()
            },
            ..Tried::default()
        };
        Passport::new(Key::of(&rung, &shape), tried)
    }

    #[test]
    fn a_passport_is_known_again_and_only_for_what_was_tried() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("encoders.json");
        let (one, other) = (passport(1000), passport(2000));
        assert!(one.key.plugin.starts_with("x264 "), "{:?}", one.key);
        assert!(!one.key.kernel.is_empty() && !one.key.machine.is_empty());
        Passports::open(Some(path.clone())).put(one.clone());
        let again = Passports::open(Some(path));
        assert_eq!(again.get(&one.key), Some(one.clone()));
        // Another bit rate is another setting and another shape.
        assert_eq!(again.get(&other.key), None);
        let mut newer = one.key.clone();
        newer.kernel.push_str("-next");
        assert_eq!(again.get(&newer), None);
    }

    #[test]
    fn the_third_failure_in_service_is_a_verdict() {
        let passports = Passports::open(None);
        let one = passport(1000);
        passports.put(one.clone());
        for n in 1..=3 {
            passports.failed(&one.key, "it stalls");
            let verdict = passports.get(&one.key).unwrap().verdict();
            assert_eq!(verdict.is_err(), n == 3, "{verdict:?}");
        }
    }

    #[test]
    fn a_damaged_file_is_ignored_told_about_and_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("encoders.json");
        let whole = {
            Passports::open(Some(path.clone())).put(passport(1000));
            fs::read(&path).unwrap()
        };
        let huge = vec![b' '; MOST_BYTES as usize + 1];
        let empty = format!("{{\"format\":{FORMAT}}}");
        let damaged = [
            b"",
            &whole[..whole.len() / 2],
            empty.as_bytes(),
            huge.as_slice(),
        ];
        for bytes in damaged {
            fs::write(&path, bytes).unwrap();
            let passports = Passports::open(Some(path.clone()));
            assert!(passports.damage().is_some());
            assert!(passports.all().is_empty());
            passports.put(passport(1000));
            assert_eq!(Passports::open(Some(path.clone())).all().len(), 1);
        }
        // One of another version of the box is not damaged.
        fs::write(&path, b"{\"format\":999,\"news\":true}").unwrap();
        let passports = Passports::open(Some(path.clone()));
        assert!(passports.damage().is_none() && passports.all().is_empty());
    }

    #[test]
    fn there_are_never_too_many() {
        let passports = Passports::open(None);
        for kbps in 0..MOST as u32 + 10 {
            passports.put(passport(1000 + kbps));
        }
        let all = passports.all();
        assert_eq!(all.len(), MOST);
        assert_eq!(all.last().unwrap().key.shape.kbps, 1000 + MOST as u32 + 9);
    }
}
