// From what the box can use of a guest's picture to what the browser's encoder shall make. Pure.

import type { VideoWant } from "../protocol";

export interface EncoderSettings {
  scaleResolutionDownBy: number;
  maxBitrate: number;
  maxFramerate: number;
}

/** A tile that is not shown still needs a trickle of pictures: a guest who sends none counts as lost. */
const SMALLEST_HEIGHT = 90;
const LOWEST_BITRATE = 60_000;

/**
 * The picture is scaled until one of its sides would be smaller than the tile, because the box crops what stands over;
 * never enlarged.
 */
export function encoderSettings(want: VideoWant, captured: { width: number; height: number }): EncoderSettings {
  const { width, height } = captured;
  let scale = 1;
  if (width > 0 && height > 0) {
    const shown = want.width > 0 && want.height > 0;
    scale = shown ? Math.min(width / want.width, height / want.height) : height / SMALLEST_HEIGHT;
    scale = Math.min(scale, height / SMALLEST_HEIGHT);
  }
  return {
    scaleResolutionDownBy: Math.max(1, Math.round(scale * 1000) / 1000),
    maxBitrate: Math.max(LOWEST_BITRATE, Math.round(want.max_kbps * 1000)),
    maxFramerate: Math.max(1, want.max_fps),
  };
}
