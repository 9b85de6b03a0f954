//! A broker under test, embedded or a real mosquitto, and clients that see every answer.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

pub mod client;
pub mod mosquitto;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use dais_broker::{
    Authenticate, Broker, BrokerError, EmbeddedBroker, EmbeddedConfig, Endpoint, ExternalBroker,
    ExternalConfig, Limits, LinkConfig, Provisioning, TlsRoots, start_embedded,
};
use dais_room::access::Identity;

pub use client::{Client, Dial};
use mosquitto::Mosquitto;

/// Generous: the machine may be building something else on both cores.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Long enough for something that must not come to have come.
pub const QUIET: Duration = Duration::from_millis(700);
pub const BOX: &str = "studio-a";
pub const BOX_PASSWORD: &str = "the box's own";

pub fn topic(rest: &str) -> String {
    format!("dais/v1/{BOX}/{rest}")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Embedded,
    Mosquitto,
}

/// What the contract lets a foreign broker do differently, in one place.
impl Kind {
    /// It may grant a subscription that it should refuse, if it then delivers nothing.
    pub fn may_grant_and_filter(self) -> bool {
        self == Kind::Mosquitto
    }

    /// It may refuse a wildcard although everything under it is readable.
    pub fn may_refuse_readable_wildcards(self) -> bool {
        self == Kind::Mosquitto
    }

    /// It may take a will that it will not publish, instead of refusing the connection.
    pub fn may_accept_foreign_wills(self) -> bool {
        self == Kind::Mosquitto
    }

    /// It may keep what a client retained on its `up`, if the box never hears it again.
    pub fn may_store_clients_retained(self) -> bool {
        self == Kind::Mosquitto
    }
}

/// Who exists, for the embedded broker.
#[derive(Default)]
pub struct Book {
    passwords: Mutex<HashMap<String, Vec<u8>>>,
    told: Mutex<Vec<Told>>,
    changed: tokio::sync::Notify,
}

/// Who came and who went.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    Arrived(Identity),
    /// And how many connections are left.
    Departed(Identity, usize),
}

impl Book {
    pub fn add(&self, who: &Identity, password: &str) {
        self.passwords
            .lock()
            .unwrap()
            .insert(who.username(), password.as_bytes().to_vec());
    }

    pub fn remove(&self, who: &Identity) {
        self.passwords.lock().unwrap().remove(&who.username());
    }

    /// Waits until so much was told of who came and went.
    pub async fn told(&self, count: usize) -> Vec<Told> {
        let told = async {
            loop {
                let changed = self.changed.notified();
                let told = self.told.lock().unwrap().clone();
                if told.len() >= count {
                    return told;
                }
                changed.await;
            }
        };
        tokio::time::timeout(PATIENCE, told).await.unwrap()
    }

    fn tell(&self, told: Told) {
        self.told.lock().unwrap().push(told);
        self.changed.notify_one();
    }
}

impl Authenticate for Book {
    fn authenticate(&self, username: &str, password: &[u8]) -> Option<Identity> {
        let book = self.passwords.lock().unwrap();
        (book.get(username)? == password).then(|| Identity::from_username(username))?
    }

    fn arrived(&self, who: &Identity) {
        self.tell(Told::Arrived(who.clone()));
    }

    fn departed(&self, who: &Identity, left: usize) {
        self.tell(Told::Departed(who.clone(), left));
    }
}

enum Running {
    Embedded(EmbeddedBroker),
    Mosquitto(Box<(Mosquitto, ExternalBroker)>),
}

pub struct Rig {
    pub kind: Kind,
    pub book: Arc<Book>,
    running: Running,
}

pub fn host(id: &str) -> Identity {
    Identity::host(id).unwrap()
}

pub fn guest(id: &str) -> Identity {
    Identity::guest(id).unwrap()
}

pub fn password_of(who: &Identity) -> String {
    if *who == Identity::the_box() {
        BOX_PASSWORD.to_owned()
    } else {
        format!("secret of {who}")
    }
}

impl Rig {
    pub async fn start(kind: Kind) -> Self {
        let book = Arc::new(Book::default());
        book.add(&Identity::the_box(), BOX_PASSWORD);
        let running = match kind {
            Kind::Embedded => Running::Embedded(
                embedded(&book, ([127, 0, 0, 1], 0).into(), Limits::default()).await,
            ),
            Kind::Mosquitto => {
                let mosquitto = Mosquitto::start(BOX_PASSWORD).await;
                let broker = administer(&mosquitto).await;
                Running::Mosquitto(Box::new((mosquitto, broker)))
            }
        };
        Self {
            kind,
            book,
            running,
        }
    }

    pub fn broker(&self) -> &dyn Broker {
        match &self.running {
            Running::Embedded(broker) => broker,
            Running::Mosquitto(both) => &both.1,
        }
    }

    pub fn endpoint(&self) -> Endpoint {
        self.broker().endpoint()
    }

    /// The broker ends as if its process or the power were cut, and comes back on the same port.
    pub async fn kill_and_restart(&mut self) {
        let port = self.endpoint().port;
        match &mut self.running {
            Running::Embedded(broker) => {
                broker.stop().await;
                self.running = Running::Embedded(
                    embedded(&self.book, ([127, 0, 0, 1], port).into(), Limits::default()).await,
                );
            }
            Running::Mosquitto(both) => both.0.kill_and_restart().await,
        }
    }

    pub async fn grant(&self, who: &Identity) {
        self.book.add(who, &password_of(who));
        self.broker().grant(who, &password_of(who)).await.unwrap();
    }

    pub async fn revoke(&self, who: &Identity) {
        self.book.remove(who);
        self.broker().revoke(who).await.unwrap();
    }

    /// Somebody with a credential, connected.
    pub async fn join(&self, who: &Identity) -> Client {
        self.grant(who).await;
        Dial::new(who).to(self.endpoint()).connect().await.unwrap()
    }

    pub async fn the_box(&self) -> Client {
        Dial::new(&Identity::the_box())
            .to(self.endpoint())
            .client_id("the-box-in-a-test")
            .connect()
            .await
            .unwrap()
    }

    pub fn link_config(&self) -> LinkConfig {
        LinkConfig {
            endpoint: self.endpoint(),
            username: "box".to_owned(),
            password: BOX_PASSWORD.to_owned(),
            box_id: BOX.to_owned(),
            will_payload: Bytes::from_static(br#"{"online":false}"#),
            birth_payload: Bytes::from_static(br#"{"online":true}"#),
        }
    }
}

pub async fn embedded(book: &Arc<Book>, bind: SocketAddr, limits: Limits) -> EmbeddedBroker {
    let config = EmbeddedConfig {
        bind,
        box_id: BOX.to_owned(),
        limits,
    };
    start_embedded(config, Arc::<Book>::clone(book))
        .await
        .unwrap()
}

/// A broker that is there, and takes the box.
pub async fn connect_external(config: ExternalConfig) -> Result<ExternalBroker, BrokerError> {
    let broker = ExternalBroker::new(config)?;
    broker.admit().await?;
    Ok(broker)
}

async fn administer(mosquitto: &Mosquitto) -> ExternalBroker {
    connect_external(ExternalConfig {
        url: format!("mqtt://127.0.0.1:{}", mosquitto.port),
        username: "box".to_owned(),
        password: BOX_PASSWORD.to_owned(),
        roots: TlsRoots::System,
        box_id: BOX.to_owned(),
        provisioning: Provisioning::Dynsec,
    })
    .await
    .unwrap()
}
