import assert from "node:assert/strict";
import { test } from "node:test";
import { Calls, newId, RpcError, Unanswered, type Clock } from "../src/rpc";

function fakeClock() {
  const rings = new Set<() => void>();
  const clock: Clock = (_ms, ring) => {
    rings.add(ring);
    return () => rings.delete(ring);
  };
  return { clock, rings, ringAll: () => [...rings].forEach((r) => r()) };
}

test("a reply reaches the request of its id, whatever the order", async () => {
  const calls = new Calls(fakeClock().clock);
  const a = calls.start("mic.request", {}, 1000, "late");
  const b = calls.start("mic.cancel", {}, 1000, "late");
  calls.receive({ jsonrpc: "2.0", id: b.id, result: { n: 2 } });
  calls.receive({ jsonrpc: "2.0", id: a.id, result: { n: 1 } });
  assert.deepEqual(await a.reply, { n: 1 });
  assert.deepEqual(await b.reply, { n: 2 });
  assert.equal(calls.open, 0);
});

test("an error of the box keeps its sentence and its reason", async () => {
  const calls = new Calls(fakeClock().clock);
  const { id, reply } = calls.start("mic.request", {}, 1000, "late");
  calls.receive({ jsonrpc: "2.0", id, error: { code: -32010, message: "All seats are taken.", data: { reason: "room_full" } } });
  await assert.rejects(reply, (e: unknown) => e instanceof RpcError && e.message === "All seats are taken." && e.reason === "room_full" && e.code === -32010);
});

test("a request without a reply fails in time, and its late reply is dropped", async () => {
  const time = fakeClock();
  const calls = new Calls(time.clock);
  const { id, reply } = calls.start("mic.request", {}, 1000, "The box did not answer.");
  time.ringAll();
  await assert.rejects(reply, (e: unknown) => e instanceof Unanswered && e.message === "The box did not answer.");
  assert.equal(calls.receive({ jsonrpc: "2.0", id, result: {} }), null);
});

test("a reply stops the clock of its request", async () => {
  const time = fakeClock();
  const calls = new Calls(time.clock);
  const { id, reply } = calls.start("mic.leave", {}, 1000, "late");
  calls.receive({ jsonrpc: "2.0", id, result: {} });
  await reply;
  assert.equal(time.rings.size, 0);
});

test("a lost connection fails every open request at once", async () => {
  const calls = new Calls(fakeClock().clock);
  const replies = [1, 2, 3].map(() => calls.start("mic.leave", {}, 1000, "late").reply);
  calls.failAll(new Unanswered("gone"));
  for (const reply of replies) await assert.rejects(reply, /gone/);
});

test("a repeated reply and a reply to nobody change nothing", async () => {
  const calls = new Calls(fakeClock().clock);
  const { id, reply } = calls.start("mic.leave", {}, 1000, "late");
  calls.receive({ jsonrpc: "2.0", id, result: { first: true } });
  calls.receive({ jsonrpc: "2.0", id, error: { code: 1, message: "second" } });
  calls.receive({ jsonrpc: "2.0", id: "unknown", result: {} });
  assert.deepEqual(await reply, { first: true });
});

test("notifications come out with their parameters, and rubbish does not", () => {
  const calls = new Calls(fakeClock().clock);
  assert.deepEqual(calls.receive({ jsonrpc: "2.0", method: "mic.accepted", params: { seat: 3, rev: 9 } }), {
    method: "mic.accepted",
    params: { seat: 3, rev: 9 },
  });
  for (const rubbish of [null, 1, "x", [], {}, { id: 7, result: {} }]) assert.equal(calls.receive(rubbish), null);
});

test("ids are new each time and within 64 bytes", () => {
  const ids = new Set(Array.from({ length: 1000 }, newId));
  assert.equal(ids.size, 1000);
  for (const id of ids) assert.match(id, /^[0-9a-f]{32}$/);
});
