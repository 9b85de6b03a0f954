// What the console can do beyond accept and disconnect, one sentence each, against a real box.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Browser, Locator, Page } from "playwright-core";
import { look } from "./look";
import { ask, Box, browse, DESKTOP, find, framesDecoded, lights, lose, open, pair, PHONE, row, says, until, watch } from "./run";

let box: Box;
let browser: Browser;
let first: Page;
let second: Page;

async function onAir(name: string): Promise<Page> {
  const guest = await open(browser);
  await ask(guest, box, name);
  await row(first, name).getByRole("button", { name: "Accept" }).click();
  await says(guest, "You are on air");
  return guest;
}

async function leave(guest: Page, name: string): Promise<void> {
  await guest.getByRole("button", { name: "Leave" }).click();
  await row(first, name).waitFor({ state: "detached" });
}

/** Both within the page: a busy machine may need longer than three seconds from the one tap of a test to the other. */
function pressAndUndo(button: Locator): Promise<string | null> {
  return button.evaluate(async (pressed: HTMLElement) => {
    pressed.click();
    for (let tries = 0; tries < 1000; tries += 1) {
      await new Promise((resolve) => setTimeout(resolve));
      const undo = [...document.querySelectorAll("button")].find((b) => b.textContent === "Undo");
      if (!undo) continue;
      const focused = document.activeElement?.textContent ?? null;
      undo.click();
      return focused;
    }
    return null;
  });
}

before(async () => {
  box = await Box.start();
  browser = await browse();
  first = await open(browser, DESKTOP);
  await pair(first, box);
  second = await open(browser, PHONE);
  await pair(second, box, "Vera's phone");
});

after(async () => {
  await browser?.close();
  await box?.stop();
});

test("a decline can be taken back, and carries the host's words when it is not", async () => {
  const guest = await open(browser);
  await ask(guest, box, "Ana");
  const request = row(first, "Ana");
  await request.getByRole("timer").waitFor();
  await request.getByText("with camera").waitFor();
  assert.equal(await pressAndUndo(request.getByRole("button", { name: "Decline" })), "Undo", "the keyboard goes on at Undo");
  await request.getByRole("button", { name: "Give a reason" }).click();
  await request.getByRole("combobox", { name: "Your words to Ana" }).fill("Tomorrow at eight, please.");
  await look(first, "host-words");
  await says(guest, "Waiting for the host");
  await request.getByRole("button", { name: "Decline with these words" }).click();
  await look(first, "host-undo");
  await says(guest, "Declined");
  await guest.getByText("Tomorrow at eight, please.").waitFor();
  await look(guest, "guest-declined-words");
  await request.waitFor({ state: "detached" });
});

test("a decline that waits is sent at once when the console is put away", async () => {
  const hasty = await open(browser);
  await pair(hasty, box);
  const guest = await open(browser);
  await ask(guest, box, "Bea");
  await row(hasty, "Bea").waitFor();
  const waited = await row(hasty, "Bea").getByRole("button", { name: "Decline" }).evaluate((decline: HTMLElement) => {
    decline.click();
    Object.defineProperty(document, "visibilityState", { value: "hidden" });
    document.dispatchEvent(new Event("visibilitychange"));
    return [...document.querySelectorAll("button")].some((b) => b.textContent === "Undo");
  });
  assert.equal(waited, false, "there is nothing to take back any more");
  await says(guest, "Declined");
});

/** Each within three seconds of the tap, which passes without the page. */
const LEAVING: Record<string, (hasty: Page, decline: Locator) => Promise<void>> = {
  "goes elsewhere": (_, decline) =>
    decline.evaluate((button: HTMLElement) => {
      button.click();
      location.assign("about:blank");
    }),
  "is closed": async (hasty, decline) => {
    await decline.click();
    await hasty.close({ runBeforeUnload: true });
  },
};

for (const [how, leave] of Object.entries(LEAVING)) {
  test(`a decline that waits is sent when the console ${how}`, async () => {
    const hasty = await open(browser);
    await pair(hasty, box);
    const guest = await open(browser);
    await ask(guest, box, "Bea");
    await leave(hasty, row(hasty, "Bea").getByRole("button", { name: "Decline" }));
    await says(guest, "Declined");
  });
}

