import { test } from "node:test";
import { ask, Box, browse, framesDecoded, pair, PHONE, DESKTOP, row, says, shot, until, visitor } from "./run";
test("loss", async () => {
  const box = await Box.start(); const b = await browse();
  try {
    const con = await (await visitor(b, DESKTOP)).newPage(); await pair(con, box);
    const mk = async () => { const p = await (await visitor(b, PHONE)).newPage(); p.on("console", m => console.log("page:", m.type(), m.text())); p.on("pageerror", e => console.log("ERR", e.message)); return p; };
    const air = await mk(); await ask(air, box, "Ana"); await row(con, "Ana").getByRole("button", { name: "Accept" }).click(); await says(air, "You are on air");
    const wait = await mk(); await ask(wait, box, "Ben");
    process.kill(Number((await import("node:fs")).readFileSync("/tmp/c-fake/pid", "utf8")), "SIGUSR1");
    await says(air, "Reconnecting"); await says(wait, "Reconnecting"); await con.getByText("No connection to the box").waitFor();
    await shot(air, "loss-air"); await shot(con, "loss-host");
    const t = Date.now();
    await says(air, "You are on air"); console.log("back after", Date.now() - t);
    await says(wait, "Waiting for the host");
    await until("con plays", () => framesDecoded(con), n => n > 0);
    await until("air plays", () => framesDecoded(air), n => n > 0);
    await row(con, "Ben").getByRole("button", { name: "Accept" }).click(); await says(wait, "You are on air");
  } finally { await b.close(); await box.stop(); }
});
