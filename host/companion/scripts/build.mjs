// Builds dist/: three pages, their scripts and one stylesheet, every asset named by its hash so that the box may let
// browsers keep them for ever. Nothing in dist/ refers to another origin; the build fails if it would.
import { build } from "esbuild";
import { gzipSync } from "node:zlib";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import path from "node:path";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = path.join(root, "dist");
/** A phone on a mobile network should not wait for the page: what the first load of one page may weigh, compressed. */
const FIRST_LOAD_LIMIT = 200_000;

/** page file → entry script */
const pages = { "index.html": "host", "join.html": "guest", "watch.html": "watch", "ca.html": "ca", "ca.zh.html": "ca" };
/** Its entry script, where that is no main.tsx */
const plain = { ca: "src/ca/main.ts" };

await rm(dist, { recursive: true, force: true });
await mkdir(dist, { recursive: true });

const result = await build({
  absWorkingDir: root,
  entryPoints: {
    host: "src/host/main.tsx",
    guest: "src/guest/main.tsx",
    watch: "src/watch/main.tsx",
    ca: "src/ca/main.ts",
    style: "src/style.css",
  },
  outdir: "dist/assets",
  entryNames: "[name]-[hash]",
  chunkNames: "shared-[hash]",
  publicPath: "/assets",
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "browser",
  target: ["chrome100", "firefox100", "safari15.4"],
  minify: true,
  legalComments: "linked",
  jsx: "automatic",
  jsxImportSource: "preact",
  metafile: true,
  logLevel: "warning",
});

const outputs = result.metafile.outputs;

/** The output file of an entry point. */
function outputOf(entry) {
  const found = Object.entries(outputs).find(([, o]) => o.entryPoint === entry);
  if (!found) throw new Error(`The build made nothing of ${entry}.`);
  return found[0];
}

/** A script and every chunk that it loads, at once or when it needs it. */
function closure(file, kinds, seen = new Set()) {
  if (seen.has(file)) return seen;
  seen.add(file);
  for (const i of outputs[file].imports) if (kinds.includes(i.kind)) closure(i.path, kinds, seen);
  return seen;
}

const style = outputOf("src/style.css");
const icon = Buffer.from(await readFile(path.join(root, "pages/icon.svg"))).toString("base64");
const url = (file) => "/" + path.posix.relative("dist", file);
const size = async (file) => gzipSync(await readFile(path.join(root, file))).length;

for (const [page, name] of Object.entries(pages)) {
  const entry = outputOf(plain[name] ?? `src/${name}/main.tsx`);
  const scripts = [...closure(entry, ["import-statement", "dynamic-import"])];
  // Who opens the console for the first time has a code to type before anything is connected to.
  const soon = page === "index.html" ? [...closure(entry, ["import-statement"])] : scripts;
  const preload = soon.slice(1).map((s) => `<link rel="modulepreload" href="${url(s)}">`).join("\n    ");
  const template = await readFile(path.join(root, "pages", page), "utf8");
  const html = template
    .replace("%STYLE%", url(style))
    .replace("%ICON%", `data:image/svg+xml;base64,${icon}`)
    .replace("%PRELOAD%", preload)
    .replace("%SCRIPT%", url(scripts[0]));
  await writeFile(path.join(dist, page), html);
  const sizes = await Promise.all([...scripts, style].map(size));
  const total = sizes.reduce((a, b) => a + b, 0) + gzipSync(html).length;
  console.log(`${page}: first load ${(total / 1000).toFixed(1)} kB compressed`);
  if (total > FIRST_LOAD_LIMIT) throw new Error(`${page} is over ${FIRST_LOAD_LIMIT / 1000} kB compressed.`);
}

for (const page of Object.keys(pages)) {
  const html = await readFile(path.join(dist, page), "utf8");
  const outside = html.match(/(?:src|href)="(?!\/|data:|#|{{secure}}\/")[^"]*"/);
  if (outside) throw new Error(`${page} refers to something outside the box: ${outside[0]}`);
}
for (const file of await readdir(path.join(dist, "assets"))) {
  if (!file.endsWith(".css")) continue;
  const css = await readFile(path.join(dist, "assets", file), "utf8");
  const outside = css.match(/url\((?!["']?data:)[^)]*\)|@import[^;]*/);
  if (outside) throw new Error(`${file} refers to something outside the box: ${outside[0]}`);
}
