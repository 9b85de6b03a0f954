//! NV12: the chroma of two planes in one, byte by byte in turn. The kernels work on planar pictures, so chroma is taken apart on
//! its way in and put together on its way out; luma stays where it is.

use crate::frame::{FrameError, I420Mut, I420Ref};

/// Rows of U and V bytes in turn, to two planes without padding.
pub fn split_chroma(
    width: usize,
    height: usize,
    uv: &[u8],
    stride: usize,
    u: &mut [u8],
    v: &mut [u8],
) -> Result<(), FrameError> {
    let (w, h) = (width.div_ceil(2), height.div_ceil(2));
    check(width, height, uv.len(), stride)?;
    for plane in [&u, &v] {
        if plane.len() < w * h {
            return Err(FrameError::Short {
                plane: 1,
                got: plane.len(),
                need: w * h,
            });
        }
    }
    for row in 0..h {
        let pairs = uv[row * stride..][..2 * w].as_chunks::<2>().0;
        let (u, v) = (&mut u[row * w..][..w], &mut v[row * w..][..w]);
        for ((u, v), pair) in u.iter_mut().zip(v).zip(pairs) {
            [*u, *v] = *pair;
        }
    }
    Ok(())
}

/// Two planes without padding, to rows of U and V bytes in turn.
pub fn join_chroma(
    width: usize,
    height: usize,
    u: &[u8],
    v: &[u8],
    uv: &mut [u8],
    stride: usize,
) -> Result<(), FrameError> {
    let (w, h) = (width.div_ceil(2), height.div_ceil(2));
    check(width, height, uv.len(), stride)?;
    for plane in [u, v] {
        if plane.len() < w * h {
            return Err(FrameError::Short {
                plane: 1,
                got: plane.len(),
                need: w * h,
            });
        }
    }
    for row in 0..h {
        let pairs = uv[row * stride..][..2 * w].as_chunks_mut::<2>().0;
        let (u, v) = (&u[row * w..][..w], &v[row * w..][..w]);
        for ((u, v), pair) in u.iter().zip(v).zip(pairs) {
            *pair = [*u, *v];
        }
    }
    Ok(())
}

fn check(width: usize, height: usize, got: usize, stride: usize) -> Result<(), FrameError> {
    if width == 0 || height == 0 {
        return Err(FrameError::Size { width, height });
    }
    let (w, h) = (width.div_ceil(2), height.div_ceil(2));
    if stride < 2 * w {
        return Err(FrameError::Stride {
            plane: 1,
            stride,
            need: 2 * w,
        });
    }
    let need = stride.saturating_mul(h - 1).saturating_add(2 * w);
    if got < need {
        return Err(FrameError::Short {
            plane: 1,
            got,
            need,
        });
    }
    Ok(())
}

/// Chroma planes of a picture whose luma lies elsewhere.
#[derive(Debug, Default)]
pub struct Chroma {
    data: Vec<u8>,
    size: (usize, usize),
}

impl Chroma {
    /// Room for the chroma of a picture of this size; what is in it is undefined. Memory is used again.
    pub fn resize(&mut self, width: usize, height: usize) {
        self.size = (width, height);
        self.data.resize(2 * self.plane_len(), 128);
    }

    fn plane_len(&self) -> usize {
        self.size.0.div_ceil(2) * self.size.1.div_ceil(2)
    }

    /// Takes the chroma of an NV12 picture apart.
    pub fn split(
        &mut self,
        width: usize,
        height: usize,
        uv: &[u8],
        stride: usize,
    ) -> Result<(), FrameError> {
        check(width, height, uv.len(), stride)?;
        self.resize(width, height);
        let (u, v) = self
            .data
            .split_at_mut(width.div_ceil(2) * height.div_ceil(2));
        split_chroma(width, height, uv, stride, u, v)
    }

    /// Puts it together again.
    pub fn join(&self, uv: &mut [u8], stride: usize) -> Result<(), FrameError> {
        let (u, v) = self.data.split_at(self.plane_len());
        join_chroma(self.size.0, self.size.1, u, v, uv, stride)
    }

    /// The picture that has this chroma and that luma.
    pub fn with_luma<'a>(
        &'a self,
        luma: &'a [u8],
        stride: usize,
    ) -> Result<I420Ref<'a>, FrameError> {
        let (u, v) = self.data.split_at(self.plane_len());
        let half = self.size.0.div_ceil(2);
        I420Ref::new(self.size.0, self.size.1, [luma, u, v], [stride, half, half])
    }

    /// The same to be written.
    pub fn with_luma_mut<'a>(
        &'a mut self,
        luma: &'a mut [u8],
        stride: usize,
    ) -> Result<I420Mut<'a>, FrameError> {
        let len = self.plane_len();
        let (u, v) = self.data.split_at_mut(len);
        let half = self.size.0.div_ceil(2);
        I420Mut::new(self.size.0, self.size.1, [luma, u, v], [stride, half, half])
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn chroma_taken_apart_and_put_together_is_the_same() {
        for (width, height) in [(1, 1), (2, 2), (7, 5), (64, 36), (129, 3)] {
            let (w, h) = (usize::div_ceil(width, 2), usize::div_ceil(height, 2));
            let stride = 2 * w + 6;
            let uv: Vec<u8> = (0..stride * h).map(|i| (i * 7 + 3) as u8).collect();
            let mut chroma = Chroma::default();
            chroma.split(width, height, &uv, stride).unwrap();
            let luma = vec![9; width * height];
            let picture = chroma.with_luma(&luma, width).unwrap();
            assert_eq!(
                picture.plane(1).row(h - 1)[w - 1],
                uv[stride * (h - 1) + 2 * w - 2]
            );
            assert_eq!(
                picture.plane(2).row(h - 1)[w - 1],
                uv[stride * (h - 1) + 2 * w - 1]
            );
            let mut again = vec![0; uv.len()];
            chroma.join(&mut again, stride).unwrap();
            for row in 0..h {
                let at = row * stride..row * stride + 2 * w;
                assert_eq!(again[at.clone()], uv[at]);
            }
        }
    }

    #[test]
    fn a_buffer_that_is_too_short_is_an_error() {
        let mut chroma = Chroma::default();
        assert!(chroma.split(64, 36, &[0; 1000], 64).is_err());
        assert!(chroma.split(64, 36, &[0; 4000], 62).is_err());
        assert!(chroma.split(0, 36, &[0; 4000], 64).is_err());
        chroma.split(64, 36, &[0; 64 * 18], 64).unwrap();
        assert!(chroma.join(&mut [0; 1000], 64).is_err());
    }
}
