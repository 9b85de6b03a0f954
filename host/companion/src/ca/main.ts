// On /ca: says whether this device trusts the box already, and takes a console that came with a pairing code straight there.
// Without this script the page is complete too.

export {};

const ANSWER_MS = 5_000;
const secure = document.documentElement.dataset.secure ?? "";
const status = document.getElementById("status");
const open = document.getElementById("open");

/** A request that only a trusted certificate lets through; its answer is not read. */
async function isTrusted(): Promise<boolean> {
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(), ANSWER_MS);
  try {
    await fetch(`${secure}/healthz`, { mode: "no-cors", cache: "no-store", signal: patience.signal });
    return true;
  } catch {
    return false;
  } finally {
    clearTimeout(timer);
  }
}

async function look(): Promise<void> {
  const trusted = await isTrusted();
  // The code stands in the fragment, which is never sent: it reaches the secure page alone.
  if (trusted && location.hash.startsWith("#pair=")) {
    location.replace(`${secure}/${location.hash}`);
    return;
  }
  const says = trusted ? status?.dataset.trusted : status?.dataset.unknown;
  if (status && says && status.textContent !== says) status.textContent = says;
}

// By https:// the page is here because it was trusted, or because somebody tapped a warning away: asking tells nothing.
if (secure && location.protocol === "http:") {
  if (location.hash.startsWith("#pair=")) open?.setAttribute("href", `${secure}/${location.hash}`);
  void look();
  // Back from the settings.
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") void look();
  });
}
