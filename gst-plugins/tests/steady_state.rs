//! What runs once a frame or once a block must not allocate: an allocator's lock or a page fault is a late frame.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(
    unsafe_code,
    reason = "a counting allocator can only be written with it"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use gstdais::blend::{Rect, Yuv};
use gstdais::drift::{DriftQueue, Pulled};
use gstdais::frame::{I420, I420Ref, Rgba};
use gstdais::mixminus::{DEFAULT_TARGET_LUFS, Ducking, MixMinus};
use gstdais::tilemix::{Border, Fit, Overlay, Pool, Source, Style, Tile, TileMixer};
use gstdais::{BLOCK_SAMPLES, Block};

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: everything is passed on to the system's allocator unchanged; counting touches a constant-initialised
// thread-local, which itself does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> u64 {
    let before = COUNT.get();
    work();
    COUNT.get() - before
}

#[test]
fn mixing_pictures_allocates_nothing_after_the_first_frame() {
    let sources: Vec<I420> = (0..10).map(|n| I420::blank(320 + 16 * n, 180)).collect();
    let tag = Rgba::from_premultiplied(60, 12, vec![90; 60 * 12 * 4]).unwrap();
    let overlays = [Overlay {
        bitmap: &tag,
        x: 3,
        y: 5,
    }];
    let tiles = |serial| -> [Tile<'_>; 10] {
        std::array::from_fn(|n| Tile {
            id: n as u64,
            frame: sources[n].as_ref(),
            serial,
            rect: Rect::new((n % 4) as i32 * 160, (n / 4) as i32 * 120, 158, 118),
            z: 10 - n as i32,
            fit: [Fit::Contain, Fit::Cover, Fit::Fill][n % 3],
            dim: n % 4 == 0,
            overlays: &overlays,
            style: Style::default(),
        })
    };
    let mut canvas = I420::blank(640, 360);
    let mut mixer = TileMixer::new(640, 360);
    mixer.set_background(Yuv::BLACK);
    let first = allocations(|| mixer.mix(&mut canvas.as_mut(), &tiles(0)));
    assert!(first > 0, "the counter counts");
    assert_eq!(
        allocations(|| (1..50).for_each(|n| mixer.mix(&mut canvas.as_mut(), &tiles(n)))),
        0
    );
    assert_eq!(mixer.scaled(), 500);
    // Neither do styles, and helpers.
    let styled = |serial| {
        tiles(serial).map(|tile| Tile {
            style: Style {
                alpha: 0.5,
                radius: 12,
                border: Border {
                    width: 3,
                    colour: Yuv::BLACK,
                },
            },
            ..tile
        })
    };
    let shared: Vec<Arc<dyn Source>> = sources
        .iter()
        .map(|s| Arc::new(Shown(s.clone())) as Arc<dyn Source>)
        .collect();
    let mut pool = Pool::new(2);
    let mut round = |n: u64| {
        mixer.mix_with(&mut canvas.as_mut(), &styled(n), &shared, &mut pool);
    };
    // Whoever is first at a job makes room for it in its list.
    (100..150).for_each(&mut round);
    assert_eq!(allocations(|| (150..200).for_each(&mut round)), 0);
}

struct Shown(I420);

impl Source for Shown {
    fn view(&self) -> Option<I420Ref<'_>> {
        Some(self.0.as_ref())
    }
}

#[test]
fn mixing_and_queueing_sound_allocates_nothing() {
    let tone: Block = std::array::from_fn(|i| 0.9 * ((i / 2) as f32 * 0.07).sin());
    let mut mixer = MixMinus::new(10);
    mixer.set_levelling(1, Some(DEFAULT_TARGET_LUFS));
    mixer.set_ducks_others(0, true);
    mixer.set_ducking(2, Some(Ducking::default()));
    mixer.set_pan(3, 0.5);
    let mut queue = DriftQueue::default();
    let (mut programme, mut returns) = ([0.0; BLOCK_SAMPLES], [[0.0; BLOCK_SAMPLES]; 10]);
    let mut out = [0.0; BLOCK_SAMPLES];
    let mut played = 0;
    let mut round = |n: usize| {
        mixer.set_mute(n % 10, n.is_multiple_of(3));
        mixer.process(&[Some(&tone); 10], &mut programme, &mut returns);
        // Too much, then nothing: overflow, skipping and breaking off are all met.
        if n % 100 < 60 {
            queue.push(&tone);
            queue.push(&tone);
        }
        played += usize::from(queue.pull(&mut out) == Pulled::Ok);
    };
    round(0);
    assert_eq!(allocations(|| (1..500).for_each(&mut round)), 0);
    assert!(played > 100 && queue.stats().underruns > 2 && queue.stats().dropped_frames > 0);
}
