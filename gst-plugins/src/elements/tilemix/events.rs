//! Events and queries of the pads.

use std::sync::atomic::Ordering;

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::imp::{TileMix, Way};
use super::input::lock;
use super::{Mode, TileMixPad};
use crate::elements::is_not_seekable;

impl TileMix {
    pub(super) fn sink_event(&self, pad: &TileMixPad, event: gst::Event) -> bool {
        use gst::EventView;
        let slot = &pad.imp().slot;
        match event.view() {
            EventView::Caps(caps) => match gst_video::VideoInfo::from_caps(caps.caps()) {
                Ok(info) => lock(&slot.input).info = Some(info),
                Err(_) => return false,
            },
            EventView::Segment(segment) => {
                let segment = segment.segment().downcast_ref::<gst::ClockTime>().cloned();
                // One in bytes or frames tells no time: its buffers count from zero.
                lock(&slot.input).segment = segment.unwrap_or_default();
            }
            EventView::StreamStart(_) => lock(&slot.input).eos = false,
            EventView::Gap(gap) => {
                self.way_for(pad);
                let (from, length) = gap.get();
                let end = from.saturating_add(length.unwrap_or_default());
                let mut input = lock(&slot.input);
                if let Some(end) = input.segment.to_running_time(end) {
                    input.known_until = input.known_until.max(end.nseconds());
                }
                drop(input);
                self.notify();
            }
            EventView::FlushStart(_) => {
                lock(&slot.input).flushing = true;
                self.notify();
            }
            EventView::FlushStop(_) => {
                lock(&slot.input).flush(self.way() == Way::Live);
                self.notify();
            }
            EventView::Eos(_) => {
                self.way_for(pad);
                {
                    let mut input = lock(&slot.input);
                    input.eos = true;
                    if self.way() == Way::Live {
                        input.newest = None;
                    }
                }
                self.notify();
                self.end_if_all_have();
            }
            // Tags and the like are about one input.
            _ => {}
        }
        true
    }

    fn notify(&self) {
        let _state = lock(&self.state);
        self.announce();
    }

    /// Live: the last pad's end is the output's. (Not live, the task sees to it.)
    fn end_if_all_have(&self) {
        let all = {
            let state = lock(&self.state);
            !state.pads.is_empty() && state.pads.iter().all(|(_, s)| lock(&s.input).eos)
        };
        if all && self.way() == Way::Live {
            let mut output = lock(&self.output);
            let _ = output.prepare(&self.src);
            output.end(&self.src);
        }
    }

    pub(super) fn sink_query(&self, pad: &TileMixPad, query: &mut gst::QueryRef) -> bool {
        if let gst::QueryViewMut::Allocation(allocation) = query.view_mut() {
            // Padded rows are as good as any.
            allocation.add_allocation_meta::<gst_video::VideoMeta>(None);
            return true;
        }
        gst::Pad::query_default(pad, Some(&*self.obj()), query)
    }

    pub(super) fn src_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        use gst::EventView;
        match event.view() {
            // One output can't tell its many inputs where to be or how late they are.
            EventView::Seek(_) | EventView::Qos(_) => false,
            _ => gst::Pad::event_default(pad, Some(&*self.obj()), event),
        }
    }

    pub(super) fn src_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        if let gst::QueryViewMut::Latency(latency) = query.view_mut() {
            let (live, min, max) = self.latency();
            latency.set(live, min, max);
            return true;
        }
        is_not_seekable(query) || gst::Pad::query_default(pad, Some(&*self.obj()), query)
    }

    /// Nothing waits for the other pads, so only the clock pad's counts.
    fn latency(&self) -> (bool, gst::ClockTime, Option<gst::ClockTime>) {
        let (mut any_live, mut clock) = (false, None);
        for pad in self.obj().sink_pads() {
            let mut upstream = gst::query::Latency::new();
            if !pad.peer_query(&mut upstream) {
                continue;
            }
            let (live, min, max) = upstream.result();
            any_live |= live;
            let is_clock = pad
                .downcast_ref::<TileMixPad>()
                .is_some_and(|p| p.imp().slot.is_clock.load(Ordering::SeqCst));
            if live && is_clock {
                clock = Some((min, max));
            }
        }
        let mode = lock(&self.settings).mode;
        if mode == Mode::Auto && any_live && self.way() != Way::Live {
            self.set_way(Way::Live);
        }
        let live = any_live || mode == Mode::Live;
        let (min, max) = clock.unwrap_or_default();
        (live, min, max)
    }
}
