// Asked for once more, where a slip of the thumb would send somebody away who must be paired anew, and may be far away.

import { useEffect, useRef } from "preact/hooks";
import { t } from "../i18n";

interface Props {
  /** The question; it is asked as long as there is one. */
  title: string | null;
  lead: string;
  act: string;
  onKeep: () => void;
  onAct: () => void;
}

export function Confirm({ title, lead, act, onKeep, onAct }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const asked = title !== null;
  useEffect(() => {
    if (asked) dialog.current?.showModal();
    else dialog.current?.close();
  }, [asked]);
  return (
    <dialog ref={dialog} aria-label={title ?? ""} onClose={onKeep}>
      {asked && (
        <>
          <h2>{title}</h2>
          <p>{lead}</p>
          <div class="actions">
            <button type="button" onClick={onKeep}>
              {t.keep}
            </button>
            <button type="button" class="danger" onClick={onAct}>
              {act}
            </button>
          </div>
        </>
      )}
    </dialog>
  );
}
