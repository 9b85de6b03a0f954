//! A destination by WHIP, started by a console on a whole box.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../../firmware/studio/tests/child/mod.rs"]
mod child;
mod house;
#[path = "../../../firmware/studio/tests/whip_server/mod.rs"]
mod whip_server;

use dais_cli::client::Heard;
use dais_protocol::{Output, OutputState};
use house::{Console, House, SMALL};
use serde_json::json;
use whip_server::{KEY, Server};

/// The server's side; started by the test.
#[test]
#[ignore = "a part of the other test"]
fn whip_server_process() {
    whip_server::run();
}

async fn until_output(console: &mut Console, id: &str, state: OutputState) -> Output {
    console
        .until(&format!("{id} to be {state:?}"), |heard| match heard {
            Heard::Outputs(all) => {
                assert!(!serde_json::to_string(all).unwrap().contains("secret"));
                let found = all
                    .outputs
                    .iter()
                    .find(|o| &*o.output_id == id && o.state == state);
                found.cloned()
            }
            _ => None,
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_console_sends_the_programme_by_whip_and_is_told_of_a_wrong_key() {
    let mut server = Server::start(0).await;
    let house = House::start(SMALL);
    let mut console = house.console().await;
    let start =
        |key: &str| json!({"kind": "whip", "url": server.url("/whip"), "key": key, "name": "Far"});
    let (wrong, right) = (start("wrong-secret"), start(KEY));
    let wrong = console.ask("output.start", wrong).await.unwrap();
    let failed = until_output(
        &mut console,
        wrong["output_id"].as_str().unwrap(),
        OutputState::Failed,
    )
    .await;
    assert!(
        failed
            .error
            .as_deref()
            .unwrap()
            .contains("refuses the key (401)"),
        "{failed:?}"
    );

    let right = console.ask("output.start", right).await.unwrap();
    let id = right["output_id"].as_str().unwrap();
    let live = until_output(&mut console, id, OutputState::Live).await;
    assert_eq!((live.name.as_str(), live.dropped), ("Far", 0));
    server
        .until("a picture", |m| m["picture"].as_array().map(drop))
        .await;
    server
        .until("the host's sound", |m| {
            m["db"].as_f64().filter(|db| *db > -60.0)
        })
        .await;
    console
        .ask("output.stop", json!({"output_id": id}))
        .await
        .unwrap();
    server
        .until("its end", |m| m["deleted"].as_str().map(drop))
        .await;
    let log = std::fs::read_to_string(house.data.path().join("log")).unwrap();
    assert!(!log.contains("secret"), "{log}");
}
