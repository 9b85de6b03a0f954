//! Which device a setting means. Numbers (`/dev/video0`, `hw:1`) go to whoever is plugged in first; the socket a device is
//! in, its serial number and its name stay. A name is looked up anew each time a device is opened, so that one which comes
//! back under another number takes its old place.
//!
//! | setting | what it names |
//! |---|---|
//! | `v4l2:/dev/video0`, `alsa:hw:1`, any other ALSA PCM | itself |
//! | `v4l2:by-path:P`, `alsa:by-path:P` | the link `/dev/v4l/by-path/P`, `/dev/snd/by-path/P`: the socket |
//! | `v4l2:serial:S`, `alsa:serial:S` | the USB device with that serial number |
//! | `v4l2:name:N`, `alsa:name:N` | the device that calls itself so |
//! | `alsa:id:I` | the card with that ALSA id (`/proc/asound/cards`, in brackets) |
//!
//! `,D` behind the ALSA ones is the PCM of the card, 0 if left out. Which one `auto` means: [`super::taken`].

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::taken::{self, Found, Rank};
use super::v4l2;

/// A device as a setting names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    /// A node's path, or an ALSA PCM.
    Itself(String),
    ByPath(String),
    Serial(String),
    Name(String),
    Id(String),
}

/// Longer than any name the kernel gives.
const LONGEST: usize = 255;

impl Device {
    /// What stands behind `v4l2:`; `None` where that can't be.
    pub fn camera(text: &str) -> Option<Device> {
        match Device::parse(text)? {
            Device::Id(_) => None,
            Device::ByPath(link) if link.contains('/') => None,
            device => Some(device),
        }
    }

    /// What stands behind `alsa:`.
    pub fn sound(text: &str) -> Option<Device> {
        match Device::parse(text)? {
            Device::ByPath(link) if link.contains('/') => None,
            device => Some(device),
        }
    }

    fn parse(text: &str) -> Option<Device> {
        let text = text.trim();
        if text.is_empty() || text.len() > LONGEST {
            return None;
        }
        let Some((kind, rest)) = text.split_once(':') else {
            return Some(Device::Itself(text.into()));
        };
        let named: fn(String) -> Device = match kind {
            "by-path" => Device::ByPath,
            "serial" => Device::Serial,
            "name" => Device::Name,
            "id" => Device::Id,
            _ => return Some(Device::Itself(text.into())),
        };
        (!rest.trim().is_empty()).then(|| named(rest.trim().into()))
    }
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Device::Itself(name) => f.write_str(name),
            Device::ByPath(link) => write!(f, "the socket {link}"),
            Device::Serial(serial) => write!(f, "serial number {serial}"),
            Device::Name(name) => write!(f, "\"{name}\""),
            Device::Id(id) => write!(f, "the card {id}"),
        }
    }
}

/// Where devices are looked up.
pub struct Places {
    pub(super) sys: PathBuf,
    pub(super) dev: PathBuf,
    /// What ALSA calls a card, which sysfs does not say.
    pub(super) card_name: fn(u32) -> Option<String>,
    /// Whether a node captures pictures, and if so, by HDMI or SDI.
    pub(super) captures: fn(&Path) -> Option<bool>,
}

impl Default for Places {
    fn default() -> Self {
        Places {
            sys: "/sys".into(),
            dev: "/dev".into(),
            card_name: |n| {
                alsa::card::Card::new(i32::try_from(n).ok()?)
                    .get_name()
                    .ok()
            },
            captures: v4l2::captures,
        }
    }
}

/// A device of a class of sysfs, as `video0` or `card1`.
struct Entry {
    number: u32,
    /// The device's own folder: where it hangs on the machine, without its number.
    hangs_at: PathBuf,
    folder: PathBuf,
}

impl Places {
    /// The node of a camera.
    pub fn camera(&self, device: &Device) -> Result<PathBuf, String> {
        let node = |entry: &Entry| self.dev.join(format!("video{}", entry.number));
        let called = |entry: &Entry| read(&entry.folder.join("name"));
        // A USB camera has further nodes, for metadata, under the same name and serial number.
        let first = |entry: &&Entry| read(&entry.folder.join("index")).as_deref() == Some("0");
        let entries = self.entries("video4linux", "video");
        let mut cameras = entries.iter().filter(first);
        let found = match device {
            Device::Itself(path) => return Ok(path.into()),
            Device::ByPath(link) => {
                let link = self.dev.join("v4l/by-path").join(link);
                return fs::canonicalize(&link)
                    .map_err(|_| format!("there is no {}", link.display()));
            }
            Device::Serial(serial) => {
                cameras.find(|e| self.serial(e).as_deref() == Some(serial.as_str()))
            }
            Device::Name(name) => cameras.find(|e| called(e).as_deref() == Some(name.as_str())),
            Device::Id(_) => None,
        };
        found.map(node).ok_or_else(|| {
            let there = entries.iter().filter(first).filter_map(called);
            format!("no camera is {device}; {}", list(there.collect()))
        })
    }

