import assert from "node:assert/strict";
import { test } from "node:test";
import { status, type Standing } from "../src/guest/status";
import { en } from "../src/i18n/en";
import { zh } from "../src/i18n/zh";

const idle: Standing = { link: "up", seat: null, accepted: false, requested: false, end: null };
const says = (change: Partial<Standing>) => {
  const name = status({ ...idle, ...change });
  return name ? en.status[name] : "";
};

test("each standing of a guest has its own fixed sentence", () => {
  assert.equal(says({}), "");
  assert.equal(says({ requested: true }), "Waiting for the host");
  assert.equal(says({ seat: "on_air" }), "You are on air");
  assert.equal(says({ end: "declined" }), "Declined");
  assert.equal(says({ end: "timed_out" }), "No answer in time");
  assert.equal(says({ end: "host" }), "The host ended the connection");
  assert.equal(says({ end: "banned" }), "The host ended the connection");
  assert.equal(says({ end: "lost" }), "Connection lost");
  assert.equal(says({ end: "media_timeout" }), "Connection lost");
  assert.equal(says({ seat: "reconnecting" }), "Reconnecting");
});

test("without a connection nobody is told that they are on air", () => {
  assert.equal(says({ link: "down", seat: "on_air" }), "Reconnecting");
  assert.equal(says({ link: "refused", seat: "on_air" }), "Connection lost");
});

test("an accepted guest does not read that the host is awaited", () => {
  assert.equal(says({ accepted: true, requested: true }), "Connecting");
  assert.equal(says({ seat: "connecting" }), "Connecting");
});

test("no sentence of a guest who is not on air yet can be taken for the one that says so", () => {
  assert.doesNotMatch(en.soon, new RegExp(en.status.onAir, "i"));
});

test("a new request replaces how the last one ended", () => {
  assert.equal(says({ requested: true, end: "declined" }), "Waiting for the host");
});

test("the Chinese catalogue has a sentence for each English one", () => {
  const holes = (a: object, b: object, path: string): string[] =>
    Object.entries(a).flatMap(([k, v]) => {
      const other = (b as Record<string, unknown>)[k];
      if (typeof v !== typeof other || other === "") return [`${path}${k}`];
      return typeof v === "object" && v !== null ? holes(v, other as object, `${path}${k}.`) : [];
    });
  assert.deepEqual(holes(en, zh, ""), []);
});
