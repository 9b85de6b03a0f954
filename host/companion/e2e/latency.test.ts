// From glass to glass: how long what a camera sees, and what the host does, takes until the pages show it. The
// synthetic guest paints the time into its picture (see gst-plugins/src/mark.rs); a page reads it off its video.
// The times are printed, not asserted: the machine of a test may be busy.

import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import path from "node:path";
import { after, before, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { Desk } from "./desk";
import { Box, browse, DESKTOP, framesDecoded, open, pair, PATIENCE_MS, until, watch } from "./run";

const FRAMES = 120;
/** A busy machine shows fewer in the time that there is. */
const FEWEST_FRAMES = 10;
const FLASHES = 20;
/** What a mark counts in, and when it begins anew (118 hours). */
const TICK_MS = 0.1;
const PERIOD = 104 * 4096 * 10_000;

let box: Box;
let browser: Browser;
let desk: Desk;
let console_: Page;
let guest: ChildProcess;

/** `CLOCK_MONOTONIC`, which GStreamer's clock is, in ms. */
const monotonic = () => Number(process.hrtime.bigint() / 1000n) / 1000;

/** What to add to the page's `performance.now()` for the same, and by how much it may be wrong. */
async function pageClock(page: Page): Promise<{ offset: number; doubt: number }> {
  let best = { offset: 0, doubt: Infinity };
  for (let i = 0; i < 50; i += 1) {
    const sent = monotonic();
    const there = await page.evaluate(() => performance.now());
    const back = monotonic();
    if (back - sent < 2 * best.doubt) best = { offset: (sent + back) / 2 - there, doubt: (back - sent) / 2 };
  }
  return best;
}

interface Seen {
  ticks: number;
  source: number;
  /** `performance.now()` of when the frame is on the screen. */
  shown: number;
}

/** Reads the mark in the right half of so many frames of the page's programme. */
function readMarks(page: Page, frames: number): Promise<Seen[]> {
  return page.evaluate(
    async ([wanted, patience]) => {
      const [COLUMNS, ROWS] = [16, 6];
      const SYNC = [1, 1, 1, 0, 1, 0, 0, 1, 0, 1, 1, 0, 1, 0, 1, 1];
      const crc = (bytes: number[]) => {
        let value = 0xffffffff;
        for (const byte of bytes) {
          value ^= byte;
          for (let i = 0; i < 8; i += 1) value = (value >>> 1) ^ (value & 1 ? 0xedb88320 : 0);
        }
        return ~value >>> 0;
      };
      const video = document.querySelector<HTMLVideoElement>(".programme > video")!;
      const canvas = document.createElement("canvas");
      const context = canvas.getContext("2d", { willReadFrequently: true })!;
      let [width, height, pixels] = [0, 0, new Uint8ClampedArray()];
      const white = (x: number, y: number) => {
        let sum = 0;
        for (const [dx, dy] of [[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1]] as const) {
          sum += pixels[4 * ((Math.round(y) + dy) * width + Math.round(x) + dx) + 1] ?? 0;
        }
        return sum > 5 * 128;
      };
      /** `x`, `y`: the middle of the first cell of the upper sync row. */
      type Place = { x: number; y: number; cell: number };
      const read = ({ x, y, cell }: Place): { ticks: number; source: number } | null => {
        if (!SYNC.every((w, i) => white(x + i * cell, y) === (w === 1))) return null;
        const bytes: number[] = [];
        for (let bit = 0; bit < COLUMNS * ROWS; bit += 1) {
          const [column, line] = [bit % COLUMNS, Math.floor(bit / COLUMNS)];
          bytes[bit >> 3] = ((bytes[bit >> 3] ?? 0) << 1) | Number(white(x + column * cell, y + (line + 1) * cell));
        }
        const number = (from: number) => bytes.slice(from, from + 4).reduce((n, b) => n * 256 + b, 0);
        return crc(bytes.slice(0, 8)) === number(8) ? { ticks: number(3), source: bytes[7]! } : null;
      };
      /** In the right half; the mark lies in the middle of its tile. */
      const find = (): Place | null => {
        for (let cell = width / 120; cell < width / 40; cell += width / 6400) {
          for (let y = 2 * cell; y < height - 8 * cell; y += cell / 4) {
            for (let shift = -1; shift <= 1; shift += 0.25) {
              const place = { x: 0.75 * width - 7.5 * cell + shift * cell, y, cell };
              if (read(place)) return place;
            }
          }
        }
        return null;
      };
      const seen: Seen[] = [];
      let place: Place | null = null;
      const end = performance.now() + patience;
      while (seen.length < wanted && performance.now() < end) {
        const frame = await new Promise<VideoFrameCallbackMetadata>((resolve) => {
          video.requestVideoFrameCallback((_, metadata) => resolve(metadata));
        });
        const now = performance.now();
        [width, height] = [video.videoWidth, video.videoHeight];
        Object.assign(canvas, { width, height });
        context.drawImage(video, 0, 0);
        pixels = context.getImageData(0, 0, width, height).data;
        place ??= find();
        const mark = place && read(place);
        if (mark) seen.push({ ...mark, shown: Math.max(now, frame.expectedDisplayTime) });
      }
      return seen;
    },
    [frames, PATIENCE_MS] as const,
  );
}

/** The `performance.now()` at which the host's tile, on the left, is a dark card, or is not any more. */
function hostTurns(dark: boolean): Promise<number | null> {
  return console_.evaluate(
    async ([wanted, patience]) => {
      const video = document.querySelector<HTMLVideoElement>(".programme > video")!;
      const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true })!;
      const end = performance.now() + patience;
      while (performance.now() < end) {
        const frame = await new Promise<VideoFrameCallbackMetadata>((resolve) => {
          video.requestVideoFrameCallback((_, metadata) => resolve(metadata));
        });
        const now = performance.now();
        context.drawImage(video, 0.08 * video.videoWidth, 0.35 * video.videoHeight, 1, 1, 0, 0, 1, 1);
        const [r = 0, g = 0, b = 0] = context.getImageData(0, 0, 1, 1).data;
        if (Math.max(r, g, b) > 50 !== wanted) return Math.max(now, frame.expectedDisplayTime);
      }
      return null;
    },
    [dark, PATIENCE_MS] as const,
  );
}