test("a lost phone is unpaired from another console, once that is confirmed", async () => {
  const lost = await open(browser);
  await pair(lost, box, "Lost phone");
  await first.getByText("Paired consoles").click();
  const paired = first.getByRole("group", { name: "Lost phone" });
  await paired.getByText("connected", { exact: true }).waitFor();
  const question = first.getByRole("dialog", { name: "Unpair Lost phone?" });
  await paired.getByRole("button", { name: "Unpair" }).click();
  await look(first, "host-unpair");
  await question.getByRole("button", { name: "Keep it" }).click();
  await question.waitFor({ state: "hidden" });
  await paired.getByText("connected", { exact: true }).waitFor();
  await lost.getByRole("radiogroup", { name: "Layout" }).waitFor();

  await paired.getByRole("button", { name: "Unpair" }).click();
  await question.getByRole("button", { name: "Unpair" }).click();
  await paired.waitFor({ state: "detached" });
  await lost.getByText("The box does not know this console any more. Pair it again.").waitFor();
  assert.equal(await lost.evaluate(() => localStorage.getItem("dais.host")), null);
  // Nobody sends themselves away in a slip: for this console there is "Forget this box".
  const own = first.locator(".person").filter({ hasText: "this console" });
  assert.equal(await own.count(), 1);
  assert.equal(await own.getByRole("button").count(), 0);
  await first.getByText("Paired consoles").click();
});

test("a box is forgotten once that is confirmed, and then knows the console no more", async () => {
  const leaving = await open(browser);
  await pair(leaving, box, "Borrowed phone");
  const credential = await leaving.evaluate(() => localStorage.getItem("dais.host"));
  await leaving.getByRole("button", { name: "Forget this box" }).click();
  const question = leaving.getByRole("dialog", { name: "Forget this box?" });
  await question.getByRole("button", { name: "Keep it" }).click();
  await question.waitFor({ state: "hidden" });
  await leaving.getByRole("button", { name: "Forget this box" }).click();
  await question.getByRole("button", { name: "Forget this box" }).click();
  await leaving.getByRole("textbox", { name: "Pairing code" }).waitFor();
  assert.equal(await leaving.evaluate(() => localStorage.getItem("dais.host")), null);
  // Whoever kept a copy of the credential has nothing in their hands.
  await leaving.evaluate((kept) => localStorage.setItem("dais.host", kept!), credential);
  await leaving.reload();
  await leaving.getByText("The box does not know this console any more. Pair it again.").waitFor();
});

test("a request is seen in the header wherever the page is scrolled to, and leads to the requests", async () => {
  const guest = await open(browser);
  // Not the page's end: there a word above that goes moves everything, too.
  const seen = second.getByRole("radiogroup", { name: "Layout" });
  await seen.evaluate((e) => e.scrollIntoView({ block: "center" }));
  const top = () => seen.evaluate((e) => e.getBoundingClientRect().top);
  const before = await top();
  await ask(guest, box, "Esteban");
  const chip = second.getByRole("link", { name: "1 request" });
  await chip.waitFor();
  assert.ok(await chip.evaluate((e) => e.getBoundingClientRect().bottom <= innerHeight && e.getBoundingClientRect().top >= 0), "it is in sight");
  await second.getByText("Esteban asks to join, with camera").waitFor({ state: "attached" });
  const moved = (await top()) - before;
  assert.ok(Math.abs(moved) < 2, `what was in sight was pushed away by ${moved} px`);
  await look(second, "host-asking");
  await chip.click();
  await until("the request is in sight", () => row(second, "Esteban").evaluate((e) => e.getBoundingClientRect().top), (top) => top > 0 && top < PHONE.height);
  await row(second, "Esteban").getByRole("button", { name: "Accept" }).click();
  await says(guest, "You are on air");
  await chip.waitFor({ state: "detached" });
  // By parts of names, as people and programs look for them.
  for (const name of ["Ban", "Disconnect", "Move", "Look", "Talk"]) assert.equal(await row(second, "Esteban").getByRole("button", { name }).count(), 1, name);
  await leave(guest, "Esteban");
});

test("nothing is said of a box that cannot be reached", async () => {
  const health = second.getByRole("region", { name: "Health of the box" });
  await health.getByText("All is well").waitFor();
  await lose(second);
  await health.getByText("No word from the box").waitFor();
  assert.equal(await health.getByText("All is well").count(), 0);
  await find(second);
  await health.getByText("All is well").waitFor();
});

