//! What holds for every layout, canvas and set of people.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use dais_protocol::Layout;
use dais_room::layout::{Place, Rect, Size, arrange};
use proptest::prelude::*;
use proptest::sample::select;

fn overlap(a: &Rect, b: &Rect) -> bool {
    let apart = |a0: i32, al: u32, b0: i32, bl: u32| a0 + al as i32 <= b0 || b0 + bl as i32 <= a0;
    !apart(a.x, a.w, b.x, b.w) && !apart(a.y, a.h, b.y, b.h)
}

fn seats(places: &[Place]) -> Vec<u8> {
    let mut seats: Vec<u8> = places.iter().map(|p| p.seat).collect();
    seats.sort_unstable();
    seats
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_seat_has_one_even_rectangle_inside_the_canvas_and_alone(
        layout in select(&Layout::ALL[..]),
        w in 160_u32..4200,
        h in 90_u32..4200,
        guests in proptest::sample::subsequence((1_u8..=9).collect::<Vec<_>>(), 0..=9),
        host in any::<bool>(),
        speaking in proptest::option::of(0_u8..=9),
    ) {
        prop_assume!(w <= h * 4 && h <= w * 4);
        let mut people: Vec<u8> = guests;
        if host {
            people.insert(0, 0);
        }
        let places = arrange(layout, Size { w, h }, &people, speaking);
        if layout == Layout::Solo {
            prop_assert_eq!(places.len(), people.len().min(1));
        } else {
            prop_assert_eq!(seats(&places), people.clone());
        }
        for p in &places {
            let Rect { x, y, w: tw, h: th } = p.rect;
            prop_assert!(tw >= 2 && th >= 2, "{:?}", p);
            prop_assert!(x >= 0 && y >= 0 && x as u32 + tw <= w && y as u32 + th <= h, "{:?}", p);
            prop_assert!(x % 2 == 0 && y % 2 == 0 && tw % 2 == 0 && th % 2 == 0, "{:?}", p);
        }
        for (n, a) in places.iter().enumerate() {
            for b in &places[n + 1..] {
                prop_assert!(a.z != b.z || !overlap(&a.rect, &b.rect), "{:?} {:?}", a, b);
                prop_assert!(layout == Layout::Pip || a.z == b.z, "{:?} {:?}", a, b);
            }
        }
    }
}

const HD: Size = Size { w: 1920, h: 1080 };
const FULL: Rect = Rect {
    x: 0,
    y: 0,
    w: 1920,
    h: 1080,
};

#[test]
fn one_person_fills_the_canvas_in_every_layout() {
    for layout in Layout::ALL {
        for alone in [0, 4] {
            let places = arrange(layout, HD, &[alone], None);
            assert_eq!(
                places.iter().map(|p| p.rect).collect::<Vec<_>>(),
                [FULL],
                "{layout:?}"
            );
        }
    }
}

#[test]
fn nobody_is_nothing() {
    for layout in Layout::ALL {
        assert!(arrange(layout, HD, &[], Some(3)).is_empty());
    }
}

#[test]
fn the_lead_is_the_host_whoever_speaks() {
    for layout in [Layout::Solo, Layout::Spotlight, Layout::Pip] {
        let places = arrange(layout, HD, &[3, 0, 5], Some(5));
        assert_eq!(places[0].seat, 0, "{layout:?}");
        let without_host = arrange(layout, HD, &[3, 5], Some(5));
        assert_eq!(without_host[0].seat, 5, "{layout:?}");
        assert_eq!(
            arrange(layout, HD, &[3, 5], Some(7))[0].seat,
            3,
            "{layout:?}"
        );
    }
}

#[test]
fn auto_with_two_is_side_by_side_and_with_more_a_grid() {
    let two = arrange(Layout::Auto, HD, &[0, 1], None);
    assert_eq!(two, arrange(Layout::SideBySide, HD, &[0, 1], None));
    assert_eq!(
        (two[0].rect.y, two[0].rect.w),
        (two[1].rect.y, two[1].rect.w)
    );
    let ten: Vec<u8> = (0..10).collect();
    for n in 3..=10 {
        assert_eq!(
            arrange(Layout::Auto, HD, &ten[..n], None),
            arrange(Layout::Grid, HD, &ten[..n], None)
        );
    }
}

/// People share at least this much of a 16:9 canvas: a grid that wastes more was chosen badly.
#[test]
fn a_grid_uses_most_of_the_canvas() {
    let ten: Vec<u8> = (0..10).collect();
    for n in 1..=10 {
        let places = arrange(Layout::Grid, HD, &ten[..n], None);
        let used: u32 = places.iter().map(|p| p.rect.w * p.rect.h).sum();
        let part = f64::from(used) / f64::from(HD.w * HD.h);
        assert!(part > 0.64, "{n} people use {part:.2}");
    }
}

#[test]
fn pip_guests_leave_the_upper_three_quarters_to_the_host() {
    let ten: Vec<u8> = (0..10).collect();
    for n in 2..=10 {
        for place in &arrange(Layout::Pip, HD, &ten[..n], None)[1..] {
            assert!(place.rect.y >= 810, "{place:?}");
        }
    }
}
