// A guest's page and a connection that comes and goes: what the guest does by hand holds in any case.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { GuestShow } from "../src/guest/show";
import { t } from "../src/i18n";
import { keepWatching } from "../src/watch/page";
import { ANA, awake, browser, devices, FakeLink, lights, present, refuses, seat, tracks, until } from "./stage";

const OFF = [false, false];
const ON = [true, true];

let link: FakeLink;

/** A page that is loaded, with Ana's credential. */
async function load(): Promise<GuestShow> {
  const show = new GuestShow("invite", (credentials) => (link = new FakeLink(credentials)).asBoxLink);
  await show.resume();
  return show;
}

async function onAir(): Promise<GuestShow> {
  const show = await waiting();
  link.tell("mic.accepted", { seat: 1 });
  link.seats(seat());
  assert.equal(show.status.value, "onAir");
  return show;
}

async function waiting(expires_in_ms = 60_000): Promise<GuestShow> {
  const show = await load();
  link.answers["mic.request"] = { request_id: "r1", expires_in_ms };
  await show.ask("Ana", true);
  assert.equal(show.status.value, "waiting");
  assert.deepEqual(lights(), ON);
  return show;
}

beforeEach(() => {
  browser();
  sessionStorage.setItem("dais.guest", JSON.stringify(ANA));
});

test("whoever leaves without a connection is off at once, and is not put on air when it is back", async () => {
  const show = await onAir();
  link.lose();
  show.leave();
  assert.deepEqual(lights(), OFF);
  assert.equal(show.onShow.value, false);
  assert.equal(show.end.value, "left");
  link.answers["mic.cancel"] = "no_such_request";
  link.comeBack();
  link.seats(seat({ state: "reconnecting" }));
  await until("the box is told", () => link.methods.includes("mic.leave"));
  assert.equal(link.methods.includes("media.restart"), false);
  assert.equal(show.onShow.value, false);
  link.seats();
  assert.equal(show.end.value, "left");
  assert.deepEqual(lights(), OFF);
});

test("a page that is loaded anew still knows that its guest left, until the box does", async () => {
  (await onAir()).leave();
  link.lose();
  const before = link;
  sessionStorage.setItem("dais.own", JSON.stringify({ user_id: "ana", left: true }));
  const show = await load();
  assert.notEqual(link, before);
  link.seats(seat());
  assert.equal(show.onShow.value, false);
  assert.deepEqual(lights(), OFF);
  await until("the box is told", () => link.methods.includes("mic.leave"));
  link.seats();
  await until("it is over", () => sessionStorage.getItem("dais.own") === null);
});

test("a request that was cancelled without a connection is not asked again", async () => {
  const show = await waiting();
  link.lose();
  show.cancel();
  assert.deepEqual(lights(), OFF);
  link.answers["mic.cancel"] = "no_such_request";
  link.answers["mic.leave"] = "not_connected";
  link.comeBack();
  await until("the box is told", () => link.methods.includes("mic.cancel"));
  assert.equal(link.methods.includes("mic.request"), false);
  assert.equal(show.status.value, null);
});

test("whoever is accepted while the finger is on its way to Cancel does not come on air", async () => {
  const show = await waiting();
  link.answers["mic.cancel"] = "request_expired";
  show.cancel();
  link.tell("mic.accepted", { seat: 1 });
  link.seats(seat({ state: "connecting" }));
  assert.deepEqual(link.methods.slice(-2), ["mic.cancel", "mic.leave"]);
  assert.deepEqual([show.onShow.value, ...lights()], [false, ...OFF]);
});

test("whoever left may ask again, and is on air again", async () => {
  const show = await onAir();
  show.leave();
  await show.ask("Ana", true);
  assert.equal(show.status.value, "waiting");
  link.seats();
  link.tell("mic.accepted", { seat: 2 });
  link.seats(seat({ seat: 2 }));
  assert.equal(show.status.value, "onAir");
  assert.deepEqual(lights(), ON);
});

test("a request that was not answered does not put anybody on air later", async () => {
  const show = await load();
  link.answers["mic.request"] = "unavailable";
  await show.ask("Ana", true);
  assert.deepEqual(lights(), OFF);
  link.lose();
  link.whenUp = () => Promise.resolve();
  await show.ask("Ana", true);
  link.comeBack();
  await until("it is taken back", () => link.methods.includes("mic.cancel"));
  link.tell("mic.accepted", { seat: 1 });
  link.seats(seat({ state: "connecting" }));
  assert.equal(show.onShow.value, false);
});