    /// The PCM of a microphone or of a playback device.
    pub fn pcm(&self, device: &Device) -> Result<String, String> {
        let (name, pcm) = match device {
            Device::Itself(pcm) => return Ok(pcm.clone()),
            Device::ByPath(name) | Device::Serial(name) | Device::Name(name) | Device::Id(name) => {
                match name.rsplit_once(',') {
                    Some((name, pcm)) if pcm.parse::<u8>().is_ok() => (name, pcm),
                    _ => (name.as_str(), "0"),
                }
            }
        };
        let cards = self.entries("sound", "card");
        let called = |card: &Entry| (self.card_name)(card.number);
        let found = match device {
            Device::ByPath(_) => {
                let link = self.dev.join("snd/by-path").join(name);
                let node = fs::canonicalize(&link)
                    .map_err(|_| format!("there is no {}", link.display()))?;
                let number = number(&node, "controlC");
                cards.iter().find(|card| Some(card.number) == number)
            }
            Device::Serial(_) => cards
                .iter()
                .find(|card| self.serial(card).as_deref() == Some(name)),
            Device::Name(_) => cards
                .iter()
                .find(|card| called(card).as_deref() == Some(name)),
            _ => cards
                .iter()
                .find(|card| read(&card.folder.join("id")).as_deref() == Some(name)),
        };
        match found {
            Some(card) => Ok(format!("hw:{},{pcm}", card.number)),
            None => {
                let there = cards.iter().filter_map(called).collect();
                Err(format!("no sound card is {device}; {}", list(there)))
            }
        }
    }

    /// What is known of the node of a camera.
    pub(super) fn found(&self, node: &Path) -> Found {
        let real = fs::canonicalize(node).unwrap_or_else(|_| node.into());
        let number = number(&real, "video").unwrap_or(u32::MAX);
        let mut entries = self.entries("video4linux", "video").into_iter();
        match entries.find(|entry| entry.number == number) {
            Some(entry) => self.camera_found(&entry, node, Rank::Other),
            // One that the kernel does not list stays what it is.
            None => Found {
                node: node.display().to_string(),
                name: String::new(),
                hangs_at: node.into(),
                instance: 0,
                rank: Rank::Other,
            },
        }
    }

    fn camera_found(&self, entry: &Entry, node: &Path, rank: Rank) -> Found {
        Found {
            node: node.display().to_string(),
            name: read(&entry.folder.join("name")).unwrap_or_default(),
            hangs_at: entry.hangs_at.clone(),
            instance: instance(&entry.folder).unwrap_or(0),
            rank,
        }
    }

    /// Whether a camera was there all the time since it was found.
    pub(super) fn is_there(&self, found: &Found) -> bool {
        let Some(node) = Path::new(&found.node).file_name() else {
            return false;
        };
        instance(&self.sys.join("class/video4linux").join(node)) == Some(found.instance)
    }

    /// All that could be the host's camera.
    pub(super) fn cameras(&self) -> Vec<Found> {
        let entries = self.entries("video4linux", "video");
        let camera = |entry: &Entry| {
            let node = self.dev.join(format!("video{}", entry.number));
            let rank = match (self.captures)(&node)? {
                _ if self.usb(&entry.hangs_at).is_some() => Rank::Plugged,
                true => Rank::Input,
                false => Rank::Other,
            };
            Some(self.camera_found(entry, &node, rank))
        };
        entries.iter().filter_map(camera).collect()
    }

    /// All cards that could be the host's microphone, each with its first PCM that captures. `camera`: where that one hangs.
    pub(super) fn microphones(&self, camera: Option<&Path>) -> Vec<Found> {
        let camera = camera.and_then(|at| self.usb(at));
        let card = |entry: &Entry| {
            let pcms = fs::read_dir(&entry.folder).ok()?.flatten();
            let captures = |pcm: fs::DirEntry| {
                let name = pcm.file_name();
                let name = name.to_str()?.strip_suffix('c')?;
                number(Path::new(name), &format!("pcmC{}D", entry.number))
            };
            let pcm = pcms.filter_map(captures).min()?;
            let usb = self.usb(&entry.hangs_at);
            Some(Found {
                node: format!("hw:{},{pcm}", entry.number),
                name: (self.card_name)(entry.number).unwrap_or_default(),
                hangs_at: entry.hangs_at.clone(),
                instance: instance(&entry.folder).unwrap_or(0),
                rank: match usb {
                    Some(_) if usb == camera => Rank::Own,
                    Some(_) => Rank::Plugged,
                    None => Rank::Other,
                },
            })
        };
        let entries = self.entries("sound", "card");
        entries.iter().filter_map(card).collect()
    }

