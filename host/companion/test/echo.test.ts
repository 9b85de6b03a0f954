import assert from "node:assert/strict";
import { test } from "node:test";
import { EchoMeter, STEP_MS } from "../src/media/echo";

/** Numbers that look random, the same each time. */
function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** The levels of somebody who talks: words of 100 to 500 ms with pauses between, in dB. */
function talk(seconds: number, seed: number): number[] {
  const random = dice(seed);
  const levels: number[] = [];
  while (levels.length < (seconds * 1000) / STEP_MS) {
    const word = -15 - 15 * random();
    for (let i = 0; i < 5 + 20 * random(); i += 1) levels.push(word + 6 * random());
    for (let i = 0; i < 3 + 20 * random(); i += 1) levels.push(-65 + 4 * random());
  }
  return levels;
}

/** When, in seconds, the meter says that there is an echo; null if it never does. */
function found(played: number[], heard: (i: number) => number): number | null {
  const meter = new EchoMeter();
  const at = played.findIndex((db, i) => meter.step(db, heard(i)));
  return at < 0 ? null : (at * STEP_MS) / 1000;
}

test("a microphone that hears the loudspeaker is noticed within seconds, at any delay of a room and its devices", () => {
  const played = talk(12, 1);
  for (const lagMs of [40, 120, 300, 480]) {
    const at = found(played, (i) => (played[i - lagMs / STEP_MS] ?? -70) - 20);
    assert.ok(at !== null && at < 8, `${lagMs} ms: ${at}`);
  }
});

test("an echo under the guest's own noise is noticed", () => {
  const played = talk(12, 2);
  const noise = dice(3);
  assert.notEqual(found(played, (i) => Math.max((played[i - 6] ?? -70) - 15, -52 + 3 * noise())), null);
});

test("two people who talk at the same time, or one who is silent, are no echo", () => {
  for (let seed = 10; seed < 18; seed += 1) {
    const own = talk(60, seed + 1000);
    assert.equal(found(talk(60, seed), (i) => own[i] ?? -70), null, `seed ${seed}`);
  }
  assert.equal(found(talk(30, 5), () => -68), null);
  assert.equal(found(talk(30, 5), () => -Infinity), null);
});

test("two beeps of the same beat are no echo of each other", () => {
  const beep = (i: number) => (i % 50 < 5 ? -20 : -65);
  const played = Array.from({ length: 1500 }, (_, i) => beep(i));
  assert.equal(found(played, (i) => beep(i + 41)), null);
});

test("a steady tone on both sides says nothing", () => {
  const random = dice(7);
  assert.equal(found(new Array(1500).fill(-20), () => -25 + random()), null);
});

test("an echo that is over is not said any more", () => {
  const meter = new EchoMeter();
  const played = talk(20, 8);
  let echo = false;
  played.forEach((db, i) => (echo = meter.step(db, i < 500 ? (played[i - 5] ?? -70) : -68)));
  assert.equal(echo, false);
});
