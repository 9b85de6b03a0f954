// Each page in its states, at phone and desktop size: nothing that axe-core complains about, nothing wider than the
// screen, no control whose words are cut off or that is too small for a thumb, and no English on a Chinese page.

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
    // A thumb needs 44 px; a field's label is as good a target as the field. Links in a text may be smaller.
    const visible = (e: Element) => e.checkVisibility({ visibilityProperty: true, opacityProperty: true });
    const small = [...document.querySelectorAll("button, a.button, input:not([type=range], [type=radio]), select, summary, .layout")].filter((e) => {
      const { width, height } = e.getBoundingClientRect();
      return visible(e) && (width < 44 || height < 44);
    });
    const wide = document.documentElement.scrollWidth - window.innerWidth;
    return [
      ...violations.map((v) => `${v.id}: ${v.help}: ${v.nodes.map((n) => n.html).join(" ")}`),
      ...cut.map((e) => `words are cut off: ${e.outerHTML}`),
      ...small.map((e) => `smaller than a thumb: ${e.outerHTML}`),
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

test("declining, its words and what the guest reads then are accessible, with a name of forty letters on a phone", async () => {
  const name = "Wolfeschlegelsteinhausenbergerdorffvoral";
  await console_.keyboard.press("Escape");
  const guest = await open();
  await ask(guest, box, name);
  const request = row(console_, name);
  await request.getByRole("button", { name: "Give a reason" }).click();
  await look(console_, "words");
  await request.getByLabel(`Your words to ${name}`).fill("Later.");
  await request.getByRole("button", { name: "Decline with these words" }).click();
  await request.getByRole("button", { name: "Undo" }).waitFor();
  await look(console_, "undo");
  await says(guest, "Declined");
  await look(guest, "declined");
  await ask(guest, box, name);
  await row(console_, name).getByRole("button", { name: "Accept" }).click();
  await says(guest, "You are on air");
  await look(console_, "long-name");
  await row(console_, name).getByRole("button", { name: "Ban" }).click();
  await console_.getByText(`${name} is off air and is being banned.`).waitFor();
  await look(console_, "banned");
  await guest.getByText("The host has removed you from the show.").waitFor();
  await look(guest, "banned");
  assert.equal(await guest.getByRole("button", { name: "Ask to join", exact: true }).count(), 0);
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

test("whoever asks for less motion gets none", async () => {
  const moving = async (reducedMotion: "reduce" | "no-preference") => {
    const page = await (await visitor(browser, PHONE, { reducedMotion })).newPage();
    await page.goto(box.ready.invite_url);
    await page.getByRole("button", { name: "Ask to join", exact: true }).waitFor();
    const found = await page.evaluate(() =>
      [...document.querySelectorAll("*")].filter((e) => {
        const style = getComputedStyle(e);
        return style.animationName !== "none" || style.transitionDuration.split(", ").some((d) => parseFloat(d) > 0);
      }).length,
    );
    await page.context().close();
    return found;
  };
  assert.ok((await moving("no-preference")) > 0, "there is something to reduce");
  assert.equal(await moving("reduce"), 0);
});

test("the pages speak Chinese to whoever reads it", async () => {
  const reader = async (viewport = PHONE) => (await visitor(browser, viewport, { locale: "zh-CN", bypassCSP: true })).newPage();
  // Names of people and things, units, and what stands for itself.
  const known = /Chiara Constantinopolous-Meier of Basel|Dais|Host|Ana|REC|RTMP|rtmp|localhost|https?|Fake|Default|Audio|Input|device|dB|GB|MB|kbit|fps|VP8|\w+enc|✕/g;
  const speaks = async (page: Page, state: string) => {
    await shot(page, `chinese-${state}-${page.viewportSize()?.width === PHONE.width ? "phone" : "desktop"}`);
    assert.equal(await page.evaluate(() => document.documentElement.lang), "zh-CN");
    const words = await page.evaluate(() => {
      const labels = [...document.querySelectorAll("[aria-label], [title]")].flatMap((e) => [e.getAttribute("aria-label"), e.getAttribute("title")]);
      return `${document.title} ${document.body.innerText} ${labels.join(" ")}`;
    });
    assert.deepEqual(words.replace(known, "").match(/[A-Za-z]{2,}/g) ?? [], [], state);
  };
  const host = await reader(DESKTOP);
  await host.goto(box.ready.http);
  await speaks(host, "pairing");
  await host.getByRole("textbox", { name: "配对码" }).fill(box.ready.pairing_code);
  await host.getByRole("button", { name: "配对", exact: true }).click();
  await host.getByRole("radiogroup").waitFor();
  const guest = await reader();
  await guest.goto(box.ready.invite_url);
  await speaks(guest, "start");
  await guest.getByRole("textbox").fill("Ana");
  await guest.getByRole("button", { name: "请求加入", exact: true }).click();
  await guest.getByRole("status").getByText("正在等待主持人").waitFor();
  await speaks(guest, "waiting");
  await host.getByRole("button", { name: "接受" }).click();
  await guest.getByRole("status").getByText("你已上线").waitFor();
  await speaks(guest, "on-air");
  await host.getByText("详细数据").click();
  await row(host, "Ana").getByRole("img", { name: /^连接：/ }).waitFor();
  await speaks(host, "console");
});