test("a picture that stopped or never comes says so, and what may be in the way", async () => {
  const console_ = await open(browser, DESKTOP);
  await pair(console_, box);
  const loading = console_.getByText("The programme is on its way …");
  await until("the preview plays", () => framesDecoded(console_), (n) => n > 5);
  await loading.waitFor({ state: "detached" });
  await console_.evaluate(() => {
    for (const pc of (window as unknown as { peers: RTCPeerConnection[] }).peers) pc.close();
  });
  await console_.getByText("The picture has stopped").waitFor();
  await console_.evaluate(() => dispatchEvent(new Event("online")));
  await console_.getByText("The picture has stopped").waitFor({ state: "detached" });

  const blocked = await open(browser);
  await blocked.addInitScript(() => {
    // A network without UDP: no path is found.
    const Native = window.RTCPeerConnection;
    window.RTCPeerConnection = class extends Native {
      constructor(configuration?: RTCConfiguration) {
        super({ ...configuration, iceTransportPolicy: "relay" });
      }
    };
  });
  await watch(blocked, box, "Uma");
  await blocked.getByText("The programme is on its way …").waitFor();
  await blocked.getByText(/may block UDP/).waitFor();
  await look(blocked, "watch-blocked");
});

test("consoles stay in step, and the second to answer is told who was first", async () => {
  const guest = await open(browser);
  await ask(guest, box, "Cem");
  await row(first, "Cem").waitFor();
  await row(second, "Cem").getByRole("button", { name: "Accept" }).click();
  await first.getByText("Another console (Vera's phone) accepted the request first.").waitFor();
  await says(guest, "You are on air");
  for (const console_ of [first, second]) await row(console_, "Cem").getByRole("button", { name: "Disconnect" }).waitFor();
  await second.getByRole("radio", { name: "grid" }).check();
  await until("the other console shows the layout", () => first.getByRole("radio", { name: "grid" }).isChecked(), Boolean);
  await first.getByRole("radio", { name: "auto" }).check();
  await until("and back", () => second.getByRole("radio", { name: "auto" }).isChecked(), Boolean);
  await leave(guest, "Cem");
});

test("a seat shows level, speaking and connection, and has gain, mute and picture", async () => {
  const guest = await onAir("Dora");
  const seat = row(first, "Dora");
  await seat.getByRole("img", { name: /^Connection: (good|fair|poor)$/ }).waitFor();
  const level = seat.getByRole("meter", { name: "Level" });
  const shown = async () => Number(await level.getAttribute("aria-valuenow"));
  await until("the voice is seen", shown, (db) => db > -60);
  await until("a ring shows who speaks", () => seat.getAttribute("class"), (c) => c?.includes("speaking") ?? false);
  await seat.getByRole("slider", { name: "Gain" }).focus();
  for (let i = 0; i < 3; i += 1) await first.keyboard.press("ArrowLeft");
  await row(second, "Dora").getByText("-3 dB").waitFor();
  await seat.getByRole("button", { name: "Picture off" }).click();
  await guest.getByText("The host has turned your picture off.").waitFor();
  assert.equal((await lights(guest)).camera, true);
  await row(second, "Dora").getByText("picture off by host").waitFor();
  await look(guest, "guest-hidden");
  await seat.getByRole("button", { name: "Picture on" }).click();
  await guest.getByText("The host has turned your picture off.").waitFor({ state: "detached" });
  // Of a box that hangs nobody knows how loud anybody is, whatever its last word was.
  await until("the voice is seen again", shown, (db) => db > -60);
  box.signal("SIGSTOP");
  try {
    await until("the meter is empty", shown, (db) => db === -60);
  } finally {
    box.signal("SIGCONT");
  }
  await until("the voice is seen again", shown, (db) => db > -60);
  await leave(guest, "Dora");
});

