//! The plugin as any GStreamer program loads it: `libgstdais.so` in a folder of `GST_PLUGIN_PATH`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::Command;

const ELEMENTS: [&str; 6] = [
    "daismixminus",
    "daisread",
    "daisstamp",
    "daistilemix",
    "daistoneread",
    "daistonestamp",
];

#[test]
fn gst_inspect_finds_all_elements_in_the_shared_library() {
    // Cargo puts it beside the tests, built with them.
    let test = std::env::current_exe().unwrap();
    let library = test.parent().unwrap().join("libgstdais.so");
    // Alone in a folder and with a registry of its own: GStreamer would look at all that lies beside it, and remember it.
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(&library, folder.path().join("libgstdais.so")).unwrap();
    let inspect = |what: &str| {
        let out = Command::new("gst-inspect-1.0")
            .arg(what)
            .env_remove("GST_PLUGIN_PATH_1_0")
            .env("GST_PLUGIN_PATH", folder.path())
            .env("GST_PLUGIN_SYSTEM_PATH_1_0", "")
            .env("GST_REGISTRY_1_0", folder.path().join("registry.bin"))
            .env("LANG", "C")
            .output()
            .expect("gst-inspect-1.0, of gstreamer1.0-tools");
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        let trouble = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.success(), "{what}: {said}{trouble}");
        said
    };
    let plugin = inspect("dais");
    for element in ELEMENTS {
        assert!(plugin.contains(&format!("  {element}: ")), "{plugin}");
    }
    assert!(plugin.contains("6 features"), "{plugin}");
    // With its pads and properties, for which GStreamer makes one.
    assert!(inspect("daistilemix").contains("clock-pad"));
    assert!(inspect("daismixminus").contains("queue-ms"));
}
