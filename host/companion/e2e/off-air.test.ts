// The green room and the word to one guest, through the pages and a real box: what the host sees and hears before anybody else,
// and what the guest is told of it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { look } from "./look";
import { ask, Box, browse, DESKTOP, livePeers, open, pair, row, says, until } from "./run";

let box: Box;
let browser: Browser;
let console_: Page;
let second: Page;
let guest: Page;
/** How often the first console said that it speaks. */
let said = 0;

const view = (name: string) => console_.getByRole("region", { name: `Private view of ${name}` });

/** The view moves: so many frames of it have been shown. */
async function moves(name: string): Promise<void> {
  const frames = () =>
    view(name)
      .locator("video")
      .evaluate((v: HTMLVideoElement) => v.getVideoPlaybackQuality().totalVideoFrames);
  await until("the view moves", frames, (n) => n > 5);
}

before(async () => {
  box = await Box.start();
  browser = await browse();
  console_ = await open(browser);
  console_.on("websocket", (socket) => {
    socket.on("framesent", ({ payload }) => {
      if (payload.toString().includes("talkback.set")) said += 1;
    });
  });
  await pair(console_, box);
  second = await open(browser, DESKTOP);
  await pair(second, box, "Vera's desk");
  guest = await open(browser);
  await ask(guest, box, "Ana");
  await row(console_, "Ana").waitFor();
});

after(async () => {
  await browser?.close();
  await box?.stop();
});

test("a guest who waits is seen and heard by the host alone, and knows it", async () => {
  await guest.getByText("nobody sees or hears you before the host accepts").waitFor();
  await row(console_, "Ana").getByRole("button", { name: "Look", exact: true }).click();
  await guest.getByText("The host sees and hears you now. You are not on air.").waitFor();
  assert.equal(await guest.getByText("nobody sees or hears you").count(), 0);
  await moves("Ana");
  await view("Ana").getByText("Off air").waitFor();
  // Picture and sound; nobody else's console has either.
  const heard = () => view("Ana").locator("video").evaluate((v: HTMLVideoElement) => !v.muted && (v.srcObject as MediaStream).getAudioTracks().length === 1);
  await until("the guest is heard", heard, Boolean);
  assert.equal(await second.getByRole("region", { name: "Private view of Ana" }).count(), 0);
  await view("Ana").scrollIntoViewIfNeeded();
  await look(console_, "off-air-look");
  await look(guest, "off-air-guest-seen");
});

test("the host speaks to one guest, and every console says that the programme does not hear it", async () => {
  const talk = row(console_, "Ana").getByRole("button", { name: "Talk" });
  assert.equal(await talk.getAttribute("aria-pressed"), "false");
  await talk.click();
  await console_.getByText("Only Ana hears you; you are not on air").waitFor();
  assert.equal(await talk.getAttribute("aria-pressed"), "true");
  await second.getByText("Only Ana hears the host, who is not on air").waitFor();
  await guest.getByText("The host is speaking to you alone, off air.").waitFor();
  const plays = () => guest.locator("audio").evaluate((a: HTMLAudioElement) => !a.paused && !a.muted && a.currentTime > 0);
  await until("the guest's page plays it", plays, Boolean);
  await look(console_, "off-air-talk");
  await look(second, "off-air-talk-second");
  await look(guest, "off-air-guest-talk");
});

test("the console goes on saying that it speaks, and any console puts the host back on air", async () => {
  // Each 3 s: the last of these is later than the box would hold it by itself.
  await until("it was said five times", async () => said, (times) => times >= 5);
  assert.ok(await console_.getByText("Only Ana hears you; you are not on air").isVisible());
  await second.getByRole("button", { name: "Back on air" }).click();
  await console_.getByText("Only Ana hears you").waitFor({ state: "detached" });
  await guest.getByText("The host is speaking to you alone").waitFor({ state: "detached" });
  await guest.getByText("The host sees and hears you now. You are not on air.").waitFor();
});

test("on a seat the view goes on in silence, and ends with a tap", async () => {
  await row(console_, "Ana").getByRole("button", { name: "Accept" }).click();
  await says(guest, "You are on air");
  await row(console_, "Ana").getByRole("button", { name: "Stop looking" }).waitFor();
  await moves("Ana");
  await view("Ana").getByRole("button", { name: "Listen" }).waitFor();
  await guest.getByText("The host is looking at you.").waitFor();
  await row(console_, "Ana").getByRole("button", { name: "Talk" }).click();
  await guest.getByText("The others still hear you.").waitFor();
  await view("Ana").scrollIntoViewIfNeeded();
  await look(console_, "off-air-seat");
  await look(guest, "off-air-guest-on-air");
  await row(console_, "Ana").getByRole("button", { name: "Talk" }).click();
  await row(console_, "Ana").getByRole("button", { name: "Stop looking" }).click();
  await view("Ana").waitFor({ state: "detached" });
  await guest.getByText("The host is looking at you.").waitFor({ state: "detached" });
  // The programme's preview is left.
  await until("one peer is left", () => livePeers(console_), (n) => n === 1);
});

test("a console that goes away looks at nobody and speaks to nobody", async () => {
  await row(console_, "Ana").getByRole("button", { name: "Look", exact: true }).click();
  await row(console_, "Ana").getByRole("button", { name: "Talk" }).click();
  await guest.getByText("The others still hear you.").waitFor();
  await console_.close();
  await second.getByText("Only Ana hears the host").waitFor({ state: "detached" });
  await guest.getByText("The host is looking at you.").waitFor({ state: "detached" });
  await guest.getByText("The host is speaking to you alone").waitFor({ state: "detached" });
  await row(second, "Ana").getByRole("button", { name: "Disconnect" }).click();
  await says(guest, "The host ended the connection");
});
