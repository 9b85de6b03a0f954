//! Planar 4:2:0 pictures, borrowed from wherever they live (a GStreamer buffer, a cache) or owned.
//!
//! The sizes are checked once, where a frame is made; every kernel relies on them afterwards.

use crate::colours::Colours;

/// Why bytes can't be seen as a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error(
        "a picture of {width}x{height} has no pixels: give a size of at least 1x1 and at most 16384x16384"
    )]
    Size { width: usize, height: usize },
    #[error(
        "plane {plane} has a stride of {stride} bytes, its rows need {need}: take the stride from the buffer's video meta"
    )]
    Stride {
        plane: usize,
        stride: usize,
        need: usize,
    },
    #[error(
        "plane {plane} has {got} bytes and needs {need}: the buffer is smaller than its caps say"
    )]
    Short {
        plane: usize,
        got: usize,
        need: usize,
    },
}

/// Above this side length the fixed-point tables of the scaler could overflow; it is twice 8K.
pub const MAX_SIDE: usize = 16_384;

/// Width or height of a plane: chroma of an odd size is rounded up.
const fn plane_side(plane: usize, side: usize) -> usize {
    if plane == 0 { side } else { side.div_ceil(2) }
}

fn check(
    width: usize,
    height: usize,
    lens: [usize; 3],
    strides: [usize; 3],
) -> Result<(), FrameError> {
    if width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE {
        return Err(FrameError::Size { width, height });
    }
    for plane in 0..3 {
        let (w, h) = (plane_side(plane, width), plane_side(plane, height));
        let (stride, got) = (strides[plane], lens[plane]);
        if stride < w {
            return Err(FrameError::Stride {
                plane,
                stride,
                need: w,
            });
        }
        // The last row need not be padded to the stride.
        let need = stride.saturating_mul(h - 1).saturating_add(w);
        if got < need {
            return Err(FrameError::Short { plane, got, need });
        }
    }
    Ok(())
}

/// One plane to read.
#[derive(Clone, Copy)]
pub struct Plane<'a> {
    data: &'a [u8],
    stride: usize,
    width: usize,
    height: usize,
}

impl<'a> Plane<'a> {
    pub fn width(&self) -> usize {
        self.width
    }

    pub fn height(&self) -> usize {
        self.height
    }

    pub fn row(&self, y: usize) -> &'a [u8] {
        &self.data[y * self.stride..][..self.width]
    }

    /// The part that starts at (`x`, `y`); it must lie inside.
    pub(crate) fn crop(&self, x: usize, y: usize, width: usize, height: usize) -> Plane<'a> {
        debug_assert!(x + width <= self.width && y + height <= self.height);
        Plane {
            data: &self.data[y * self.stride + x..],
            stride: self.stride,
            width,
            height,
        }
    }
}

/// One plane to write.
pub struct PlaneMut<'a> {
    data: &'a mut [u8],
    stride: usize,
    width: usize,
    height: usize,
}

impl PlaneMut<'_> {
    pub fn width(&self) -> usize {
        self.width
    }

    pub fn height(&self) -> usize {
        self.height
    }

    pub fn row_mut(&mut self, y: usize) -> &mut [u8] {
        &mut self.data[y * self.stride..][..self.width]
    }
}

/// A picture to read.
#[derive(Clone, Copy)]
pub struct I420Ref<'a> {
    width: usize,
    height: usize,
    planes: [&'a [u8]; 3],
    strides: [usize; 3],
    colours: Colours,
}

impl<'a> I420Ref<'a> {
    /// `planes` and `strides` are Y, U, V, as a video frame's `plane_data` and `plane_stride` give them.
    pub fn new(
        width: usize,
        height: usize,
        planes: [&'a [u8]; 3],
        strides: [usize; 3],
    ) -> Result<Self, FrameError> {
        check(width, height, planes.map(<[u8]>::len), strides)?;
        Ok(Self {
            width,
            height,
            planes,
            strides,
            colours: Colours::BT709,
        })
    }

    /// The same bytes, meaning other colours than the programme's.
    #[must_use]
    pub fn with_colours(self, colours: Colours) -> Self {
        Self { colours, ..self }
    }

    pub fn colours(&self) -> Colours {
        self.colours
    }

    pub fn width(&self) -> usize {
        self.width
    }

    pub fn height(&self) -> usize {
        self.height
    }

    /// Plane 0 is Y, 1 is U, 2 is V.
    pub fn plane(&self, plane: usize) -> Plane<'a> {
        Plane {
            data: self.planes[plane],
            stride: self.strides[plane],
            width: plane_side(plane, self.width),
            height: plane_side(plane, self.height),
        }
    }

    /// A copy of its own.
    pub fn to_owned(&self) -> I420 {
        let mut copy = I420::blank(self.width, self.height);
        copy.as_mut().copy_from(self);
        copy
    }
}

/// A picture to write.
pub struct I420Mut<'a> {
    width: usize,
    height: usize,
    planes: [&'a mut [u8]; 3],
    strides: [usize; 3],
}

