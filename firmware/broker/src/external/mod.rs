//! A broker of the studio's own: EMQX, HiveMQ, or a mosquitto that the box may administer.
//!
//! With [`Provisioning::Dynsec`] the box gives every host and guest a user and a role of its own in mosquitto's
//! dynamic security plugin, made from the same access table as the embedded broker's. With [`Provisioning::None`] the
//! broker's owner decides who may do what, and hands out fixed credentials.

mod dynsec;

use async_trait::async_trait;
use dais_room::access::{Identity, is_valid_id};

use crate::{Broker, BrokerError, Endpoint, TlsRoots};
use dynsec::Dynsec;

/// How an external broker is reached and administered.
#[derive(Clone)]
pub struct ExternalConfig {
    /// `mqtt://host:port` or `mqtts://host:port`.
    pub url: String,
    /// The box's user name on that broker.
    pub username: String,
    /// Its password.
    pub password: String,
    /// Which certificates vouch for the broker.
    pub roots: TlsRoots,
    /// `{box}` in every topic.
    pub box_id: String,
    /// Who makes users on that broker.
    pub provisioning: Provisioning,
}

/// Who makes users on an external broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Provisioning {
    /// Its owner. The box can neither give nor take a credential.
    #[default]
    None,
    /// The box, by mosquitto's dynamic security plugin; the box's user must have the plugin's `admin` role.
    Dynsec,
}

/// An external broker, reached or not.
pub struct ExternalBroker {
    endpoint: Endpoint,
    dynsec: Option<Dynsec>,
}

impl ExternalBroker {
    /// Checks the address; reaches out to nobody.
    ///
    /// # Errors
    /// If the address or the box's id is out of form.
    pub fn new(config: ExternalConfig) -> Result<Self, BrokerError> {
        if !is_valid_id(&config.box_id) {
            return Err(BrokerError::BoxId(config.box_id));
        }
        let endpoint = Endpoint::from_url(&config.url, &config.roots)?;
        let dynsec = match config.provisioning {
            Provisioning::None => None,
            Provisioning::Dynsec => Some(Dynsec::new(endpoint.clone(), config)),
        };
        Ok(Self { endpoint, dynsec })
    }

    /// With dynamic security, gives the box's own user the rights of the box.
    ///
    /// # Errors
    /// If the broker can't be reached or administered now.
    pub async fn admit(&self) -> Result<(), BrokerError> {
        match &self.dynsec {
            Some(dynsec) => dynsec.admit_box().await,
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Broker for ExternalBroker {
    fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    async fn grant(&self, who: &Identity, password: &str) -> Result<(), BrokerError> {
        match &self.dynsec {
            Some(dynsec) => dynsec.grant(who, password).await,
            None => Ok(()),
        }
    }

    async fn revoke(&self, who: &Identity) -> Result<(), BrokerError> {
        match &self.dynsec {
            Some(dynsec) => dynsec.revoke(who).await,
            None => Err(BrokerError::External {
                broker: self.endpoint.to_string(),
                what: "end a session",
                why: format!(
                    "it is administered by its owner; take `{who}` off there, or set `provisioning = \"dynsec\"`"
                ),
            }),
        }
    }

    async fn stop(&self) {}
}
