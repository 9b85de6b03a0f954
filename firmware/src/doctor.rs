//! `daisd doctor`: what this machine can capture, encode and mix, measured, and what to install for the rest.

use std::path::Path;
use std::process::ExitCode;

use dais_studio::capture::Control;
use dais_studio::probe::{Device, Report, probe};
use dais_studio::{Figures, Passport, StudioConfig};

use crate::config::Config;

/// Prints the report, for a person or as one JSON object; fails where a box cannot run. `config`: the settings of a box, whose
/// programme and encoders are tried; else the defaults.
pub fn run(config: Option<&Path>, json: bool) -> ExitCode {
    let config = match config.map(Config::load).transpose() {
        Ok(config) => config.map_or_else(StudioConfig::default, |config| config.studio()),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let report = match probe(&config) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    if json {
        match serde_json::to_string(&report) {
            Ok(text) => println!("{text}"),
            Err(error) => eprintln!("The report cannot be written: {error}."),
        }
    } else {
        print(&report);
    }
    if report.is_well() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn print(report: &Report) {
    println!("{}", report.gstreamer);
    list("Cameras", &report.cameras);
    list("Microphones", &report.microphones);
    print_encoders(report);
    println!(
        "\nMixing ten tiles into 1920x1080: {:.1} ms a frame on one core.",
        report.mix_ms
    );
    for engine in &report.engines {
        match (&engine.mix_ms, &engine.trouble) {
            (Some(ms), _) => println!("  engine {:<6} {ms:.1} ms a frame", engine.engine),
            (None, trouble) => println!(
                "  engine {:<6} does not serve here: {}",
                engine.engine,
                trouble.as_deref().unwrap_or("no reason given")
            ),
        }
    }
    for missing in &report.missing {
        println!(
            "\nMissing: {}. Install {}.",
            missing.element, missing.package
        );
    }
    let verdict = if report.is_well() {
        "This machine can run a Dais."
    } else {
        "This machine cannot run a Dais as it is."
    };
    println!("\n{verdict}");
}

fn print_encoders(report: &Report) {
    let shape = &report.shape;
    println!(
        "\nEncoders, a moving {}x{} picture, {} frames a second at {} kbit/s:",
        shape.width, shape.height, shape.fps, shape.kbps
    );
    let chosen = report.encoders.iter().position(|p| p.verdict().is_ok());
    for (n, passport) in report.encoders.iter().enumerate() {
        let standing = match (passport.verdict(), Some(n) == chosen) {
            (Ok(()), true) => "the box uses it".to_owned(),
            (Ok(()), false) => "in reserve".to_owned(),
            (Err(why), _) => format!("not used: {why}"),
        };
        println!("  {}: {standing}.", passport.key.element);
        details(passport);
    }
    if !report.absent.is_empty() {
        println!("  Not on this machine: {}.", report.absent.join(", "));
    }
    for setting in &report.unknown_settings {
        println!("  Left out, since the encoder does not know it: {setting}.");
    }
    let Some(kept) = &report.kept else { return };
    println!(
        "\nWhat the box found at its starts ({}; without that file it tries everything again):",
        kept.path.display()
    );
    if let Some(damage) = &kept.damage {
        println!("  The file can't be read ({damage}): the box makes it anew.");
    } else if kept.passports.is_empty() {
        println!("  nothing yet");
    }
    for passport in &kept.passports {
        let key = &passport.key;
        let standing = match passport.verdict() {
            Ok(()) => "good".to_owned(),
            Err(why) => format!("not used: {why}"),
        };
        println!(
            "  {} for {}x{} at {}, {} kbit/s{}: {standing}.",
            key.element,
            key.shape.width,
            key.shape.height,
            key.shape.fps,
            key.shape.kbps,
            if key.shape.baseline {
                ", for browsers"
            } else {
                ""
            },
        );
        details(passport);
        if let Some(last) = &passport.last_failure {
            println!(
                "    failed in service {} time(s), at last: {last}",
                passport.failures
            );
        }
        let on = [&key.kernel, &key.gstreamer, &key.plugin, &key.device];
        let on: Vec<&str> = on
            .into_iter()
            .map(String::as_str)
            .filter(|text| !text.is_empty())
            .collect();
        println!("    on {}", on.join(", "));
    }
}

/// What was measured, a line for a person.
fn details(passport: &Passport) {
    let Figures {
        fps,
        opens_ms,
        held,
        psnr_db,
        rate,
        keyframe_after,
        ..
    } = &passport.figures;
    let figures = [
        fps.map(|fps| format!("{fps:.0} frames a second")),
        opens_ms.map(|ms| format!("first picture after {ms:.0} ms")),
        held.map(|held| format!("holds {held} back")),
        psnr_db.map(|[y, u, v]| format!("true to {y:.0}/{u:.0}/{v:.0} dB")),
        rate.map(|rate| format!("{:.0} % of the bit rate", rate * 100.0)),
        keyframe_after.map(|n| format!("a keyframe {n} frames after the request")),
    ];
    let figures: Vec<String> = figures.into_iter().flatten().collect();
    if !figures.is_empty() {
        println!("    {}", figures.join(", "));
    }
    for remark in &passport.remarks {
        println!("    {remark}");
    }
}

fn list(title: &str, devices: &[Device]) {
    println!("\n{title}:");
    if devices.is_empty() {
        println!("  none");
    }
    for device in devices {
        println!(
            "  {}{}{}",
            device.name,
            device
                .setting
                .as_ref()
                .map(|s| format!("  (\"{s}\")"))
                .unwrap_or_default(),
            if device.auto {
                ", what \"auto\" takes"
            } else {
                ""
            }
        );
        for control in &device.controls {
            println!("    {}", described(control));
        }
    }
}

/// A control of a sound card, for a person.
fn described(control: &Control) -> String {
    let gain = match (control.gain_db, control.range_db) {
        (Some(gain), Some([least, most])) => {
            format!(": {gain:.1} dB, {least:.1} to {most:.1} can be set")
        }
        _ => String::new(),
    };
    let muted = match control.muted {
        Some(true) => ", off (a box switches the first one on)",
        _ => "",
    };
    format!("control \"{}\"{gain}{muted}", control.name)
}