test("what was muted without a connection is muted for the box when it is back", async () => {
  const show = await onAir();
  link.lose();
  await show.setMicrophone(false);
  await show.setCamera(false);
  assert.equal(show.error.value, null);
  assert.deepEqual(lights(), [false, true]);
  link.comeBack();
  assert.deepEqual(link.asked, [{ method: "media.set", params: { audio_muted: true, video_muted: true } }]);
  // What the box said before it heard that changes nothing.
  link.tell("media.state", { audio_muted: false, video_muted: false, muted_by_host: false });
  assert.equal(show.micMuted.value, true);
});

test("a box that went away and came back behind its broker is told as well", async () => {
  const show = await onAir();
  link.online.value = { ...link.online.peek()!, online: false };
  assert.equal(show.status.value, "reconnecting");
  await show.setMicrophone(false);
  link.asked.length = 0;
  link.online.value = { ...link.online.peek()!, online: true };
  assert.equal(show.status.value, "onAir");
  assert.deepEqual(link.asked, [{ method: "media.set", params: { audio_muted: true, video_muted: false } }]);
});

test("who was hidden and muted by the host has picture and sound of their own after a reload", async () => {
  await onAir();
  const taken = { audio_muted: true, video_muted: true, muted_by_host: true, hidden_by_host: true };
  link.seats(seat(taken));
  const show = await load();
  link.seats(seat(taken));
  await until("the devices are open", () => show.capture.video.value !== null);
  assert.deepEqual([show.cameraMuted.value, show.micMuted.value, show.mutedByHost.value], [false, false, true]);
});

test("who turned off the own camera and microphone finds them off after a reload", async () => {
  const before = await onAir();
  await before.setCamera(false);
  await before.setMicrophone(false);
  const show = await load();
  link.seats(seat({ audio_muted: true, video_muted: true }));
  await until("the microphone is open", () => show.capture.audio.value !== null);
  assert.equal(show.capture.video.value, null);
  assert.deepEqual([show.cameraMuted.value, show.micMuted.value, show.capture.audio.value!.enabled], [true, true, false]);
});

test("whoever asks while an invitation is open answers it", async () => {
  const show = await load();
  // Too short to be counted in.
  link.tell("mic.invited", { request_id: "r1", expires_in_ms: 900 });
  await show.ask("Ana", false);
  assert.deepEqual(link.asked.filter((a) => a.method.startsWith("mic.")), [{ method: "mic.answer", params: { accept: true } }]);
  assert.equal(show.status.value, "connecting");
});

test("a request of which nothing is heard ends by itself, with the lights off and the box told", async () => {
  const show = await waiting(50);
  await until("it is over", () => show.status.value === "timedOut");
  assert.deepEqual(lights(), OFF);
  assert.ok(link.methods.includes("mic.cancel"));
});

test("a request is open for as long as the box was away", async () => {
  const show = await waiting();
  const { until: before } = show.request.value!;
  link.lose();
  const lost = performance.now();
  await until("some time has passed", () => performance.now() - lost > 20);
  link.answers["mic.request"] = "already_pending";
  link.comeBack();
  await until("it is open longer", () => (show.request.value?.until ?? 0) >= before + 20);
});

test("a microphone that stops is said to, is muted for the box, and is opened anew", async () => {
  const show = await onAir();
  tracks.find((track) => track.kind === "audio")!.end();
  await until("the page says so", () => show.error.value === t.microphoneLost);
  assert.equal(show.micMuted.value, true);
  assert.deepEqual(link.asked.at(-1), { method: "media.set", params: { audio_muted: true, video_muted: false } });
  await show.setMicrophone(true);
  assert.deepEqual([show.micMuted.value, show.error.value, ...lights()], [false, null, ...ON]);
  assert.deepEqual(link.asked.at(-1), { method: "media.set", params: { audio_muted: false, video_muted: false } });
});

test("a microphone that was chosen and unplugged is not asked for any more", async () => {
  const show = await onAir();
  await show.capture.choose("microphone", "gone");
  assert.deepEqual(show.capture.chosen.value, {});
  devices.dispatchEvent(new Event("devicechange"));
  tracks.findLast((track) => track.kind === "audio")!.end();
  await until("the page says so", () => show.error.value === t.microphoneLost);
  await show.setMicrophone(true);
  assert.deepEqual(lights(), ON);
});

test("the screen stays awake while something is open, and no longer", async () => {
  const show = await waiting();
  await until("it is kept awake", () => awake.now === 1);
  link.tell("mic.accepted", { seat: 1 });
  link.seats(seat());
  assert.equal(awake.now, 1);
  show.leave();
  await until("it may sleep", () => awake.now === 0);
});

