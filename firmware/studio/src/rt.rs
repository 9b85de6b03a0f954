//! Threads that must not wait for others. On an overloaded machine the beat held only with real-time priority.
//!
//! The mix stands above everything, since all hang on it and it takes a millisecond or two a frame. Capture, the programme's
//! encoders, and what takes the programme from them to a disk, RTMP or SRT come next: on a busy box with Linux 6.12 a
//! recording that waited its turn among guests' threads for each packet lost 495 of them in 20 s. Then comes what a guest's sound
//! passes through on its way in: a packet of 20 ms that waits for another guest's burst of pictures is late, and a hole. All else (guests'
//! decoders, returns, WHIP) shares what is left.

use std::cell::Cell;

use gst::prelude::*;
use thread_priority::{
    NormalThreadSchedulePolicy, RealtimeThreadSchedulePolicy, ThreadPriority,
    ThreadPriorityOsValue, ThreadPriorityValue, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

/// All below the kernel's own threads (50).
const MIX: u8 = 10;
const STREAM: u8 = 5;
const SOUND: u8 = 2;

thread_local! {
    /// Whether a priority was asked for. Also when it was refused: who was refused once need not ask again.
    static RAISED: Cell<bool> = const { Cell::new(false) };
}

/// Starts a thread with real-time priority if this process may have it (`LimitRTPRIO`), else an ordinary one.
pub(crate) fn spawn(
    name: &'static str,
    run: impl FnOnce() + Send + 'static,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.into())
        .spawn(move || {
            raise(MIX, RealtimeThreadSchedulePolicy::Fifo);
            run();
        })
}

/// Raises all streaming threads of a pipeline that is not started yet; threads that an encoder makes for itself inherit it.
pub(crate) fn raise_streams(pipeline: &gst::Pipeline) {
    let Some(bus) = pipeline.bus() else { return };
    bus.set_sync_handler(|_, message| {
        follow(message, STREAM, |_| true);
        gst::BusSyncReply::Pass
    });
}

/// For a session's bus: raises the thread that takes packets from the network. It decrypts and sorts them; what is decoded has threads of its own.
pub(crate) fn raise_network(message: &gst::Message) {
    follow(message, SOUND, |element| {
        element.factory().is_some_and(|f| f.name() == "nicesrc")
    });
}

/// Raises the thread that calls it to where streaming threads are.
pub(crate) fn raise_this_thread() {
    raise(STREAM, RealtimeThreadSchedulePolicy::RoundRobin);
}

/// The same for a guest's sound, with each packet: the pipeline's bus ([`raise_network`]) lowers it in the end.
pub(crate) fn raise_sound() {
    if !RAISED.get() {
        raise(SOUND, RealtimeThreadSchedulePolicy::RoundRobin);
    }
}

/// Streaming threads belong to a pool of the whole process: one that ends is lowered, or the next to get it, a guest's decoder perhaps,
/// would have its priority.
fn follow(message: &gst::Message, priority: u8, whose: impl Fn(&gst::Element) -> bool) {
    let gst::MessageView::StreamStatus(status) = message.view() else {
        return;
    };
    match status.get() {
        (gst::StreamStatusType::Enter, owner) if whose(&owner) => {
            raise(priority, RealtimeThreadSchedulePolicy::RoundRobin);
        }
        (gst::StreamStatusType::Leave, _) if RAISED.take() => {
            set(
                ThreadPriority::Os(ThreadPriorityOsValue::default()),
                ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Other),
            );
        }
        _ => {}
    }
}

fn raise(priority: u8, policy: RealtimeThreadSchedulePolicy) {
    RAISED.set(true);
    if let Ok(value) = ThreadPriorityValue::try_from(priority) {
        let policy = ThreadSchedulePolicy::Realtime(policy);
        set(ThreadPriority::Crossplatform(value), policy);
    }
}

/// Refused without `LimitRTPRIO`: then it is an ordinary thread.
fn set(priority: ThreadPriority, policy: ThreadSchedulePolicy) {
    if let Err(error) = set_thread_priority_and_policy(thread_native_id(), priority, policy) {
        tracing::debug!(?error, "no real-time priority: give the unit LimitRTPRIO");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::mpsc;
    use std::time::Duration;

    use thread_priority::thread_schedule_policy;

    use super::*;

    /// Runs a pipeline of one streaming thread to its end, and tells that thread's policy.
    fn policy(raised: bool) -> ThreadSchedulePolicy {
        let (tell, told) = mpsc::channel();
        let pipeline = gst::parse::launch("fakesrc num-buffers=1 ! fakesink name=end").unwrap();
        let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
        if raised {
            raise_streams(&pipeline);
        }
        let pad = pipeline.by_name("end").unwrap().static_pad("sink").unwrap();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            tell.send(thread_schedule_policy().unwrap()).unwrap();
            gst::PadProbeReturn::Ok
        });
        pipeline.set_state(gst::State::Playing).unwrap();
        let policy = told.recv_timeout(Duration::from_secs(10)).unwrap();
        pipeline.set_state(gst::State::Null).unwrap();
        policy
    }

    #[test]
    fn a_thread_that_was_raised_is_an_ordinary_one_for_whom_gets_it_next() {
        gst::init().unwrap();
        let ordinary = policy(false);
        // As an ordinary user nobody is raised, and there is nothing to leave behind.
        println!("raised: {:?}", policy(true));
        for _ in 0..8 {
            assert_eq!(policy(false), ordinary);
        }
    }
}