test("a guest is moved by dragging, not onto a locked seat, and by Escape not at all", async () => {
  const guest = await onAir("Eva");
  await first.getByRole("button", { name: "Lock seat 3" }).click();
  await second.getByRole("button", { name: "Unlock seat 3" }).waitFor();
  const handle = row(first, "Eva").locator("[data-drag]");
  const seat = await handle.innerText();
  const drag = async (to: string, then: () => Promise<void>) => {
    const from = (await handle.boundingBox())!;
    await first.mouse.move(from.x + 10, from.y + 10);
    await first.mouse.down();
    await first.mouse.move(from.x + 40, from.y + 40, { steps: 3 });
    const target = (await first.locator(".drag-seats > div").filter({ hasText: to }).boundingBox())!;
    await first.mouse.move(target.x + target.width / 2, target.y + target.height / 2, { steps: 5 });
    await then();
    await first.mouse.up();
    await first.locator(".drag-seats").waitFor({ state: "detached" });
  };
  await drag("3", async () => {
    assert.equal(await first.locator(".drag-seats .over").count(), 0);
  });
  await drag("5", async () => first.keyboard.press("Escape"));
  assert.equal(await handle.innerText(), seat);
  await drag("7", async () => {
    await first.locator(".drag-seats .over").waitFor();
    // At this size alone: at another one the pointer would hold something else.
    await look(first, "host-drag", [DESKTOP]);
  });
  for (const console_ of [first, second]) await row(console_, "Eva").getByTitle("Seat 7").waitFor();
  await first.getByRole("button", { name: "Unlock seat 3" }).click();
  await first.getByRole("button", { name: "Lock seat 3" }).waitFor();
  // The guest goes while the number is held.
  const from = (await handle.boundingBox())!;
  await first.mouse.move(from.x + 10, from.y + 10);
  await first.mouse.down();
  await first.mouse.move(from.x + 40, from.y + 40, { steps: 3 });
  await first.locator(".drag-seats").waitFor();
  await leave(guest, "Eva");
  await first.locator(".drag-seats").waitFor({ state: "detached" });
  await first.mouse.up();
});

test("a ban takes a guest off air at once, can be taken back, and ends the credential when it is not", async () => {
  const guest = await onAir("Flo");
  await pressAndUndo(row(first, "Flo").getByRole("button", { name: "Ban" }));
  await says(guest, "The host ended the connection");
  await guest.getByRole("button", { name: "Ask to join", exact: true }).click();
  await row(first, "Flo").getByRole("button", { name: "Accept" }).click();
  await says(guest, "You are on air");
  await row(first, "Flo").getByRole("button", { name: "Ban" }).click();
  await until("the credential is refused", () => guest.evaluate(() => localStorage.getItem("dais.guest")), (v) => v === null);
  await says(guest, "The host ended the connection");
  assert.deepEqual(await lights(guest), { camera: false, microphone: false });
});

test("a destination shows how it does, and the health line is quiet with its figures folded away", async () => {
  await first.getByRole("button", { name: "Add destination" }).click();
  await first.getByRole("textbox", { name: "Address" }).fill("rtmp://127.0.0.1:9/app");
  await first.getByLabel(/^Stream key/).fill("not-a-secret");
  await first.getByRole("textbox", { name: "Name", exact: true }).fill("Nowhere");
  await first.getByRole("button", { name: "Start", exact: true }).click();
  const output = row(first, "Nowhere");
  await output.getByText("Trying again").waitFor();
  await output.getByText("kbit/s").waitFor();
  await look(first, "host-destination");
  await row(second, "Nowhere").getByRole("button", { name: "Stop Nowhere" }).click();
  await output.waitFor({ state: "detached" });

  const health = first.getByRole("region", { name: "Health of the box" });
  await first.getByText(/^Room for \d+ (h|min|days)/).waitFor();
  await health.getByText("Figures").click();
  for (const figure of ["Frames per second", "Encoder: programme", "Latency, usual / worst: camera to encoded", "Free disk", "Watching"]) {
    await health.getByText(figure, { exact: true }).waitFor();
  }
  await health.getByText("Watching", { exact: true }).scrollIntoViewIfNeeded();
  await look(first, "host-health");
});

test("an alarm says what is wrong and what to do", async () => {
  const blind = await Box.start(["--video", "v4l2:/dev/video99"]);
  try {
    const console_ = await open(browser);
    await pair(console_, blind);
    const alarm = console_.getByRole("region", { name: "Alarms" }).getByRole("listitem");
    await alarm.waitFor();
    assert.match(await alarm.innerText(), /camera.*: \w+/s);
    await look(console_, "host-alarm");
    const health = console_.getByRole("region", { name: "Health of the box" });
    await health.getByText("Figures").click();
    await health.getByText("Host's camera", { exact: true }).waitFor();
    await health.getByText("not there", { exact: true }).waitFor();
  } finally {
    await blind.stop();
  }
});
