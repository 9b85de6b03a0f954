#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

#[test]
fn a_buffer_too_small_for_its_caps_is_refused_with_the_plane_and_the_figures() {
    let bytes = [0; 100];
    let planes = |y: usize, u: usize, v: usize| [&bytes[..y], &bytes[..u], &bytes[..v]];
    let new = |w, h, planes, strides| I420Ref::new(w, h, planes, strides).err();
    assert_eq!(new(8, 8, planes(64, 16, 16), [8, 4, 4]), None);
    let short = FrameError::Short {
        plane: 2,
        got: 15,
        need: 16,
    };
    assert_eq!(new(8, 8, planes(64, 16, 15), [8, 4, 4]), Some(short));
    let narrow = FrameError::Stride {
        plane: 1,
        stride: 3,
        need: 4,
    };
    assert_eq!(new(8, 8, planes(64, 16, 16), [8, 3, 4]), Some(narrow));
    assert_eq!(
        new(8, 0, planes(64, 16, 16), [8, 4, 4]),
        Some(FrameError::Size {
            width: 8,
            height: 0
        })
    );
    let endless = new(8, 8, planes(64, 16, 16), [usize::MAX, 4, 4]);
    assert!(matches!(endless, Some(FrameError::Short { plane: 0, .. })));
}

#[test]
fn chroma_of_an_odd_size_is_rounded_up_and_the_last_row_needs_no_padding() {
    let bytes = [0; 100];
    let odd = I420Ref::new(7, 5, [&bytes[..39], &bytes[..20], &bytes[..20]], [8, 8, 8]).unwrap();
    assert_eq!((odd.plane(1).width(), odd.plane(1).height()), (4, 3));
    assert_eq!(odd.plane(2).row(2).len(), 4);
    assert_eq!(odd.to_owned().data().len(), 35 + 12 + 12);
}

#[test]
fn a_contiguous_buffer_is_split_at_its_offsets() {
    let mut bytes: Vec<u8> = (0..64).collect();
    let mut picture = I420Mut::from_contiguous(4, 4, &mut bytes, [8, 32, 48], [6, 8, 8]).unwrap();
    assert_eq!(picture.plane_mut(0).row_mut(1), [14, 15, 16, 17]);
    assert_eq!(picture.plane_mut(1).row_mut(1), [40, 41]);
    assert_eq!(picture.plane_mut(2).row_mut(0), [48, 49]);
    for offsets in [[9, 8, 48], [0, 50, 48], [0, 32, 65], [usize::MAX, 0, 0]] {
        assert!(I420Mut::from_contiguous(4, 4, &mut bytes, offsets, [6, 8, 8]).is_err());
    }
}

#[test]
fn a_bitmap_has_exactly_its_bytes() {
    assert!(Rgba::from_premultiplied(3, 2, vec![0; 24]).is_some());
    assert!(Rgba::from_premultiplied(3, 2, vec![0; 23]).is_none());
    assert!(Rgba::from_premultiplied(usize::MAX, 2, vec![]).is_none());
}
