import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Browser, Locator, Page } from "playwright-core";
import { keep, look } from "./look";
import { ask, Box, browse, bytesSent, DESKTOP, framesDecoded, lights, livePeers, open, pair, PHONE, row, says, until, watch } from "./run";

let box: Box;
let browser: Browser;
let console_: Page;

async function onAir(name: string, button?: string): Promise<Page> {
  const guest = await open(browser);
  await ask(guest, box, name, button);
  await row(console_, name).getByRole("button", { name: "Accept" }).click();
  await says(guest, "You are on air");
  return guest;
}

async function gone(name: string): Promise<void> {
  await row(console_, name).waitFor({ state: "detached" });
}

before(async () => {
  box = await Box.start();
  browser = await browse();
  console_ = await open(browser, DESKTOP);
  await pair(console_, box);
});

after(async () => {
  await browser?.close();
  await box?.stop();
});

test("a wrong pairing code is refused with a sentence", async () => {
  const other = await open(browser);
  await other.goto(box.ready.http);
  await look(other, "host-pair");
  await other.getByRole("textbox", { name: "Pairing code" }).fill("wrong");
  await other.getByRole("button", { name: "Pair", exact: true }).click();
  assert.notEqual(await other.getByRole("alert").innerText(), "");
});

test("the pairing code can come with the address, and does not stay in it", async () => {
  const other = await open(browser);
  await other.goto(`${box.ready.http}#pair=${box.ready.pairing_code}`);
  assert.equal(await other.getByRole("textbox", { name: "Pairing code" }).inputValue(), box.ready.pairing_code);
  assert.equal(new URL(other.url()).hash, "");
});

test("the console plays the programme", async () => {
  const first = await until("a frame is decoded", () => framesDecoded(console_), (n) => n > 0);
  await until("more frames are decoded", () => framesDecoded(console_), (n) => n > first + 5);
});

test("a guest asks, is accepted, sees the programme, mutes, turns the camera off, and leaves", async () => {
  const guest = await open(browser);
  await guest.goto(box.ready.invite_url);
  await look(guest, "guest-start");
  await guest.getByRole("button", { name: "Check camera and microphone" }).click();
  await guest.getByRole("meter", { name: "Microphone level" }).waitFor();
  await look(guest, "guest-check");
  await guest.getByRole("textbox", { name: "Your name" }).fill("Ana");
  await guest.getByRole("button", { name: "Ask to join", exact: true }).click();
  await says(guest, "Waiting for the host");
  const request = row(console_, "Ana");
  await request.getByRole("button", { name: "Decline" }).waitFor();
  await guest.getByRole("timer").getByText(/^\d+ s left$/).waitFor();
  await look(guest, "guest-waiting");
  await look(console_, "host-request");
  await request.getByRole("button", { name: "Accept" }).click();
  await says(guest, "You are on air");

  const first = await until("the guest decodes the programme", () => framesDecoded(guest), (n) => n > 0);
  await until("the programme goes on", () => framesDecoded(guest), (n) => n > first + 5);
  await until("the guest's picture is sent", () => bytesSent(guest, "video"), (n) => n > 0);
  await look(guest, "guest-on-air");
  // The own picture lies on nobody's face or name, and under no button, however the phone is held.
  const place = (locator: Locator) => locator.boundingBox().then((b) => ({ right: b!.x + b!.width, bottom: b!.y + b!.height, ...b! }));
  for (const size of [DESKTOP, { width: PHONE.height, height: PHONE.width }, PHONE]) {
    await guest.setViewportSize(size);
    await keep(guest, `guest-on-air-${size.width}`);
    const own = await place(guest.getByLabel("Your own picture"));
    const programme = await place(guest.locator(".programme"));
    const bar = await place(guest.locator(".bar"));
    assert.ok(own.right <= size.width && own.bottom <= bar.y, `in sight: ${JSON.stringify({ own, bar })}`);
    assert.ok(own.y >= programme.bottom || own.x >= programme.right, `beside the programme: ${JSON.stringify({ own, programme })}`);
  }
  await look(console_, "host-on-air");

  await guest.getByRole("button", { name: "Mute microphone" }).click();
  await row(console_, "Ana").getByText("muted by guest").waitFor();
  await guest.getByRole("button", { name: "Unmute microphone" }).click();
  await guest.getByRole("button", { name: "Turn camera off" }).click();
  await row(console_, "Ana").getByText("camera off").waitFor();
  assert.equal(await guest.getByLabel("Your own picture").count(), 0);
  await guest.getByText("Microphone on", { exact: true }).waitFor();
  assert.deepEqual(await lights(guest), { camera: false, microphone: true });
  await guest.getByRole("button", { name: "Turn camera on" }).click();
  await guest.getByLabel("Your own picture").waitFor();

  await row(console_, "Ana").getByRole("button", { name: "Mute", exact: true }).click();
  await guest.getByText("The host has muted you.").waitFor();
  await row(console_, "Ana").getByRole("button", { name: "Unmute" }).click();
  await guest.getByText("The host has muted you.").waitFor({ state: "detached" });

  await row(console_, "Ana").getByRole("button", { name: "Move" }).click();
  await row(console_, "Ana").getByRole("button", { name: "Seat 5" }).click();
  await row(console_, "Ana").getByTitle("Seat 5").waitFor();

  await guest.getByRole("button", { name: "Leave" }).click();
  await gone("Ana");
  await guest.getByText("You have left the show.").waitFor();
  assert.equal(await livePeers(guest), 0);
});

