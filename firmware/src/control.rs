//! The MQTT door: bytes in, calls out; results in, bytes out.
//!
//! What is refused here never reaches the room: a sender past its rate, a retained request, a late one, a message that
//! does not parse. Each refusal is answered, except what JSON-RPC has no answer for, which is counted. A request with a good
//! envelope but without a good call goes on, because its refusal is remembered by its id like every other answer.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use dais_broker::{Link, Publish, Qos, Request};
use dais_protocol::{
    BadEnvelope, Call, Callers, Inbound, Notification, Reason, RpcError, Topics, reply,
};
use dais_room::access::{Identity, Role};
use serde::Serialize;
use serde_json::{Value, json};

/// Requests a second from one client, and candidates a second: a browser with many interfaces trickles dozens at once.
const CALLS_PER_S: usize = 20;
const CANDIDATES_PER_S: usize = 200;
const SECOND_MS: u64 = 1000;
/// Senders whose rates are remembered; beyond that those that were quiet for a second are forgotten.
const MAX_RATES: usize = 4096;
/// A reply or notification that could not be delivered for this long is of no use: the snapshot says more.
const REPLY_EXPIRY_S: u32 = 30;

/// Where a reply goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    pub from: Identity,
    pub id: String,
    topic: String,
    correlation: Option<Vec<u8>>,
}

/// What came in, after the door.
#[derive(Debug)]
pub enum Received {
    /// With the refusal, if the sender may not call this, or not so.
    Call(Envelope, Result<Call, RpcError>),
    Gone(Identity),
    /// Refused and answered, or dropped and counted.
    Nothing,
}

pub struct Control {
    link: Link,
    topics: Topics,
    box_id: String,
    rates: HashMap<Identity, Rates>,
    pub dropped: u64,
}

#[derive(Default)]
struct Rates {
    calls: Rate,
    candidates: Rate,
}

/// The times of the last requests, oldest first; as many as are allowed in a second.
#[derive(Default)]
struct Rate(VecDeque<u64>);

impl Rate {
    /// `Err` with the time to wait.
    fn take(&mut self, now: u64, limit: usize) -> Result<(), u64> {
        while self.0.front().is_some_and(|at| at + SECOND_MS <= now) {
            self.0.pop_front();
        }
        if self.0.len() >= limit {
            return Err(self.0.front().map_or(SECOND_MS, |at| at + SECOND_MS - now));
        }
        self.0.push_back(now);
        Ok(())
    }
}

impl Control {
    pub fn new(link: Link, box_id: &dais_protocol::Id) -> Self {
        Self {
            link,
            topics: Topics::new(box_id),
            box_id: box_id.to_string(),
            rates: HashMap::new(),
            dropped: 0,
        }
    }

    pub fn receive(&mut self, request: Request, now: u64) -> Received {
        let Some(down) = request.from.down_topic(&self.box_id) else {
            return self.drop_it("no such client");
        };
        if request.is_expired() {
            return self.drop_it("it came after its message expiry");
        }
        let own = |topic: &String| {
            *topic == down
                || topic
                    .strip_prefix(&down)
                    .is_some_and(|rest| rest.starts_with('/') && !rest.contains(['+', '#']))
        };
        let foreign = request
            .response_topic
            .as_ref()
            .is_some_and(|topic| !own(topic));
        let envelope = |id: String| Envelope {
            from: request.from.clone(),
            id,
            topic: request
                .response_topic
                .clone()
                .filter(|_| !foreign)
                .unwrap_or_else(|| down.clone()),
            correlation: request.correlation_data.as_ref().map(|data| data.to_vec()),
        };
        let inbound = Inbound::parse(&request.payload);
        let (id, method) = match &inbound {
            // Never past its rate: it may be a will, which comes once.
            Ok(Inbound::SessionGone) => return Received::Gone(request.from.clone()),
            Ok(Inbound::UnknownNotification(_)) => (None, None),
            Ok(Inbound::Request(r)) => (Some(r.id.as_str()), Some(r.method.as_str())),
            Err(bad) => (bad.id.as_deref(), None),
        };
        let candidate = method == Some("media.candidate");
        let refusal = if let Err(wait) = self.take(&request.from, now, candidate) {
            if id.is_none() {
                return self.drop_it("it came past its sender's rate");
            }
            let why = format!("Too many requests. Try again in {wait} ms.");
            Some(RpcError::new(Reason::RateLimited, why).with("retry_after_ms", json!(wait)))
        } else if request.retain {
            Some(RpcError::new(
                Reason::Retained,
                "A request with the retain flag is refused: it would act again after a reconnect.",
            ))
        } else if foreign {
            Some(RpcError::new(
                Reason::InvalidRequest,
                "The response topic is not the sender's own down, or below it.",
            ))
        } else {
            None
        };
        let (id, error) = match (inbound, refusal) {
            (Ok(Inbound::SessionGone | Inbound::UnknownNotification(_)), _) => {
                return self.drop_it("a notification that the box does not know");
            }
            (Ok(Inbound::Request(r)), None) => {
                let call = may_call(request.from.role, &r.method).and(r.call);
                return Received::Call(envelope(r.id), call);
            }
            (Ok(Inbound::Request(r)), Some(refusal)) => (Some(r.id), refusal),
            (Err(BadEnvelope { id, error }), refusal) => (id, refusal.unwrap_or(error)),
        };
        self.send_reply(&envelope(String::new()), id.as_deref(), &Err(error));
        Received::Nothing
    }

