// Lighthouse's verdict on each page, as on a phone in a mobile network, out of a whole box. What does not depend on the machine
// of the test is asserted; the score for speed is printed.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import lighthouse from "lighthouse";
import { chromium, type BrowserContext } from "playwright-core";
import { Box, launching } from "./run";

const ENOUGH = 95;
const CATEGORIES = ["performance", "accessibility", "best-practices"];

const WANTED = Boolean(process.env.LIGHTHOUSE);

let box: Box;
let context: BrowserContext;
let port: number;
const profile = mkdtempSync(path.join(tmpdir(), "dais-lighthouse-"));

before(async () => {
  if (!WANTED) return;
  box = await Box.start();
  context = await chromium.launchPersistentContext(profile, launching(undefined, undefined, ["--remote-debugging-port=0"]));
  port = Number(readFileSync(path.join(profile, "DevToolsActivePort"), "utf8").split("\n")[0]);
});

after(async () => {
  await context?.close();
  await box?.stop();
  rmSync(profile, { recursive: true, force: true });
});

async function judge(name: string, url: string): Promise<void> {
  const judged = await lighthouse(url, { port, output: "html", onlyCategories: CATEGORIES, disableStorageReset: true, logLevel: "error" });
  assert.ok(judged, "Lighthouse judged");
  const { lhr, report } = judged;
  assert.equal(lhr.runtimeError, undefined, lhr.runtimeError?.message);
  if (process.env.SHOTS) {
    mkdirSync(process.env.SHOTS, { recursive: true });
    writeFileSync(path.join(process.env.SHOTS, `lighthouse-${name}.html`), String(report));
  }
  const score = (category: string) => Math.round((lhr.categories[category]?.score ?? 0) * 100);
  const short = Object.values(lhr.categories).flatMap((c) =>
    c.auditRefs.map((ref) => ({ ...lhr.audits[ref.id]!, weight: ref.weight, of: c.id })).filter((a) => a.weight > 0 && a.score !== null && a.score < 1),
  );
  console.log(`${name}: ${CATEGORIES.map((c) => `${c} ${score(c)}`).join(", ")}`);
  for (const a of short) console.log(`  ${a.of}: ${a.title}${a.displayValue ? `: ${a.displayValue}` : ""}`);
  for (const c of ["accessibility", "best-practices"]) assert.ok(score(c) >= ENOUGH, `${name}: ${c} is ${score(c)}`);
  const asked = lhr.audits["network-requests"]?.details as { items?: { url: string }[] } | undefined;
  const elsewhere = (asked?.items ?? []).filter((r) => !/^(data|blob):/.test(r.url) && new URL(r.url).host !== new URL(url).host);
  assert.deepEqual(elsewhere, [], "nothing is fetched from elsewhere");
}

test("Lighthouse is content with each page", { skip: !WANTED && "takes minutes: npm run lighthouse" }, async () => {
  const { http, invite_url } = box.ready;
  await judge("pairing", `${http}/`);
  await judge("guest", invite_url);
  await judge("audience", invite_url.replace("/join", "/watch"));
});
