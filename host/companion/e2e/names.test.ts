// The accessible names that others rely on: each control in each state in which it is to be there, and no control that
// is stale. By exact names, as programs outside this repository look for them.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import mqtt from "mqtt";
import type { Browser, Locator, Page } from "playwright-core";
import { look } from "./look";
import { Box, browse, cut, DESKTOP, lights, open, row, until } from "./run";

type Role = Parameters<Page["getByRole"]>[0];

let box: Box;
let browser: Browser;
let console_: Page;
let guest: Page;

/** What a guest can press, of the names that are fixed. */
const ASK = ["Check camera and microphone", "Ask to join", "Ask to join without camera"];
const WAIT = ["Cancel request"];
const ON_AIR = ["Mute microphone", "Turn camera off", "Leave"];

const there = (place: Page | Locator, role: Role, name: string) => place.getByRole(role, { name, exact: true });

/** The guest's page says exactly this, has exactly these of the fixed buttons, and tells the truth about the lights. */
async function stands(status: string, buttons: string[], open: boolean): Promise<void> {
  await until(`the status is "${status}"`, () => guest.getByRole("status").innerText(), (text) => text === status);
  for (const name of buttons) await there(guest, "button", name).waitFor();
  for (const name of [...ASK, ...WAIT, ...ON_AIR].filter((n) => !buttons.includes(n))) {
    assert.equal(await there(guest, "button", name).count(), 0, `"${name}" is there while the status is "${status}"`);
  }
  await until("the lights are as wanted", () => lights(guest), (on) => on.camera === open && on.microphone === open);
  assert.equal(await guest.getByText("Camera and microphone on", { exact: true }).count(), open ? 1 : 0);
}

async function asks(): Promise<void> {
  await there(guest, "button", "Ask to join").click();
  await there(row(console_, "Ana"), "button", "Accept").waitFor();
}

before(async () => {
  box = await Box.start();
  browser = await browse();
  console_ = await open(browser, DESKTOP);
  guest = await open(browser);
});

after(async () => {
  await browser?.close();
  await box?.stop();
});

test("the console pairs by a textbox and a button, and has its controls", async () => {
  await console_.goto(box.ready.http);
  await there(console_, "textbox", "Pairing code").fill(box.ready.pairing_code);
  await there(console_, "button", "Pair").click();
  for (const name of ["Start recording", "Invite", "Close requests"]) await there(console_, "button", name).waitFor();
  const layouts = there(console_, "radiogroup", "Layout").getByRole("radio");
  assert.equal(await layouts.count(), 6);
  for (const name of ["auto", "solo", "side-by-side", "grid", "spotlight", "pip"]) {
    await there(console_, "radio", name).waitFor();
  }
  await there(console_, "button", "Start recording").click();
  await there(console_, "button", "Stop recording").click();
  await there(console_, "button", "Start recording").waitFor();
  await there(console_, "button", "Close requests").click();
  await there(console_, "button", "Open requests").click();
  await there(console_, "button", "Close requests").waitFor();
});

test("a guest asks, waits and cancels", async () => {
  await guest.goto(box.ready.invite_url);
  await stands("", ASK, false);
  await there(guest, "textbox", "Your name").fill("Ana");
  await asks();
  await stands("Waiting for the host", WAIT, true);
  await there(guest, "button", "Cancel request").click();
  await row(console_, "Ana").waitFor({ state: "detached" });
  await stands("", ASK, false);
});

test("a request is a list item by the guest's name, and a declined guest reads so", async () => {
  await asks();
  await there(row(console_, "Ana"), "button", "Decline").click();
  await stands("Declined", ASK, false);
  await row(console_, "Ana").waitFor({ state: "detached" });
});

test("a seat is a list item by the guest's name, and whoever is disconnected reads so", async () => {
  await asks();
  await there(row(console_, "Ana"), "button", "Accept").click();
  await stands("You are on air", ON_AIR, true);
  for (const name of ["Mute", "Disconnect", "Move", "Ban"]) await there(row(console_, "Ana"), "button", name).waitFor();
  assert.equal(await there(row(console_, "Ana"), "button", "Accept").count(), 0);
  await there(row(console_, "Ana"), "button", "Disconnect").click();
  await stands("The host ended the connection", ASK, false);
  await row(console_, "Ana").waitFor({ state: "detached" });
});

test("a request that nobody answers ends with a sentence", async () => {
  // The page asks for a minute: here somebody with the same credential asks for a second.
  const who = JSON.parse((await guest.evaluate(() => sessionStorage.getItem("dais.guest"))) ?? "{}");
  const client = await mqtt.connectAsync(box.ready.mqtt, {
    protocolVersion: 5,
    username: who.username,
    password: who.password,
    clientId: "the-same-guest",
  });
  const request = { jsonrpc: "2.0", id: "short", method: "mic.request", params: { timeout_s: 1 } };
  await client.publishAsync(`dais/v1/${who.box}/guest/${who.user_id}/up`, JSON.stringify(request), { qos: 1 });
  await stands("No answer in time", ASK, false);
  await look(guest, "guest-no-answer");
  await client.endAsync();
});

test("a guest whose connection breaks reads it, and after too long that it is lost", async () => {
  await asks();
  await there(row(console_, "Ana"), "button", "Accept").click();
  await stands("You are on air", ON_AIR, true);
  await guest.context().setOffline(true);
  await cut(guest);
  await guest.evaluate(() => {
    for (const pc of (window as unknown as { peers: RTCPeerConnection[] }).peers) pc.close();
  });
  await stands("Reconnecting", ON_AIR, true);
  await look(guest, "guest-reconnecting");
  await row(console_, "Ana").waitFor({ state: "detached" });
  await guest.context().setOffline(false);
  await stands("Connection lost", ASK, false);
  await look(guest, "guest-lost");
});
