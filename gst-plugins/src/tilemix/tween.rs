//! A tile on its way from one place to another.

use crate::blend::Rect;

/// A move that starts fast and comes to rest softly. Times are nanoseconds on any one clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tween {
    pub from: Rect,
    pub to: Rect,
    pub start: u64,
    pub length: u64,
}

impl Tween {
    /// No move at all.
    pub const fn resting(at: Rect) -> Self {
        Self {
            from: at,
            to: at,
            start: 0,
            length: 0,
        }
    }

    pub fn is_over(&self, now: u64) -> bool {
        now >= self.start.saturating_add(self.length)
    }

    /// Where the tile is: exactly `from` until the start, exactly `to` from the end on.
    pub fn at(&self, now: u64) -> Rect {
        if self.is_over(now) {
            return self.to;
        }
        let left = 1.0 - now.saturating_sub(self.start) as f64 / self.length as f64;
        let done = 1.0 - left * left * left;
        let between = |a: f64, b: f64| (a + (b - a) * done).round();
        Rect {
            x: between(self.from.x.into(), self.to.x.into()) as i32,
            y: between(self.from.y.into(), self.to.y.into()) as i32,
            w: between(self.from.w.into(), self.to.w.into()) as u32,
            h: between(self.from.h.into(), self.to.h.into()) as u32,
        }
    }

    /// A move to another place from wherever the tile is now.
    pub fn towards(&self, to: Rect, now: u64, length: u64) -> Self {
        Self {
            from: self.at(now),
            to,
            start: now,
            length,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_move_begins_and_ends_in_place_and_never_turns_back() {
        let (from, to) = (Rect::new(-10, 400, 200, 100), Rect::new(600, 20, 800, 450));
        let tween = Tween {
            from,
            to,
            start: 50 * MS,
            length: 200 * MS,
        };
        assert_eq!(tween.at(0), from);
        assert_eq!(tween.at(50 * MS), from);
        assert_eq!(tween.at(250 * MS), to);
        assert_eq!(tween.at(u64::MAX), to);
        let places: Vec<Rect> = (50..=250).map(|ms| tween.at(ms * MS)).collect();
        for pair in places.windows(2) {
            assert!(pair[1].x >= pair[0].x && pair[1].y <= pair[0].y);
            assert!(pair[1].w >= pair[0].w && pair[1].h >= pair[0].h);
        }
        // Ease-out: most of the way in the first half.
        assert!(tween.at(150 * MS).x > from.x + (to.x - from.x) * 8 / 10);
    }

    #[test]
    fn a_new_aim_on_the_way_does_not_jump() {
        let tween =
            Tween::resting(Rect::new(0, 0, 10, 10)).towards(Rect::new(100, 0, 10, 10), 0, 200 * MS);
        let here = tween.at(80 * MS);
        let turned = tween.towards(Rect::new(0, 50, 20, 20), 80 * MS, 200 * MS);
        assert_eq!(turned.at(80 * MS), here);
        assert_eq!(turned.at(280 * MS), Rect::new(0, 50, 20, 20));
        let at_once = tween.towards(Rect::new(7, 7, 7, 7), 80 * MS, 0);
        assert_eq!(at_once.at(80 * MS), Rect::new(7, 7, 7, 7));
    }
}
