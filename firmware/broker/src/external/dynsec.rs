//! Mosquitto's dynamic security plugin: users and roles by messages on `$CONTROL/dynamic-security/v1`.
//!
//! Each change is one short connection: connect, listen for the answer, ask, read the answer. Joins are rare, and
//! nothing needs to be kept alive or repaired between them. One role a user, because roles of mosquitto 2.0 can't
//! name the user in a topic.

use std::time::Duration;

use dais_room::access::{Identity, may_subscribe, publish_topics, readable_filters};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnectProperties, Packet, PubAckReason, SubscribeReasonCode};
use rumqttc::v5::{AsyncClient, Event};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::ExternalConfig;
use crate::{BrokerError, Endpoint};

const CONTROL: &str = "$CONTROL/dynamic-security/v1";
const RESPONSE: &str = "$CONTROL/dynamic-security/v1/response";
/// A broker on the same network answers in milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Dynsec {
    endpoint: Endpoint,
    config: ExternalConfig,
    /// One connection at a time: they share a client id.
    turn: Mutex<()>,
}

/// What the plugin said to one command: `None` is done.
type Answer = Option<String>;

impl Dynsec {
    pub(super) fn new(endpoint: Endpoint, config: ExternalConfig) -> Self {
        Self {
            endpoint,
            config,
            turn: Mutex::new(()),
        }
    }

    /// Gives the box's own user the rights of the box, if it does not have them yet.
    pub(super) async fn admit_box(&self) -> Result<(), BrokerError> {
        const WHAT: &str = "let the box administer it";
        let who = Identity::the_box();
        let role = self.role(&who);
        let user = &self.config.username;
        let mut make_role = self.role_command("createRole", &who);
        if self
            .ask(WHAT, vec![make_role.clone()])
            .await?
            .iter()
            .flatten()
            .any(|e| e.contains("exists"))
        {
            make_role["command"] = json!("modifyRole");
            self.all_done(WHAT, vec![make_role]).await?;
        }
        let add =
            json!({"command": "addClientRole", "username": user, "rolename": role, "priority": 1});
        // The plugin disconnects a user whose roles change, which may lose the answer. Asked again, it says that the
        // role is there, in the words "Internal error" (2.0) or "already".
        match self.ask(WHAT, vec![add.clone()]).await {
            Ok(answers) if answers.iter().all(Option::is_none) => Ok(()),
            _ if self.has_role(user, &role).await? => Ok(()),
            _ => self.all_done(WHAT, vec![add]).await,
        }
    }

    pub(super) async fn grant(&self, who: &Identity, password: &str) -> Result<(), BrokerError> {
        const WHAT: &str = "make a user";
        let (username, role) = (who.username(), self.role(who));
        let mut make_role = self.role_command("createRole", who);
        let mut make_user = json!({
            "command": "createClient", "username": username, "password": password,
            "roles": [{"rolename": role, "priority": 1}],
        });
        let answers = self
            .ask(WHAT, vec![make_role.clone(), make_user.clone()])
            .await?;
        if answers.iter().all(Option::is_none) {
            return Ok(());
        }
        // One of the name is there from before: make it this one.
        let existed = |i: usize| {
            answers
                .get(i)
                .is_some_and(|a| a.as_ref().is_some_and(|e| e.contains("exists")))
        };
        if existed(0) {
            make_role["command"] = json!("modifyRole");
        }
        if existed(1) {
            make_user["command"] = json!("modifyClient");
        }
        let again: Vec<Value> = [make_role, make_user]
            .into_iter()
            .zip(&answers)
            .filter_map(|(command, answer)| answer.is_some().then_some(command))
            .collect();
        self.all_done(WHAT, again).await
    }

    /// Deleting a user disconnects it.
    pub(super) async fn revoke(&self, who: &Identity) -> Result<(), BrokerError> {
        const WHAT: &str = "end a user";
        let delete = vec![
            json!({"command": "deleteClient", "username": who.username()}),
            json!({"command": "deleteRole", "rolename": self.role(who)}),
        ];
        let answers = self.ask(WHAT, delete).await?;
        match answers
            .into_iter()
            .flatten()
            .find(|e| !e.contains("not found"))
        {
            None => Ok(()),
            Some(why) => Err(self.error(WHAT, why)),
        }
    }

    fn role(&self, who: &Identity) -> String {
        format!("dais-{}-{who}", self.config.box_id)
    }

