//! The terms that the broker offers a client at CONNECT, where they differ from what it asked for.

use std::num::{NonZeroU16, NonZeroU32};
use std::sync::Arc;
use std::time::Duration;

use rmqtt::Result;
use rmqtt::fitter::{DefaultFitter, Fitter, FitterManager};
use rmqtt::types::{CodecPublish, ConnectInfo, Disconnect, FitterType, Id, ListenerConfig};

/// A dead phone is noticed within one and a half times this, whatever it asked for. In seconds.
const MAX_KEEP_ALIVE: u16 = 60;

pub(super) struct Terms;

impl FitterManager for Terms {
    fn create(&self, connect: Arc<ConnectInfo>, id: Id, listener: ListenerConfig) -> FitterType {
        Arc::new(ClientTerms(DefaultFitter::new(connect, id, listener)))
    }
}

struct ClientTerms(DefaultFitter);

impl Fitter for ClientTerms {
    /// Sets what CONNACK tells the client, and returns the silence after which it is given up.
    fn keep_alive(&self, keep_alive: &mut u16) -> Result<u16> {
        // 0 asks for none at all: a seat would then be held by the dead for as long as TCP lets it.
        if *keep_alive == 0 || *keep_alive > MAX_KEEP_ALIVE {
            *keep_alive = MAX_KEEP_ALIVE;
        }
        Ok(*keep_alive + keep_alive.div_ceil(2))
    }

    fn max_mqueue_len(&self) -> usize {
        self.0.max_mqueue_len()
    }

    fn mqueue_rate_limit(&self) -> (NonZeroU32, Duration) {
        self.0.mqueue_rate_limit()
    }

    fn max_inflight(&self) -> NonZeroU16 {
        self.0.max_inflight()
    }

    fn session_expiry_interval(&self, disconnect: Option<&Disconnect>) -> Duration {
        self.0.session_expiry_interval(disconnect)
    }

    fn message_expiry_interval(&self, publish: &CodecPublish) -> Duration {
        self.0.message_expiry_interval(publish)
    }

    fn max_client_topic_aliases(&self) -> u16 {
        self.0.max_client_topic_aliases()
    }

    fn max_server_topic_aliases(&self) -> u16 {
        self.0.max_server_topic_aliases()
    }
}
