// The paired consoles: a phone that is lost, or was lent, is sent away from another one. Folded away until it is wanted.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { t } from "../i18n";
import type { PairedHost } from "../protocol";
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
      <Confirm host={leaving.value} onKeep={() => (leaving.value = null)} onUnpair={(host) => void unpair(host)} />
    </details>
  );
}

/** Asked for once more: whoever is sent away in a slip of the thumb must be paired anew, and may be far away. */
function Confirm(props: { host: PairedHost | null; onKeep: () => void; onUnpair: (host: PairedHost) => void }) {
  const { host, onKeep, onUnpair } = props;
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (host) dialog.current?.showModal();
    else dialog.current?.close();
  }, [host]);
  return (
    <dialog ref={dialog} aria-label={host ? t.unpairTitle(host.name) : ""} onClose={onKeep}>
      {host && (
        <>
          <h2>{t.unpairTitle(host.name)}</h2>
          <p>{t.unpairLead}</p>
          <div class="actions">
            <button type="button" onClick={onKeep}>
              {t.keep}
            </button>
            <button type="button" class="danger" onClick={() => onUnpair(host)}>
              {t.unpairOther}
            </button>
          </div>
        </>
      )}
    </dialog>
  );
}
