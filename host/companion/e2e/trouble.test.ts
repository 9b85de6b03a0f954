// Box, connection and page are cut in each state: both sides end where the room's snapshot says, without a button of
// another state.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { Desk } from "./desk";
import { look } from "./look";
import { ask, Box, browse, cut, DESKTOP, framesDecoded, lights, livePeers, open, pair, row, says, until } from "./run";

interface Room {
  guests: { user_id: string; name: string; state: string; seat: number }[];
}
interface Pending {
  requests: { user_id: string; name: string }[];
}
interface People {
  people: { user_id: string; name: string; state: string }[];
}

let box: Box;
let browser: Browser;
let desk: Desk;
let console_: Page;
/** By name: on air, waiting, and idle. */
const guests = new Map<string, Page>();

/** The button that is there in one state of a guest, and in no other; whoever is invited may ask as well. */
const MARK: Record<string, string> = { on_air: "Leave", requested: "Cancel request", invited: "Go on air", idle: "Ask to join" };

/** Where the box says that each guest is. */
async function said(name: string): Promise<string> {
  const room = await desk.until<Room>("room", () => true);
  const pending = await desk.until<Pending>("pending", () => true);
  const seated = room.guests.find((g) => g.name === name);
  if (seated) return seated.state;
  if (pending.requests.some((r) => r.name === name)) return "requested";
  const { people } = (await desk.call("room.people")) as People;
  return people.find((p) => p.name === name)?.state ?? "idle";
}

async function shows(page: Page): Promise<string> {
  const marks = await Promise.all(
    Object.entries(MARK).map(async ([state, name]) => [state, await page.getByRole("button", { name, exact: true }).count()] as const),
  );
  return marks.filter(([, n]) => n > 0).map(([state]) => state).join(" and ").replace("invited and idle", "invited");
}

/** Nothing comes from this page any more, and nothing comes to it. */
async function lose(page: Page, name: string): Promise<void> {
  await page.context().setOffline(true);
  await cut(page);
  await page.evaluate(() => {
    for (const pc of (window as unknown as { peers: RTCPeerConnection[] }).peers) pc.close();
  });
  await row(console_, name).getByText("Reconnecting").waitFor();
}

/** Among those who are here and not on air. */
const person = (name: string) => console_.getByRole("group", { name, exact: true });

async function invite(name: string): Promise<void> {
  await person(name).getByRole("button", { name: "Ask on air" }).click();
  await guests.get(name)!.getByRole("button", { name: "Go on air", exact: true }).waitFor();
  await agree(`${name} was invited`, { [name]: "invited" });
}

/** Box, guests and console agree; the time that it took is printed, not asserted: the machine of a test may be busy. */
async function agree(what: string, wanted: Record<string, string>): Promise<void> {
  const start = performance.now();
  for (const [name, state] of Object.entries(wanted)) {
    await until(`${name} is ${state} for the box`, () => said(name), (seen) => seen === state);
    const page = guests.get(name)!;
    await until(`${name}'s page shows ${state}`, () => shows(page), (seen) => seen === state);
    const place = row(console_, name);
    const button = { on_air: "Disconnect", requested: "Accept" }[state];
    if (button) await place.getByRole("button", { name: button, exact: true }).waitFor();
    else await place.waitFor({ state: "detached" });
    const beside = { idle: "Ask on air", invited: "Withdraw" }[state];
    if (beside) await person(name).getByRole("button", { name: beside }).waitFor();
    assert.equal((await lights(page)).microphone, !beside, `${name}'s microphone`);
  }
  console.log(`${what}: in step ${((performance.now() - start) / 1000).toFixed(1)} s after it was back`);
}

async function plays(page: Page): Promise<void> {
  const first = await until("the programme plays", () => framesDecoded(page), (n) => n > 0);
  await until("the programme goes on", () => framesDecoded(page), (n) => n > first + 5 || n < first);
}

before(async () => {
  box = await Box.start();
  browser = await browse();
  desk = await Desk.connect(box);
  console_ = await open(browser, DESKTOP);
  await pair(console_, box);
  await console_.getByText("Here now").click();
  // Wim last: a request waits for a minute, and is answered four tests later.
  for (const name of ["Ona", "Ida", "Wim"]) {
    const page = await open(browser);
    guests.set(name, page);
    await ask(page, box, name);
    if (name === "Ona") await row(console_, name).getByRole("button", { name: "Accept" }).click();
    if (name === "Ida") await page.getByRole("button", { name: "Cancel request" }).click();
  }
  await agree("at the beginning", { Ona: "on_air", Wim: "requested", Ida: "idle" });
});

after(async () => {
  await desk?.close();
  await browser?.close();
  await box?.stop();
});

