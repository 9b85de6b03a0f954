//! `daisd doctor`: what this machine can capture, encode and mix, measured, and what to install for the rest.

use std::process::ExitCode;

use dais_studio::probe::{Device, Report, probe};

/// Prints the report, for a person or as one JSON object; fails where a box cannot run.
pub fn run(json: bool) -> ExitCode {
    let report = match probe() {
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
    println!("\nEncoders, moving 1920x1080:");
    for encoder in &report.encoders {
        match (encoder.fps, &encoder.trouble) {
            (Some(fps), _) => println!("  {:<14} {fps:>5.0} frames a second", encoder.element),
            (None, trouble) => println!(
                "  {:<14} does not work here: {}",
                encoder.element,
                trouble.as_deref().unwrap_or("no reason given")
            ),
        }
    }
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

fn list(title: &str, devices: &[Device]) {
    println!("\n{title}:");
    if devices.is_empty() {
        println!("  none");
    }
    for device in devices {
        println!(
            "  {}{}",
            device.name,
            device
                .setting
                .as_ref()
                .map(|s| format!("  (\"{s}\")"))
                .unwrap_or_default()
        );
    }
}
