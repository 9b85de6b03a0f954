//! What the kernel says of this process and this machine.

use std::fs;
use std::path::Path;

/// Cores in use, from one reading to the next.
#[derive(Default)]
pub struct CpuMeter {
    last: Option<(u64, u64)>,
}

impl CpuMeter {
    /// `now_ms` is any clock that grows. The first reading is 0.
    pub fn cores(&mut self, now_ms: u64) -> f32 {
        let Some(busy_ms) = busy_ms() else { return 0.0 };
        let cores = match self.last {
            Some((then, before)) if now_ms > then => {
                (busy_ms.saturating_sub(before)) as f32 / (now_ms - then) as f32
            }
            _ => 0.0,
        };
        self.last = Some((now_ms, busy_ms));
        cores
    }
}

/// User and system time of this process. /proc counts in ticks of 10 ms on every Linux that we know (USER_HZ is 100).
fn busy_ms() -> Option<u64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program stands in parentheses and may hold anything; the fields are counted behind it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |n: usize| fields.get(n)?.parse::<u64>().ok();
    Some((ticks(11)? + ticks(12)?) * 10)
}

/// Resident memory of this process in bytes.
pub fn memory_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status.lines().find_map(|line| {
        line.strip_prefix("VmRSS:")?
            .trim()
            .strip_suffix("kB")?
            .trim()
            .parse::<u64>()
            .ok()
    });
    kib.unwrap_or(0) * 1024
}

/// The hottest thermal zone.
pub fn temperature_c() -> Option<f32> {
    let zones = fs::read_dir("/sys/class/thermal").ok()?;
    zones
        .flatten()
        .filter_map(|zone| {
            fs::read_to_string(zone.path().join("temp"))
                .ok()?
                .trim()
                .parse::<f32>()
                .ok()
        })
        .map(|milli| milli / 1000.0)
        .filter(|celsius| (-40.0..=150.0).contains(celsius))
        .reduce(f32::max)
}

/// Bytes that this process may still write below `folder`.
pub fn disk_free_bytes(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_time_on_a_disk_with_a_size() {
        assert!(memory_bytes() > 1_000_000);
        assert!(busy_ms().is_some());
        assert!(disk_free_bytes(Path::new("/")).is_some_and(|free| free > 0));
    }
}
