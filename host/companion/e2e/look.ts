// A page in one of its states, looked at as it is and at another size: nothing that axe-core complains about, nothing wider
// than the screen, no control whose words are cut off or that is too small for a thumb. And a picture of it, if SHOTS names a folder.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import type { Page } from "playwright-core";
import { DESKTOP, PHONE } from "./run";

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const RULES = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"];

interface Axe {
  run(root: Document, options: object): Promise<{ violations: { id: string; help: string; nodes: { html: string }[] }[] }>;
}

/** At the page's own size last, as the test goes on with it. */
export async function look(page: Page, state: string, sizes = [PHONE, DESKTOP]): Promise<void> {
  const own = page.viewportSize() ?? DESKTOP;
  await page.evaluate(axeSource);
  for (const size of [...sizes.filter((s) => s.width !== own.width), own]) {
    await page.setViewportSize(size);
    const kind = size.width <= PHONE.width ? "phone" : size.width < DESKTOP.width ? "tablet" : "desktop";
    await keep(page, `${state}-${kind}`);
    assert.deepEqual(await complaints(page), [], `${state}, ${kind}`);
  }
}

function complaints(page: Page): Promise<string[]> {
  return page.evaluate(async (rules) => {
    const { violations } = await (window as unknown as { axe: Axe }).axe.run(document, { runOnly: rules });
    const visible = (e: Element) => e.checkVisibility({ visibilityProperty: true, opacityProperty: true });
    const cut = [...document.querySelectorAll("button, p, h1, h2, label")].filter(
      (e) => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).textOverflow !== "ellipsis",
    );
    // A thumb needs 44 px; a field's label is as good a target as the field. Links in a text may be smaller.
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
}

/** A picture of the page, if SHOTS names a folder. */
export async function keep(page: Page, name: string): Promise<void> {
  const folder = process.env.SHOTS;
  if (!folder) return;
  await mkdir(folder, { recursive: true });
  await page.screenshot({ path: path.join(folder, `${name}.png`) });
}
