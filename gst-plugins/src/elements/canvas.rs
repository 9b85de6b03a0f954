//! Output frames of one size and format, used again and again.

use gst::prelude::*;

use crate::frame::I420Mut;
use crate::nv12::Chroma;

/// A pool of frames of one kind, I420 or NV12.
pub struct Canvas {
    info: gst_video::VideoInfo,
    pool: gst::BufferPool,
    /// An NV12 frame's until it is put together.
    chroma: Chroma,
}

impl Canvas {
    /// Of raw video of a fixed size.
    ///
    /// # Errors
    /// If the caps are none of raw video, or there is no memory.
    pub fn new(caps: &gst::Caps) -> Result<Canvas, gst::FlowError> {
        let info =
            gst_video::VideoInfo::from_caps(caps).map_err(|_| gst::FlowError::NotNegotiated)?;
        let pool = gst_video::VideoBufferPool::new();
        let mut config = pool.config();
        // No upper bound: whoever holds frames downstream bounds himself.
        config.set_params(Some(caps), info.size() as u32, 3, 0);
        pool.set_config(config).map_err(|_| gst::FlowError::Error)?;
        pool.set_active(true).map_err(|_| gst::FlowError::Error)?;
        Ok(Canvas {
            info,
            pool: pool.upcast(),
            chroma: Chroma::default(),
        })
    }

    pub fn info(&self) -> &gst_video::VideoInfo {
        &self.info
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (usize, usize) {
        (self.info.width() as usize, self.info.height() as usize)
    }

    /// A frame that `paint` has painted, all of it; it has no timestamp.
    ///
    /// # Errors
    /// If there is no memory, or the frame cannot be mapped.
    pub fn paint(
        &mut self,
        paint: impl FnOnce(&mut I420Mut<'_>),
    ) -> Result<gst::Buffer, gst::FlowError> {
        let mut buffer = self.pool.acquire_buffer(None)?;
        let writable = buffer.get_mut().ok_or(gst::FlowError::Error)?;
        {
            let mut map = writable.map_writable().map_err(|_| gst::FlowError::Error)?;
            self.fill(map.as_mut_slice(), paint)
                .ok_or(gst::FlowError::Error)?;
        }
        Ok(buffer)
    }

    fn fill(&mut self, data: &mut [u8], paint: impl FnOnce(&mut I420Mut<'_>)) -> Option<()> {
        let (width, height) = self.size();
        let offsets = self.info.offset();
        let stride = |p: usize| usize::try_from(self.info.stride()[p]).ok();
        if self.info.format() == gst_video::VideoFormat::Nv12 {
            let (luma, uv) = data.split_at_mut_checked(offsets[1])?;
            let luma = luma.get_mut(offsets[0]..)?;
            let (luma_stride, uv_stride) = (stride(0)?, stride(1)?);
            self.chroma.resize(width, height);
            paint(&mut self.chroma.with_luma_mut(luma, luma_stride).ok()?);
            return self.chroma.join(uv, uv_stride).ok();
        }
        let mut out = I420Mut::from_contiguous(
            width,
            height,
            data,
            [offsets[0], offsets[1], offsets[2]],
            [stride(0)?, stride(1)?, stride(2)?],
        )
        .ok()?;
        paint(&mut out);
        Some(())
    }
}

impl Drop for Canvas {
    fn drop(&mut self) {
        let _ = self.pool.set_active(false);
    }
}