    fn role_command(&self, command: &str, who: &Identity) -> Value {
        let allow = |kind: &str, topic: &str| json!({"acltype": kind, "topic": topic, "priority": 1, "allow": true});
        let mut acls = Vec::new();
        for filter in readable_filters(who, &self.config.box_id) {
            acls.push(allow("subscribePattern", &filter));
            acls.push(allow("unsubscribePattern", &filter));
            acls.push(allow("publishClientReceive", &filter));
        }
        // Wildcards over nothing but readable topics, which the filters above do not cover one by one.
        for wildcard in ["+", "host/+"].map(|w| format!("dais/v1/{}/{w}", self.config.box_id)) {
            if may_subscribe(who, &self.config.box_id, &wildcard) {
                acls.push(allow("subscribePattern", &wildcard));
                acls.push(allow("unsubscribePattern", &wildcard));
            }
        }
        for topic in publish_topics(who, &self.config.box_id) {
            acls.push(allow("publishClientSend", &topic));
        }
        json!({"command": command, "rolename": self.role(who), "acls": acls})
    }

    async fn has_role(&self, username: &str, role: &str) -> Result<bool, BrokerError> {
        const WHAT: &str = "say what the box may do";
        let answer = self
            .exchange(
                WHAT,
                vec![json!({"command": "getClient", "username": username})],
            )
            .await?;
        let roles = answer["responses"][0]["data"]["client"]["roles"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        Ok(roles.iter().any(|r| r["rolename"] == role))
    }

    async fn all_done(&self, what: &'static str, commands: Vec<Value>) -> Result<(), BrokerError> {
        match self.ask(what, commands).await?.into_iter().flatten().next() {
            None => Ok(()),
            Some(why) => Err(self.error(what, why)),
        }
    }

    async fn ask(
        &self,
        what: &'static str,
        commands: Vec<Value>,
    ) -> Result<Vec<Answer>, BrokerError> {
        let n = commands.len();
        let answer = self.exchange(what, commands).await?;
        let answers: Vec<Answer> = answer["responses"]
            .as_array()
            .map(|all| {
                all.iter()
                    .map(|r| r["error"].as_str().map(str::to_owned))
                    .collect()
            })
            .unwrap_or_default();
        if answers.len() != n {
            return Err(self.error(what, "its answer does not fit the question".to_owned()));
        }
        Ok(answers)
    }

    /// One connection: the commands out, the answer back.
    async fn exchange(
        &self,
        what: &'static str,
        commands: Vec<Value>,
    ) -> Result<Value, BrokerError> {
        let _turn = self.turn.lock().await;
        match timeout(PATIENCE, self.converse(commands)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(why)) => Err(self.error(what, why)),
            Err(_) => Err(self.error(
                what,
                format!(
                    "there was no answer within {} s; is the dynamic security plugin loaded there?",
                    PATIENCE.as_secs()
                ),
            )),
        }
    }

    async fn converse(&self, commands: Vec<Value>) -> Result<Value, String> {
        let mut options = self
            .endpoint
            .mqtt_options(&format!("{}-access", self.config.username));
        options.set_credentials(&self.config.username, &self.config.password);
        options.set_outgoing_inflight_upper_limit(4);
        let mut properties = ConnectProperties::new();
        properties.max_packet_size = Some(1024 * 1024);
        options.set_connect_properties(properties);
        let (client, mut events) = AsyncClient::new(options, 8);
        let said = |e: &dyn std::fmt::Display| e.to_string();
        loop {
            match events.poll().await.map_err(|e| said(&e))? {
                Event::Incoming(Packet::ConnAck(_)) => {
                    client
                        .try_subscribe(RESPONSE, QoS::AtLeastOnce)
                        .map_err(|e| said(&e))?;
                }
                Event::Incoming(Packet::SubAck(ack)) => {
                    if !ack
                        .return_codes
                        .iter()
                        .all(|c| matches!(c, SubscribeReasonCode::Success(_)))
                    {
                        return Err(format!(
                            "the user `{}` lacks the role `admin` there",
                            self.config.username
                        ));
                    }
                    let ask = json!({ "commands": commands }).to_string();
                    client
                        .try_publish(CONTROL, QoS::AtLeastOnce, false, ask)
                        .map_err(|e| said(&e))?;
                }
                Event::Incoming(Packet::PubAck(ack))
                    if !matches!(
                        ack.reason,
                        PubAckReason::Success | PubAckReason::NoMatchingSubscribers
                    ) =>
                {
                    return Err(format!(
                        "the user `{}` lacks the role `admin` there",
                        self.config.username
                    ));
                }
                Event::Incoming(Packet::Publish(publish)) => {
                    let answer = serde_json::from_slice(&publish.payload).map_err(|e| said(&e))?;
                    // Without this the broker would take it for a lost client.
                    let _ = client.try_disconnect();
                    while let Ok(event) = events.poll().await {
                        if matches!(event, Event::Outgoing(rumqttc::Outgoing::Disconnect)) {
                            break;
                        }
                    }
                    return Ok(answer);
                }
                _ => {}
            }
        }
    }

    fn error(&self, what: &'static str, why: String) -> BrokerError {
        BrokerError::External {
            broker: self.endpoint.to_string(),
            what,
            why,
        }
    }
}
