// The paired consoles: a phone that is lost, or was lent, is sent away from another one. Folded away until it is wanted.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { t } from "../i18n";
import type { PairedHost } from "../protocol";
import { Confirm } from "../ui/confirm";
import type { Console } from "./console";

/** Nothing tells a console that another one was paired: while the list is open, it is asked for. */
const REFRESH_MS = 3_000;

export function Consoles({ show }: { show: Console }) {
  const open = useSignal(false);
  const hosts = useSignal<PairedHost[]>([]);
  const leaving = useSignal<PairedHost | null>(null);
  const summary = useRef<HTMLElement>(null);
  const own = show.link.value?.credentials.user_id;
  const refresh = async () => {
    const link = show.link.peek();
    if (!link?.reachable.peek()) return;
    try {
      hosts.value = (await link.call("room.hosts", {})).hosts;
    } catch (error) {
      // Nobody asked for this by hand, and it is asked again in a moment.
      console.warn("The list of consoles could not be had:", error);
    }
  };
  useEffect(() => {
    if (!open.value) return undefined;
    void refresh();
    const timer = setInterval(() => void refresh(), REFRESH_MS);
    return () => clearInterval(timer);
  }, [open.value]);
  const unpair = async ({ user_id }: PairedHost) => {
    leaving.value = null;
    await show.ask("host.unpair", { user_id });
    await refresh();
    // The button that was pressed is gone with its row.
    summary.current?.focus();
  };
  return (
    <details class="card" onToggle={(e) => (open.value = e.currentTarget.open)}>
      <summary ref={summary}>
        <h2>{t.consoles}</h2>
      </summary>
      <div class="rows">
        {open.value &&
          hosts.value.map((host) => (
            <div key={host.user_id} class="row person" role="group" aria-label={host.name}>
              <div class="who">
                <strong>{host.name}</strong>
                <span class="hint">{host.user_id === own ? t.thisConsole : host.connected == null ? "" : t.consoleConnected(host.connected)}</span>
              </div>
              {host.user_id !== own && (
                <div class="row-actions">
                  <button type="button" class="danger" aria-haspopup="dialog" onClick={() => (leaving.value = host)}>
                    {t.unpairOther}
                  </button>
                </div>
              )}
            </div>
          ))}
      </div>
      <Confirm
        title={leaving.value && t.unpairTitle(leaving.value.name)}
        lead={t.unpairLead}
        act={t.unpairOther}
        onKeep={() => (leaving.value = null)}
        onAct={() => leaving.value && void unpair(leaving.value)}
      />
    </details>
  );
}
