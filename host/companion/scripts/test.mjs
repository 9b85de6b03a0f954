// Bundles the TypeScript tests of a folder and runs them with Node's own test runner: Node 18 cannot read TypeScript.
import { build } from "esbuild";
import { spawnSync } from "node:child_process";
import { readFile, readdir, rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import path from "node:path";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = process.argv[2];
if (folder !== "test" && folder !== "e2e") throw new Error("Say which tests to run: test or e2e.");
const only = process.argv.slice(3);

const files = (await readdir(path.join(root, folder)))
  .filter((f) => f.endsWith(".test.ts"))
  .filter((f) => only.length === 0 || only.some((o) => f.includes(o)));
if (files.length === 0) throw new Error(`No test in ${folder} matches.`);
const out = path.join(root, "node_modules/.cache", folder);
await rm(out, { recursive: true, force: true });
await build({
  absWorkingDir: root,
  entryPoints: files.map((f) => path.join(folder, f)),
  outdir: out,
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node18",
  packages: "external",
  outExtension: { ".js": ".mjs" },
  jsx: "automatic",
  jsxImportSource: "preact",
  sourcemap: "inline",
  // Every browser has it; Node 18 has it only by import.
  banner: { js: 'import { webcrypto as nodeCrypto } from "node:crypto"; globalThis.crypto ??= nodeCrypto;' },
  logLevel: "warning",
});
const built = files.map((f) => path.join(out, f.replace(/\.ts$/, ".mjs")));
// Each file of e2e starts a box and browsers: one after the other. Node 18 has no option for that.
const turns = folder === "e2e" ? built.map((file) => [file]) : [built];
let failed = 0;
for (const turn of turns) {
  // What a box says is shown if its tests failed.
  const log = `${turn[0]}.box.log`;
  const run = spawnSync(process.execPath, ["--enable-source-maps", "--test", ...turn], {
    cwd: root,
    stdio: "inherit",
    env: folder === "e2e" ? { BOX_LOG: log, ...process.env } : process.env,
  });
  if (run.status === 0) continue;
  failed = run.status ?? 1;
  if (folder === "e2e") console.log(`What the box said, ${log}:\n${(await readFile(log, "utf8").catch(String)).split("\n").slice(-400).join("\n")}`);
}
process.exit(failed);
