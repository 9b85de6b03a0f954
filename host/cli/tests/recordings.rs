//! What was recorded is fetched from the box, and removed, without a keyboard at it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod house;

use dais_protocol::{Reason, RecordingFile};
use house::{House, SMALL};
use serde_json::{Value, json};

fn files(listed: &Value) -> Vec<RecordingFile> {
    serde_json::from_value(listed["recordings"].clone()).unwrap()
}

/// Status and body of a GET, of these bytes alone where they are given.
async fn get(url: &str, range: Option<&str>) -> (u16, Vec<u8>) {
    let mut request = ureq::get(url).config().http_status_as_error(false).build();
    if let Some(range) = range {
        request = request.header("Range", range);
    }
    tokio::task::spawn_blocking(move || {
        let mut answer = request.call().unwrap();
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(1 << 30).read_to_vec();
        (status, body.unwrap())
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_is_fetched_whole_or_in_parts_by_its_link_and_removed() {
    let house = House::start(SMALL);
    let mut console = house.console().await;
    assert_eq!(
        files(&console.ask("record.list", json!({})).await.unwrap()),
        []
    );
    console.ask("record.start", json!({})).await.unwrap();
    let written = console.until_recording().await;
    let listed = files(&console.ask("record.list", json!({})).await.unwrap());
    let file = listed[0].file.to_string();
    assert!(written.ends_with(&file) && listed[0].open, "{listed:?}");
    let of = |file: &str| json!({"file": file});
    let refused = console.ask("record.remove", of(&file)).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::InvalidParams);
    console.ask("record.stop", json!({})).await.unwrap();
    console.until_recorded().await;

    let on_disk = std::fs::read(&written).unwrap();
    let listed = files(&console.ask("record.list", json!({})).await.unwrap());
    assert_eq!(
        (listed[0].bytes, listed[0].open),
        (on_disk.len() as u64, false)
    );
    let link = console.ask("record.link", of(&file)).await.unwrap();
    let url = link["url"].as_str().unwrap();
    assert_eq!(get(url, None).await, (200, on_disk.clone()));
    assert_eq!(
        get(url, Some("bytes=100-199")).await,
        (206, on_disk[100..200].to_vec())
    );
    let guessed = url.replace("/recordings/", "/recordings/0");
    assert_eq!(get(&guessed, None).await.0, 404);

    console.ask("record.remove", of(&file)).await.unwrap();
    assert!(!std::path::Path::new(&written).exists());
    assert_eq!(get(url, None).await.0, 404);
    let gone = console.ask("record.remove", of(&file)).await.unwrap_err();
    assert_eq!(gone.data.more["field"], "file");
}
