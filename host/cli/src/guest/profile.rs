//! Networks for rehearsals: what a guest's way to the box is like from a phone or behind three walls.
//!
//! `netsim` delays and loses packets where webrtcbin has its place for pacing: behind the element that repeats what was lost,
//! so that a loss can be made good as on a real network. Only what the guest sends is shaped.

use std::time::Duration;

use gst::prelude::*;

use super::peer::PeerError;
use super::source::Want;

/// Round figures of an ordinary day; a rehearsal needs no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// A good wireless network in the same house
    Wifi,
    /// Behind walls, with neighbours on the channel
    WeakWifi,
    /// A phone outdoors
    #[value(name = "mobile-4g")]
    Mobile4g,
    /// A phone at the edge of its cell
    #[value(name = "mobile-3g")]
    Mobile3g,
}

/// What a network does to packets, and what a sender can put through it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// Each packet takes something between these.
    pub delay: (Duration, Duration),
    /// Of a packet, 0 to 1.
    pub loss: f32,
    pub at_most: Want,
}

impl Profile {
    pub fn shape(self) -> Shape {
        let shape = |delay: (u64, u64), loss, (width, height, max_fps), max_kbps| Shape {
            delay: (
                Duration::from_millis(delay.0),
                Duration::from_millis(delay.1),
            ),
            loss,
            at_most: Want {
                width,
                height,
                max_fps,
                max_kbps,
            },
        };
        match self {
            Profile::Wifi => shape((2, 12), 0.001, (1280, 720, 30), 3000),
            Profile::WeakWifi => shape((5, 80), 0.02, (640, 360, 30), 800),
            Profile::Mobile4g => shape((30, 60), 0.005, (640, 360, 30), 1500),
            Profile::Mobile3g => shape((80, 200), 0.02, (320, 180, 15), 250),
        }
    }

    /// What is sent through this network of what the box can use.
    pub fn cap(self, want: Want) -> Want {
        let most = self.shape().at_most;
        // Both sides by the smaller of the two factors: the picture keeps its shape.
        let (width, height) = match (
            most.width * want.height < most.height * want.width,
            want.width > most.width || want.height > most.height,
        ) {
            (_, false) => (want.width, want.height),
            (true, true) => (most.width, want.height * most.width / want.width),
            (false, true) => (want.width * most.height / want.height, most.height),
        };
        Want {
            width,
            height,
            max_fps: want.max_fps.min(most.max_fps),
            max_kbps: want.max_kbps.min(most.max_kbps),
        }
    }

    /// Puts the network between `webrtc` and the world.
    pub(super) fn apply(self, webrtc: &gst::Element) -> Result<(), PeerError> {
        let Shape { delay, loss, .. } = self.shape();
        let ms = |delay: Duration| i32::try_from(delay.as_millis()).unwrap_or(i32::MAX);
        let network = gst::ElementFactory::make("netsim").build().map_err(|_| {
            PeerError::Pipeline("a profile needs gstreamer1.0-plugins-bad (netsim)".into())
        })?;
        network.set_property("min-delay", ms(delay.0));
        network.set_property("max-delay", ms(delay.1));
        network.set_property("delay-probability", 1.0f32);
        network.set_property("drop-probability", loss);
        network.set_property("allow-reordering", false);
        // All lines share one transport: asked for once.
        webrtc.connect("request-aux-sender", false, move |_| {
            Some(network.to_value())
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn want(width: u32, height: u32, max_fps: u32, max_kbps: u32) -> Want {
        Want {
            width,
            height,
            max_fps,
            max_kbps,
        }
    }

    #[test]
    fn a_profile_lowers_what_is_sent_and_keeps_the_pictures_shape() {
        let box_wants = want(640, 360, 30, 1200);
        assert_eq!(Profile::Mobile3g.cap(box_wants), want(320, 180, 15, 250));
        assert_eq!(Profile::WeakWifi.cap(box_wants), want(640, 360, 30, 800));
        assert_eq!(Profile::Wifi.cap(box_wants), box_wants);
        assert_eq!(
            Profile::Mobile3g.cap(want(360, 640, 30, 100)),
            want(101, 180, 15, 100)
        );
        assert_eq!(
            Profile::Mobile3g.cap(want(640, 160, 5, 100)),
            want(320, 80, 5, 100)
        );
    }
}
