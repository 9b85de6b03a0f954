//! The embedded broker with one guest, and the box's link, which sends every request back to where it came from.
//!
//! `cargo run -p dais-broker --example echo -- 1883`

use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use dais_broker::{
    Authenticate, Broker, EmbeddedConfig, Incoming, Limits, Link, LinkConfig, Publish, Qos,
    start_embedded,
};
use dais_room::access::Identity;

struct Doorkeeper;

impl Authenticate for Doorkeeper {
    fn authenticate(&self, username: &str, password: &[u8]) -> Option<Identity> {
        match (username, password) {
            ("box", b"box secret") => Some(Identity::the_box()),
            ("guest-ana", b"ana secret") => Identity::guest("ana"),
            _ => None,
        }
    }

    fn arrived(&self, who: &Identity) {
        println!("{who} is here");
    }

    fn departed(&self, who: &Identity, left: usize) {
        println!("{who} has {left} connections left");
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = std::env::args().nth(1).map_or(Ok(0), |port| port.parse())?;
    let config = EmbeddedConfig {
        bind: ([127, 0, 0, 1], port).into(),
        box_id: "studio".to_owned(),
        limits: Limits::default(),
    };
    let broker = start_embedded(config, Arc::new(Doorkeeper)).await?;
    let (link, mut incoming) = Link::start(LinkConfig {
        endpoint: broker.endpoint(),
        username: "box".to_owned(),
        password: "box secret".to_owned(),
        box_id: "studio".to_owned(),
        will_payload: Bytes::from_static(br#"{"online":false}"#),
        birth_payload: Bytes::from_static(br#"{"online":true}"#),
    });
    println!("listening on {}", broker.endpoint());
    while let Some(incoming) = incoming.recv().await {
        let Incoming::Request(request) = incoming else {
            continue;
        };
        let Some(down) = request.from.down_topic("studio") else {
            continue;
        };
        link.publish(Publish {
            topic: request.response_topic.unwrap_or(down),
            payload: request.payload,
            qos: Qos::AtLeastOnce,
            retain: false,
            expiry_s: None,
            correlation_data: request.correlation_data,
        });
    }
    Ok(())
}
