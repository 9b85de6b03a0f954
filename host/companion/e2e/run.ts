// Starts a whole box, and real browsers in front of it.

import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach } from "node:test";
import { createInterface } from "node:readline";
import { chromium, type Browser, type BrowserContext, type BrowserContextOptions, type Page } from "playwright-core";

/** The first start of a debug build on a loaded machine makes certificates and probes encoders. */
const READY_MS = 90_000;
const STOP_MS = 20_000;
/** For anything that a person would wait for; bounded, and generous because the machine may be busy. */
export const PATIENCE_MS = Number(process.env.PATIENCE_MS ?? 60_000);

/** Times are asserted, and not only printed: on a machine that does nothing else. */
export const STRICT = process.env.STRICT === "1";

export interface Ready {
  http: string;
  mqtt: string;
  box: string;
  host: { user_id: string; username: string; password: string };
  invite_url: string;
  data: string;
  pairing_code: string;
  https: string;
  /** The box's certificate authority, in PEM. */
  ca_file: string;
}

/** What a box found out about this machine's encoders. The first one of a run tries them, which takes two cores half a minute beside
 * the tests: guests who are lost have ten seconds. The next ones know. */
const ENCODERS = "encoders.json";
const PASSPORTS = path.resolve("node_modules/.cache/e2e", ENCODERS);
/** Mixing and encoding 1080p takes 0.9 of a core of the two that several browsers share with it, this size 0.3: these tests are about
 * the pages. Where times are asserted the box is as its users have it. */
const PROGRAMME = STRICT ? [] : ["--config", path.resolve("e2e/box.toml")];

export class Box {
  ready: Ready;
  #process: ChildProcess;
  readonly #data: string;
  readonly #more: string[];

  private constructor(process: ChildProcess, data: string, ready: Ready, more: string[]) {
    this.#process = process;
    this.#data = data;
    this.#more = more;
    this.ready = ready;
  }

  /** `more`: further arguments of `dais dev`. */
  static async start(more: string[] = []): Promise<Box> {
    const data = await mkdtemp(path.join(tmpdir(), "dais-e2e-"));
    if (existsSync(PASSPORTS)) await copyFile(PASSPORTS, path.join(data, ENCODERS));
    const { child, ready } = await Box.#launch(["--http-port", "0", "--mqtt-port", "0", "--data", data, ...more]);
    return new Box(child, data, ready, more);
  }

  /** The box itself: the only child of `dais dev`, which ends with it. */
  signal(signal: "SIGKILL" | "SIGSTOP" | "SIGCONT"): void {
    const pid = this.#process.pid ?? 0;
    const [box] = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").map(Number);
    if (!box) throw new Error("The box has no process.");
    process.kill(box, signal);
  }