impl<'a> I420Mut<'a> {
    pub fn new(
        width: usize,
        height: usize,
        planes: [&'a mut [u8]; 3],
        strides: [usize; 3],
    ) -> Result<Self, FrameError> {
        let lens = [planes[0].len(), planes[1].len(), planes[2].len()];
        check(width, height, lens, strides)?;
        Ok(Self {
            width,
            height,
            planes,
            strides,
        })
    }

    /// From one slice that holds all planes, as a mapped GStreamer buffer does: `offsets` and `strides` as its video
    /// info gives them; the planes must follow one another.
    pub fn from_contiguous(
        width: usize,
        height: usize,
        data: &'a mut [u8],
        offsets: [usize; 3],
        strides: [usize; 3],
    ) -> Result<Self, FrameError> {
        let len = data.len();
        let [o0, o1, o2] = offsets;
        for (plane, (from, to)) in [(o0, o1), (o1, o2), (o2, len)].into_iter().enumerate() {
            if from > to || to > len {
                return Err(FrameError::Short {
                    plane,
                    got: len.saturating_sub(from),
                    need: to.saturating_sub(from),
                });
            }
        }
        let (rest, v) = data.split_at_mut(o2);
        let (rest, u) = rest.split_at_mut(o1);
        Self::new(width, height, [&mut rest[o0..], u, v], strides)
    }

    pub fn width(&self) -> usize {
        self.width
    }

    pub fn height(&self) -> usize {
        self.height
    }

    pub fn plane_mut(&mut self, plane: usize) -> PlaneMut<'_> {
        PlaneMut {
            data: self.planes[plane],
            stride: self.strides[plane],
            width: plane_side(plane, self.width),
            height: plane_side(plane, self.height),
        }
    }

    /// All three at once.
    pub fn planes_mut(&mut self) -> [PlaneMut<'_>; 3] {
        let (width, height, strides) = (self.width, self.height, self.strides);
        let mut plane = 0;
        self.planes.each_mut().map(|data| {
            let this = PlaneMut {
                data,
                stride: strides[plane],
                width: plane_side(plane, width),
                height: plane_side(plane, height),
            };
            plane += 1;
            this
        })
    }

    pub fn as_ref(&self) -> I420Ref<'_> {
        I420Ref {
            width: self.width,
            height: self.height,
            planes: [&*self.planes[0], &*self.planes[1], &*self.planes[2]],
            strides: self.strides,
            colours: Colours::BT709,
        }
    }

    /// Copies a picture of the same size.
    ///
    /// # Panics
    /// If the sizes differ: that is the caller's bug, not an input's.
    pub fn copy_from(&mut self, from: &I420Ref<'_>) {
        assert_eq!((self.width, self.height), (from.width, from.height));
        for p in 0..3 {
            let src = from.plane(p);
            let mut dst = self.plane_mut(p);
            for y in 0..src.height() {
                dst.row_mut(y).copy_from_slice(src.row(y));
            }
        }
    }
}

/// A picture that owns its bytes, without padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct I420 {
    width: usize,
    height: usize,
    data: Vec<u8>,
}

impl I420 {
    /// Black (limited range).
    ///
    /// # Panics
    /// If a side is zero or above 16384.
    pub fn blank(width: usize, height: usize) -> Self {
        assert!(
            (1..=MAX_SIDE).contains(&width) && (1..=MAX_SIDE).contains(&height),
            "I420::blank: {width}x{height} is no picture size"
        );
        let luma = width * height;
        let chroma = width.div_ceil(2) * height.div_ceil(2);
        let mut data = vec![16; luma + 2 * chroma];
        data[luma..].fill(128);
        Self {
            width,
            height,
            data,
        }
    }

    pub fn width(&self) -> usize {
        self.width
    }

    pub fn height(&self) -> usize {
        self.height
    }

    /// Makes it a picture of another size, in the same memory where that is large enough. What it then shows is undefined.
    ///
    /// # Panics
    /// If a side is zero or above 16384.
    pub fn resize(&mut self, width: usize, height: usize) {
        assert!(
            (1..=MAX_SIDE).contains(&width) && (1..=MAX_SIDE).contains(&height),
            "I420::resize: {width}x{height} is no picture size"
        );
        (self.width, self.height) = (width, height);
        let chroma = width.div_ceil(2) * height.div_ceil(2);
        self.data.resize(width * height + 2 * chroma, 128);
    }

    /// Y, then U, then V, rows without padding.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    fn strides(&self) -> [usize; 3] {
        let c = self.width.div_ceil(2);
        [self.width, c, c]
    }

    fn offsets(&self) -> [usize; 2] {
        let luma = self.width * self.height;
        [
            luma,
            luma + self.width.div_ceil(2) * self.height.div_ceil(2),
        ]
    }

    pub fn as_ref(&self) -> I420Ref<'_> {
        let [u, v] = self.offsets();
        I420Ref {
            width: self.width,
            height: self.height,
            planes: [&self.data[..u], &self.data[u..v], &self.data[v..]],
            strides: self.strides(),
            colours: Colours::BT709,
        }
    }

    pub fn as_mut(&mut self) -> I420Mut<'_> {
        let ([u, v], strides) = (self.offsets(), self.strides());
        let (rest, v_plane) = self.data.split_at_mut(v);
        let (y_plane, u_plane) = rest.split_at_mut(u);
        I420Mut {
            width: self.width,
            height: self.height,
            planes: [y_plane, u_plane, v_plane],
            strides,
        }
    }
}

/// A bitmap of R, G, B, A bytes, colour already multiplied by alpha, rows without padding. Name tags are such.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rgba {
    width: usize,
    height: usize,
    data: Vec<u8>,
}

impl Rgba {
    /// `None` if `data` isn't exactly `width * height * 4` bytes.
    pub fn from_premultiplied(width: usize, height: usize, data: Vec<u8>) -> Option<Self> {
        (data.len() == width.checked_mul(height)?.checked_mul(4)?).then_some(Self {
            width,
            height,
            data,
        })
    }

    pub fn width(&self) -> usize {
        self.width
    }

    pub fn height(&self) -> usize {
        self.height
    }

    pub fn data(&self) -> &[u8] {
        &self.data
    }

    pub fn row(&self, y: usize) -> &[u8] {
        &self.data[y * self.width * 4..][..self.width * 4]
    }
}

#[cfg(test)]
#[path = "frame/tests.rs"]
mod tests;