    /// What "auto" takes now of cameras and of sound cards, as settings that keep to these.
    pub(crate) fn auto(&self) -> [Option<String>; 2] {
        let named = |found: Option<&Found>, kind: &str| {
            let setting = format!("{kind}:{}", found?.node);
            Some(self.lasting(&setting).unwrap_or(setting))
        };
        let cameras = self.cameras();
        let camera = taken::first(&cameras);
        let microphones = self.microphones(camera.map(|camera| camera.hangs_at.as_path()));
        [
            named(camera, "v4l2"),
            named(taken::first(&microphones), "alsa"),
        ]
    }

    /// The setting that keeps to the same device, for one by number (`v4l2:/dev/video0`, `alsa:hw:1`); `None` if there is none.
    pub fn lasting(&self, setting: &str) -> Option<String> {
        if let Some(node) = setting.strip_prefix("v4l2:") {
            let node = fs::canonicalize(node).ok()?;
            let links = fs::read_dir(self.dev.join("v4l/by-path")).ok()?;
            let link = links
                .flatten()
                .find(|link| fs::canonicalize(link.path()).is_ok_and(|at| at == node))?;
            return Some(format!("v4l2:by-path:{}", link.file_name().to_str()?));
        }
        let pcm = setting.strip_prefix("alsa:hw:")?;
        let (card, device) = pcm.split_once(',').unwrap_or((pcm, "0"));
        let card = card.parse::<u32>().ok()?;
        let id = read(&self.sys.join(format!("class/sound/card{card}/id")))?;
        Some(match device {
            "0" => format!("alsa:id:{id}"),
            device => format!("alsa:id:{id},{device}"),
        })
    }

    /// The devices of a class, in the order of where they hang: two of a kind keep theirs, whoever was plugged in first.
    fn entries(&self, class: &str, prefix: &str) -> Vec<Entry> {
        let Ok(folder) = fs::read_dir(self.sys.join("class").join(class)) else {
            return Vec::new();
        };
        let mut entries: Vec<Entry> = folder
            .filter_map(|entry| {
                let folder = entry.ok()?.path();
                Some(Entry {
                    number: number(&folder, prefix)?,
                    hangs_at: fs::canonicalize(folder.join("device")).ok()?,
                    folder,
                })
            })
            .collect();
        entries.sort_by(|a, b| (&a.hangs_at, a.number).cmp(&(&b.hangs_at, b.number)));
        entries
    }

    /// The serial number of the USB device that this one is part of.
    fn serial(&self, entry: &Entry) -> Option<String> {
        self.above(&entry.hangs_at)?
            .find_map(|folder| read(&folder.join("serial")))
    }

    /// The USB device that something is part of.
    fn usb(&self, hangs_at: &Path) -> Option<PathBuf> {
        self.above(hangs_at)?
            .find(|folder| folder.join("idVendor").exists())
            .map(Path::to_owned)
    }

    /// A device's folder and all that it is part of.
    fn above<'a>(&self, hangs_at: &'a Path) -> Option<impl Iterator<Item = &'a Path> + use<'a>> {
        let root = fs::canonicalize(&self.sys).ok()?;
        let within = move |folder: &&Path| **folder != root;
        Some(hangs_at.ancestors().take_while(within))
    }
}

/// `7` of `…/video7`.
fn number(path: &Path, prefix: &str) -> Option<u32> {
    path.file_name()?
        .to_str()?
        .strip_prefix(prefix)?
        .parse()
        .ok()
}

/// The kernel makes the folder of a device anew, with another number, each time it is plugged in.
fn instance(folder: &Path) -> Option<u64> {
    fs::metadata(folder).ok().map(|folder| folder.ino())
}

