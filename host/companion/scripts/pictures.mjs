// Makes the README's pictures out of those that the tests took: `SHOTS=/tmp/shots npm run e2e`, then
// `npm run pictures /tmp/shots`, and look at them. A state whose picture is not there keeps the one that it has.
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import path from "node:path";

const root = fileURLToPath(new URL("..", import.meta.url));
const shots = process.argv[2];
if (!shots) throw new Error("Say where the tests put their pictures: npm run pictures FOLDER");
const readme = await readFile(path.join(root, "README.md"), "utf8");
let all = 0;
for (const [, name] of readme.matchAll(/\(pictures\/([\w-]+)\.png\)/g)) {
  const [from, to] = [path.join(shots, `${name}.png`), path.join(root, "pictures", `${name}.png`)];
  if (!existsSync(from)) {
    console.log(`${name}: not taken anew`);
    continue;
  }
  // Few colours are enough for a page, and are a fifth of the bytes.
  const few = "split[a][b];[a]palettegen=max_colors=96:reserve_transparent=0[p];[b][p]paletteuse=dither=none";
  execFileSync("ffmpeg", ["-v", "error", "-y", "-i", from, "-vf", few, "-compression_level", "100", to]);
  all += (await stat(to)).size;
}
console.log(`${(all / 1000).toFixed(0)} kB of pictures`);