test("the connection to the broker is cut for everybody", async () => {
  for (const page of [console_, ...guests.values()]) await cut(page);
  for (const page of guests.values()) await says(page, "Reconnecting");
  await says(guests.get("Ona")!, "You are on air");
  await says(guests.get("Wim")!, "Waiting for the host");
  await agree("the connection was cut", { Ona: "on_air", Wim: "requested", Ida: "idle" });
  await plays(console_);
});

test("the network of a guest changes: the seat stays, and the media find a new way", async () => {
  const page = guests.get("Ona")!;
  const session = () => page.evaluate(() => (window as unknown as { peers: RTCPeerConnection[] }).peers.length);
  const before = await session();
  await page.evaluate(() => dispatchEvent(new Event("online")));
  await until("a new session is offered", session, (n) => n > before);
  await plays(page);
  await until("the old one is closed", () => livePeers(page), (n) => n === 1);
  await agree("the network changed", { Ona: "on_air" });
});

test("the box loses its power: guests keep their seats, requests their places, the console its preview", async () => {
  const seat = (await desk.until<Room>("room", () => true)).guests[0]!.seat;
  await desk.close();
  await box.crash();
  desk = await Desk.connect(box);
  const ona = guests.get("Ona")!;
  await says(ona, "You are on air");
  await agree("the box came back", { Ona: "on_air", Wim: "requested", Ida: "idle" });
  assert.equal((await desk.until<Room>("room", () => true)).guests[0]!.seat, seat);
  await plays(console_);
  await plays(ona);
});

test("what was asked before the power cut can be answered after it", async () => {
  await row(console_, "Wim").getByRole("button", { name: "Accept" }).click();
  await says(guests.get("Wim")!, "You are on air");
  await agree("the answer", { Wim: "on_air", Ida: "idle" });
});

test("pages are loaded anew in each state", async () => {
  const [wim, ida] = [guests.get("Wim")!, guests.get("Ida")!];
  await ida.getByRole("button", { name: "Ask to join", exact: true }).click();
  await says(ida, "Waiting for the host");
  await agree("before", { Wim: "on_air", Ida: "requested" });
  for (const page of [wim, ida, console_]) await page.reload();
  await console_.getByText("Here now").click();
  await says(wim, "You are on air");
  // A page that goes takes its request with it: nobody shall go on air in a page that they have left.
  await agree("the pages were loaded anew", { Wim: "on_air", Ida: "idle" });
  await plays(console_);
  await plays(wim);
  await look(wim, "guest-after-reload");
  // Each on air costs a third of a core, and a seat is kept for ten seconds: on a slow machine that is what the next tests need.
  await wim.getByRole("button", { name: "Leave" }).click();
  await agree("Wim has left", { Wim: "idle" });
});

test("an invitation ends with the connection of whoever was invited, and with their page", async () => {
  const ida = guests.get("Ida")!;
  await invite("Ida");
  await cut(ida);
  await ida.getByText("The invitation ended with your connection.").waitFor();
  await agree("the connection was cut", { Ida: "idle" });
  await invite("Ida");
  await ida.reload();
  await agree("the page was loaded anew", { Ida: "idle" });
});

test("the box loses its power while one is invited and one is reconnecting: both go on as they were", async () => {
  const [ona, ida] = [guests.get("Ona")!, guests.get("Ida")!];
  const seat = (await desk.until<Room>("room", () => true)).guests.find((g) => g.name === "Ona")!.seat;
  await invite("Ida");
  await lose(ona, "Ona");
  await says(ona, "Reconnecting");
  await desk.close();
  await box.crash();
  await ona.context().setOffline(false);
  desk = await Desk.connect(box);
  await agree("the box came back", { Ona: "on_air", Ida: "invited" });
  assert.equal((await desk.until<Room>("room", () => true)).guests.find((g) => g.name === "Ona")!.seat, seat);
  await plays(ona);
  await ida.getByRole("button", { name: "Go on air", exact: true }).click();
  await agree("the invitation was accepted", { Ida: "on_air" });
  await ida.getByRole("button", { name: "Leave" }).click();
  await agree("Ida has left", { Ida: "idle" });
});

test("a page that is loaded anew while it reconnects has its seat", async () => {
  const ona = guests.get("Ona")!;
  await lose(ona, "Ona");
  await ona.context().setOffline(false);
  await ona.reload();
  await console_.reload();
  await console_.getByText("Here now").click();
  await agree("the page was loaded anew", { Ona: "on_air" });
  await plays(ona);
});

test("the box goes away before a page has its connection: the page is loaded anew, and is there", async () => {
  const page = await open(browser);
  await page.goto(box.ready.http);
  await page.getByRole("textbox", { name: "Pairing code" }).fill(box.ready.pairing_code);
  // What the console needs beyond its first page cannot be had, once.
  let lost = 0;
  await page.route("**/assets/shared-*.js", (route) => (lost++ === 0 ? route.abort() : route.fallback()));
  await page.getByRole("button", { name: "Pair", exact: true }).click();
  await until("the page is loaded anew", async () => lost, (asked) => asked > 1);
  await plays(page);
});
