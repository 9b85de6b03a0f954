//! Retained messages, in RAM, and only the box's.
//!
//! The library's own store is complete but switched off. Two things differ here: a message without an expiry is kept
//! until it is replaced (the library would end it after the listener's default), and what a client publishes with the
//! retain flag is passed on with the flag but never kept, so that no stored command can act later.

use std::time::Duration;

use async_trait::async_trait;
use dais_room::access::BOX_USERNAME;
use rmqtt::Result;
use rmqtt::retain::{DefaultRetainStorage, RetainStorage};
use rmqtt::types::{Retain, TopicFilter, TopicName};

pub(super) struct BoxOnly(DefaultRetainStorage);

impl BoxOnly {
    pub(super) fn new() -> Self {
        Self(DefaultRetainStorage::new())
    }
}

#[async_trait]
impl RetainStorage for BoxOnly {
    fn enable(&self) -> bool {
        true
    }

    fn need_sync(&self) -> bool {
        false
    }

    async fn set(
        &self,
        topic: &TopicName,
        retain: Retain,
        _default_expiry: Option<Duration>,
    ) -> Result<()> {
        if retain.from.id.username_ref() != BOX_USERNAME {
            return Ok(());
        }
        let asked = retain
            .publish
            .properties
            .as_ref()
            .and_then(|p| p.message_expiry_interval);
        let expiry = asked.map(|s| Duration::from_secs(u64::from(s.get())));
        self.0.set_with_timeout(topic, retain, expiry).await
    }

    async fn get(&self, filter: &TopicFilter) -> Result<Vec<(TopicName, Retain)>> {
        self.0.get_message(filter).await
    }

    async fn count(&self) -> isize {
        self.0.count().await
    }

    async fn max(&self) -> isize {
        self.0.max().await
    }
}
