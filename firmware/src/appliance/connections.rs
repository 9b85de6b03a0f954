//! How each guest's connection does: from the counters of its session to a word that a host understands at a glance.

use std::collections::{HashMap, VecDeque};

use dais_protocol::{GuestHealth, Quality, Seat};
use dais_studio::session::SessionHealth;

/// Loss is looked at over so many seconds: long enough for a burst to be seen by a person, short enough to be over soon.
const LOOK_BACK: usize = 5;
/// ITU-T G.114: nobody notices 150 ms one way, and past 400 ms a conversation breaks.
const RTT_FAIR_MS: f32 = 300.0;
const RTT_POOR_MS: f32 = 800.0;
/// Opus conceals a lost packet now and then; pictures of a stream that loses more freeze until the next keyframe.
const LOSS_FAIR: f32 = 2.0;
const LOSS_POOR: f32 = 8.0;
const JITTER_FAIR_MS: f32 = 50.0;

/// Packets lost and received.
type Counts = (u64, u64);

/// The counters of the last seconds, by session.
#[derive(Default)]
pub(super) struct Connections {
    before: HashMap<String, VecDeque<Counts>>,
}

impl Connections {
    /// Once a second: the sessions as they are, and who has a seat with which of them.
    pub fn look(
        &mut self,
        sessions: &[SessionHealth],
        seated: &[(Seat, String)],
    ) -> Vec<GuestHealth> {
        self.before
            .retain(|id, _| sessions.iter().any(|session| session.session == *id));
        for session in sessions {
            let past = self.before.entry(session.session.clone()).or_default();
            past.push_back((session.packets_lost, session.packets_received));
            if past.len() > LOOK_BACK + 1 {
                past.pop_front();
            }
        }
        let line = |(seat, id): &(Seat, String)| {
            let session = sessions.iter().find(|session| session.session == *id)?;
            let up = self.before.get(id).map_or(0.0, lost_percent);
            Some(of(*seat, session, up))
        };
        seated.iter().filter_map(line).collect()
    }
}

fn lost_percent(past: &VecDeque<Counts>) -> f32 {
    let (Some(first), Some(last)) = (past.front(), past.back()) else {
        return 0.0;
    };
    // Duplicates make the count of lost packets go back.
    let (lost, received) = (
        last.0.saturating_sub(first.0),
        last.1.saturating_sub(first.1),
    );
    match lost + received {
        0 => 0.0,
        all => lost as f32 * 100.0 / all as f32,
    }
}

fn of(seat: Seat, session: &SessionHealth, up_loss: f32) -> GuestHealth {
    let loss_percent = up_loss.max(session.down_loss_percent);
    let rtt = session.rtt_ms.unwrap_or(0.0);
    let quality = if !session.alive || loss_percent >= LOSS_POOR || rtt >= RTT_POOR_MS {
        Quality::Poor
    } else if loss_percent >= LOSS_FAIR || rtt >= RTT_FAIR_MS || session.jitter_ms >= JITTER_FAIR_MS
    {
        Quality::Fair
    } else {
        Quality::Good
    };
    GuestHealth {
        seat,
        quality,
        loss_percent,
        rtt_ms: session.rtt_ms,
        fps: session.fps,
        kbps: session.kbps,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn session(lost: u64, received: u64) -> SessionHealth {
        SessionHealth {
            session: "m1".into(),
            alive: true,
            packets_lost: lost,
            packets_received: received,
            rtt_ms: Some(20.0),
            ..SessionHealth::default()
        }
    }

    fn seat(n: u8) -> Seat {
        Seat::try_from(f64::from(n)).unwrap()
    }

    fn look(connections: &mut Connections, session: SessionHealth) -> GuestHealth {
        connections.look(&[session], &[(seat(3), "m1".into())])[0]
    }

    #[test]
    fn loss_is_of_the_last_seconds_and_is_over_when_they_are() {
        let mut connections = Connections::default();
        assert_eq!(
            look(&mut connections, session(0, 100)).quality,
            Quality::Good
        );
        let bad = look(&mut connections, session(50, 150));
        assert_eq!((bad.quality, bad.loss_percent), (Quality::Poor, 50.0));
        for second in 1..=LOOK_BACK as u64 {
            look(&mut connections, session(50, 150 + second * 100));
        }
        let after = look(&mut connections, session(50, 1000));
        assert_eq!((after.quality, after.loss_percent), (Quality::Good, 0.0));
        assert_eq!(after.seat, seat(3));
    }

    #[test]
    fn a_long_way_a_shaky_one_and_a_dead_one_are_told_apart() {
        let with = |rtt_ms, jitter_ms, alive| SessionHealth {
            rtt_ms,
            jitter_ms,
            alive,
            ..session(0, 100)
        };
        let of = |health| look(&mut Connections::default(), health).quality;
        assert_eq!(of(with(None, 0.0, true)), Quality::Good);
        assert_eq!(of(with(Some(RTT_FAIR_MS), 0.0, true)), Quality::Fair);
        assert_eq!(of(with(Some(20.0), JITTER_FAIR_MS, true)), Quality::Fair);
        assert_eq!(of(with(Some(RTT_POOR_MS), 0.0, true)), Quality::Poor);
        assert_eq!(of(with(Some(20.0), 0.0, false)), Quality::Poor);
    }

    #[test]
    fn who_has_no_session_has_no_line_and_what_ended_is_forgotten() {
        let mut connections = Connections::default();
        look(&mut connections, session(0, 1));
        assert!(connections.look(&[], &[(seat(3), "m1".into())]).is_empty());
        assert!(connections.before.is_empty());
    }
}
