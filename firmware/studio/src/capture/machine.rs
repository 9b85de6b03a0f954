//! A machine for tests: its sysfs, and udev's links, in a folder.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::symlink;

use super::identity::Places;

pub(super) struct Machine {
    pub root: tempfile::TempDir,
}

impl Machine {
    pub fn new() -> Machine {
        let root = tempfile::tempdir().unwrap();
        for folder in [
            "sys/class/video4linux",
            "sys/class/sound",
            "dev/v4l/by-path",
            "dev/snd/by-path",
        ] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        Machine { root }
    }

    pub fn places(&self) -> Places {
        Places {
            sys: self.root.path().join("sys"),
            dev: self.root.path().join("dev"),
            card_name: |n| Some(["Loopback", "USB Audio CODEC", "HDMI"][n as usize % 3].into()),
            // What a node is stands in it.
            captures: |node| match fs::read_to_string(node).ok()?.trim() {
                "camera" => Some(false),
                "input" => Some(true),
                _ => None,
            },
        }
    }

    pub fn file(&self, path: &str, text: &str) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{text}\n")).unwrap();
    }

    /// Plugs a USB device into `socket` and gives the path below which its interface hangs.
    pub fn usb(&self, socket: &str, serial: &str) -> String {
        let device = format!("sys/devices/pci0000:00/0000:00:14.0/usb1/{socket}");
        self.file(&format!("{device}/idVendor"), "1d6b");
        self.file(&format!("{device}/serial"), serial);
        self.file(&format!("{device}/{socket}:1.0/bInterfaceNumber"), "00");
        format!("{device}/{socket}:1.0")
    }

    pub fn node(&self, class: &str, node: &str, hangs_at: &str, files: &[(&str, &str)]) {
        let folder = format!("{hangs_at}/{class}/{node}");
        for (name, text) in files {
            self.file(&format!("{folder}/{name}"), text);
        }
        let root = self.root.path();
        symlink(root.join(hangs_at), root.join(&folder).join("device")).unwrap();
        symlink(
            root.join(&folder),
            root.join(format!("sys/class/{class}/{node}")),
        )
        .unwrap();
    }

    pub fn camera(&self, number: u32, hangs_at: &str, name: &str, index: &str) {
        self.video(number, hangs_at, name, index, "camera");
    }

    /// `what`: "camera", "input" (of HDMI), or anything that does not capture.
    pub fn video(&self, number: u32, hangs_at: &str, name: &str, index: &str, what: &str) {
        let files = [("name", name), ("index", index)];
        self.node("video4linux", &format!("video{number}"), hangs_at, &files);
        self.file(&format!("dev/video{number}"), what);
    }

    /// `pcms` as the kernel calls them: `pcmC0D0c` captures.
    pub fn card(&self, number: u32, hangs_at: &str, id: &str, pcms: &[&str]) {
        self.node("sound", &format!("card{number}"), hangs_at, &[("id", id)]);
        for pcm in pcms {
            self.file(
                &format!("{hangs_at}/sound/card{number}/{pcm}/dev"),
                "116:24",
            );
        }
    }

    pub fn unplug(&self, class: &str, node: &str) {
        fs::remove_file(self.root.path().join(format!("sys/class/{class}/{node}"))).unwrap();
    }
}
