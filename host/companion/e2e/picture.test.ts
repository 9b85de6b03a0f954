// What the programme shows of a browser's camera, and when: read off the recording, and off the console's preview.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { Desk } from "./desk";
import { ask, Box, browse, DESKTOP, framesDecoded, open, pair, PATIENCE_MS, row, says, STRICT, until } from "./run";

const ROUNDS = 20;
const FPS = 30;
/** From the tap on Accept to the preview, the 19th of 20. */
const PREVIEW_MS = 1000;
const [WIDTH, HEIGHT] = [64, 36];

let box: Box;
let browser: Browser;
let desk: Desk;
let console_: Page;
let folder: string;

before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "dais-camera-"));
  const film = path.join(folder, "magenta.y4m");
  execFileSync("ffmpeg", ["-v", "error", "-f", "lavfi", "-i", "color=c=0xd020d0:s=640x360:r=30:d=1", "-pix_fmt", "yuv420p", film]);
  box = await Box.start();
  browser = await browse(film);
  desk = await Desk.connect(box);
  console_ = await open(browser, DESKTOP);
  await pair(console_, box);
  await until("the preview plays", () => framesDecoded(console_), (n) => n > 0);
});

/**
 * Taps Accept, and tells how long it took until the guest's tile was in the preview, in ms; null if it never was. The host's camera
 * goes with the accept, by the same connection: the mark of the moment in the recording.
 */
function acceptAndSee(page: Page): Promise<number | null> {
  return page.evaluate(async (patience) => {
    const video = document.querySelector<HTMLVideoElement>(".programme > video");
    const [accept, mark] = ["Accept", "Host camera off"].map((name) => [...document.querySelectorAll("button")].find((b) => b.textContent === name));
    const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    if (!video || !accept || !mark || !context) return null;
    const tapped = performance.now();
    mark.click();
    accept.click();
    while (performance.now() - tapped < patience) {
      await new Promise((resolve) => video.requestVideoFrameCallback(resolve));
      // One pixel of the tile's middle, where the camera is magenta.
      context.drawImage(video, 0.75 * video.videoWidth, 0.4 * video.videoHeight, 1, 1, 0, 0, 1, 1);
      const [r = 0, g = 0, b = 0] = context.getImageData(0, 0, 1, 1).data;
      if (r > 180 && b > 180 && g < 100) return performance.now() - tapped;
    }
    return null;
  }, PATIENCE_MS);
}

after(async () => {
  await desk?.close();
  await browser?.close();
  await box?.stop();
  rmSync(folder, { recursive: true, force: true });
});

type Pixel = [number, number, number];

/** One entry a frame of the recording: what stands where the host's and the guest's tiles are. */
function look(file: string): { host: "camera" | "card"; guest: boolean }[] {
  const raw = execFileSync(
    "ffmpeg",
    ["-v", "error", "-i", file, "-vf", `scale=${WIDTH}:${HEIGHT}:flags=area`, "-pix_fmt", "rgb24", "-f", "rawvideo", "-"],
    { maxBuffer: 1 << 30 },
  );
  const size = WIDTH * HEIGHT * 3;
  const frames = [];
  for (let at = 0; at + size <= raw.length; at += size) {
    const pixel = (x: number, y: number): Pixel => {
      const i = at + (Math.floor(y * HEIGHT) * WIDTH + Math.floor(x * WIDTH)) * 3;
      return [raw[i]!, raw[i + 1]!, raw[i + 2]!];
    };
    // A card is darker, away from its middle, than the darkest edge between two bars of the test picture.
    const host = Math.max(...pixel(0.08, 0.35)) > 50 ? ("camera" as const) : ("card" as const);
    const [r, g, b] = pixel(0.75, 0.4);
    frames.push({ host, guest: r > 190 && b > 190 && g < 90 });
  }
  return frames;
}

/** No time repeats, goes back or is left out, of the picture or of the sound, in whose own steps. */
function assertEven(file: string, kind: "v" | "a"): void {
  const probe = ["-v", "error", "-select_streams", kind, "-show_entries", "packet=pts_time", "-of", "csv=p=0", file];
  const times = execFileSync("ffprobe", probe, { encoding: "utf8" }).trim().split("\n").map((line) => parseFloat(line));
  const steps = times.slice(1).map((time, i) => time - times[i]!);
  const usual = kind === "v" ? 1 / FPS : [...steps].sort((a, b) => a - b)[Math.floor(steps.length / 2)]!;
  assert.ok(times.length > ROUNDS, `${times.length} packets of ${kind}`);
  steps.forEach((step, i) => {
    assert.ok(step > 0 && step < 1.5 * usual, `packet ${i + 1} of ${kind} comes ${(step * 1000).toFixed(1)} ms after the one before`);
  });
}