  /** As a power cut: nobody says good-bye. The box comes back with its data, at the same addresses. */
  async crash(): Promise<void> {
    const ended = new Promise<void>((resolve) => this.#process.once("exit", () => resolve()));
    this.signal("SIGKILL");
    await ended;
    const port = (url: string) => new URL(url).port;
    const { child, ready } = await Box.#launch([
      "--http-port", port(this.ready.http), "--mqtt-port", port(this.ready.mqtt), "--data", this.#data, ...this.#more,
    ]);
    this.#process = child;
    this.ready = ready;
  }

  static async #launch(more: string[]): Promise<{ child: ChildProcess; ready: Ready }> {
    const binary = path.resolve(process.env.DAIS_BIN ?? "../../target/debug/dais");
    if (!existsSync(binary)) throw new Error(`There is no ${binary}: build it, or name another one in DAIS_BIN.`);
    const log = process.env.BOX_LOG ? openSync(process.env.BOX_LOG, "a") : undefined;
    const child = spawn(binary, ["dev", "--json", ...PROGRAMME, ...more], {
      stdio: ["ignore", "pipe", log ?? "inherit"],
      env: { DAIS_LOG: "info,dais_broker=debug", ...process.env },
    });
    if (log !== undefined) closeSync(log);
    const ready = await new Promise<Ready>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("The box was not ready in time.")), READY_MS);
      child.once("error", reject);
      child.once("exit", (code, signal) => reject(new Error(`The box ended before it was ready: ${code ?? signal}.`)));
      createInterface({ input: child.stdout! }).on("line", (line) => {
        if (!line.startsWith("{")) return;
        const said = JSON.parse(line) as Ready & { event?: string };
        if (said.event !== "ready") return;
        clearTimeout(timer);
        resolve(said);
      });
    }).catch((error: unknown) => {
      child.kill("SIGKILL");
      throw error;
    });
    return { child, ready };
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode === null) {
      const ended = new Promise<void>((resolve) => this.#process.once("exit", () => resolve()));
      this.#process.kill("SIGTERM");
      const timer = setTimeout(() => this.#process.kill("SIGKILL"), STOP_MS);
      await ended;
      clearTimeout(timer);
    }
    const learned = path.join(this.#data, ENCODERS);
    if (existsSync(learned)) await copyFile(learned, PASSPORTS);
    await rm(this.#data, { recursive: true, force: true });
  }
}

function chromiumPath(): string {
  const found = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/google-chrome"].find((p) => p && existsSync(p));
  if (!found) throw new Error("There is no Chromium: install the package chromium, or name one in CHROMIUM.");
  return found;
}

/**
 * `camera`: a film (.y4m or .mjpeg) that every page's camera shows, in place of Chromium's own test picture. `network`: which
 * names lead where, and the home folder with the certificates that this browser trusts.
 */
export function browse(camera?: string, network: { rules?: string; home?: string } = {}): Promise<Browser> {
  const root = process.getuid?.() === 0;
  return chromium.launch({
    executablePath: chromiumPath(),
    ...(network.home ? { env: { ...process.env, HOME: network.home } as Record<string, string> } : {}),
    args: [
      ...(network.rules ? [`--host-resolver-rules=${network.rules}`] : []),
      ...(root ? ["--no-sandbox"] : []),
      // Neither side gathers 127.0.0.1 by itself.
      "--allow-loopback-in-peer-connection",
      // Two cameras, so that there is a choice.
      ...(camera
        ? ["--use-fake-device-for-media-stream", `--use-file-for-fake-video-capture=${camera}`]
        : ["--use-fake-device-for-media-stream=device-count=2"]),
      "--use-fake-ui-for-media-stream",
      // A page out of a folder counts as one of the internet, which may not ask a box on the local network.
      ...(process.env.DIST ? ["--disable-features=LocalNetworkAccessChecks"] : []),
      "--disable-background-timer-throttling",
      "--disable-renderer-backgrounding",
      "--disable-backgrounding-occluded-windows",
    ],
  });
}

/** The process that runs the pages of a browser that has one page alone. */
export async function renderer(browser: Browser): Promise<number> {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  await session.detach();
  // A spare one may stand by; it has done nothing yet.
  const [busiest] = processInfo.filter((p) => p.type === "renderer").sort((a, b) => b.cpuTime - a.cpuTime);
  if (!busiest) throw new Error("The browser has no page.");
  return busiest.id;
}

export const PHONE = { width: 360, height: 740 };
export const TABLET = { width: 900, height: 700 };
export const DESKTOP = { width: 1280, height: 800 };

/** Undefined between tests: what is opened there stays. */
let opened: BrowserContext[] | undefined;
beforeEach(() => {
  opened = [];
});
afterEach(async () => {
  const past = opened ?? [];
  opened = undefined;
  await Promise.all(past.map((context) => context.close()));
});

/** A browser of its own, with nothing stored, and nothing in its pages that is not the box's. It is closed when the test ends that
 * opened it: a page takes a tenth of a core even when its guest has left, and a slow machine has few of them. */
export async function stranger(
  browser: Browser,
  viewport: { width: number; height: number },
  options: BrowserContextOptions = {},
): Promise<BrowserContext> {
  const context = await browser.newContext({ viewport, locale: "en-US", reducedMotion: "reduce", ...options });
  opened?.push(context);
  context.setDefaultTimeout(PATIENCE_MS);
  if (process.env.DIST) await serve(context, path.resolve(process.env.DIST));
  return context;
}

/** The same, whose pages tell a test what they have opened. */
export async function visitor(
  browser: Browser,
  viewport: { width: number; height: number },
  options: BrowserContextOptions = {},
): Promise<BrowserContext> {
  const context = await stranger(browser, viewport, options);
  // The standard counters of the peer connections, for the tests alone: the pages do not show them.
  await context.addInitScript(() => {
    const peers: RTCPeerConnection[] = [];
    (window as unknown as { peers: RTCPeerConnection[] }).peers = peers;
    const Native = window.RTCPeerConnection;
    window.RTCPeerConnection = class extends Native {
      constructor(configuration?: RTCConfiguration) {
        super(configuration);
        peers.push(this);
      }
    };
    // So that a test can cut the connection to the broker, as a network does that changes.
    const sockets: WebSocket[] = [];
    (window as unknown as { sockets: WebSocket[] }).sockets = sockets;
    const NativeSocket = window.WebSocket;
    window.WebSocket = class extends NativeSocket {
      constructor(url: string | URL, protocols?: string | string[]) {
        super("lost" in window ? new URL("/nowhere", url) : url, protocols);
        sockets.push(this);
        // First of all who listen.
        this.addEventListener("message", (e) => {
          if ("dead" in this) e.stopImmediatePropagation();
        });
      }
      override send(data: Parameters<WebSocket["send"]>[0]): void {
        if (!("dead" in this)) super.send(data);
      }
    };
    // Whether the lights are on is what the tracks say, whatever the page believes.
    const tracks: MediaStreamTrack[] = [];
    (window as unknown as { tracks: MediaStreamTrack[] }).tracks = tracks;
    const devices = navigator.mediaDevices as MediaDevices | undefined;
    const open = devices?.getUserMedia.bind(devices);
    if (devices && open) {
      devices.getUserMedia = async (constraints) => {
        const stream = await open(constraints);
        tracks.push(...stream.getTracks());
        return stream;
      };
    }
  });
  return context;
}

/** The first page of a visitor. */
export async function open(browser: Browser, viewport = PHONE, options: BrowserContextOptions = {}): Promise<Page> {
  return (await visitor(browser, viewport, options)).newPage();
}

/** The pages of a folder in place of those that are in the box: while working on them, `daisd` need not be built anew. */
async function serve(context: BrowserContext, folder: string): Promise<void> {
  const pages: Record<string, string> = { "/": "index.html", "/join": "join.html", "/watch": "watch.html" };
  await context.route(/^https?:\/\/[^/]+\/(join|watch|assets\/.*)?([?#].*)?$/, (route) => {
    const { pathname } = new URL(route.request().url());
    return route.fulfill({ path: path.join(folder, pages[pathname] ?? pathname) });
  });
}

/** Frames that the page has decoded of the programme, over the sessions that are open. */
export function framesDecoded(page: Page): Promise<number> {
  return page.evaluate(async () => {
    let frames = 0;
    for (const pc of (window as unknown as { peers: RTCPeerConnection[] }).peers) {
      if (pc.connectionState === "closed") continue;
      for (const s of (await pc.getStats()).values() as Iterable<Record<string, unknown>>) {
        if (s.type === "inbound-rtp" && s.kind === "video") frames += Number(s.framesDecoded ?? 0);
      }
    }
    return frames;
  });
}

/** Bytes that the page has sent, by kind, over the sessions that are open. */
export function bytesSent(page: Page, kind: "audio" | "video"): Promise<number> {
  return page.evaluate(async (wanted) => {
    let bytes = 0;
    for (const pc of (window as unknown as { peers: RTCPeerConnection[] }).peers) {
      if (pc.connectionState === "closed") continue;
      for (const s of (await pc.getStats()).values() as Iterable<Record<string, unknown>>) {
        if (s.type === "outbound-rtp" && s.kind === wanted) bytes += Number(s.bytesSent ?? 0);
      }
    }
    return bytes;
  }, kind);
}

/** Cuts what connects the page with the broker. */
export async function cut(page: Page): Promise<void> {
  await page.evaluate(() => {
    for (const socket of (window as unknown as { sockets: WebSocket[] }).sockets) socket.close();
  });
}

/** Nothing connects the page with the broker any more, until `find`; its media may go on. */
export async function lose(page: Page): Promise<void> {
  await page.evaluate(() => Object.assign(window, { lost: true }));
  await cut(page);
}

export async function find(page: Page): Promise<void> {
  await page.evaluate(() => delete (window as { lost?: true }).lost);
}

/** What connects the page with the broker is dead and looks open, as after sleep or behind a network that went away. */
export async function deaden(page: Page): Promise<void> {
  await page.evaluate(() => {
    for (const socket of (window as unknown as { sockets: WebSocket[] }).sockets) Object.assign(socket, { dead: true });
  });
}

/** Which of the devices are open, by the browser: `camera`, `microphone`. */
export function lights(page: Page): Promise<{ camera: boolean; microphone: boolean }> {
  return page.evaluate(() => {
    const live = (window as unknown as { tracks: MediaStreamTrack[] }).tracks.filter((t) => t.readyState === "live");
    return { camera: live.some((t) => t.kind === "video"), microphone: live.some((t) => t.kind === "audio") };
  });
}

/** Peer connections that are not closed. */
export function livePeers(page: Page): Promise<number> {
  return page.evaluate(
    () => (window as unknown as { peers: RTCPeerConnection[] }).peers.filter((p) => p.connectionState !== "closed").length,
  );
}

export async function until<T>(what: string, look: () => Promise<T>, good: (seen: T) => boolean): Promise<T> {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const seen = await look();
    if (good(seen)) return seen;
    if (Date.now() > end) throw new Error(`Waited in vain until ${what}; last seen: ${String(seen)}.`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

export async function pair(page: Page, box: Box, name?: string): Promise<void> {
  await page.goto(box.ready.http);
  await page.getByRole("textbox", { name: "Pairing code" }).fill(box.ready.pairing_code);
  if (name) await page.getByRole("textbox", { name: "Your name" }).fill(name);
  await page.getByRole("button", { name: "Pair", exact: true }).click();
  await page.getByRole("radiogroup", { name: "Layout" }).waitFor();
}

export async function watch(page: Page, box: Box, name: string): Promise<void> {
  await page.goto(box.ready.invite_url.replace("/join", "/watch"));
  await page.getByRole("textbox", { name: "Your name" }).fill(name);
  await page.getByRole("button", { name: "Watch" }).click();
}

export async function ask(page: Page, box: Box, name: string, button = "Ask to join"): Promise<void> {
  await page.goto(box.ready.invite_url);
  await page.getByRole("textbox", { name: "Your name" }).fill(name);
  await page.getByRole("button", { name: button, exact: true }).click();
  await says(page, "Waiting for the host");
}

/** Waits until the guest's page says exactly this. */
export async function says(page: Page, status: string): Promise<void> {
  await page.getByRole("status").getByText(status, { exact: true }).waitFor();
}

export function row(page: Page, name: string) {
  return page.getByRole("listitem", { name, exact: true });
}
