//! What waits to be sent: bounded, and with an order of what may be lost.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::{Publish, Qos};
use crate::MAX_PAYLOAD;

/// Messages that wait at most. A burst of one room change to nine guests and two consoles is under 50.
const CAPACITY: usize = 2048;
/// Retained topics at most; the contract has five.
const MAX_RETAINED: usize = 64;
/// A reply or notification this old is worth nothing: its client has given up or read the snapshot.
const STALE_AFTER: Duration = Duration::from_secs(10);

/// Figures of a [`super::Link`] since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounters {
    /// Messages handed to the broker's connection.
    pub sent: u64,
    /// Requests received.
    pub received: u64,
    /// QoS 0 messages dropped: no connection, or no room.
    pub dropped_qos0: u64,
    /// QoS 1 messages dropped: too old, no room, or over 64 KiB.
    pub dropped_qos1: u64,
    /// Requests dropped because nobody took them in time.
    pub dropped_requests: u64,
    /// Connections made.
    pub connects: u64,
}

#[derive(Default)]
pub(super) struct Outbox {
    state: Mutex<State>,
    /// Told when there is something to send.
    pub(super) filled: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    /// The newest retained message of each topic, with its serial number.
    retained: HashMap<String, (u64, Publish)>,
    serial: u64,
    /// Taken out, and not yet in the library's channel.
    in_hand: Option<Publish>,
    connected: bool,
    counters: LinkCounters,
}

enum Waiting {
    Message {
        message: Publish,
        since: Instant,
    },
    /// A retained message by topic and serial: skipped if a newer one of the topic follows.
    Retained {
        topic: String,
        serial: u64,
    },
}

impl Outbox {
    pub(super) fn push(&self, message: Publish) {
        let mut state = self.lock();
        if message.payload.len() > MAX_PAYLOAD {
            tracing::error!(
                topic = message.topic,
                len = message.payload.len(),
                "a message over 64 KiB was dropped"
            );
            state.count_drop(message.qos);
            return;
        }
        if message.retain {
            state.push_retained(message);
        } else if message.qos == Qos::AtMostOnce && !state.connected {
            state.count_drop(Qos::AtMostOnce);
        } else if state.make_room(message.qos) {
            state.waiting.push_back(Waiting::Message {
                message,
                since: Instant::now(),
            });
        }
        drop(state);
        self.filled.notify_one();
    }

    /// The next message to send, passing over what is stale or superseded. It counts as waiting until [`Self::sent`].
    pub(super) fn pop(&self) -> Option<Publish> {
        let mut state = self.lock();
        state.in_hand = state.next();
        state.in_hand.clone()
    }

    /// The message last popped is in the library's channel.
    pub(super) fn sent(&self) {
        let mut state = self.lock();
        state.in_hand = None;
        state.counters.sent += 1;
    }

    pub(super) fn is_empty(&self) -> bool {
        let state = self.lock();
        state.waiting.is_empty() && state.in_hand.is_none()
    }

    /// A connection stands: every retained topic is sent again, before what waited.
    pub(super) fn connected(&self) {
        let mut state = self.lock();
        state.connected = true;
        state.counters.connects += 1;
        state
            .waiting
            .retain(|w| matches!(w, Waiting::Message { .. }));
        let mut again: Vec<(u64, String)> = state
            .retained
            .iter()
            .map(|(topic, (serial, _))| (*serial, topic.clone()))
            .collect();
        again.sort_unstable_by(|a, b| b.cmp(a));
        for (serial, topic) in again {
            state
                .waiting
                .push_front(Waiting::Retained { topic, serial });
        }
        drop(state);
        self.filled.notify_one();
    }