test("a microphone that cannot be opened leaves the one of before, and keeps nobody out", async () => {
  const show = await load();
  await show.check(true);
  present.push({ deviceId: "busy", kind: "audioinput" });
  refuses.why = ({ audio }) => (JSON.stringify(audio).includes("busy") ? "NotReadableError" : null);
  await assert.rejects(show.capture.choose("microphone", "busy"), { message: t.deviceBusy });
  assert.deepEqual(lights(), ON);
  await show.check(false);
  await show.check(true);
  assert.equal(show.error.value, null);
  assert.deepEqual(lights(), ON);
});

test("without a camera the microphone can be checked, and the page says why there is no picture", async () => {
  const show = await load();
  refuses.why = ({ video }) => (video ? "NotAllowedError" : null);
  await show.check(true);
  assert.deepEqual(lights(), [false, true]);
  assert.equal(show.checking.value, true);
  assert.equal(show.error.value, t.cameraRefused);
});

test("nobody is asked for the camera for a request that the room would refuse", async () => {
  const show = await load();
  link.seats();
  link.room.value = { ...link.room.value!, accepting: false };
  await show.ask("Ana", true);
  assert.equal(show.error.value, t.reasons.not_accepting);
  assert.equal(tracks.length, 0);
});

test("who has no invitation is told so before the camera is opened", async () => {
  sessionStorage.clear();
  const show = new GuestShow(null);
  await show.ask("Ana", true);
  assert.equal(show.error.value, t.inviteMissing);
  assert.equal(tracks.length, 0);
});

test("who is taken off air and then banned is told that, and not to ask again", async () => {
  const show = await onAir();
  link.tell("mic.terminated", { reason: "host" });
  link.seats();
  assert.equal(show.end.value, "host");
  link.state.value = "refused";
  assert.deepEqual([show.end.value, show.words.value, show.status.value], ["banned", t.banned, "ended"]);
});

test("who could not be heard or seen in time is told what to try", async () => {
  const show = await onAir();
  link.tell("mic.terminated", { reason: "media_timeout" });
  assert.equal(show.words.value, t.mediaTimeout);
});

test("devices that are chosen one after the other leave no light that nothing turns off", async () => {
  const show = await load();
  await show.check(true);
  present.push({ deviceId: "front", kind: "videoinput" }, { deviceId: "back", kind: "videoinput" });
  const first = show.capture.choose("camera", "front");
  const second = show.capture.choose("camera", "back");
  const third = show.setMicrophone(true);
  await Promise.all([first, second, third]);
  assert.equal(show.capture.chosen.value.camera, "back");
  assert.equal(tracks.filter((track) => track.readyState === "live").length, 2);
  await show.check(false);
  assert.deepEqual(lights(), OFF);
});

test("what is chosen as the check ends opens nothing", async () => {
  const show = await load();
  await show.check(true);
  present.push({ deviceId: "front", kind: "videoinput" });
  refuses.why = () => {
    refuses.why = () => null;
    return "NotReadableError";
  };
  const chosen = show.capture.choose("camera", "front").catch(() => undefined);
  await show.check(false);
  await chosen;
  assert.deepEqual(lights(), OFF);
});

test("a viewer who is accepted is between two states for nobody to see", async () => {
  const show = await waiting();
  keepWatching(show);
  link.asked.length = 0;
  link.tell("mic.accepted", { seat: 1 });
  link.seats(seat());
  assert.equal(link.methods.includes("media.watch"), false);
  show.leave();
  assert.equal(link.methods.filter((m) => m === "media.watch").length, 1);
});

test("what was muted and never told is told after the page was loaded anew", async () => {
  sessionStorage.setItem("dais.own", JSON.stringify({ user_id: "ana", audio_muted: true, video_muted: false, left: false }));
  const show = await load();
  link.seats(seat());
  await until("the box is told", () => link.asked.some((a) => a.method === "media.set" && a.params.audio_muted === true));
  assert.equal(show.capture.audio.value?.enabled, false);
});

test("whom the host invites while the devices are opened answers that invitation by asking", async () => {
  const show = await load();
  link.answers["mic.request"] = "already_pending";
  const asked = show.ask("Ana", false);
  link.tell("mic.invited", { expires_in_ms: 1_500 });
  await asked;
  assert.equal(link.methods.includes("mic.answer"), true);
  assert.equal(show.request.value, null);
  assert.equal(show.accepted.value, true);
});
