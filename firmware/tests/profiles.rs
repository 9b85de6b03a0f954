//! The boards of `board/profiles`: each file is whole, and the settings that a new box gets from it are settings.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use daisd::config::{Board, Config};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    name: String,
    /// What was tried on the board itself, and what was not: neither may be left out.
    proven: String,
    unproven: String,
    #[allow(dead_code, reason = "any value is right")]
    wireless: bool,
    debian: Debian,
    boot: Boot,
    partitions: Partitions,
    service: Service,
    settings: Settings,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Debian {
    architecture: String,
    components: Vec<String>,
    packages: Vec<String>,
    initrd: String,
    modules: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Boot {
    method: String,
    firmware: String,
    consoles: Vec<String>,
    arguments: String,
    files: Vec<BootFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BootFile {
    from: Option<String>,
    text: Option<String>,
    to: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Partitions {
    boot_mib: u32,
    slot_mib: u32,
    data_mib: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    start_s: u32,
    trial_s: u32,
    /// What the board's encoders open besides the classes of devices that the unit names.
    #[serde(default)]
    devices: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    text: String,
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../board/profiles");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

#[test]
fn every_board_is_whole_and_its_settings_pass_the_check() {
    for path in files() {
        let text = std::fs::read_to_string(&path).unwrap();
        let profile: Profile =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let right = |what: &str, holds: bool| assert!(holds, "{}: {what}", path.display());
        right("name", !profile.name.is_empty());
        right("proven", !profile.proven.is_empty());
        right("unproven", !profile.unproven.is_empty());
        let debian = &profile.debian;
        right(
            "debian.architecture",
            ["amd64", "arm64"].contains(&debian.architecture.as_str()),
        );
        right(
            "debian.components",
            debian.components.first().is_some_and(|main| main == "main"),
        );
        let kernel = |package: &String| package.starts_with("linux-image-");
        right("a kernel", debian.packages.iter().any(kernel));
        right(
            "debian.initrd",
            ["list", "most"].contains(&debian.initrd.as_str()),
        );
        // Without it the initrd cannot mount a slot.
        right(
            "debian.modules",
            debian.modules.iter().any(|module| module == "squashfs"),
        );
        right("boot.method", profile.boot.method == "systemd-boot");
        right("boot.firmware", !profile.boot.firmware.is_empty());
        right("boot.consoles", !profile.boot.consoles.is_empty());
        right(
            "boot.arguments: root and slot are not the board's to say",
            !profile.boot.arguments.contains("root=")
                && !profile.boot.arguments.contains("rauc.slot"),
        );
        for file in &profile.boot.files {
            right(
                "boot.files: from or text",
                file.from.is_some() != file.text.is_some(),
            );
            right("boot.files: to", !file.to.is_empty());
        }
        // Two kernels with their initrds; a root of Debian; what a first boot writes before it has grown.
        right("partitions.boot_mib", profile.partitions.boot_mib >= 64);
        right("partitions.slot_mib", profile.partitions.slot_mib >= 512);
        right("partitions.data_mib", profile.partitions.data_mib >= 32);
        right(
            "service: a trial that ends before its first start may",
            profile.service.start_s >= 30 && profile.service.trial_s >= 120,
        );
        // A rule of udev and a line of the unit are made of each: one file of /dev, no pattern.
        let node = |device: &String| {
            let name = device.strip_prefix("/dev/").unwrap_or_default();
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            !name.is_empty() && name.chars().all(plain)
        };
        right("service.devices", profile.service.devices.iter().all(node));
        let board = Board::parse(&path, &profile.settings.text)
            .unwrap_or_else(|error| panic!("the settings of {}: {error}", path.display()));
        // A new box's own file says nothing.
        let config = Config::parse_over(&board, Path::new("dais.toml"), "").unwrap();
        let virtual_one = profile.name.starts_with("QEMU");
        let camera = if virtual_one { "test" } else { "auto" };
        right(
            "capture: nobody logs in to a box, and the test picture is no show",
            config.capture.video == camera && config.capture.audio == camera,
        );
        let studio = config.studio();
        let ladder = dais_studio::probe::ladder(&studio);
        right(
            "programme.encoder_settings of what is on no rung",
            studio
                .programme
                .encoder_settings
                .keys()
                .all(|element| ladder.contains(element)),
        );
        // Those of hardware only its own machine can be asked about.
        let unknown = dais_studio::probe::unknown_settings(&studio).unwrap();
        right(
            &format!("unknown settings: {unknown:?}"),
            unknown.is_empty(),
        );
    }
}

/// A vendor's element opens its driver's own device, which the unit refuses where the board does not name it.
#[test]
fn encoders_of_vendors_have_the_devices_that_they_open() {
    let opened = [
        ("mpph264enc", "/dev/mpp_service"),
        ("vpuenc_h264", "/dev/mxc_hantro_vc8000e"),
    ];
    for path in files() {
        let text = std::fs::read_to_string(&path).unwrap();
        let profile: Profile = toml::from_str(&text).unwrap();
        let board = Board::parse(&path, &profile.settings.text).unwrap();
        let config = Config::parse_over(&board, Path::new("dais.toml"), "").unwrap();
        let ladder = dais_studio::probe::ladder(&config.studio());
        for (element, device) in opened {
            let has = ladder.iter().any(|rung| rung == element);
            let named = profile.service.devices.iter().any(|d| d == device);
            assert!(
                !has || named,
                "{}: {element} opens {device}",
                path.display()
            );
        }
    }
}

/// The trial of an updated slot reads in the unit's status that the programme moves: a box that words it otherwise would go
/// back to its old version after every update.
#[test]
fn the_trial_of_a_slot_waits_for_what_the_box_says() {
    let said = include_str!("../src/told.rs");
    let awaited = include_str!("../../board/image/root/usr/lib/dais/mark-good");
    let words = "The programme is moving.";
    assert!(said.contains(&format!("\"{words}\"")) && awaited.contains(&format!("\"{words}\"*")));
}

#[test]
fn the_promised_boards_are_there() {
    let there: BTreeSet<String> = files()
        .iter()
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    for board in [
        "imx8mp",
        "intel-n100",
        "qemu-arm64",
        "qemu-x86",
        "raspberry-pi-4",
        "raspberry-pi-5",
        "rock-5b",
    ] {
        assert!(there.contains(board), "{board} is gone from {there:?}");
    }
}
