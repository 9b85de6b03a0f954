//! The sound that all kernels here take and give.

/// Sample rate of all sound here: the rate of Opus and of the programme.
pub const RATE: u32 = 48_000;
/// Frames (a left and a right sample) in one 10 ms block.
pub const BLOCK_FRAMES: usize = 480;
/// Samples in one block of interleaved stereo.
pub const BLOCK_SAMPLES: usize = 2 * BLOCK_FRAMES;
/// 10 ms of interleaved stereo at 48 kHz.
pub type Block = [f32; BLOCK_SAMPLES];
