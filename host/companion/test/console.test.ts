// The operator's console and a connection that comes and goes.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Console } from "../src/host/console";
import { t } from "../src/i18n";
import { awake, browser, FakeLink, seat, until } from "./stage";

let link: FakeLink;
let show: Console;

beforeEach(() => {
  browser();
  localStorage.setItem("dais.host", JSON.stringify({ user_id: "h1", username: "host-h1", password: "p", box: "b" }));
  show = new Console("", (credentials) => (link = new FakeLink(credentials)).asBoxLink);
});

const undoable = () => show.notices.value.filter((n) => n.undo && show.undos.of(n.undo) !== null).map((n) => n.undo);

test("the way to take a ban back stays, whatever else is said meanwhile", () => {
  show.ban("b1", "Bob");
  show.ban("b2", "Bob");
  for (const text of ["one", "two", "three"]) show.say(text);
  assert.deepEqual(undoable(), ["ban b1", "ban b2"]);
  assert.deepEqual(show.notices.value.slice(2).map((n) => n.text), ["two", "three"]);
  show.takeBack(show.notices.value[0]!);
  assert.deepEqual(undoable(), ["ban b2"]);
});

test("an error waits to be read, whatever else is said meanwhile", () => {
  show.say("Bob was not banned", true);
  for (const text of ["one", "two", "three"]) show.say(text);
  assert.deepEqual(show.notices.value.map((n) => n.text), ["Bob was not banned", "two", "three"]);
});

test("a ban that did not reach the box says so", async () => {
  link.lose();
  show.ban("b1", "Bob");
  await until("the first half failed", () => show.notices.value.some((n) => /Bob could not be taken off air: /.test(n.text)));
  show.undos.flush();
  await until("the second half failed", () => show.notices.value.some((n) => n.error && /Bob was not banned: /.test(n.text)));
});

test("a guest who has just left is banned without a complaint", async () => {
  link.answers["mic.disconnect"] = "not_connected";
  show.ban("b1", "Bob");
  show.undos.flush();
  await until("the box is asked", () => link.methods.includes("guest.ban"));
  assert.deepEqual(show.notices.value.filter((n) => n.error), []);
});

test("who taps when another console was first is told who that was", async () => {
  const request = { request_id: "r1", user_id: "ana", name: "Ana", camera: true, expires_in_ms: 60_000 };
  link.tell("mic.request_answered", { request_id: "r1", by: "h2", by_name: "Berta", accept: true });
  link.answers["mic.respond"] = "request_expired";
  show.dismiss(show.notices.value[0]!.id);
  await show.respond(request, false);
  assert.deepEqual(show.notices.value.map((n) => [n.text, n.error]), [["Another console (Berta) accepted the request first.", false]]);
});

test("a decline that did not reach the box says so", async () => {
  link.lose();
  show.decline({ request_id: "r1", user_id: "a", name: "Ana", camera: true, expires_in_ms: 60_000 }, performance.now() + 60_000);
  show.undos.flush();
  await until("it failed", () => show.notices.value.some((n) => n.error && /Ana was not declined: /.test(n.text)));
});

test("who was accepted is shown on their seat, and not among the requests as well", () => {
  const request = { request_id: "r1", user_id: "ana", name: "Ana", camera: true, expires_in_ms: 60_000 };
  link.pending.value = { rev: 1, requests: [request], at: 0 };
  assert.deepEqual(show.requests.value, [request]);
  link.seats(seat({ state: "connecting" }));
  assert.deepEqual(show.requests.value, []);
});

test("a request is told to those who do not look at the page, and not for longer than it is open", () => {
  link.tell("mic.requested", { request_id: "r1", user_id: "ana", name: "Ana", camera: true, expires_in_ms: 60_000 });
  const request = { request_id: "r1", user_id: "ana", name: "Ana", camera: true, expires_in_ms: 60_000 };
  // As the box tells it: the notification, the room, and what is pending.
  link.seats();
  link.pending.value = { rev: 1, requests: [request], at: 0 };
  assert.equal(show.asked.value, "Ana asks to join, with camera");
  link.pending.value = { rev: 2, requests: [], at: 0 };
  assert.equal(show.asked.value, "");
});

test("the console stays awake while a guest is on air or is spoken to, and no longer", async () => {
  link.seats(seat());
  await until("it is kept awake", () => awake.now === 1);
  link.seats();
  await until("it may sleep", () => awake.now === 0);
  link.pending.value = { rev: 1, requests: [], at: 0, talkback: { user_id: "ana", by: "h2" } };
  await until("it is kept awake", () => awake.now === 1);
  link.pending.value = { rev: 2, requests: [], at: 0 };
  await until("it may sleep", () => awake.now === 0);
});

test("a box that is forgotten forgets this console, and where it cannot be told the page says so", async () => {
  await show.unpair();
  assert.deepEqual(link.asked.at(-1), { method: "host.unpair", params: { user_id: "h1" } });
  assert.deepEqual([show.link.value, localStorage.getItem("dais.host"), show.pairError.value], [null, null, null]);
  localStorage.setItem("dais.host", JSON.stringify({ user_id: "h1", username: "host-h1", password: "p", box: "b" }));
  show = new Console("", (credentials) => (link = new FakeLink(credentials)).asBoxLink);
  link.lose();
  await show.unpair();
  assert.deepEqual([show.link.value, localStorage.getItem("dais.host"), show.pairError.value], [null, null, t.forgottenHere]);
});