    fn take(&mut self, from: &Identity, now: u64, candidate: bool) -> Result<(), u64> {
        if self.rates.len() >= MAX_RATES && !self.rates.contains_key(from) {
            let quiet = |rate: &Rate| rate.0.back().is_none_or(|at| at + SECOND_MS <= now);
            self.rates
                .retain(|_, rates| !quiet(&rates.calls) || !quiet(&rates.candidates));
        }
        let rates = self.rates.entry(from.clone()).or_default();
        if candidate {
            rates.candidates.take(now, CANDIDATES_PER_S)
        } else {
            rates.calls.take(now, CALLS_PER_S)
        }
    }

    fn drop_it(&mut self, why: &str) -> Received {
        self.dropped += 1;
        tracing::debug!(why, "a message was dropped");
        Received::Nothing
    }

    pub fn reply(&self, to: &Envelope, result: Result<Value, RpcError>) {
        self.send_reply(to, Some(&to.id), &result);
    }

    fn send_reply(&self, to: &Envelope, id: Option<&str>, result: &Result<Value, RpcError>) {
        self.link.publish(Publish {
            topic: to.topic.clone(),
            payload: reply(id, result).to_string().into(),
            qos: Qos::AtLeastOnce,
            retain: false,
            expiry_s: Some(REPLY_EXPIRY_S),
            correlation_data: to.correlation.clone().map(Into::into),
        });
    }

    /// Tells one client.
    pub fn tell(&self, to: &Identity, notification: &Notification, rev: u64) {
        match to.role {
            Role::Guest => self.notify(self.topics.guest_down(&to.id), notification, rev),
            Role::Host => self.notify(self.topics.host_down(&to.id), notification, rev),
            Role::Box => {}
        }
    }

    /// Tells every console.
    pub fn tell_hosts(&self, notification: &Notification, rev: u64) {
        self.notify(self.topics.host_events(), notification, rev);
    }

    fn notify(&self, topic: String, notification: &Notification, rev: u64) {
        let payload = notification.encode(rev).to_string().into();
        self.link.publish(Publish {
            topic,
            payload,
            qos: Qos::AtLeastOnce,
            retain: false,
            expiry_s: Some(REPLY_EXPIRY_S),
            correlation_data: None,
        });
    }

    pub fn publish_room(&self, snapshot: &dais_protocol::RoomSnapshot) {
        self.publish(self.topics.room(), snapshot, Qos::AtLeastOnce, true);
    }

    pub fn publish_pending(&self, pending: &dais_protocol::Pending) {
        self.publish(self.topics.pending(), pending, Qos::AtLeastOnce, true);
    }

    pub fn publish_outputs(&self, outputs: &dais_protocol::Outputs) {
        self.publish(self.topics.outputs(), outputs, Qos::AtLeastOnce, true);
    }

    pub fn publish_health(&self, health: &dais_protocol::Health) {
        self.publish(self.topics.health(), health, Qos::AtMostOnce, true);
    }

    pub fn publish_meters(&self, meters: &dais_protocol::Meters) {
        self.publish(self.topics.meters(), meters, Qos::AtMostOnce, false);
    }

