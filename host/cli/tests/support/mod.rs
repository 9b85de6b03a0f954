//! A real mosquitto with one console and the box, and a box that does what a test says.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use dais_protocol::RpcError;
use rumqttc::v5::{
    AsyncClient, Event, MqttOptions,
    mqttbytes::{QoS, v5::Packet, v5::PublishProperties},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{sync::mpsc, time::timeout};

pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Broker {
    folder: TempDir,
    process: Child,
    tcp: u16,
    websocket: u16,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn mosquitto() -> &'static str {
    // Debian installs it where an ordinary user's PATH does not look.
    if Path::new("/usr/sbin/mosquitto").exists() {
        "/usr/sbin/mosquitto"
    } else {
        "mosquitto"
    }
}

impl Broker {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (tcp, websocket) = (free_port(), free_port());
        let path = |name: &str| folder.path().join(name).display().to_string();
        for (user, flag) in [("box", "-c"), ("host-c1", "-b")] {
            let flags: &[&str] = if flag == "-c" { &["-c", "-b"] } else { &["-b"] };
            let done = Command::new("mosquitto_passwd")
                .args(flags)
                .args([&path("passwords"), user, "right"])
                .status();
            assert!(
                done.expect("the tests need the package mosquitto")
                    .success()
            );
        }
        let config = format!(
            "per_listener_settings false\nallow_anonymous false\npassword_file {}\nlistener {tcp} 127.0.0.1\nlistener {websocket} 127.0.0.1\nprotocol websockets\n{}",
            path("passwords"),
            // Started as root it would become a user that cannot read the file.
            "user root\n",
        );
        fs::write(folder.path().join("mosquitto.conf"), config).unwrap();
        let process = Self::run(&folder);
        let mut broker = Self {
            folder,
            process,
            tcp,
            websocket,
        };
        broker.listening();
        broker
    }

    fn run(folder: &TempDir) -> Child {
        let mut command = Command::new(mosquitto());
        command.arg("-c").arg(folder.path().join("mosquitto.conf"));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the tests need the package mosquitto")
    }

    fn listening(&mut self) {
        let start = Instant::now();
        while [self.tcp, self.websocket]
            .iter()
            .any(|port| TcpStream::connect(("127.0.0.1", *port)).is_err())
        {
            assert!(
                start.elapsed() < PATIENCE && self.process.try_wait().unwrap().is_none(),
                "mosquitto does not listen"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn restart(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.process = Self::run(&self.folder);
        self.listening();
    }

    pub fn tcp(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.tcp)
    }

    pub fn websocket(&self) -> String {
        format!("ws://127.0.0.1:{}/mqtt", self.websocket)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub struct Asked {
    pub topic: String,
    pub body: Value,
    pub retain: bool,
    pub expiry: Option<u32>,
    pub response_topic: Option<String>,
    pub correlation: Option<Vec<u8>>,
}

pub struct ScriptedBox {
    mqtt: AsyncClient,
    asked: mpsc::UnboundedReceiver<Asked>,
}

impl ScriptedBox {
    /// Connected, listening on every `up`, with `online` and `room` retained.
    pub async fn start(broker: &Broker) -> Self {
        let mut options = MqttOptions::new("box", "127.0.0.1", broker.tcp);
        options.set_credentials("box", "right");
        options.set_max_packet_size(Some(200_000));
        let (mqtt, mut events) = AsyncClient::new(options, 64);
        let (tx, asked) = mpsc::unbounded_channel();
        let (ready_tx, mut ready) = mpsc::unbounded_channel();
        let subscriber = mqtt.clone();
        tokio::spawn(async move {
            // Until the broker goes: a test that restarts it starts a new box.
            while let Ok(event) = events.poll().await {
                match event {
                    Event::Incoming(Packet::ConnAck(_)) => subscriber
                        .try_subscribe("dais/v1/dev/+/+/up", QoS::AtLeastOnce)
                        .unwrap(),
                    Event::Incoming(Packet::SubAck(_)) => drop(ready_tx.send(())),
                    Event::Incoming(Packet::PubAck(_)) => drop(ready_tx.send(())),
                    Event::Incoming(Packet::Publish(publish)) => {
                        let properties = publish.properties.clone().unwrap_or_default();
                        let _ = tx.send(Asked {
                            topic: String::from_utf8(publish.topic.to_vec()).unwrap(),
                            body: serde_json::from_slice(&publish.payload).unwrap(),
                            retain: publish.retain,
                            expiry: properties.message_expiry_interval,
                            response_topic: properties.response_topic,
                            correlation: properties.correlation_data.map(|data| data.to_vec()),
                        });
                    }
                    _ => {}
                }
            }
        });
        let scripted = Self { mqtt, asked };
        timeout(PATIENCE, ready.recv()).await.unwrap().unwrap();
        let online = json!({"online": true, "boot_id": "6f1ed002-ab56-4a5b-8a6e-0d9ecf1c3c11", "version": "0.1.0"});
        for (topic, payload) in [("online", online), ("room", room(41))] {
            scripted
                .publish_retained(&format!("dais/v1/dev/{topic}"), &payload)
                .await;
            timeout(PATIENCE, ready.recv()).await.unwrap().unwrap();
        }
        scripted
    }

    /// What came next on any `up`.
    pub async fn request(&mut self) -> Asked {
        timeout(PATIENCE, self.asked.recv())
            .await
            .expect("nothing was asked in time")
            .unwrap()
    }

    /// The next request; good-byes are passed over.
    pub async fn call(&mut self) -> Asked {
        loop {
            let asked = self.request().await;
            if asked.body.get("id").is_some() {
                return asked;
            }
        }
    }

    pub async fn reply(&self, request: &Asked, result: Value) {
        self.answer(
            request,
            json!({"jsonrpc": "2.0", "id": request.body["id"], "result": result}),
        )
        .await;
    }

    pub async fn refuse(&self, request: &Asked, error: RpcError) {
        self.answer(
            request,
            json!({"jsonrpc": "2.0", "id": request.body["id"], "error": error}),
        )
        .await;
    }

    async fn answer(&self, request: &Asked, reply: Value) {
        let topic = request.response_topic.clone().unwrap();
        let properties = PublishProperties {
            correlation_data: request.correlation.clone().map(Into::into),
            ..Default::default()
        };
        let body = reply.to_string();
        self.mqtt
            .publish_with_properties(topic, QoS::AtLeastOnce, false, body, properties)
            .await
            .unwrap();
    }

    pub async fn publish(&self, topic: &str, payload: &Value) {
        self.mqtt
            .publish(topic, QoS::AtLeastOnce, false, payload.to_string())
            .await
            .unwrap();
    }

    pub async fn publish_retained(&self, topic: &str, payload: &Value) {
        self.mqtt
            .publish(topic, QoS::AtLeastOnce, true, payload.to_string())
            .await
            .unwrap();
    }
}

pub fn room(rev: u64) -> Value {
    json!({"rev": rev, "title": "Friday live", "accepting": true, "max_guests": 9, "layout": "auto",
           "host": {"name": "Studio A", "muted": false, "camera": true}, "guests": [], "locked_seats": []})
}
