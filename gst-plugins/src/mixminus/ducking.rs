//! Turns an input down while another speaks: music under the host's voice.

/// How an input gives way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ducking {
    /// How far down, 0 to 60 dB.
    pub depth_db: f32,
    /// How fast down and up, in ms for most (63 %) of the way.
    pub attack_ms: f32,
    pub release_ms: f32,
}

impl Default for Ducking {
    fn default() -> Self {
        Self {
            depth_db: 12.0,
            attack_ms: 50.0,
            release_ms: 400.0,
        }
    }
}

impl Ducking {
    pub(crate) fn bounded(self) -> Self {
        let within =
            |x: f32, low: f32, high: f32| if x.is_nan() { low } else { x.clamp(low, high) };
        Self {
            depth_db: within(self.depth_db, 0.0, 60.0),
            attack_ms: within(self.attack_ms, 10.0, 5_000.0),
            release_ms: within(self.release_ms, 10.0, 20_000.0),
        }
    }

    /// The attenuation of the next block, from that of the last.
    pub(crate) fn advance(&self, db: f32, others_speak: bool) -> f32 {
        let (goal, ms) = if others_speak {
            (-self.depth_db, self.attack_ms)
        } else {
            (0.0, self.release_ms)
        };
        let next = db + (goal - db) * (1.0 - (-10.0 / ms).exp());
        if (next - goal).abs() < 0.01 {
            goal
        } else {
            next
        }
    }
}
