//! What the broker asks at each step of a client's life: who is it, may it publish this, may it read that.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dais_room::access::{Identity, Role, may_publish, may_subscribe};
use rmqtt::codec::v5::{DisconnectReasonCode, PublishAckReason, SubscribeAckReason};
use rmqtt::context::ServerContext;
use rmqtt::hook::{Handler, HookResult, Parameter, ReturnType, Type};
use rmqtt::session::{Session, SessionState};
use rmqtt::types::{
    AuthResult, ConnectInfo, Disconnect, From, LastWill, Message, Publish, PublishAclResult,
    PublishResult, Reason, SubscribeReturn,
};
use tokio::time::timeout;

use super::door::Door;
use super::sessions::Sessions;
use crate::{Authenticate, MAX_PAYLOAD};

#[derive(Clone)]
struct Rules {
    box_id: Arc<str>,
    auth: Arc<dyn Authenticate>,
    sessions: Arc<Sessions>,
    door: Arc<Door>,
}

/// A connection that was cut is gone within milliseconds; past this the new one is tried all the same.
const TAKE_OVER: Duration = Duration::from_secs(3);

pub(super) async fn register(
    scx: &ServerContext,
    box_id: &str,
    auth: Arc<dyn Authenticate>,
    sessions: &Arc<Sessions>,
    door: &Arc<Door>,
) {
    let rules = Rules {
        box_id: box_id.into(),
        auth,
        sessions: Arc::clone(sessions),
        door: Arc::clone(door),
    };
    let register = scx.extends.hook_mgr().register();
    for step in [
        Type::ClientAuthenticate,
        Type::ClientConnected,
        Type::ClientDisconnected,
        Type::SessionTerminated,
        Type::MessagePublishCheckAcl,
        Type::ClientSubscribeCheckAcl,
    ] {
        register.add(step, Box::new(rules.clone())).await;
    }
    register.start().await;
}

#[async_trait]
impl Handler for Rules {
    async fn hook(&self, param: &Parameter, acc: Option<HookResult>) -> ReturnType {
        match param {
            Parameter::ClientAuthenticate(connect) => (
                false,
                Some(HookResult::AuthResult(self.authenticate(connect).await)),
            ),
            Parameter::ClientConnected(session) => {
                self.connected(session).await;
                (true, acc)
            }
            Parameter::ClientDisconnected(session, _) => {
                let disconnect = session.disconnect().await.unwrap_or(None);
                if let Some(Disconnect::V5(said)) = &disconnect
                    && said.reason_code == DisconnectReasonCode::DisconnectWithWillMessage
                {
                    publish_will(session).await;
                }
                // A session that is about to end is not free yet: that comes next, as `SessionTerminated`.
                if !session
                    .fitter
                    .session_expiry_interval(disconnect.as_ref())
                    .is_zero()
                {
                    self.sessions.disconnected(&session.id);
                }
                (true, acc)
            }
            Parameter::SessionTerminated(session, _) => {
                // The library forgets the session only after this hook; whoever waits for its client id must not
                // meet it half ended.
                let mut entry = session.scx.extends.shared().await.entry(session.id.clone());
                if entry.id_same() == Some(true)
                    && let Err(e) = entry.remove_with(&session.id).await
                {
                    tracing::warn!("an ended MQTT session could not be removed: {e}");
                }
                self.sessions.terminated(&session.id);
                (true, acc)
            }
            Parameter::MessagePublishCheckAcl(session, publish) => {
                let answer = self
                    .publish(session, &publish.topic, publish.payload.len())
                    .await;
                (false, Some(HookResult::PublishAclResult(answer)))
            }
            Parameter::ClientSubscribeCheckAcl(session, subscribe) => {
                let answer = if self.may_subscribe(session, &subscribe.topic_filter) {
                    SubscribeReturn::new_success(subscribe.opts.qos(), None)
                } else {
                    SubscribeReturn::new_failure(SubscribeAckReason::NotAuthorized)
                };
                (false, Some(HookResult::SubscribeAclResult(answer)))
            }
            _ => (true, acc),
        }
    }
}

