// What was recorded: to be fetched, and to make room again. Folded away until it is wanted.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { bytes, t } from "../i18n";
import type { RecordingFile } from "../protocol";
import { Confirm } from "../ui/confirm";
import type { Console } from "./console";

export function Recordings({ show }: { show: Console }) {
  const open = useSignal(false);
  const files = useSignal<RecordingFile[]>([]);
  const leaving = useSignal<string | null>(null);
  const summary = useRef<HTMLElement>(null);
  const state = show.link.value?.outputs.value?.record.state;
  const refresh = async () => {
    const answer = await show.ask("record.list", {});
    if (answer) files.value = answer.recordings;
  };
  // One that begins or ends is one more, or can be removed now.
  useEffect(() => {
    if (open.value) void refresh();
  }, [open.value, state]);
  const fetchIt = async (file: string) => {
    const answer = await show.ask("record.link", { file });
    if (!answer) return;
    const link = document.createElement("a");
    // By the address that this page has, which its browser trusts already.
    link.href = new URL(answer.url).pathname;
    link.download = file;
    link.click();
  };
  const remove = async (file: string) => {
    leaving.value = null;
    await show.ask("record.remove", { file });
    await refresh();
    // The button that was pressed is gone with its row.
    summary.current?.focus();
  };
  return (
    <details onToggle={(e) => (open.value = e.currentTarget.open)}>
      <summary ref={summary}>{t.recordings}</summary>
      {open.value && (
        <div class="rows">
          {files.value.length === 0 && <p class="empty">{t.noRecordings}</p>}
          {files.value.map(({ file, bytes: size, open: written }) => (
            <div key={file} class="row" role="group" aria-label={file}>
              <div class="who">
                <strong>{file}</strong>
                <span class="hint">{written ? t.beingRecorded : bytes(size)}</span>
              </div>
              <div class="row-actions">
                <button type="button" onClick={() => void fetchIt(file)}>
                  {t.download}
                </button>
                {!written && (
                  <button type="button" class="danger" aria-haspopup="dialog" onClick={() => (leaving.value = file)}>
                    {t.remove}
                  </button>
                )}
              </div>
            </div>
          ))}
        </div>
      )}
      <Confirm
        title={leaving.value && t.removeTitle(leaving.value)}
        lead={t.removeLead}
        act={t.remove}
        onKeep={() => (leaving.value = null)}
        onAct={() => leaving.value && void remove(leaving.value)}
      />
    </details>
  );
}
