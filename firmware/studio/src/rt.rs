//! Threads that must not wait for others. On an overloaded machine the beat held only with real-time priority.
//!
//! The mix stands above everything, since all hang on it and it takes a millisecond or two a frame. Capture, the programme's
//! encoders, and what takes the programme from them to a disk, RTMP or SRT come next: on a busy box with Linux 6.12 a
//! recording that waited its turn among guests' threads for each packet lost 495 of them in 20 s. All else (guests' decoders,
//! returns, WHIP) shares what is left.

use gst::prelude::*;
use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

/// Both below the kernel's own threads (50).
const MIX: u8 = 10;
const STREAM: u8 = 5;

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
        if let gst::MessageView::StreamStatus(status) = message.view()
            && status.get().0 == gst::StreamStatusType::Enter
        {
            raise(STREAM, RealtimeThreadSchedulePolicy::RoundRobin);
        }
        gst::BusSyncReply::Pass
    });
}

/// Raises the thread that calls it to where streaming threads are.
pub(crate) fn raise_this_thread() {
    raise(STREAM, RealtimeThreadSchedulePolicy::RoundRobin);
}

/// Refused without `LimitRTPRIO`: then it is an ordinary thread.
fn raise(priority: u8, policy: RealtimeThreadSchedulePolicy) {
    let Ok(value) = ThreadPriorityValue::try_from(priority) else {
        return;
    };
    let policy = ThreadSchedulePolicy::Realtime(policy);
    if let Err(error) = set_thread_priority_and_policy(
        thread_native_id(),
        ThreadPriority::Crossplatform(value),
        policy,
    ) {
        tracing::debug!(?error, "no real-time priority: give the unit LimitRTPRIO");
    }
}
