// Everyone with a live session who is not on air: the host may ask a watcher to come up. Folded away until it is wanted,
// because a list item with a guest's name is to mean a request or a seat.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { t } from "../i18n";
import type { Console } from "./console";

/** Nothing tells a console that someone has begun to watch: while the list is open, it is asked for. */
const REFRESH_MS = 3_000;

export function People({ show }: { show: Console }) {
  const open = useSignal(false);
  useEffect(() => {
    if (!open.value) return undefined;
    void show.refreshPeople();
    const timer = setInterval(() => void show.refreshPeople(), REFRESH_MS);
    return () => clearInterval(timer);
  }, [open.value]);
  const people = show.people.value.filter((p) => p.state === "idle" || p.state === "invited");
  return (
    <details class="card" onToggle={(e) => (open.value = e.currentTarget.open)}>
      <summary>
        <h2>{t.people}</h2> <span class="hint">{people.length}</span>
      </summary>
      {open.value && people.length === 0 && <p class="empty">{t.nobodyHere}</p>}
      <div class="rows">
        {open.value &&
          people.map(({ user_id, name, state }) => (
            <div key={user_id} class="row person" role="group" aria-label={name}>
              <div class="who">
                <strong>{name}</strong>
                <span class="hint">{t.personState[state]}</span>
              </div>
              <div class="row-actions">
                <button
                  type="button"
                  onClick={async () => {
                    await show.ask(state === "invited" ? "mic.withdraw" : "mic.invite", { user_id });
                    await show.refreshPeople();
                  }}
                >
                  {state === "invited" ? t.withdraw : t.bringOnAir}
                </button>
              </div>
            </div>
          ))}
      </div>
    </details>
  );
}
