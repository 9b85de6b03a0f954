//! How the benchmarks measure: CPU time and not wall time, because a busy machine only lengthens the latter; and works that
//! are compared take turns, so that what disturbs one disturbs all.
#![allow(dead_code, reason = "each benchmark uses a part")]

use std::hint::black_box;
use std::time::Duration;

use gstdais::frame::I420;
use rustix::time::{ClockId, clock_gettime};

fn clock(id: ClockId) -> Duration {
    let now = clock_gettime(id);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// CPU time of this thread so far.
pub fn thread_cpu() -> Duration {
    clock(ClockId::ThreadCPUTime)
}

/// CPU time of all threads of this process so far.
pub fn process_cpu() -> Duration {
    clock(ClockId::ProcessCPUTime)
}

pub struct Work<'a> {
    what: String,
    run: Box<dyn FnMut(u64) + 'a>,
}

pub fn work<'a>(what: impl Into<String>, run: impl FnMut(u64) + 'a) -> Work<'a> {
    Work {
        what: what.into(),
        run: Box::new(run),
    }
}

/// Looks at all of `pictures`.
pub fn read(pictures: &[I420]) -> u8 {
    let lines = pictures.iter().flat_map(|p| p.data().as_chunks::<64>().0);
    lines.fold(0, |sum: u8, line| sum.wrapping_add(line[0]))
}

/// Runs all of `works` in turn, `rounds` times, each after all of `sources` were read, so that each finds the same in the
/// caches: frames that just came; and prints the median (what to expect on this machine now) and the least
/// (what it can when nothing disturbs) of each one's CPU time, and the ratios of both to those of the first work.
pub fn take_turns(rounds: usize, sources: &[I420], mut works: Vec<Work<'_>>) {
    let mut took = vec![Vec::with_capacity(rounds); works.len()];
    // The first rounds fill caches and tables.
    for round in 0..rounds + 3 {
        for (work, took) in works.iter_mut().zip(&mut took) {
            black_box(read(black_box(sources)));
            let start = thread_cpu();
            (work.run)(round as u64);
            let cpu = thread_cpu() - start;
            if round >= 3 {
                took.push(cpu);
            }
        }
    }
    let mut first = None;
    for (work, mut took) in works.into_iter().zip(took) {
        took.sort_unstable();
        let [median, least] = [rounds / 2, 0].map(|n| took[n].as_secs_f64() * 1e6);
        let (of_median, of_least) = *first.get_or_insert((median, least));
        println!(
            "{:<62} {median:>8.1} us median {least:>8.1} us least   x {:.2} {:.2}",
            work.what,
            median / of_median,
            least / of_least,
        );
    }
}

/// A picture in which no byte can be told from its neighbours.
pub fn noise(width: usize, height: usize, seed: u32) -> I420 {
    let mut picture = I420::blank(width, height);
    let mut state = seed | 1;
    let mut view = picture.as_mut();
    for p in 0..3 {
        let mut plane = view.plane_mut(p);
        for y in 0..plane.height() {
            for byte in plane.row_mut(y) {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                *byte = state as u8;
            }
        }
    }
    picture
}
