//! Which device a capture opens next, and how: what it remembers from one opening to the next.
//!
//! **`auto`.** Of cameras those that somebody plugged in (USB) come first, then inputs of HDMI or SDI, which are there with and
//! without a cable, then whatever else captures; in each of these by the place where they hang on the machine, which does not change
//! from start to start. Of sound cards the one in the camera's own USB device comes first, else it is the same. What gave
//! something is kept for as long as it is there, except that the sound follows the camera to another device; what gave nothing, in
//! whichever way it was opened, is passed over for the others.
//!
//! **Without dmabuf.** Some drivers export dmabuf and then fail at it, at once or after minutes. A camera that failed and was not
//! unplugged is read by mmap from then on, for as long as the box runs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::identity::{Device, Places};
use super::spec::{AudioSpec, VideoSpec, What};

/// How likely it is the one that the host means, the likeliest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// A sound card in the camera's own USB device.
    Own,
    /// Somebody plugged it in.
    Plugged,
    /// Of HDMI or SDI.
    Input,
    Other,
}

/// A device that is there now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// A node's path, or an ALSA PCM.
    pub node: String,
    pub name: String,
    /// Where it hangs on the machine: the same after it was unplugged and came back.
    pub hangs_at: PathBuf,
    /// Not the same then.
    pub instance: u64,
    pub rank: Rank,
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} \"{}\"", self.node, self.name)
    }
}

/// Of all that are there, in the order of where they hang. `kept` gave something before, `passed` gave nothing.
fn choose<'a>(
    all: &'a [Found],
    kept: Option<&Path>,
    passed: &BTreeSet<PathBuf>,
) -> Option<&'a Found> {
    let fresh = || all.iter().filter(|found| !passed.contains(&found.hangs_at));
    let own = fresh().find(|found| found.rank == Rank::Own);
    own.or_else(|| all.iter().find(|found| Some(&*found.hangs_at) == kept))
        .or_else(|| first(fresh()))
        .or_else(|| first(all))
}

/// The likeliest, and of those the first.
pub(super) fn first<'a>(of: impl IntoIterator<Item = &'a Found>) -> Option<&'a Found> {
    of.into_iter().min_by_key(|found| found.rank)
}

/// Where the camera that is captured hangs: its sound card is looked for there.
pub(super) type Place = Arc<Mutex<Option<PathBuf>>>;

/// What one capture remembers.
pub(super) struct Taken {
    places: Places,
    camera: Place,
    /// Where the camera was when the sound card was chosen.
    camera_then: Option<PathBuf>,
    last: Option<Found>,
    /// The last one gave something.
    proven: bool,
    /// A device came, or the last one failed: choose again.
    anew: bool,
    passed: BTreeSet<PathBuf>,
    broke: Option<(PathBuf, u64)>,
    without_dmabuf: BTreeSet<PathBuf>,
}

impl Taken {
    pub fn new(camera: &Place) -> Taken {
        Taken::among(Places::default(), camera)
    }

    fn among(places: Places, camera: &Place) -> Taken {
        Taken {
            places,
            camera: camera.clone(),
            camera_then: None,
            last: None,
            proven: false,
            anew: false,
            passed: BTreeSet::new(),
            broke: None,
            without_dmabuf: BTreeSet::new(),
        }
    }

    /// The device to open next, if it takes one.
    pub fn open(&mut self, what: &What) -> Option<Result<Found, String>> {
        match what {
            What::Picture(VideoSpec::V4l2(device)) => Some(self.camera(Some(device))),
            What::Picture(VideoSpec::Auto) => Some(self.camera(None)),
            What::Sound(AudioSpec::Alsa(device)) => Some(self.microphone(Some(device))),
            What::Sound(AudioSpec::Auto) => Some(self.microphone(None)),
            _ => None,
        }
    }

    /// The camera, `auto`'s if none is named.
    fn camera(&mut self, device: Option<&Device>) -> Result<Found, String> {
        let found = match (device, &self.last) {
            (Some(device), _) => self.places.found(&self.places.camera(device)?),
            // Not all of them each time: to ask a codec what it can may start it.
            (None, Some(last)) if !self.anew && self.places.is_there(last) => last.clone(),
            (None, _) => {
                let all = self.places.cameras();
                self.choose(&all)
                    .ok_or("no camera and no capture card is plugged in")?
            }
        };
        *self.camera.lock().unwrap_or_else(PoisonError::into_inner) = Some(found.hangs_at.clone());
        self.last = Some(found.clone());
        Ok(found)
    }

    /// The sound card, `auto`'s if none is named.
    fn microphone(&mut self, device: Option<&Device>) -> Result<Found, String> {
        let found = match device {
            Some(device) => Found {
                node: self.places.pcm(device)?,
                name: device.to_string(),
                hangs_at: PathBuf::new(),
                instance: 0,
                rank: Rank::Other,
            },
            None => {
                let all = self.microphones();
                self.choose(&all)
                    .ok_or("no sound card that captures is plugged in")?
            }
        };
        self.last = Some(found.clone());
        Ok(found)
    }

