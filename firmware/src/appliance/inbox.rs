//! What the appliance hears, and in which order.

use dais_broker::Incoming;
use dais_studio::api::Event;
use tokio::sync::mpsc;

use crate::book::Presence;

pub struct Inbox {
    pub phones: Phones,
    pub studio: mpsc::UnboundedReceiver<Event>,
}

/// Who is there, and what they say.
pub struct Phones {
    pub mqtt: mpsc::Receiver<Incoming>,
    pub presence: mpsc::UnboundedReceiver<Presence>,
}

#[derive(Debug, PartialEq)]
pub(super) enum FromPhones {
    Presence(Presence),
    Mqtt(Incoming),
}

impl Phones {
    /// Who has arrived or departed is told before what anybody says: while a slow disk holds the appliance up, a guest comes back and
    /// asks again, and in the other order they would be taken for one who asked and then went.
    pub(super) async fn next(&mut self) -> Option<FromPhones> {
        tokio::select! {
            biased;
            Some(change) = self.presence.recv() => Some(FromPhones::Presence(change)),
            Some(incoming) = self.mqtt.recv() => Some(FromPhones::Mqtt(incoming)),
            else => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use dais_room::access::Identity;

    #[tokio::test]
    async fn who_has_arrived_is_known_before_what_they_say() {
        let (mqtt_in, mqtt) = mpsc::channel(64);
        let (presence_in, presence) = mpsc::unbounded_channel();
        let mut phones = Phones { mqtt, presence };
        let arrived = Presence::Arrived(Identity::guest("ana").unwrap());
        // By chance it would be right in one of four billion times.
        for _ in 0..32 {
            mqtt_in.send(Incoming::Connected).await.unwrap();
            presence_in.send(arrived.clone()).unwrap();
        }
        for _ in 0..32 {
            let told = phones.next().await.unwrap();
            assert_eq!(told, FromPhones::Presence(arrived.clone()));
        }
        for _ in 0..32 {
            let said = phones.next().await.unwrap();
            assert_eq!(said, FromPhones::Mqtt(Incoming::Connected));
        }
    }
}