test("the host disconnects a guest, who is told and whose camera is released", async () => {
  const guest = await onAir("Ben");
  await row(console_, "Ben").getByRole("button", { name: "Disconnect" }).click();
  await says(guest, "The host ended the connection");
  await look(guest, "guest-ended");
  await gone("Ben");
  assert.equal(await livePeers(guest), 0);
  await guest.getByRole("button", { name: "Ask to join", exact: true }).waitFor();
});

test("a declined guest is told so, and sends nothing any more", async () => {
  const guest = await open(browser);
  await ask(guest, box, "Cleo");
  await row(console_, "Cleo").getByRole("button", { name: "Decline" }).click();
  await says(guest, "Declined");
  await look(guest, "guest-declined");
  await gone("Cleo");
  assert.equal(await livePeers(guest), 0);
});

test("a cancelled request leaves the console, and the camera is released", async () => {
  const guest = await open(browser);
  await ask(guest, box, "Dora");
  await row(console_, "Dora").waitFor();
  await guest.getByRole("button", { name: "Cancel request" }).click();
  await gone("Dora");
  await guest.getByRole("button", { name: "Ask to join", exact: true }).waitFor();
  assert.equal(await livePeers(guest), 0);
});

test("a guest without camera is on air with the voice alone", async () => {
  const guest = await onAir("Egon", "Ask to join without camera");
  await row(console_, "Egon").getByText("no camera").waitFor();
  await guest.getByText("Microphone on", { exact: true }).waitFor();
  assert.deepEqual(await lights(guest), { camera: false, microphone: true });
  await until("the voice is sent", () => bytesSent(guest, "audio"), (n) => n > 0);
  assert.equal(await bytesSent(guest, "video"), 0);
  await guest.getByRole("button", { name: "Leave" }).click();
  await gone("Egon");
});

test("a reload keeps the guest's seat", async () => {
  const guest = await onAir("Finn");
  await guest.reload();
  await says(guest, "You are on air");
  await until("the programme plays again", () => framesDecoded(guest), (n) => n > 0);
  await row(console_, "Finn").getByText("On air").waitFor();
  await guest.getByRole("button", { name: "Leave" }).click();
  await gone("Finn");
});

test("a reload of the console changes nothing on air", async () => {
  const guest = await onAir("Gus");
  await console_.reload();
  await row(console_, "Gus").getByText("On air").waitFor();
  await says(guest, "You are on air");
  await guest.getByRole("button", { name: "Leave" }).click();
  await gone("Gus");
});

test("layouts, recording and the door follow the console", async () => {
  await console_.getByRole("radio", { name: "grid" }).check();
  await until("the layout is the room's", () => console_.getByRole("radio", { name: "grid" }).isChecked(), Boolean);
  await console_.getByRole("radio", { name: "auto" }).check();
  await console_.getByRole("button", { name: "Start recording" }).click();
  await console_.getByText(/programme-0001\.mkv · [1-9]/).waitFor();
  await console_.getByRole("button", { name: "Stop recording" }).click();
  await console_.getByRole("button", { name: "Start recording" }).waitFor();

  await console_.getByText("Recordings on the box").click();
  const recording = console_.getByRole("group", { name: "programme-0001.mkv" });
  await recording.getByRole("button", { name: "Delete" }).waitFor();
  await look(console_, "host-recordings");
  const file = join(box.ready.data, "recordings/programme-0001.mkv");
  const [download] = await Promise.all([console_.waitForEvent("download"), recording.getByRole("button", { name: "Download" }).click()]);
  assert.deepEqual(await readFile(await download.path()), await readFile(file));
  await recording.getByRole("button", { name: "Delete" }).click();
  await console_.getByRole("dialog", { name: "Delete programme-0001.mkv?" }).getByRole("button", { name: "Delete" }).click();
  await console_.getByText("There is none yet.").waitFor();
  assert.equal(existsSync(file), false);

  await console_.getByRole("button", { name: "Close requests" }).click();
  const late = await open(browser);
  await late.goto(box.ready.invite_url);
  await late.getByRole("textbox", { name: "Your name" }).fill("Hanna");
  await late.getByRole("button", { name: "Ask to join", exact: true }).click();
  assert.match(await late.getByRole("alert").innerText(), /\w/);
  await look(late, "guest-refused");
  await console_.getByRole("button", { name: "Open requests" }).click();
  await console_.getByRole("button", { name: "Close requests" }).waitFor();
});

