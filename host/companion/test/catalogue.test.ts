// Everything that a box names has a name in the reader's language. What it names is read out of its sources.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { alarmName } from "../src/host/health";
import { pair } from "../src/http";
import { en } from "../src/i18n/en";
import { zh } from "../src/i18n/zh";
import { RpcError } from "../src/rpc";
import { sentence } from "../src/sentence";

const firmware = path.resolve("../../firmware");

/** Every first group of the pattern in a source file, of which there must be so many at least. */
function named(file: string, pattern: RegExp, least = 1): string[] {
  const found = [...readFileSync(path.join(firmware, file), "utf8").matchAll(pattern)].map((m) => m[1]!);
  assert.ok(found.length >= least, `${file} names ${found.length} things by ${String(pattern)}`);
  return found;
}

const without = (names: string[], catalogue: Record<string, unknown>) => [...new Set(names)].filter((n) => !catalogue[n]);

test("each alarm has a Chinese name", () => {
  const whats = [
    ...named("src/appliance/vitals.rs", /watch\(\s*self,\s*"(\w+)"/g, 2),
    ...named("src/appliance.rs", /const (?:MEDIA_DOWN|SETTINGS): &str = "(.+)"/g, 2),
    ...named("src/appliance.rs", /vitals\.alarm\(\s*"(\w+)"/g),
    ...named("studio/src/capture/signal.rs", /=> "(the host's camera(?! is well).+)"/g, 5),
    ...named("studio/src/capture/spec.rs", /"(the host's [^"]* (?:gives|can't) [^"]*)"/g, 2),
    ...named("studio/src/capture/screen.rs", /const WHAT: &str = "(.+)"/g),
    ...named("studio/src/capture/monitor.rs", /const WHAT: &str = "(.+)"/g),
    ...named("studio/src/programme/pace.rs", /const PACE_WHAT: &str = "(.+)"/g),
    ...Object.keys(zh.line).map((line) => `the ${line} encoder`),
  ];
  assert.deepEqual(without(whats, zh.alarmName), []);
});

test("each place where something is dropped, and each stage of the latency, has a name in both languages", () => {
  const places = named("src/appliance/vitals.rs", /dropped\("(\w+)"/g, 8);
  const stages = named("src/appliance/vitals.rs", /\("(\w+_to_\w+)", studio/g, 3);
  for (const t of [en, zh]) assert.deepEqual([...without(places, t.place), ...without(stages, t.stage)], []);
});

test("an encoder that was left is named with its line", () => {
  assert.equal(alarmName({ what: "the return encoder v4l2h264enc" }), "Encoder for guests and previews: v4l2h264enc");
  assert.equal(alarmName({ what: "the programme encoder is too slow" }), "The programme encoder is too slow");
});

test("a refusal says why, where the box knows more than the catalogue", () => {
  const refused = (reason: string) => sentence(new RpcError({ code: 0, message: "No more watchers.", data: { reason: reason as never } }));
  assert.equal(refused("unavailable"), "The box cannot do that now: No more watchers.");
  assert.equal(refused("room_full"), "All seats are taken.");
  assert.equal(refused("parse_error"), "No more watchers.");
});

test("a wrong code is refused in the reader's language, and what the catalogue does not know in the box's words", async () => {
  const answers = (status: number, message: string) => {
    globalThis.fetch = async () => new Response(JSON.stringify({ message }), { status });
    return pair("1", "").then(String, (error: Error) => error.message);
  };
  assert.equal(await answers(403, "The code is wrong."), en.httpStatus[403]);
  assert.equal(await answers(503, "Too many consoles are paired."), "Too many consoles are paired.");
});
