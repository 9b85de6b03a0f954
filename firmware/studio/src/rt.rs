//! Threads that must not wait for others: the two that mix.

use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

/// Above an ordinary thread, below the kernel's own (50).
const PRIORITY: u8 = 10;

/// Starts a thread with real-time priority if this process may have it (`LimitRTPRIO`), else an ordinary one: measured on an
/// overloaded machine the beat held only with it.
pub(crate) fn spawn(
    name: &'static str,
    run: impl FnOnce() + Send + 'static,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name(name.into()).spawn(move || {
        if let Ok(value) = ThreadPriorityValue::try_from(PRIORITY) {
            let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
            if let Err(error) =
                set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Crossplatform(value), policy)
            {
                tracing::debug!(thread = name, ?error, "no real-time priority: give the unit LimitRTPRIO");
            }
        }
        run();
    })
}
