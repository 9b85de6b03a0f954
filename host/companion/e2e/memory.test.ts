// Whether the pages keep what they no longer need. Short: guests who come on air and leave again and again, in the same
// page. Long, by `npm run soak`: half an hour on air.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import type { Browser, CDPSession, Page } from "playwright-core";
import { ask, Box, browse, DESKTOP, pair, PHONE, renderer, row, says, stranger, until } from "./run";

/** For the first rounds browsers compile, and fill caches once. */
const WARM_UP = 3;
const ROUNDS = 6;
const MINUTES = Number(process.env.MINUTES ?? 0);
/** Codecs, buffers and code are in place by then. */
const WARM_UP_MINUTES = 3;
const MOST_GROWTH = 1.1;
/** Of so many minutes. */
const GROWTH_MINUTES = 30;

interface Kept {
  heap: number;
  nodes: number;
  listeners: number;
}

/** A page in a browser of its own, and what it keeps. */
class Watched {
  readonly browser: Browser;
  readonly page: Page;
  readonly #session: CDPSession;

  private constructor(browser: Browser, page: Page, session: CDPSession) {
    this.browser = browser;
    this.page = page;
    this.#session = session;
  }

  static async open(viewport: typeof PHONE): Promise<Watched> {
    const browser = await browse();
    const context = await stranger(browser, viewport);
    const page = await context.newPage();
    const session = await context.newCDPSession(page);
    await session.send("Performance.enable");
    return new Watched(browser, page, session);
  }

  async kept(): Promise<Kept> {
    // What one collection frees may hold more, over in the DOM.
    for (let i = 0; i < 3; i += 1) await this.#session.send("HeapProfiler.collectGarbage");
    const { metrics } = await this.#session.send("Performance.getMetrics");
    const of = (name: string) => metrics.find((m) => m.name === name)?.value ?? NaN;
    return { heap: of("JSHeapUsedSize"), nodes: of("Nodes"), listeners: of("JSEventListeners") };
  }

  /** Memory of the page's process, in bytes. */
  async resident(): Promise<number> {
    const status = readFileSync(`/proc/${await renderer(this.browser)}/status`, "utf8");
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
  }
}

let box: Box;
let console_: Watched;
let guest: Watched;

const MB = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
const tell = ({ heap, nodes, listeners }: Kept) => `${MB(heap)} of heap, ${nodes} nodes, ${listeners} listeners`;

async function accept(name: string): Promise<void> {
  await row(console_.page, name).getByRole("button", { name: "Accept" }).click();
  await says(guest.page, "You are on air");
  await guest.page.getByLabel("Your own picture").waitFor();
}

async function round(): Promise<void> {
  await guest.page.getByRole("button", { name: "Ask to join", exact: true }).click();
  await accept("Ana");
  await guest.page.getByRole("button", { name: "Leave" }).click();
  await row(console_.page, "Ana").waitFor({ state: "detached" });
  await guest.page.getByRole("button", { name: "Ask to join", exact: true }).waitFor();
}

before(async () => {
  box = await Box.start();
  console_ = await Watched.open(DESKTOP);
  guest = await Watched.open(PHONE);
  await pair(console_.page, box);
  await ask(guest.page, box, "Ana");
  await accept("Ana");
  await guest.page.getByRole("button", { name: "Leave" }).click();
  await row(console_.page, "Ana").waitFor({ state: "detached" });
});

after(async () => {
  await guest?.browser.close();
  await console_?.browser.close();
  await box?.stop();
});

test("guests who come and go leave nothing behind, in their page and in the console", async () => {
  for (let i = 0; i < WARM_UP; i += 1) await round();
  const pages = { "guest's page": guest, console: console_ };
  const before = await Promise.all(Object.values(pages).map((p) => p.kept()));
  for (let i = 0; i < ROUNDS; i += 1) await round();
  for (const [i, [name, page]] of Object.entries(pages).entries()) {
    const first = before[i]!;
    // What the last round held is let go of in its own time: connections are closed by other threads.
    const last = await until(
      `the ${name} keeps no more than before: ${tell(first)}`,
      () => page.kept(),
      (kept) => kept.nodes <= first.nodes && kept.listeners <= first.listeners && kept.heap <= first.heap * MOST_GROWTH,
    );
    console.log(`${name}: ${tell(first)}; after ${ROUNDS} more guests ${tell(last)}`);
  }
});

test("half an hour on air", { skip: MINUTES === 0 && "takes half an hour: npm run soak" }, async () => {
  await guest.page.getByRole("button", { name: "Ask to join", exact: true }).click();
  await accept("Ana");
  const median = (values: number[]) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
  const pages = { "guest's page": guest, console: console_ };
  const seen = new Map<string, number[]>();
  const start = performance.now();
  for (let minute = 1; minute <= WARM_UP_MINUTES + MINUTES; minute += 1) {
    // A sample at each full minute: time itself is what is waited for.
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, start + minute * 60_000 - performance.now())));
    await says(guest.page, "You are on air");
    for (const [name, page] of Object.entries(pages)) {
      const kept = await page.kept();
      const resident = await page.resident();
      console.log(`minute ${minute}: ${name}: ${tell(kept)}, ${MB(resident)} resident`);
      const values = { heap: kept.heap, nodes: kept.nodes, listeners: kept.listeners, resident };
      if (minute > WARM_UP_MINUTES) {
        for (const [what, value] of Object.entries(values)) seen.set(`${name}: ${what}`, [...(seen.get(`${name}: ${what}`) ?? []), value]);
      }
    }
  }
  const frames = await framesOf(guest.page);
  await until("the programme goes on", () => framesOf(guest.page), (n) => n > frames);
  const grown: string[] = [];
  for (const [what, values] of seen) {
    const part = Math.min(5, Math.ceil(values.length / 2));
    const [first, last] = [median(values.slice(0, part)), median(values.slice(-part))];
    // Between the middles of the two parts lie fewer minutes than in all.
    const growth = 1 + ((last / first - 1) * GROWTH_MINUTES) / Math.max(1, values.length - part);
    const counted = /nodes|listeners/.test(what);
    console.log(`${what}: ${first} to ${last}, ${((growth - 1) * 100).toFixed(1)} % in ${GROWTH_MINUTES} minutes`);
    if (counted ? last > first : growth > MOST_GROWTH) grown.push(what);
  }
  assert.deepEqual(grown, []);
});

/** Frames that the page has shown of the programme. */
function framesOf(page: Page): Promise<number> {
  return page.evaluate(() => document.querySelector<HTMLVideoElement>(".programme > video")?.getVideoPlaybackQuality().totalVideoFrames ?? 0);
}
