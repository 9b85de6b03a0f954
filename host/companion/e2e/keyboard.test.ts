// A whole show without a mouse: everything is reached by Tab, pressed by Enter or Space, and the focus is seen.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { Box, browse, DESKTOP, open, row, says, until } from "./run";

/** More stops than any page has. */
const STOPS = 120;

let box: Box;
let browser: Browser;
let console_: Page;
let guest: Page;

/** Goes on by Tab until what has this name is focused, and is seen to be. */
async function tabTo(page: Page, name: string | RegExp, within?: string): Promise<void> {
  for (let i = 0; i < STOPS; i += 1) {
    await page.keyboard.press("Tab");
    const seen = await page.evaluate(() => {
      const e = document.activeElement as HTMLElement;
      const label = e.getAttribute("aria-label") ?? (e as HTMLInputElement).labels?.[0]?.innerText ?? e.innerText;
      const place = e.closest("li")?.getAttribute("aria-label") ?? null;
      const ring = [e, e.parentElement].some((x) => x && getComputedStyle(x).outlineStyle !== "none");
      return { label: (label ?? "").trim(), place, ring };
    });
    const matches = typeof name === "string" ? seen.label === name : name.test(seen.label);
    if (!matches || (within && seen.place !== within)) continue;
    assert.ok(seen.ring, `the focus on ${seen.label} cannot be seen`);
    return;
  }
  assert.fail(`Tab does not lead to ${String(name)}.`);
}

async function press(page: Page, name: string | RegExp, within?: string): Promise<void> {
  await tabTo(page, name, within);
  await page.keyboard.press("Enter");
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

test("a show is run by keyboard alone, on both sides", async () => {
  await console_.goto(box.ready.http);
  await tabTo(console_, "Pairing code");
  await console_.keyboard.type(box.ready.pairing_code);
  await console_.keyboard.press("Enter");
  await console_.getByRole("radiogroup", { name: "Layout" }).waitFor();

  await guest.goto(box.ready.invite_url);
  await tabTo(guest, "Your name");
  await guest.keyboard.type("Ana");
  await press(guest, "Ask to join");
  await says(guest, "Waiting for the host");

  await row(console_, "Ana").waitFor();
  await press(console_, "Accept", "Ana");
  await says(guest, "You are on air");
  await press(guest, "Mute microphone");
  await row(console_, "Ana").getByText("muted by guest").waitFor();

  await press(console_, "Mute", "Ana");
  await row(console_, "Ana").getByRole("button", { name: "Unmute" }).waitFor();
  await tabTo(console_, "Gain", "Ana");
  await console_.keyboard.press("ArrowRight");
  await row(console_, "Ana").getByText("+1 dB").waitFor();
  await press(console_, "Move", "Ana");
  await press(console_, "Seat 4", "Ana");
  await row(console_, "Ana").getByTitle("Seat 4").waitFor();
  await tabTo(console_, /^auto$/i);
  await console_.keyboard.press("ArrowRight");
  await until("the arrow chose the next layout", () => console_.getByRole("radio", { name: "solo" }).isChecked(), Boolean);
  await press(console_, "Start recording");
  await console_.getByRole("button", { name: "Stop recording" }).waitFor();
  await press(console_, "Stop recording");
  await press(console_, "Disconnect", "Ana");
  await says(guest, "The host ended the connection");

  await press(guest, "Ask to join");
  await says(guest, "Waiting for the host");
  await row(console_, "Ana").waitFor();
  await press(console_, "Decline", "Ana");
  await says(guest, "Declined");
});

test("the invitation closes by Escape and gives the focus back", async () => {
  await press(console_, "Invite");
  await console_.getByRole("dialog").waitFor();
  await console_.keyboard.press("Escape");
  await console_.getByRole("dialog").waitFor({ state: "hidden" });
  await until("the focus is back", () => console_.evaluate(() => document.activeElement?.textContent), (v) => v === "Invite");
});
