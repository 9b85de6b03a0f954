// What is hard on a page: everything open at once, the longest names, less motion, and no English on a Chinese page. The other
// tests look at their own states (look.ts).

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { keep, look } from "./look";
import { ask, Box, browse, DESKTOP, open, pair, PHONE, row, says, TABLET } from "./run";

const LONG = "Chiara Constantinopolous-Meier of Basel";

let box: Box;
let browser: Browser;
let console_: Page;

before(async () => {
  box = await Box.start();
  browser = await browse();
  console_ = await open(browser, DESKTOP);
});

after(async () => {
  await browser?.close();
  await box?.stop();
});

test("the console is accessible on a phone, a tablet and a desktop, with everything open", async () => {
  await pair(console_, box);
  const guest = await open(browser);
  await ask(guest, box, LONG);
  await look(guest, "long-waiting");
  await look(console_, "long-request");
  await row(console_, LONG).getByRole("button", { name: "Accept" }).click();
  await says(guest, "You are on air");
  await look(guest, "long-on-air");
  await console_.getByRole("button", { name: "Move" }).click();
  await console_.getByRole("button", { name: "Add destination" }).click();
  await console_.getByText("Here now").click();
  await look(console_, "everything", [PHONE, TABLET, DESKTOP]);
});

test("declining, its words and what the guest reads then are accessible, with a name of forty letters on a phone", async () => {
  const name = "Wolfeschlegelsteinhausenbergerdorffvoral";
  const guest = await open(browser);
  await ask(guest, box, name);
  const request = row(console_, name);
  await request.getByRole("button", { name: "Give a reason" }).click();
  await look(console_, "long-words");
  await request.getByLabel(`Your words to ${name}`).fill("Later.");
  await request.getByRole("button", { name: "Decline with these words" }).click();
  await request.getByRole("button", { name: "Undo" }).waitFor();
  await look(console_, "long-undo");
  await says(guest, "Declined");
  await look(guest, "long-declined");
  await ask(guest, box, name);
  await row(console_, name).getByRole("button", { name: "Accept" }).click();
  await says(guest, "You are on air");
  await look(console_, "long-name");
  await row(console_, name).getByRole("button", { name: "Ban" }).click();
  await console_.getByText(`${name} is off air and is being banned.`).waitFor();
  await look(console_, "long-banned");
  await guest.getByText("The host has removed you from the show.").waitFor();
  await look(guest, "banned");
  assert.equal(await guest.getByRole("button", { name: "Ask to join", exact: true }).count(), 0);
});

test("whoever asks for less motion gets none", async () => {
  const moving = async (reducedMotion: "reduce" | "no-preference") => {
    const page = await open(browser, PHONE, { reducedMotion });
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
  const reader = (viewport = PHONE) => open(browser, viewport, { locale: "zh-CN" });
  // Names of people and things, units, and what stands for itself.
  const known = /Chiara Constantinopolous-Meier of Basel|Dais|Host|Ana|REC|RTMP|rtmp|localhost|https?|Fake|Default|Audio|Input|device|dB|GB|MB|kbit|fps|VP8|\w+enc|✕/g;
  const speaks = async (page: Page, state: string) => {
    await keep(page, `chinese-${state}-${page.viewportSize()?.width === PHONE.width ? "phone" : "desktop"}`);
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
