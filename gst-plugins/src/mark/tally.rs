//! What happened to the numbers of one source: lost, repeated, out of order.

use super::Mark;

/// A larger step back than this, or forward than [`FAR`], is a source that started anew.
const RECENT: u32 = 64;
/// Ten minutes at 60 frames a second.
const FAR: u32 = 36_000;

/// What a number was, after those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The first, or the next one.
    New,
    /// So many are missing before it.
    Skipped(u32),
    /// The one before it again.
    Repeated,
    /// Older than the one before it.
    Backward,
    /// The source counts from elsewhere.
    Restarted,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub first: Option<u32>,
    pub last: Option<u32>,
    /// Different numbers.
    pub frames: u64,
    pub lost: u64,
    pub repeated: u64,
    pub out_of_order: u64,
    pub restarts: u64,
    newest: u32,
    /// Bit n: the number n before the newest was seen.
    recent: u64,
}

impl Tally {
    pub fn add(&mut self, number: u32) -> Step {
        let step = self.step(number);
        self.last = Some(number);
        step
    }

    fn step(&mut self, number: u32) -> Step {
        let Some(last) = self.last else {
            self.first = Some(number);
            self.start(number);
            return Step::New;
        };
        if number == last {
            self.repeated += 1;
            return Step::Repeated;
        }
        let ahead = number.wrapping_sub(self.newest) % Mark::NUMBERS;
        let behind = self.newest.wrapping_sub(number) % Mark::NUMBERS;
        if behind < RECENT {
            // The newest again, after older ones, goes forward and is counted already.
            if behind == 0 {
                self.repeated += 1;
                return Step::Repeated;
            }
            self.out_of_order += 1;
            if self.recent >> behind & 1 == 0 {
                self.recent |= 1 << behind;
                self.frames += 1;
                // Not for a number from before the first.
                self.lost = self.lost.saturating_sub(1);
            }
            return Step::Backward;
        }
        if ahead > FAR {
            self.restarts += 1;
            self.start(number);
            return Step::Restarted;
        }
        self.recent = self.recent.checked_shl(ahead).unwrap_or(0) | 1;
        self.newest = number;
        self.frames += 1;
        let skipped = ahead - 1;
        self.lost += u64::from(skipped);
        if skipped == 0 {
            Step::New
        } else {
            Step::Skipped(skipped)
        }
    }

    fn start(&mut self, number: u32) {
        self.newest = number;
        self.recent = 1;
        self.frames += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(numbers: &[u32]) -> Tally {
        let mut tally = Tally::default();
        for number in numbers {
            tally.add(*number);
        }
        tally
    }

    #[test]
    fn lost_repeated_and_late_numbers_are_counted_once() {
        let t = tally(&[10, 11, 11, 14, 12, 15, 15, 15]);
        assert_eq!((t.first, t.last), (Some(10), Some(15)));
        assert_eq!((t.frames, t.lost, t.repeated, t.out_of_order), (5, 1, 3, 1));
    }

    #[test]
    fn the_counter_may_wrap_and_the_source_start_anew() {
        let top = Mark::NUMBERS - 1;
        let t = tally(&[top - 1, top, 0, 2]);
        assert_eq!((t.frames, t.lost, t.restarts), (4, 1, 0));
        let t = tally(&[5000, 5001, 0, 1, 2]);
        assert_eq!((t.frames, t.lost, t.restarts), (5, 0, 1));
    }

    #[test]
    fn one_number_late_by_more_than_is_remembered_is_a_new_start() {
        let mut t = tally(&[100, 200]);
        assert_eq!(t.lost, 99);
        assert_eq!(t.add(100), Step::Restarted);
    }
}
