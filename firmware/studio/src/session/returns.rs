//! What goes to the other side: the programme's picture as it was encoded once for all, or one guest's; and a sound of its own.

use gst::prelude::*;

use crate::api::{SessionKind, Source};
use crate::error::StudioError;
use crate::feed::Subscription;
use crate::slot::Slot;

use super::answer::{Answer, Codec, Down};
use super::peer::{AUDIO_LINE, Peer, VIDEO_LINE};
use super::sending;
use super::view::View;

/// Access units that may wait for a session's payloader: a third of a second at 30 fps. It takes them at once unless it hangs.
const QUEUE: u64 = 10;
/// Speech of several people and some music, stereo.
const OPUS_BPS: i32 = 96_000;

pub(super) struct Returns {
    /// Where the picture is one guest's and not the programme's.
    view: Option<View>,
    picture: Option<Subscription>,
    sources: Vec<gst_app::AppSrc>,
}

impl Returns {
    pub fn start(peer: &Peer, answer: &Answer) -> Result<Returns, StudioError> {
        let mut returns = Returns {
            view: None,
            picture: None,
            sources: Vec::new(),
        };
        if let Some(down) = answer.audio {
            returns.sound(peer, down)?;
        }
        if let Some(down) = answer.video {
            returns.picture(peer, down)?;
        }
        Ok(returns)
    }

    fn picture(&mut self, peer: &Peer, down: Down) -> Result<(), StudioError> {
        let feeds = &peer.shared.feeds;
        if let SessionKind::View { of } = &peer.kind {
            let of = peer.shared.slots.get(&Source::Session(of.clone()));
            let Some(of) = of else {
                return Err(StudioError::Unavailable {
                    why: "the guest's session has ended".into(),
                });
            };
            self.view = Some(View::start(&peer.shared, &of, down.codec, &peer.vitals)?);
        }
        let appsrc = sending::source();
        let mut chain = vec![appsrc.clone().upcast()];
        let programme = match down.codec {
            Codec::Vp8 => {
                chain.push(sending::vp8_payloader(down.payload)?);
                &feeds.return_vp8
            }
            Codec::H264 | Codec::Opus => {
                chain.extend(sending::h264_payloader(down.payload)?);
                &feeds.return_h264
            }
        };
        let feed = self.view.as_ref().map_or(programme, |view| &view.feed);
        let vitals = peer.vitals.clone();
        sending::carry_keyframe_requests(&appsrc, feed, move || {
            vitals
                .keyframes_asked
                .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        });
        sending::join(&peer.pipeline, &peer.webrtc, &chain, VIDEO_LINE)?;
        self.picture = Some(feed.feed_into(format!("session {}", peer.id), QUEUE, &appsrc));
        self.sources.push(appsrc);
        Ok(())
    }

    fn sound(&mut self, peer: &Peer, down: Down) -> Result<(), StudioError> {
        let appsrc = sending::sound_source();
        let mut chain = vec![appsrc.clone().upcast()];
        chain.extend(sending::opus_payloader(down.payload, OPUS_BPS)?);
        sending::join(&peer.pipeline, &peer.webrtc, &chain, AUDIO_LINE)?;
        peer.slot.sound_out.set(Some(appsrc.clone()));
        self.sources.push(appsrc);
        Ok(())
    }

    /// Nothing is pushed into the pipeline after this.
    pub fn cut_off(self, slot: &Slot) {
        slot.sound_out.set(None);
        drop(self.picture);
        drop(self.view);
        drop(self.sources);
    }
}
