// What happens to a phone: its screen is locked, on air, for a moment or for too long. A locked phone stops the page as a
// whole; so does this, by stopping the process that it runs in.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { look } from "./look";
import { ask, Box, browse, DESKTOP, framesDecoded, lights, open, pair, renderer, row, says, until } from "./run";

let box: Box;
let desktop: Browser;
let phone: Browser;
let console_: Page;
let guest: Page;

const seat = () => row(console_, "Ana").locator("[data-drag]").innerText();

/** The page does nothing until `then` is done. */
async function locked(then: () => Promise<void>): Promise<void> {
  const page = await renderer(phone);
  process.kill(page, "SIGSTOP");
  try {
    await then();
  } finally {
    process.kill(page, "SIGCONT");
  }
}

async function onAir(): Promise<void> {
  await guest.getByRole("button", { name: "Ask to join", exact: true }).click();
  await row(console_, "Ana").getByRole("button", { name: "Accept" }).click();
  await says(guest, "You are on air");
}

before(async () => {
  box = await Box.start();
  desktop = await browse();
  phone = await browse();
  console_ = await open(desktop, DESKTOP);
  await pair(console_, box);
  guest = await open(phone);
  await guest.addInitScript(() => {
    const held = { now: 0 };
    (window as unknown as { held: typeof held }).held = held;
    Object.defineProperty(navigator, "wakeLock", {
      value: {
        request: () => {
          held.now += 1;
          return Promise.resolve({ release: () => Promise.resolve(void (held.now -= 1)) });
        },
      },
    });
  });
  await ask(guest, box, "Ana");
});

after(async () => {
  await phone?.close();
  await desktop?.close();
  await box?.stop();
});

test("the screen of a guest stays awake while they wait and are on air, and no longer", async () => {
  const held = () => guest.evaluate(() => (window as unknown as { held: { now: number } }).held.now);
  await until("it is kept awake while they wait", held, (n) => n === 1);
  await row(console_, "Ana").getByRole("button", { name: "Accept" }).click();
  await says(guest, "You are on air");
  assert.equal(await held(), 1);
  await guest.getByRole("button", { name: "Leave" }).click();
  await until("it may sleep", held, (n) => n === 0);
  await row(console_, "Ana").waitFor({ state: "detached" });
});

test("a phone that was locked for a moment is on air again, on the same seat", async () => {
  await onAir();
  const before = await seat();
  await locked(() => row(console_, "Ana").getByText("Reconnecting").waitFor());
  await row(console_, "Ana").getByText("On air").waitFor();
  await says(guest, "You are on air");
  assert.equal(await seat(), before);
  const first = await until("the programme plays", () => framesDecoded(guest), (n) => n > 0);
  await until("and goes on", () => framesDecoded(guest), (n) => n > first + 5 || n < first);
  assert.deepEqual(await lights(guest), { camera: true, microphone: true });
});

test("a phone that was locked for too long reads that it is lost, with its camera off", async () => {
  await locked(() => row(console_, "Ana").waitFor({ state: "detached" }));
  await says(guest, "Connection lost");
  await until("the lights are off", () => lights(guest), (on) => !on.camera && !on.microphone);
  await guest.getByRole("button", { name: "Ask to join", exact: true }).waitFor();
  await look(guest, "guest-was-locked");
});
