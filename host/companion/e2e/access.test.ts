// Each page in its states, at phone and desktop size: nothing that axe-core complains about, nothing wider than the
// screen, and no control whose words are cut off.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { ask, Box, browse, DESKTOP, pair, PHONE, row, says, shot, visitor } from "./run";

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const RULES = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"];

interface Axe {
  run(root: Document, options: object): Promise<{ violations: { id: string; help: string; nodes: { html: string }[] }[] }>;
}

let box: Box;
let browser: Browser;
let console_: Page;

const open = async (viewport = PHONE) => (await visitor(browser, viewport, { bypassCSP: true })).newPage();

async function look(page: Page, state: string): Promise<void> {
  await page.evaluate(axeSource);
  const found = await page.evaluate(async (rules) => {
    const { violations } = await (window as unknown as { axe: Axe }).axe.run(document, { runOnly: rules });
    const cut = [...document.querySelectorAll("button, p, h1, h2, label")].filter(
      (e) => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).textOverflow !== "ellipsis",
    );
    const wide = document.documentElement.scrollWidth - window.innerWidth;
    return [
      ...violations.map((v) => `${v.id}: ${v.help}: ${v.nodes.map((n) => n.html).join(" ")}`),
      ...cut.map((e) => `words are cut off: ${e.outerHTML}`),
      ...(wide > 0 ? [`the page is ${wide} px wider than the screen`] : []),
    ];
  }, RULES);
  await shot(page, `access-${state}`);
  assert.deepEqual(found, [], state);
}

before(async () => {
  box = await Box.start();
  browser = await browse();
  console_ = await open(DESKTOP);
});

after(async () => {
  await browser?.close();
  await box?.stop();
});

test("the guest's page is accessible in each state", async () => {
  await console_.goto(box.ready.http);
  await look(console_, "pairing");
  await pair(console_, box);
  const guest = await open();
  await guest.goto(box.ready.invite_url);
  await look(guest, "start");
  await guest.getByRole("button", { name: "Check camera and microphone" }).click();
  await guest.getByRole("meter").waitFor();
  await look(guest, "check");
  await ask(guest, box, "Chiara Constantinopolous-Meier of Basel");
  await look(guest, "waiting");
  await look(console_, "request");
  await row(console_, "Chiara Constantinopolous-Meier of Basel").getByRole("button", { name: "Accept" }).click();
  await says(guest, "You are on air");
  await look(guest, "on-air");
});

test("the console is accessible on a phone, a tablet and a desktop, with everything open", async () => {
  await console_.getByRole("button", { name: "Move" }).click();
  await console_.getByRole("button", { name: "Add destination" }).click();
  await console_.getByText("Here now").click();
  for (const viewport of [DESKTOP, { width: 900, height: 700 }, PHONE]) {
    await console_.setViewportSize(viewport);
    await look(console_, `console-${viewport.width}`);
  }
  await console_.getByRole("button", { name: "Invite", exact: true }).click();
  await console_.getByRole("dialog").waitFor();
  await look(console_, "invitation");
});

test("the audience's page is accessible", async () => {
  const viewer = await open();
  await viewer.goto(box.ready.invite_url.replace("/join", "/watch"));
  await look(viewer, "watch-start");
  await viewer.getByRole("textbox", { name: "Your name" }).fill("Vera");
  await viewer.getByRole("button", { name: "Watch" }).click();
  await viewer.getByRole("button", { name: "Ask to join", exact: true }).waitFor();
  await look(viewer, "watch");
});