impl Rules {
    async fn authenticate(&self, connect: &ConnectInfo) -> AuthResult {
        let ConnectInfo::V5(id, _) = connect else {
            // Earlier versions can't carry expiry, response topics or refusals, on which the contract rests.
            tracing::info!("an MQTT client was refused: it does not speak version 5");
            return AuthResult::NotAuthorized;
        };
        let Some(who) = self.identify(connect) else {
            tracing::info!(
                username = connect.username().map(|u| &**u),
                "an MQTT client was refused: wrong user or password"
            );
            return AuthResult::BadUsernameOrPassword;
        };
        // The library publishes a will without asking; so it is asked for here, when it is left.
        if let Some(LastWill::V5(will)) = connect.last_will()
            && !(may_publish(&who, &self.box_id, &will.topic) && will.message.len() <= MAX_PAYLOAD)
        {
            tracing::warn!(%who, topic = &*will.topic, "an MQTT client was refused: its will is not its to publish");
            return AuthResult::NotAuthorized;
        }
        if !self.sessions.reserve(id) {
            tracing::warn!(%who, client_id = &*id.client_id, "an MQTT client was refused: the client id is another user's");
            return AuthResult::NotAuthorized;
        }
        // The user's own older connection makes way before the library meets it.
        if let Some(old) = self.sessions.live(&id.client_id) {
            self.door.cut(old);
            let _ = timeout(TAKE_OVER, self.sessions.free(&id.client_id)).await;
        }
        AuthResult::Allow(false, None)
    }

    /// Who the credential belongs to, if it is good and the user name is that identity's own.
    fn identify(&self, connect: &ConnectInfo) -> Option<Identity> {
        let (username, password) = (connect.username()?, connect.password()?);
        let who = self.auth.authenticate(username, password)?;
        (who.username() == **username).then_some(who)
    }

    /// Somebody may have been revoked between the password check and now, when the session can be found and kicked.
    async fn connected(&self, session: &Session) {
        if !self.sessions.connected(&session.id) {
            return;
        }
        let still_good = match session.connect_info().await {
            Ok(connect) => self.identify(&connect).is_some(),
            Err(_) => false,
        };
        if !still_good {
            let entry = session.scx.extends.shared().await.entry(session.id.clone());
            if let Some(tx) = entry.tx() {
                let _ = tx.unbounded_send(Message::Closed(Reason::ConnectKicked(true)));
            }
        }
    }

    async fn publish(&self, session: &Session, topic: &str, len: usize) -> PublishAclResult {
        let refuse = |reason, why: &'static str| {
            PublishAclResult(PublishResult::reason_code(reason, Some(why.into()), false))
        };
        let Some(who) = who(session) else {
            return refuse(PublishAckReason::NotAuthorized, "unknown user");
        };
        if who.role != Role::Box
            && let Err(wait) = self.sessions.spend(&session.id.client_id)
        {
            // Waiting here stops reading from this client alone: TCP slows the flood down where it begins.
            tokio::time::sleep(wait).await;
            return refuse(PublishAckReason::QuotaExceeded, "too many messages");
        }
        if !may_publish(&who, &self.box_id, topic) {
            return refuse(PublishAckReason::NotAuthorized, "not authorized");
        }
        if len > MAX_PAYLOAD {
            return refuse(PublishAckReason::QuotaExceeded, "payload over 64 KiB");
        }
        PublishAclResult::allow()
    }

    fn may_subscribe(&self, session: &Session, filter: &str) -> bool {
        who(session).is_some_and(|who| may_subscribe(&who, &self.box_id, filter))
    }
}

/// The library takes every DISCONNECT as one that discards the will, also the one that asks for it (0x04).
async fn publish_will(session: &Session) {
    let Ok(connect) = session.connect_info().await else {
        return;
    };
    let Some(will) = connect
        .last_will()
        .and_then(|will| Publish::try_from(will).ok())
    else {
        return;
    };
    let from = From::from_lastwill(session.id.clone());
    if let Err(e) = SessionState::forwards(&session.scx, from, will, false, None).await {
        tracing::warn!("a will could not be published: {e}");
    }
}

fn who(session: &Session) -> Option<Identity> {
    Identity::from_username(session.id.username_ref())
}