function told(what: string, delays: number[]): void {
  const sorted = [...delays].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!.toFixed(0);
  console.log(`${what}: p50 ${at(0.5)} ms, p95 ${at(0.95)} ms of ${sorted.length}`);
}

before(async () => {
  box = await Box.start();
  browser = await browse();
  desk = await Desk.connect(box);
  console_ = await open(browser, DESKTOP);
  await pair(console_, box);
  await desk.call("layout.set", { layout: "side-by-side" });
  const binary = path.resolve(process.env.DAIS_BIN ?? "../../target/debug/dais");
  guest = spawn(binary, ["guest", "--join", box.ready.invite_url, "--video", "test:mark=7"], { stdio: ["ignore", "ignore", "inherit"] });
  await console_.getByRole("button", { name: "Accept", exact: true }).click();
  await desk.seated(1);
});

after(async () => {
  guest?.kill("SIGTERM");
  await desk?.close();
  await browser?.close();
  await box?.stop();
});

async function fromTheCamera(page: Page, where: string): Promise<void> {
  const { offset, doubt } = await pageClock(page);
  const marks = await readMarks(page, FRAMES);
  assert.ok(marks.length >= FEWEST_FRAMES, `${marks.length} marks were read`);
  assert.ok(marks.every((m) => m.source === 7));
  const delays = marks.map(({ ticks, shown }) => {
    const now = Math.round((shown + offset) / TICK_MS) % PERIOD;
    return ((now - ticks + PERIOD) % PERIOD) * TICK_MS;
  });
  told(`a guest's camera to ${where} (clocks within ${doubt.toFixed(1)} ms)`, delays);
  // A clock that is not the same one would be off by hours.
  assert.ok(delays.every((ms) => ms > 0 && ms < PATIENCE_MS));
}

test("a guest's picture in the console's preview says when it was taken", () => fromTheCamera(console_, "the console's preview"));

test("a guest's picture on the audience's page says when it was taken", async () => {
  const viewer = await open(browser, DESKTOP);
  await watch(viewer, box, "Jo");
  await until("the audience decodes the programme", () => framesDecoded(viewer), (n) => n > 5);
  await fromTheCamera(viewer, "the audience's page");
});

test("what the host does is seen in the console's preview", async () => {
  const { offset, doubt } = await pageClock(console_);
  const delays: number[] = [];
  for (let i = 0; i < FLASHES; i += 1) {
    for (const dark of [true, false]) {
      const turned = hostTurns(dark);
      const asked = monotonic();
      await desk.call("host.set", { video_muted: dark });
      const shown = await turned;
      assert.ok(shown !== null, "the host's tile turned");
      delays.push(shown + offset - asked);
    }
  }
  told(`the command that hides the host's picture to the preview (clocks within ${doubt.toFixed(1)} ms)`, delays);
});
