//! Paired consoles: who they are, and how one is sent away for good.

use dais_protocol::{Id, PairedHost, PairedHosts, RpcError};
use dais_room::access::{Identity, Role};

use super::calls::unavailable;
use super::{Appliance, LAST_WORD, end_connection};
use crate::config::BrokerMode;

impl Appliance {
    /// `room.hosts`
    pub(super) fn paired_hosts(&self) -> PairedHosts {
        let told = self.config.broker.mode == BrokerMode::Embedded;
        let hosts = self.book.hosts().into_iter();
        PairedHosts {
            hosts: hosts
                .map(|(user_id, name)| PairedHost {
                    connected: told.then(|| self.connections.contains_key(&host(&user_id))),
                    user_id,
                    name,
                })
                .collect(),
        }
    }

    /// `host.unpair`: credential, preview and MQTT session end at once.
    pub(super) fn unpair(&mut self, by: &Identity, user: &Id) -> Result<(), RpcError> {
        let known = self.book.unpair(user).map_err(|e| unavailable(&e))?;
        if !known {
            return Err(RpcError::bad_param(
                "user_id",
                "there is no such console, or it was unpaired already",
            ));
        }
        let who = host(user);
        tracing::info!(%who, %by, "unpaired");
        self.stop_watching(&who);
        self.stop_looking(&who);
        let own = *by == who;
        let broker = self.broker.clone();
        tokio::spawn(async move {
            if own {
                tokio::time::sleep(LAST_WORD).await;
            }
            end_connection(&*broker, &who).await;
        });
        Ok(())
    }
}

fn host(user: &Id) -> Identity {
    Identity {
        role: Role::Host,
        id: user.to_string(),
    }
}