    fn microphones(&mut self) -> Vec<Found> {
        self.camera_then = self
            .camera
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        self.places.microphones(self.camera_then.as_deref())
    }

    fn kept(&self) -> Option<&Path> {
        let last = self.last.as_ref().filter(|_| self.proven);
        last.map(|last| last.hangs_at.as_path())
    }

    fn choose(&mut self, all: &[Found]) -> Option<Found> {
        self.anew = false;
        let chosen = choose(all, self.kept(), &self.passed).cloned()?;
        if self.passed.contains(&chosen.hangs_at) {
            // None is left: all over again.
            self.passed.clear();
        }
        let before = self.last.as_ref().map(|last| &last.hangs_at);
        if before != Some(&chosen.hangs_at) {
            self.proven = false;
            tracing::info!(
                node = chosen.node,
                name = chosen.name,
                "\"auto\" takes this device"
            );
        }
        Some(chosen)
    }

    /// Whether `auto` would take another sound card than the one that is captured: the camera is another, or its card came late.
    pub fn has_another(&mut self) -> bool {
        let camera = self.camera.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.anew && *camera == self.camera_then {
            return false;
        }
        drop(camera);
        self.anew = false;
        let all = self.microphones();
        let chosen = choose(&all, self.kept(), &self.passed);
        chosen.map(|found| &found.hangs_at) != self.last.as_ref().map(|last| &last.hangs_at)
    }

    /// Something came from the last one.
    pub fn works(&mut self) {
        self.proven = true;
    }

    /// A device was plugged in.
    pub fn plugged(&mut self) {
        self.anew = true;
        self.passed.clear();
    }

    /// The last one failed. `lastly`: there is no other way to open it.
    pub fn failed(&mut self, found: &Found, lastly: bool) {
        self.anew = true;
        self.broke = Some((found.hangs_at.clone(), found.instance));
        if lastly && !self.proven {
            self.passed.insert(found.hangs_at.clone());
        }
    }

