import assert from "node:assert/strict";
import { test } from "node:test";
import { encoderSettings } from "../src/media/encoder";
import { sections, wantsMedia } from "../src/media/sdp";

const want = (width: number, height: number) => ({ width, height, max_fps: 25, max_kbps: 700 });

test("a picture larger than its tile is scaled down to it", () => {
  const s = encoderSettings(want(640, 360), { width: 1280, height: 720 });
  assert.deepEqual(s, { scaleResolutionDownBy: 2, maxBitrate: 700_000, maxFramerate: 25 });
});

test("a picture smaller than its tile is not enlarged", () => {
  assert.equal(encoderSettings(want(1920, 1080), { width: 640, height: 480 }).scaleResolutionDownBy, 1);
});

test("an upright phone still fills the width of a wide tile", () => {
  const { scaleResolutionDownBy } = encoderSettings(want(640, 360), { width: 720, height: 1280 });
  assert.equal(scaleResolutionDownBy, 1.125);
  assert.ok(720 / scaleResolutionDownBy >= 640);
});

test("a guest who is not shown goes on sending a small picture", () => {
  const s = encoderSettings({ width: 0, height: 0, max_fps: 0, max_kbps: 0 }, { width: 1280, height: 720 });
  assert.equal(s.scaleResolutionDownBy, 8);
  assert.ok(s.maxBitrate > 0);
  assert.ok(s.maxFramerate >= 1);
});

test("a tiny tile never makes a picture of less than 90 lines", () => {
  const { scaleResolutionDownBy } = encoderSettings(want(32, 18), { width: 1280, height: 720 });
  assert.equal(720 / scaleResolutionDownBy, 90);
});

test("an unknown size of the camera leaves the scale alone", () => {
  assert.equal(encoderSettings(want(640, 360), { width: 0, height: 0 }).scaleResolutionDownBy, 1);
});

const offer = (audio: string, video: string) =>
  ["v=0", "s=-", "t=0 0", "m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=mid:a0", `a=${audio}`, "m=video 9 UDP/TLS/RTP/SAVPF 96", "a=mid:v0", `a=${video}`, ""].join("\r\n");

test("the sections of an offer are known by mid, kind and direction", () => {
  assert.deepEqual(sections(offer("sendrecv", "sendonly")), [
    { mid: "a0", kind: "audio", direction: "sendrecv" },
    { mid: "v0", kind: "video", direction: "sendonly" },
  ]);
});

test("a direction of the session part counts for sections without one of their own", () => {
  const sdp = "v=0\r\na=sendonly\r\nm=audio 9 X 1\r\na=mid:0\r\nm=video 9 X 2\r\na=mid:1\r\na=sendrecv\r\n";
  assert.deepEqual(sections(sdp).map((s) => s.direction), ["sendonly", "sendrecv"]);
});

test("an offer to watch wants nothing of us, an offer to go on air does", () => {
  assert.equal(wantsMedia(offer("sendonly", "sendonly")), false);
  assert.equal(wantsMedia(offer("sendrecv", "sendonly")), true);
});