    /// The connection is gone: meters and the like are dropped, and what the library had not delivered comes back.
    pub(super) fn disconnected(&self, undelivered: Vec<Publish>) {
        let mut state = self.lock();
        state.connected = false;
        let before = state.waiting.len();
        state.waiting.retain(
            |w| !matches!(w, Waiting::Message { message, .. } if message.qos == Qos::AtMostOnce),
        );
        state.counters.dropped_qos0 += (before - state.waiting.len()) as u64;
        let in_hand = state.in_hand.take();
        for message in undelivered.into_iter().chain(in_hand).rev() {
            // Retained topics are sent again anyway, with their newest payload.
            if message.retain {
                continue;
            }
            if message.qos == Qos::AtMostOnce || state.waiting.len() >= CAPACITY {
                state.count_drop(message.qos);
            } else {
                state.waiting.push_front(Waiting::Message {
                    message,
                    since: Instant::now(),
                });
            }
        }
    }

    pub(super) fn counters(&self) -> LinkCounters {
        self.lock().counters
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut LinkCounters)) {
        change(&mut self.lock().counters);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next(&mut self) -> Option<Publish> {
        while let Some(next) = self.waiting.pop_front() {
            match next {
                Waiting::Message { message, since } if since.elapsed() > STALE_AFTER => {
                    self.count_drop(message.qos)
                }
                Waiting::Message { message, .. } => return Some(message),
                Waiting::Retained { topic, serial } => {
                    if let Some((newest, message)) = self.retained.get(&topic)
                        && *newest == serial
                    {
                        return Some(message.clone());
                    }
                }
            }
        }
        None
    }

    fn push_retained(&mut self, message: Publish) {
        if self.retained.len() >= MAX_RETAINED && !self.retained.contains_key(&message.topic) {
            tracing::error!(
                topic = message.topic,
                "a retained message was dropped: there are too many topics"
            );
            self.count_drop(message.qos);
            return;
        }
        self.serial += 1;
        let (topic, serial) = (message.topic.clone(), self.serial);
        self.retained.insert(topic.clone(), (serial, message));
        // Without a connection the topic will be sent at the next one.
        if self.connected && self.make_room(Qos::AtLeastOnce) {
            self.waiting.push_back(Waiting::Retained { topic, serial });
        }
    }

    /// Makes room for one more: superseded snapshots go first, then QoS 0, then what waited longest.
    fn make_room(&mut self, wanted_by: Qos) -> bool {
        if self.waiting.len() < CAPACITY {
            return true;
        }
        let retained = &self.retained;
        self.waiting.retain(|w| match w {
            Waiting::Message { .. } => true,
            Waiting::Retained { topic, serial } => retained
                .get(topic)
                .is_some_and(|(newest, _)| newest == serial),
        });
        if self.waiting.len() < CAPACITY {
            return true;
        }
        let qos0 = |w: &Waiting| matches!(w, Waiting::Message { message, .. } if message.qos == Qos::AtMostOnce);
        if let Some(i) = self.waiting.iter().position(qos0) {
            self.waiting.remove(i);
            self.count_drop(Qos::AtMostOnce);
            return true;
        }
        if wanted_by == Qos::AtMostOnce {
            self.count_drop(Qos::AtMostOnce);
            return false;
        }
        let qos1 = |w: &Waiting| matches!(w, Waiting::Message { .. });
        if let Some(i) = self.waiting.iter().position(qos1) {
            self.waiting.remove(i);
        }
        self.count_drop(Qos::AtLeastOnce);
        true
    }

    fn count_drop(&mut self, qos: Qos) {
        match qos {
            Qos::AtMostOnce => self.counters.dropped_qos0 += 1,
            Qos::AtLeastOnce => self.counters.dropped_qos1 += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bytes::Bytes;

    fn message(topic: &str, qos: Qos, retain: bool, n: usize) -> Publish {
        Publish {
            topic: topic.into(),
            payload: Bytes::from(n.to_string()),
            qos,
            retain,
            expiry_s: None,
            correlation_data: None,
        }
    }

    fn drain(outbox: &Outbox) -> Vec<String> {
        std::iter::from_fn(|| {
            let message = outbox.pop()?;
            outbox.sent();
            Some(message)
        })
        .map(|m| format!("{}={}", m.topic, String::from_utf8_lossy(&m.payload)))
        .collect()
    }

    #[test]
    fn after_a_reconnect_the_newest_retained_payload_of_each_topic_goes_first() {
        let outbox = Outbox::default();
        outbox.push(message("room", Qos::AtLeastOnce, true, 1));
        outbox.push(message("reply", Qos::AtLeastOnce, false, 2));
        outbox.push(message("pending", Qos::AtLeastOnce, true, 3));
        outbox.push(message("room", Qos::AtLeastOnce, true, 4));
        outbox.connected();
        assert_eq!(drain(&outbox), ["pending=3", "room=4", "reply=2"]);
        outbox.disconnected(vec![]);
        outbox.connected();
        assert_eq!(drain(&outbox), ["pending=3", "room=4"]);
    }

    #[test]
    fn a_snapshot_that_was_superseded_while_it_waited_is_not_sent() {
        let outbox = Outbox::default();
        outbox.connected();
        for n in 1..=3 {
            outbox.push(message("room", Qos::AtLeastOnce, true, n));
            outbox.push(message("note", Qos::AtLeastOnce, false, n));
        }
        assert_eq!(drain(&outbox), ["note=1", "note=2", "room=3", "note=3"]);
    }

    #[test]
    fn a_full_outbox_drops_meters_before_replies() {
        let outbox = Outbox::default();
        outbox.connected();
        outbox.push(message("meters", Qos::AtMostOnce, false, 0));
        for n in 0..CAPACITY {
            outbox.push(message("reply", Qos::AtLeastOnce, false, n));
        }
        let counters = outbox.counters();
        assert_eq!((counters.dropped_qos0, counters.dropped_qos1), (1, 0));
        outbox.push(message("meters", Qos::AtMostOnce, false, 1));
        outbox.push(message("reply", Qos::AtLeastOnce, false, CAPACITY));
        let counters = outbox.counters();
        assert_eq!((counters.dropped_qos0, counters.dropped_qos1), (2, 1));
        assert_eq!(drain(&outbox).len(), CAPACITY);
    }

    #[test]
    fn meters_are_not_kept_for_a_broker_that_is_away() {
        let outbox = Outbox::default();
        outbox.push(message("meters", Qos::AtMostOnce, false, 0));
        assert!(outbox.is_empty());
        assert_eq!(outbox.counters().dropped_qos0, 1);
    }

    #[test]
    fn what_the_library_had_not_delivered_goes_out_again_in_order() {
        let outbox = Outbox::default();
        outbox.connected();
        outbox.push(message("reply", Qos::AtLeastOnce, false, 3));
        outbox.disconnected(vec![
            message("reply", Qos::AtLeastOnce, false, 1),
            message("meters", Qos::AtMostOnce, false, 9),
            message("room", Qos::AtLeastOnce, true, 8),
            message("reply", Qos::AtLeastOnce, false, 2),
        ]);
        outbox.connected();
        assert_eq!(drain(&outbox), ["reply=1", "reply=2", "reply=3"]);
    }

    #[test]
    fn a_reply_that_was_in_hand_when_the_connection_broke_is_not_lost() {
        let outbox = Outbox::default();
        outbox.connected();
        outbox.push(message("reply", Qos::AtLeastOnce, false, 1));
        assert!(outbox.pop().is_some());
        assert!(!outbox.is_empty());
        outbox.disconnected(vec![]);
        outbox.connected();
        assert_eq!(drain(&outbox), ["reply=1"]);
    }

    #[test]
    fn a_payload_over_64_kib_is_dropped_and_counted() {
        let outbox = Outbox::default();
        outbox.connected();
        let mut big = message("room", Qos::AtLeastOnce, true, 0);
        big.payload = Bytes::from(vec![b' '; MAX_PAYLOAD + 1]);
        outbox.push(big);
        assert!(outbox.is_empty());
        assert_eq!(outbox.counters().dropped_qos1, 1);
    }
}