    /// Whether a camera is to be read by mmap.
    pub fn without_dmabuf(&mut self, found: &Found) -> bool {
        let opened = (found.hangs_at.clone(), found.instance);
        if self.broke.take().as_ref() == Some(&opened) && self.without_dmabuf.insert(opened.0) {
            tracing::info!(
                node = found.node,
                "this camera failed: it is read by mmap from now on"
            );
        }
        self.without_dmabuf.contains(&found.hangs_at)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::machine::Machine;
    use super::*;

    fn found(at: &str, rank: Rank) -> Found {
        Found {
            node: at.into(),
            name: at.into(),
            hangs_at: at.into(),
            instance: 1,
            rank,
        }
    }

    #[test]
    fn auto_takes_the_likeliest_keeps_what_works_and_passes_over_what_does_not() {
        use Rank::{Input, Other, Own, Plugged};
        type Case = (
            &'static [(&'static str, Rank)],
            Option<&'static str>,
            &'static [&'static str],
            Option<&'static str>,
        );
        let table: &[Case] = &[
            (&[], None, &[], None),
            (&[], Some("a"), &["a"], None),
            // By rank, then by place.
            (
                &[("a", Other), ("b", Input), ("c", Plugged), ("d", Plugged)],
                None,
                &[],
                Some("c"),
            ),
            (&[("a", Other), ("b", Input)], None, &[], Some("b")),
            // What works is kept while it is there, whatever comes.
            (&[("a", Other), ("c", Plugged)], Some("a"), &[], Some("a")),
            (&[("a", Other), ("c", Plugged)], Some("b"), &[], Some("c")),
            // What gave nothing comes after the others, and again when none is left.
            (&[("a", Other), ("c", Plugged)], None, &["c"], Some("a")),
            (
                &[("a", Other), ("c", Plugged)],
                None,
                &["c", "a"],
                Some("c"),
            ),
            // The camera's own card goes before the one that works, unless it gave nothing.
            (&[("a", Plugged), ("b", Own)], Some("a"), &[], Some("b")),
            (&[("a", Plugged), ("b", Own)], Some("a"), &["b"], Some("a")),
        ];
        for (there, kept, passed, wanted) in table {
            let all: Vec<Found> = there.iter().map(|(at, rank)| found(at, *rank)).collect();
            let passed = passed.iter().map(PathBuf::from).collect();
            let chosen = choose(&all, kept.map(Path::new), &passed);
            let chosen = chosen.map(|found| found.node.as_str());
            assert_eq!(chosen, *wanted, "{there:?} {kept:?} {passed:?}");
        }
    }

    fn taken(machine: &Machine) -> Taken {
        Taken::among(machine.places(), &Place::default())
    }

    fn auto(taken: &mut Taken) -> Result<String, String> {
        let node = taken.camera(None)?.node;
        Ok(node.rsplit('/').next().unwrap_or_default().to_owned())
    }

    #[test]
    fn auto_takes_a_camera_and_no_codec_and_follows_what_is_plugged() {
        let machine = Machine::new();
        machine.video(0, "sys/devices/platform/codec", "rpi-codec", "0", "codec");
        machine.video(1, "sys/devices/platform/isp", "isp", "0", "by graph");
        let mut taken = taken(&machine);
        let why = auto(&mut taken).unwrap_err();
        assert!(why.contains("no camera"), "{why}");
        // An HDMI input without a cable is there; a webcam that is plugged in is what the host means.
        machine.video(2, "sys/devices/platform/hdmi", "hdmirx", "0", "input");
        taken.plugged();
        assert_eq!(auto(&mut taken).unwrap(), "video2");
        let usb = machine.usb("1-2", "A");
        machine.video(4, &usb, "Webcam", "1", "metadata");
        machine.camera(3, &usb, "Webcam", "0");
        assert_eq!(auto(&mut taken).unwrap(), "video2");
        taken.plugged();
        assert_eq!(auto(&mut taken).unwrap(), "video3");
        // It works: another in a lower socket changes nothing.
        taken.works();
        machine.camera(5, &machine.usb("1-1", "B"), "Other", "0");
        taken.plugged();
        assert_eq!(auto(&mut taken).unwrap(), "video3");
        // It goes, and the other one is there.
        machine.unplug("video4linux", "video3");
        assert_eq!(auto(&mut taken).unwrap(), "video5");
    }

    #[test]
    fn a_camera_that_gives_nothing_is_tried_by_mmap_and_then_passed_over() {
        let machine = Machine::new();
        machine.camera(0, &machine.usb("1-1", "A"), "Dead", "0");
        machine.camera(1, &machine.usb("1-2", "B"), "Well", "0");
        let mut taken = taken(&machine);
        let mut opened = || {
            let found = taken.camera(None).unwrap();
            let mmap = taken.without_dmabuf(&found);
            taken.failed(&found, mmap);
            (found.name, mmap)
        };
        assert_eq!(opened(), ("Dead".into(), false));
        assert_eq!(opened(), ("Dead".into(), true));
        assert_eq!(opened(), ("Well".into(), false));
        assert_eq!(opened(), ("Well".into(), true));
        assert_eq!(opened(), ("Dead".into(), true));
    }

    #[test]
    fn a_driver_that_dies_with_dmabuf_stays_on_mmap_and_one_that_was_unplugged_does_not() {
        let machine = Machine::new();
        let usb = machine.usb("1-1", "A");
        machine.camera(0, &usb, "Cam", "0");
        let device = Device::camera("name:Cam").unwrap();
        let mut taken = taken(&machine);
        let mut opened = |fails: bool| {
            let found = taken.camera(Some(&device)).unwrap();
            let mmap = taken.without_dmabuf(&found);
            taken.works();
            if fails {
                taken.failed(&found, mmap);
            }
            mmap
        };
        assert!(!opened(true));
        machine.unplug("video4linux", "video0");
        machine.camera(1, &usb, "Cam", "0");
        assert!(!opened(true), "it was only unplugged");
        // It died in its place, and gives pictures by mmap: after the next failure, too.
        assert!(opened(true));
        assert!(opened(false));
        assert!(opened(true));
        assert!(opened(true));
    }

    #[test]
    fn the_sound_is_the_cameras_own_card_and_else_the_first_that_captures() {
        let machine = Machine::new();
        let place = Place::default();
        let mut sound = Taken::among(machine.places(), &place);
        let mut camera = Taken::among(machine.places(), &place);
        assert!(sound.microphone(None).is_err());
        machine.card(
            0,
            "sys/devices/pci0000:00/hda",
            "PCH",
            &["pcmC0D3p", "pcmC0D2c"],
        );
        machine.card(1, "sys/devices/platform/hdmi", "HDMI", &["pcmC1D0p"]);
        let mut auto = || sound.microphone(None).unwrap().node;
        assert_eq!(auto(), "hw:0,2");
        let headset = machine.usb("1-1", "H");
        machine.card(2, &headset, "Headset", &["pcmC2D0c", "pcmC2D0p"]);
        assert_eq!(auto(), "hw:2,0");
        sound.works();
        assert!(!sound.has_another());
        // A capture stick with sound: its picture comes first, then its card.
        let stick = machine.usb("1-3", "S");
        machine.camera(0, &stick, "Stick", "0");
        camera.camera(None).unwrap();
        assert!(!sound.has_another(), "its card is not there yet");
        machine.card(3, &stick.replace(":1.0", ":1.2"), "MS2109", &["pcmC3D0c"]);
        assert!(!sound.has_another(), "udev has not told of it");
        sound.plugged();
        assert!(sound.has_another());
        assert_eq!(sound.microphone(None).unwrap().node, "hw:3,0");
        assert!(!sound.has_another());
        // It gives nothing: the headset has to do, until something is plugged.
        let card = sound.microphone(None).unwrap();
        sound.failed(&card, true);
        assert_eq!(sound.microphone(None).unwrap().node, "hw:2,0");
    }
}
