// A phone in the studio's network, as far as one machine can be one: the box is reached by a name that is not localhost, and
// the browser trusts what stands in its own store of certificates, nothing else.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import type { Browser } from "playwright-core";
import { look } from "./look";
import { Box, browse, bytesSent, open, pair, PHONE, row, says, until, visitor } from "./run";

let box: Box;
/** The box by its name in the network. */
let secure: string;
let plain: string;
let stranger: Browser;
let friend: Browser;
const home = mkdtempSync(path.join(tmpdir(), "dais-e2e-home-"));

before(async () => {
  box = await Box.start();
  const named = (url: string) => url.replace("localhost", `${box.ready.box}.local`);
  secure = named(box.ready.https);
  plain = named(box.ready.http);
  const store = path.join(home, ".pki/nssdb");
  execFileSync("mkdir", ["-p", store]);
  const certutil = (...args: string[]) => execFileSync("certutil", ["-d", `sql:${store}`, ...args]);
  certutil("-N", "--empty-password");
  certutil("-A", "-t", "C,,", "-n", "dais", "-i", box.ready.ca_file);
  const network = { rules: `MAP ${box.ready.box}.local 127.0.0.1` };
  stranger = await browse(undefined, network);
  friend = await browse(undefined, { ...network, home });
});

after(async () => {
  await stranger?.close();
  await friend?.close();
  await box?.stop();
  rmSync(home, { recursive: true, force: true });
});

test("a phone that does not trust the box is told how to, in its language, and gets no page of the show", async () => {
  const context = await visitor(stranger, PHONE, { locale: "zh-CN" });
  // On a page of its own: the browser's warning is a navigation too, and would get in the way of the next.
  await assert.rejects((await context.newPage()).goto(secure), /ERR_CERT_AUTHORITY_INVALID/);
  const page = await context.newPage();
  await page.goto(`${plain}/ca#pair=${box.ready.pairing_code}`);
  await page.getByRole("status").getByText("本设备尚未信任这台主机。").waitFor();
  await look(page, "ca-zh");
  await page.getByRole("link", { name: "English" }).click();
  await page.getByRole("heading", { name: "Trust this box" }).waitFor();
  await page.getByRole("status").getByText("This device does not trust the box yet.").waitFor();
  assert.ok(await page.getByText(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/).isVisible());
  const download = page.waitForEvent("download");
  await page.getByRole("link", { name: "Download the certificate" }).first().click();
  assert.equal((await download).suggestedFilename(), "dais-ca.crt");
  await look(page, "ca-en");
});

test("a console that scanned the code goes on by itself when the phone trusts the box", async () => {
  const page = await open(friend);
  await page.goto(`${plain}/ca#pair=${box.ready.pairing_code}`);
  await page.waitForURL((url) => url.origin === new URL(secure).origin && url.pathname === "/");
  await page.getByRole("textbox", { name: "Pairing code" }).or(page.getByRole("radiogroup", { name: "Layout" })).first().waitFor();
});

test("a guest by https has a camera, and comes on air over wss", async () => {
  const console_ = await open(friend, { width: 900, height: 800 });
  await pair(console_, box);
  const guest = await open(friend);
  const invite = new URL(box.ready.invite_url);
  // By the same name in the open there is no camera at all: that is why there is https.
  await guest.goto(`${plain}/healthz`);
  assert.equal(await guest.evaluate(() => "mediaDevices" in navigator), false);
  const sockets: string[] = [];
  guest.on("websocket", (socket) => sockets.push(socket.url()));
  await guest.goto(`${secure}${invite.pathname}${invite.search}`);
  assert.equal(await guest.evaluate(() => window.isSecureContext), true);
  await guest.getByRole("textbox", { name: "Your name" }).fill("Ana");
  await guest.getByRole("button", { name: "Ask to join", exact: true }).click();
  await row(console_, "Ana").getByRole("button", { name: "Accept" }).click();
  await says(guest, "You are on air");
  await until("the picture flows", () => bytesSent(guest, "video"), (bytes) => bytes > 0);
  assert.deepEqual([...new Set(sockets)], [`${secure.replace("https", "wss")}/mqtt`]);
});