fn read(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn list(there: Vec<String>) -> String {
    if there.is_empty() {
        return "none is plugged in".into();
    }
    format!("plugged in: {}", there.join(", "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::machine::Machine;
    use super::*;
    use std::os::unix::fs::symlink;

    fn finds(machine: &Machine, setting: &str) -> Result<String, String> {
        let node = machine.places().camera(&Device::camera(setting).unwrap())?;
        Ok(node.file_name().unwrap().to_str().unwrap().to_owned())
    }

    #[test]
    fn a_camera_that_returns_under_another_number_is_found_again() {
        let machine = Machine::new();
        let place = machine.usb("1-2", "A1B2");
        machine.camera(0, &place, "HD Pro Webcam", "0");
        machine.camera(1, &place, "HD Pro Webcam", "1");
        let link = machine
            .root
            .path()
            .join("dev/v4l/by-path/pci-0000:00:14.0-usb-0:2:1.0-video-index0");
        symlink("../../video0", &link).unwrap();
        let settings = [
            "serial:A1B2",
            "name:HD Pro Webcam",
            "by-path:pci-0000:00:14.0-usb-0:2:1.0-video-index0",
        ];
        for setting in settings {
            assert_eq!(finds(&machine, setting).unwrap(), "video0", "{setting}");
        }
        machine.unplug("video4linux", "video0");
        machine.unplug("video4linux", "video1");
        fs::remove_file(&link).unwrap();
        for setting in settings {
            finds(&machine, setting).unwrap_err();
        }
        // Somebody else has its numbers now.
        machine.camera(0, &machine.usb("1-1", "OTHER"), "Cheap Cam", "0");
        machine.camera(4, &format!("{place}/again"), "HD Pro Webcam", "0");
        symlink("../../video4", &link).unwrap();
        for setting in settings {
            assert_eq!(finds(&machine, setting).unwrap(), "video4", "{setting}");
        }
        let why = finds(&machine, "name:Webcam").unwrap_err();
        assert!(why.contains("Cheap Cam, HD Pro Webcam"), "{why}");
    }

    #[test]
    fn of_two_of_a_kind_the_one_in_the_lower_socket_is_taken_whoever_came_first() {
        let machine = Machine::new();
        machine.camera(0, &machine.usb("1-4", "B"), "Cam", "0");
        machine.camera(2, &machine.usb("1-3", "A"), "Cam", "0");
        assert_eq!(finds(&machine, "name:Cam").unwrap(), "video2");
        assert_eq!(finds(&machine, "serial:B").unwrap(), "video0");
    }

    #[test]
    fn a_sound_card_is_found_by_id_name_serial_number_and_socket() {
        let machine = Machine::new();
        let files = [("id", "Loopback"), ("number", "0")];
        machine.node("sound", "card0", "sys/devices/platform/aloop", &files);
        let usb = machine.usb("1-5", "C0FFEE");
        machine.node("sound", "card1", &usb, &[("id", "CODEC")]);
        machine.file("dev/snd/controlC1", "");
        symlink(
            "../controlC1",
            machine.root.path().join("dev/snd/by-path/usb-5"),
        )
        .unwrap();
        let pcm = |setting: &str| machine.places().pcm(&Device::sound(setting).unwrap());
        assert_eq!(pcm("hw:Loopback,1").unwrap(), "hw:Loopback,1");
        assert_eq!(pcm("id:Loopback,1").unwrap(), "hw:0,1");
        assert_eq!(pcm("id:CODEC").unwrap(), "hw:1,0");
        assert_eq!(pcm("name:USB Audio CODEC").unwrap(), "hw:1,0");
        assert_eq!(pcm("serial:C0FFEE,2").unwrap(), "hw:1,2");
        assert_eq!(pcm("by-path:usb-5").unwrap(), "hw:1,0");
        assert!(pcm("by-path:usb-6").is_err());
        let why = pcm("id:Other").unwrap_err();
        assert!(why.contains("USB Audio CODEC, Loopback"), "{why}");
        machine.unplug("sound", "card1");
        assert!(pcm("id:CODEC").is_err());
    }

    #[test]
    fn the_doctor_names_devices_by_what_stays() {
        let machine = Machine::new();
        machine.camera(3, &machine.usb("1-2", "A"), "Cam", "0");
        let node = machine.root.path().join("dev/video3");
        let by_number = format!("v4l2:{}", node.display());
        assert_eq!(machine.places().lasting(&by_number), None);
        symlink(
            "../../video3",
            machine
                .root
                .path()
                .join("dev/v4l/by-path/usb-2-video-index0"),
        )
        .unwrap();
        assert_eq!(
            machine.places().lasting(&by_number).unwrap(),
            "v4l2:by-path:usb-2-video-index0"
        );
        machine.node("sound", "card1", "sys/devices/x", &[("id", "CODEC")]);
        let lasting = |pcm: &str| machine.places().lasting(pcm);
        assert_eq!(lasting("alsa:hw:1").unwrap(), "alsa:id:CODEC");
        assert_eq!(lasting("alsa:hw:1,2").unwrap(), "alsa:id:CODEC,2");
        assert_eq!(lasting("alsa:hw:7"), None);
        assert_eq!(lasting("alsa:default"), None);
    }

    #[test]
    fn a_setting_that_names_nothing_is_refused() {
        for bad in ["", " ", "serial:", "name: ", "id:x", "by-path:../../sda"] {
            assert_eq!(Device::camera(bad), None, "{bad:?}");
        }
        assert_eq!(Device::sound("by-path:a/b"), None);
        assert_eq!(Device::sound(&"x".repeat(256)), None);
        assert_eq!(
            Device::sound("plughw:CARD=C,DEV=0"),
            Some(Device::Itself("plughw:CARD=C,DEV=0".into()))
        );
    }
}