test("an invitation link made on the console lets a guest in", async () => {
  await console_.getByRole("button", { name: "Invite", exact: true }).click();
  const link = await console_.getByRole("textbox", { name: "Invitation link" }).inputValue();
  await look(console_, "host-invite");
  await console_.getByText("For an audience that only watches").click();
  const audience = await console_.getByRole("textbox", { name: "Audience link" }).inputValue();
  assert.equal(audience, link.replace("/join", "/watch"));
  await console_.getByRole("img", { name: `QR code of ${audience}` }).waitFor();
  await console_.getByRole("dialog").getByRole("button", { name: "Close" }).click();
  const guest = await open(browser);
  await guest.goto(link);
  await guest.getByRole("textbox", { name: "Your name" }).fill("Ida");
  await guest.getByRole("button", { name: "Ask to join", exact: true }).click();
  await says(guest, "Waiting for the host");
  await guest.getByRole("button", { name: "Cancel request" }).click();
  await gone("Ida");
  const viewer = await open(browser);
  await viewer.goto(audience);
  await viewer.getByRole("textbox", { name: "Your name" }).fill("Ivo");
  await viewer.getByRole("button", { name: "Watch" }).click();
  await until("the audience decodes the programme", () => framesDecoded(viewer), (n) => n > 5);

  // It is shown again, until it is replaced: then it lets nobody in, and nobody's camera is opened for it.
  await console_.getByRole("button", { name: "Invite", exact: true }).click();
  const shown = () => console_.getByRole("textbox", { name: "Invitation link" }).inputValue();
  assert.equal(await shown(), link);
  await console_.getByRole("button", { name: "New link, and end this one" }).click();
  await until("there is another link", shown, (url) => url !== link);
  await console_.getByRole("dialog").getByRole("button", { name: "Close" }).click();
  const late = await open(browser);
  await late.goto(link);
  await late.getByRole("textbox", { name: "Your name" }).fill("Lou");
  await late.getByRole("button", { name: "Ask to join", exact: true }).click();
  await late.getByText("This code or link is not valid (any more). Ask for a new one.").waitFor();
  assert.deepEqual(await lights(late), { camera: false, microphone: false });
});

test("a viewer whom the host invites goes on air, and watches again afterwards", async () => {
  const viewer = await open(browser);
  await watch(viewer, box, "Mia");
  await until("the audience decodes the programme", () => framesDecoded(viewer), (n) => n > 5);
  const person = console_.getByRole("group", { name: "Mia" });
  await console_.getByText("Here now").click();
  await person.getByRole("button", { name: "Ask on air" }).click();
  await viewer.getByRole("button", { name: "Go on air", exact: true }).waitFor();
  await person.getByRole("button", { name: "Withdraw" }).click();
  await viewer.getByText("The host has taken the invitation back.").waitFor();
  assert.equal(await viewer.getByRole("button", { name: "Go on air", exact: true }).count(), 0);
  await person.getByRole("button", { name: "Ask on air" }).click();
  await viewer.getByRole("button", { name: "Go on air", exact: true }).click();
  await viewer.getByText("You are on air in 3").waitFor();
  await look(viewer, "watch-count-in");
  await says(viewer, "You are on air");
  await until("the viewer's picture is sent", () => bytesSent(viewer, "video"), (n) => n > 0);
  await row(console_, "Mia").getByRole("button", { name: "Disconnect" }).click();
  await gone("Mia");
  await viewer.getByRole("button", { name: "Ask to join", exact: true }).waitFor();
  await until("the programme plays again", () => framesDecoded(viewer), (n) => n > 5);
  assert.equal(await bytesSent(viewer, "video"), 0);
  // A seat with a camera, of a guest who keeps it off: the voice is enough.
  await person.getByRole("button", { name: "Ask on air" }).click();
  await viewer.getByRole("button", { name: "Go on air without camera" }).click();
  await says(viewer, "You are on air");
  assert.deepEqual(await lights(viewer), { camera: false, microphone: true });
  await row(console_, "Mia").getByRole("button", { name: "Disconnect" }).click();
  await gone("Mia");
  await console_.getByText("Here now").click();
});

