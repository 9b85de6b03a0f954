import assert from "node:assert/strict";
import { test } from "node:test";
import { Revisions, SETTLE_MS } from "../src/rev";

test("an older snapshot never replaces a newer one", () => {
  const r = new Revisions();
  assert.ok(r.snapshot("room", 5));
  assert.ok(!r.snapshot("room", 4));
  assert.ok(r.snapshot("room", 5));
  assert.ok(r.snapshot("room", 6));
});

test("after a reconnect the box may count from anywhere", () => {
  const r = new Revisions();
  r.snapshot("room", 500);
  r.reconnected();
  assert.ok(r.snapshot("room", 1));
});

test("a notification ahead of the snapshot for long makes one resynchronisation", () => {
  const r = new Revisions();
  r.snapshot("room", 10);
  r.seen(12, 1000);
  assert.equal(r.nextLook(), 1000 + SETTLE_MS);
  assert.ok(!r.due(1000 + SETTLE_MS - 1));
  assert.ok(r.due(1000 + SETTLE_MS));
  assert.ok(!r.due(1000 + 10 * SETTLE_MS));
  assert.equal(r.nextLook(), null);
});

test("a snapshot that follows its notification needs no resynchronisation", () => {
  const r = new Revisions();
  r.snapshot("room", 10);
  r.seen(11, 0);
  r.snapshot("room", 11);
  assert.equal(r.nextLook(), null);
  assert.ok(!r.due(10 * SETTLE_MS));
});

test("a stream of notifications does not put the resynchronisation off for ever", () => {
  const r = new Revisions();
  r.snapshot("room", 1);
  for (let i = 0; i < 10; i += 1) r.seen(2 + i, i * 100);
  assert.ok(r.due(SETTLE_MS));
});

test("a further jump after a resynchronisation makes another one", () => {
  const r = new Revisions();
  r.snapshot("room", 1);
  r.seen(3, 0);
  assert.ok(r.due(SETTLE_MS));
  r.seen(4, 5000);
  assert.ok(r.due(5000 + SETTLE_MS));
});

test("a retained snapshot that comes behind a newer one of its topic is not shown", () => {
  const revisions = new Revisions();
  assert.ok(revisions.snapshot("pending", 7));
  assert.ok(!revisions.snapshot("pending", 6));
  assert.ok(revisions.snapshot("outputs", 3));
  assert.ok(revisions.snapshot("pending", 7));
  revisions.reconnected();
  assert.ok(revisions.snapshot("pending", 1));
});