test("a browser's camera is in its tile half a second after the accept, and gone two frames after the end, whoever ends it", async () => {
  const guest = await open(browser);
  await desk.call("layout.set", { layout: "side-by-side" });
  const seen: (number | null)[] = [];
  await desk.call("record.start");
  await desk.until<{ record: { state: string } }>("outputs", (o) => o.record.state === "live");
  for (let round = 0; round < ROUNDS; round++) {
    await ask(guest, box, "Ana");
    const { requests } = await desk.until<{ requests: { user_id: string }[] }>("pending", (p) => p.requests.length === 1);
    const user_id = requests[0]!.user_id;
    await row(console_, "Ana").getByRole("button", { name: "Accept" }).waitFor();
    await until("the session that was offered early plays", () => framesDecoded(guest), (n) => n > 0);
    await console_.getByRole("button", { name: "Host camera off" }).waitFor();
    seen.push(await acceptAndSee(console_));
    await desk.seated(1);
    await says(guest, "You are on air");
    const played = await framesDecoded(guest);
    await desk.frames(FPS);
    await until("the programme goes on at the guest's", () => framesDecoded(guest), (n) => n > played);
    // The other mark is carried out right after the end: the other way round, the end's own way to the disk would count. Of a guest
    // who leaves, as soon as the box says so.
    if (round % 2 === 0) {
      await Promise.all([desk.call("mic.disconnect", { user_id }), desk.call("host.set", { video_muted: false })]);
      await desk.seated(0);
      await says(guest, "The host ended the connection");
    } else {
      await guest.getByRole("button", { name: "Leave" }).click();
      await desk.seated(0);
      await desk.call("host.set", { video_muted: false });
      await guest.getByText("You have left the show.").waitFor();
    }
    await desk.frames(FPS);
  }
  await desk.call("record.stop");
  await desk.until<{ record: { state: string } }>("outputs", (o) => o.record.state === "stopped");
  await guest.close();

  const recordings = path.join(box.ready.data, "recordings");
  const file = path.join(recordings, readdirSync(recordings)[0]!);
  assertEven(file, "v");
  assertEven(file, "a");
  const frames = look(file);
  const delays: number[] = [];
  const leftovers: number[] = [];
  for (let i = 1; i < frames.length; i++) {
    const [before, now] = [frames[i - 1]!.host, frames[i]!.host];
    if (before === "camera" && now === "card") {
      const shown = frames.slice(i).findIndex((f) => f.guest);
      delays.push(shown < 0 ? Infinity : (shown * 1000) / FPS);
    } else if (before === "card" && now === "camera") {
      leftovers.push(frames.slice(i).findIndex((f) => !f.guest));
    }
  }
  const sorted = [...delays].sort((a, b) => a - b);
  console.log(`accept to picture: p50 ${sorted[ROUNDS / 2]?.toFixed(0)} ms, p95 ${sorted[ROUNDS - 2]?.toFixed(0)} ms of ${delays.length}; frames after the end: ${Math.max(...leftovers)}`);
  const previews = seen.map((ms) => ms ?? Infinity).sort((a, b) => a - b);
  console.log(`tap on Accept to the preview: p50 ${previews[ROUNDS / 2]?.toFixed(0)} ms, p95 ${previews[ROUNDS - 2]?.toFixed(0)} ms of ${previews.length}`);
  assert.ok(seen.every((ms) => ms !== null), "each guest was seen in the preview");
  assert.equal(delays.length, ROUNDS, "each accept is seen in the recording");
  // A tile that never goes is -1.
  assert.ok(leftovers.length === ROUNDS && leftovers.every((n) => n >= 0), `each end is seen in the recording: ${leftovers}`);
  assert.ok(Math.max(...leftovers) <= 2, `a tile was there ${Math.max(...leftovers)} frames after its guest's end`);
  if (STRICT) assert.ok(previews[ROUNDS - 2]! < PREVIEW_MS, `the 19th of 20 was in the preview after ${previews[ROUNDS - 2]} ms`);
  assert.ok(sorted[ROUNDS - 2]! <= 500, `the 19th of 20 took ${sorted[ROUNDS - 2]} ms`);
});