test("the audience watches, asks to join on the same page, and watches on when the request is cancelled", async () => {
  const viewer = await open(browser);
  await viewer.goto(box.ready.invite_url.replace("/join", "/watch"));
  await look(viewer, "watch-start");
  await viewer.getByRole("textbox", { name: "Your name" }).fill("Jo");
  await viewer.getByRole("button", { name: "Watch" }).click();
  await until("the audience decodes the programme", () => framesDecoded(viewer), (n) => n > 5);
  await look(viewer, "watch");
  await viewer.reload();
  await until("the programme plays after a reload", () => framesDecoded(viewer), (n) => n > 5);
  await viewer.getByRole("button", { name: "Ask to join", exact: true }).click();
  await says(viewer, "Waiting for the host");
  await row(console_, "Jo").waitFor();
  await until("the programme plays while waiting", () => framesDecoded(viewer), (n) => n > 0);
  await look(viewer, "watch-waiting");
  await viewer.getByRole("button", { name: "Cancel request" }).click();
  await gone("Jo");
  await viewer.getByRole("button", { name: "Ask to join", exact: true }).waitFor();
  await until("the programme plays again", () => framesDecoded(viewer), (n) => n > 5);
  assert.deepEqual(await lights(viewer), { camera: false, microphone: false });
  await viewer.getByRole("button", { name: "Ask to join", exact: true }).click();
  await row(console_, "Jo").getByRole("button", { name: "Accept" }).click();
  await says(viewer, "You are on air");
  assert.equal(await viewer.getByRole("alert").count(), 0);
  await viewer.getByRole("button", { name: "Leave" }).click();
  await gone("Jo");
});

test("a guest whose page is closed reconnects for a while, and is then gone", async () => {
  const guest = await onAir("Noa");
  await guest.close();
  await row(console_, "Noa").getByText("Reconnecting").waitFor();
  await gone("Noa");
});

test("a page without camera access says why, and that https or localhost helps", async () => {
  const guest = await open(browser);
  await guest.addInitScript(() => Object.defineProperty(navigator, "mediaDevices", { value: undefined }));
  await guest.goto(box.ready.invite_url);
  await guest.getByRole("textbox", { name: "Your name" }).fill("Ole");
  await guest.getByRole("button", { name: "Ask to join", exact: true }).click();
  assert.match(await guest.getByRole("alert").innerText(), /https:\/\/.*localhost/);
});

test("a credential of another day is forgotten without a word", async () => {
  const guest = await open(browser);
  await guest.goto(box.ready.invite_url);
  const old = { user_id: "old", username: "guest-old", password: "no", box: box.ready.box, name: "Pia" };
  await guest.evaluate((c) => localStorage.setItem("dais.guest", JSON.stringify(c)), old);
  await guest.reload();
  await until("it is forgotten", () => guest.evaluate(() => localStorage.getItem("dais.guest")), (v) => v === null);
  assert.equal(await guest.getByRole("status").innerText(), "");
  assert.equal(await guest.getByRole("textbox", { name: "Your name" }).inputValue(), "Pia");
});

test("a console that is opened twice in one browser works in the newer page, and can be taken back", async () => {
  const first = await open(browser, DESKTOP);
  await pair(first, box);
  const second = await first.context().newPage();
  await second.goto(box.ready.http);
  await second.getByRole("radiogroup", { name: "Layout" }).waitFor();
  await first.getByRole("button", { name: "Use it here" }).waitFor();
  await until("the newer page plays", () => framesDecoded(second), (n) => n > 5);
  await first.getByRole("button", { name: "Use it here" }).click();
  await second.getByRole("button", { name: "Use it here" }).waitFor();
  await until("the older page plays again", () => framesDecoded(first), (n) => n > 5);
});

test("two guests in one browser are two guests", async () => {
  const first = await onAir("Kai");
  const second = await first.context().newPage();
  await ask(second, box, "Lea");
  await row(console_, "Lea").getByRole("button", { name: "Accept" }).click();
  await says(second, "You are on air");
  await says(first, "You are on air");
  await first.getByText("On air with you: Lea", { exact: true }).waitFor();
  await second.getByText("On air with you: Kai", { exact: true }).waitFor();
  await look(console_, "host-two-on-air");
  await second.getByRole("button", { name: "Leave" }).click();
  await first.getByRole("button", { name: "Leave" }).click();
  await gone("Kai");
  await gone("Lea");
});
