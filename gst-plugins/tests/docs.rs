//! Every pipeline of the documentation runs as it stands, but for what needs a display or a sound card, and for the folder
//! of its files.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use gst::prelude::*;

const TEXTS: [&str; 7] = [
    include_str!("../README.md"),
    include_str!("../src/elements/mixminus/mod.rs"),
    include_str!("../src/elements/read/mod.rs"),
    include_str!("../src/elements/stamp/mod.rs"),
    include_str!("../src/elements/tilemix/mod.rs"),
    include_str!("../src/elements/toneread/mod.rs"),
    include_str!("../src/elements/tonestamp/mod.rs"),
];
/// Of a live pipeline, which may have no end, so many buffers come to each sink.
const ENOUGH: usize = 10;
/// Only a bug makes anything here last so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// The `gst-launch-1.0` lines of a text, as `parse::launch` takes them.
fn pipelines(text: &str) -> Vec<String> {
    let text = text.replace("//! ", "").replace("\\\n", " ");
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("gst-launch-1.0 "))
        .map(|line| line.trim_start_matches("-m ").to_owned())
        .collect()
}

enum Said {
    /// A sink has enough.
    Full,
    /// An element message of this name.
    Element(String),
    Eos,
    Error(String),
}

/// A misspelt property of a pad is no error to the parser.
fn assert_properties_of_pads(bin: &gst::Bin, line: &str) {
    for (pad, property) in line.split_whitespace().filter_map(|w| w.split_once("::")) {
        let (property, _) = property.split_once('=').unwrap();
        let all = bin.iterate_elements().into_iter().flatten();
        let pad = all.filter_map(|e| e.static_pad(pad)).next();
        assert!(pad.unwrap().find_property(property).is_some(), "{line}");
    }
}

fn count_at_sinks(bin: &gst::Bin, tell: &Sender<Said>) -> usize {
    let sinks: Vec<_> = bin.iterate_sinks().into_iter().flatten().collect();
    for sink in &sinks {
        let (tell, seen) = (tell.clone(), AtomicUsize::new(0));
        let pad = sink.static_pad("sink").unwrap();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            if seen.fetch_add(1, Ordering::Relaxed) + 1 == ENOUGH {
                let _ = tell.send(Said::Full);
            }
            gst::PadProbeReturn::Ok
        });
    }
    sinks.len()
}

/// Runs a live pipeline for a moment and another one to its end; the names of its element messages.
fn run(line: &str, folder: &Path) -> Vec<String> {
    let here = format!("location={}/", folder.display());
    let shown = line
        .replace("location=/tmp/", "location=")
        .replace("location=", &here)
        .replace("autovideosink", "fakesink sync=true")
        .replace("autoaudiosink", "fakesink sync=true");
    let pipeline = gst::parse::launch(&shown).expect(line);
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    assert_properties_of_pads(pipeline.upcast_ref(), line);
    let (tell, told) = channel();
    let sinks = count_at_sinks(pipeline.upcast_ref(), &tell);
    let bus = pipeline.bus().unwrap();
    bus.set_sync_handler(move |_, message| {
        let said = match message.view() {
            gst::MessageView::Eos(_) => Some(Said::Eos),
            gst::MessageView::Error(error) => Some(Said::Error(format!(
                "{} {:?}",
                error.error(),
                error.debug()
            ))),
            gst::MessageView::Element(element) => element
                .structure()
                .map(|s| Said::Element(s.name().to_string())),
            _ => None,
        };
        said.into_iter().for_each(|said| drop(tell.send(said)));
        gst::BusSyncReply::Drop
    });
    pipeline.set_state(gst::State::Playing).expect(line);
    let live = line.contains("is-live=true");
    let (mut full, mut messages) = (0, Vec::new());
    loop {
        match told.recv_timeout(PATIENCE).expect(line) {
            Said::Full => full += 1,
            Said::Element(name) => messages.push(name),
            Said::Eos => break,
            Said::Error(error) => panic!("{line}: {error}"),
        }
        if live && full == sinks {
            break;
        }
    }
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(full, sinks, "{line}");
    messages
}

#[test]
fn every_pipeline_of_the_documentation_runs() {
    gst::init().unwrap();
    gstdais::plugin_register_static().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut lines: Vec<String> = TEXTS.into_iter().flat_map(pipelines).collect();
    assert!(TEXTS.iter().all(|text| !pipelines(text).is_empty()));
    // What reads a file runs after what writes it.
    lines.sort_by_key(|line| line.contains("filesrc"));
    for line in &lines {
        let messages = run(line, folder.path());
        let live = line.contains("is-live=true");
        for (element, message) in [("daisread", "dais-read"), ("daistoneread", "dais-tone")] {
            let due = line.contains(element) && !live;
            let came = messages.iter().any(|name| name == message);
            assert!(came || !due, "{line}: {messages:?}");
        }
    }
    println!("{} pipelines", lines.len());
}
