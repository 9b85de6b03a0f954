// The links that bring guests and the audience here, and their pictures for phones.

import { useSignal } from "@preact/signals";
import qrcode from "qrcode-generator";
import { useEffect, useRef } from "preact/hooks";
import { t } from "../i18n";
import type { Console } from "./console";

export function Invite({ show }: { show: Console }) {
  const url = useSignal<string | null>(null);
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (url.value && !dialog.current?.open) dialog.current?.showModal();
  }, [url.value]);
  const create = async () => {
    const answer = await show.ask("invite.create", {});
    if (answer) url.value = answer.url;
  };
  return (
    <>
      <button type="button" class="primary" onClick={() => void create()}>
        {t.invite}
      </button>
      <dialog ref={dialog} aria-label={t.inviteTitle} onClose={() => (url.value = null)}>
        {url.value && (
          <>
            <h2>{t.inviteTitle}</h2>
            <p class="hint">{t.inviteLead}</p>
            <Link label={t.inviteLink} url={url.value} />
            <details>
              <summary>{t.audienceLead}</summary>
              <Link label={t.audienceLink} url={url.value.replace("/join?", "/watch?")} />
            </details>
            <p class="hint">
              <a href="/ca" target="_blank" rel="noreferrer">
                {t.trustFirst}
              </a>
            </p>
            <div class="actions">
              <button type="button" onClick={() => dialog.current?.close()}>
                {t.close}
              </button>
            </div>
          </>
        )}
      </dialog>
    </>
  );
}

function Link({ label, url }: { label: string; url: string }) {
  const copied = useSignal(false);
  const field = useRef<HTMLInputElement>(null);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(url);
      copied.value = true;
    } catch {
      // No clipboard without a secure context: the field is selected, and a long press or Ctrl+C copies it.
      field.current?.select();
    }
  };
  return (
    <section class="link" aria-label={label}>
      <Qr text={url} />
      <label class="field">
        <span>{label}</span>
        <input ref={field} readOnly value={url} onFocus={(e) => e.currentTarget.select()} />
      </label>
      <div class="actions">
        <button type="button" class="primary" onClick={() => void copy()}>
          {copied.value ? t.copied : t.copy}
        </button>
        {"share" in navigator && (
          <button type="button" onClick={() => void navigator.share({ url }).catch(() => undefined)}>
            {t.share}
          </button>
        )}
      </div>
    </section>
  );
}

/** Drawn as one path, so that no picture has to be made or fetched. The white margin belongs to the code. */
function Qr({ text }: { text: string }) {
  const code = qrcode(0, "M");
  code.addData(text);
  code.make();
  const n = code.getModuleCount();
  let path = "";
  for (let y = 0; y < n; y += 1) {
    for (let x = 0; x < n; x += 1) if (code.isDark(y, x)) path += `M${x} ${y}h1v1h-1z`;
  }
  return (
    <svg class="qr" viewBox={`-4 -4 ${n + 8} ${n + 8}`} role="img" aria-label={t.qrOf(text)} shape-rendering="crispEdges">
      <rect x="-4" y="-4" width={n + 8} height={n + 8} fill="#fff" />
      <path d={path} fill="#000" />
    </svg>
  );
}