    fn publish(&self, topic: String, payload: &impl Serialize, qos: Qos, retain: bool) {
        let payload = match serde_json::to_vec(payload) {
            Ok(payload) => payload.into(),
            Err(error) => return tracing::error!(topic, %error, "a snapshot could not be written"),
        };
        self.link.publish(Publish {
            topic,
            payload,
            qos,
            retain,
            expiry_s: None,
            correlation_data: None,
        });
    }

    pub fn link(&self) -> &Link {
        &self.link
    }
}

/// Whose method it is comes before what it is called with: a guest learns nothing of what a host's method takes.
fn may_call(role: Role, method: &str) -> Result<(), RpcError> {
    let who = match (Call::callers_of(method), role) {
        (Some(Callers::Guests), Role::Host) => "hosts",
        (Some(Callers::Hosts), Role::Guest) => "guests",
        _ => return Ok(()),
    };
    let why = format!("The method \"{method}\" is not for {who}.");
    Err(RpcError::new(Reason::NotAllowed, why))
}

/// How long the link may take to say good-bye.
pub const FAREWELL: Duration = Duration::from_secs(2);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Instant;

    use dais_broker::{Endpoint, LinkConfig};

    use super::*;

    /// A door whose broker is not there: what it answers is of no interest.
    fn door() -> Control {
        let (link, _) = Link::start(LinkConfig {
            endpoint: Endpoint::tcp("127.0.0.1", 9),
            username: "box".into(),
            password: "p".into(),
            box_id: "dev".into(),
            will_payload: Default::default(),
            birth_payload: Default::default(),
        });
        Control::new(link, &"dev".parse().unwrap())
    }

    fn request(id: usize, method: &str, params: Value) -> Request {
        let payload =
            json!({"jsonrpc": "2.0", "id": id.to_string(), "method": method, "params": params});
        Request {
            from: Identity::guest("ana").unwrap(),
            payload: payload.to_string().into(),
            retain: false,
            expires_at: None,
            response_topic: None,
            correlation_data: None,
        }
    }

    fn acts(received: Received) -> bool {
        matches!(received, Received::Call(_, Ok(_)))
    }

    #[tokio::test]
    async fn what_comes_after_its_expiry_is_dropped_and_counted() {
        let mut door = door();
        let mut late = request(1, "mic.leave", json!({}));
        late.expires_at = Some(Instant::now());
        assert!(matches!(door.receive(late, 0), Received::Nothing));
        assert_eq!(door.dropped, 1);
        let mut in_time = request(2, "mic.leave", json!({}));
        in_time.expires_at = Some(Instant::now() + Duration::from_secs(60));
        assert!(acts(door.receive(in_time, 0)));
    }

    #[tokio::test]
    async fn twenty_requests_and_two_hundred_candidates_a_second_are_taken_and_no_more() {
        let mut door = door();
        for n in 0..20 {
            assert!(acts(door.receive(request(n, "mic.leave", json!({})), 5)));
        }
        assert!(!acts(door.receive(request(20, "mic.leave", json!({})), 5)));
        let candidate = || json!({"session": "s", "candidate": null});
        for n in 0..200 {
            let request = request(100 + n, "media.candidate", candidate());
            assert!(acts(door.receive(request, 5)));
        }
        let request = request(300, "media.candidate", candidate());
        assert!(!acts(door.receive(request, 5)));
    }

    /// A topic that only looks like one below its sender's own is somebody else's.
    #[tokio::test]
    async fn a_reply_goes_to_the_senders_own_topics_and_no_other() {
        let mut door = door();
        let down = "dais/v1/dev/guest/ana/down";
        for (n, (topic, own)) in [
            (down.to_owned(), true),
            (format!("{down}/r/1"), true),
            (format!("{down}x"), false),
            (format!("{down}/+"), false),
            ("dais/v1/dev/guest/ben/down".into(), false),
        ]
        .into_iter()
        .enumerate()
        {
            let mut request = request(n, "mic.leave", json!({}));
            request.response_topic = Some(topic.clone());
            assert_eq!(acts(door.receive(request, 0)), own, "{topic}");
        }
    }

    #[test]
    fn the_twenty_first_request_of_a_second_waits() {
        let mut rate = Rate::default();
        for n in 0..20 {
            assert_eq!(rate.take(n * 10, 20), Ok(()));
        }
        assert_eq!(rate.take(200, 20), Err(800));
        assert_eq!(rate.take(1000, 20), Ok(()));
        assert_eq!(rate.take(1001, 20), Err(9));
    }
}
