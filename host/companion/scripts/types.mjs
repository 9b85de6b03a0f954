// Makes src/protocol.ts out of the JSON Schema that the protocol crate publishes: `npm run types` writes the file,
// `npm run check` fails when the committed one is not what the schema says.
import { compile } from "json-schema-to-typescript";
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import path from "node:path";

const root = fileURLToPath(new URL("..", import.meta.url));
const target = path.join(root, "src/protocol.ts");
const schema = JSON.parse(await readFile(path.join(root, "../protocol/schemas/dais-v1.json"), "utf8"));
const head = "// The wire types of the control contract, from host/protocol/schemas/dais-v1.json by `npm run types`.\n\n";

const made = await compile(schema, "Contract", {
  additionalProperties: false,
  bannerComment: "",
  style: { printWidth: 120 },
  unreachableDefinitions: true,
});
// The schema has definitions and no root: what stands for the root goes, and so do the remarks that each type is one of
// its definitions.
const text =
  head +
  made
    .replace(/export interface TheTypesOfTheDaisControlContract \{[^}]*\}\n/, "")
    .replace(/\/\*\*\n \* This interface was referenced by `[^`]*`'s JSON-Schema\n \* via the `definition` "\w+"\.\n \*\/\n/g, "")
    .replace(/ \*\n \* This interface was referenced by `[^`]*`'s JSON-Schema\n \* via the `definition` "\w+"\.\n/g, "");

if (process.argv[2] !== "--check") await writeFile(target, text);
else if ((await readFile(target, "utf8")) !== text) {
  console.error("src/protocol.ts is not what host/protocol/schemas/dais-v1.json says: run `npm run types`, and look at the difference.");
  process.exit(1);
}
