//! The pipelines of the documentation run as they stand.

use gst::prelude::*;
use gst_app::AppSink;

use crate::pictures::init;

/// The `gst-launch-1.0` lines of a text with this element in them, as `parse::launch` takes them.
fn lines(text: &str) -> Vec<String> {
    let text = text.replace("//! ", "").replace("\\\n", " ");
    text.lines()
        .filter_map(|l| l.trim().strip_prefix("gst-launch-1.0 "))
        .filter(|l| l.contains("daistilemix"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_pipelines_of_the_documentation_run() {
    init();
    let texts = [
        include_str!("../../src/elements/tilemix/mod.rs"),
        include_str!("../../README.md"),
    ];
    for text in texts {
        let lines = lines(text);
        assert!(!lines.is_empty());
        for line in lines {
            assert!(line.contains("autovideosink"), "{line}");
            let line = line.replace(
                "videoconvert ! autovideosink",
                "appsink name=out max-buffers=5",
            );
            let pipeline = gst::parse::launch(&line).unwrap();
            let bin = pipeline.downcast_ref::<gst::Bin>().unwrap();
            let sink = bin.by_name("out").unwrap().downcast::<AppSink>().unwrap();
            // A misspelt property of a pad is no error to the parser.
            let mix = bin.by_name("mix").unwrap();
            for (name, property) in line.split_whitespace().filter_map(|w| w.split_once("::")) {
                let (property, _) = property.split_once('=').unwrap();
                let pad = mix.static_pad(name).unwrap();
                assert!(pad.find_property(property).is_some(), "{property}");
            }
            pipeline.set_state(gst::State::Playing).unwrap();
            let mut last = None;
            for _ in 0..10 {
                let sample = sink
                    .try_pull_sample(gst::ClockTime::from_seconds(60))
                    .expect(&line);
                let pts = sample.buffer().and_then(|b| b.pts());
                assert!(pts > last);
                last = pts;
            }
            pipeline.set_state(gst::State::Null).unwrap();
        }
    }
}
