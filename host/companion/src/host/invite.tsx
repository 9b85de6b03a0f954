// The links that bring guests and the audience here, and their pictures for phones.

import { useSignal } from "@preact/signals";
import qrcode from "qrcode-generator";
import { useEffect, useRef } from "preact/hooks";
import { t } from "../i18n";
import type { Console } from "./console";

/** The same link is shown again for so long; it holds for a day. */
const SHOWN_AGAIN_MS = 12 * 3600 * 1000;

interface Shown {
  invite: string;
  url: string;
  made: number;
}

export function Invite({ show }: { show: Console }) {
  const link = useSignal<Shown | null>(null);
  const open = useSignal(false);
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (open.value && !dialog.current?.open) dialog.current?.showModal();
  }, [open.value]);
  const create = async () => {
    const answer = await show.ask("invite.create", {});
    if (answer) link.value = { ...answer, made: performance.now() };
    return answer !== null;
  };
  const press = async () => {
    const shown = link.peek();
    const fresh = shown !== null && performance.now() - shown.made < SHOWN_AGAIN_MS;
    if (fresh || (await create())) open.value = true;
  };
  // The old one ends first: a link that somebody abuses must not outlive the button that ends it.
  const replace = async () => {
    const old = link.peek();
    if (old && !(await show.revoke(old.invite))) return;
    link.value = null;
    await create();
  };
  return (
    <>
      <button type="button" class="primary" onClick={() => void press()}>
        {t.invite}
      </button>
      <dialog ref={dialog} aria-label={t.inviteTitle} onClose={() => (open.value = false)}>
        {open.value && (
          <>
            <h2>{t.inviteTitle}</h2>
            <p class="hint">{t.inviteLead}</p>
            {link.value && (
              <>
                <Link key={link.value.url} label={t.inviteLink} url={link.value.url} first />
                <details>
                  <summary>{t.audienceLead}</summary>
                  <Link label={t.audienceLink} url={link.value.url.replace("/join?", "/watch?")} />
                </details>
              </>
            )}
            <p class="hint">
              <a href="/ca" target="_blank" rel="noreferrer">
                {t.trustFirst}
              </a>
            </p>
            <div class="actions">
              <button type="button" onClick={() => dialog.current?.close()}>
                {t.close}
              </button>
              <button type="button" class="quiet" onClick={() => void replace()}>
                {t.newLink}
              </button>
            </div>
          </>
        )}
      </dialog>
    </>
  );
}

/** `first`: the keyboard begins at its button, so that the field shows the address from its beginning. */
function Link({ label, url, first = false }: { label: string; url: string; first?: boolean }) {
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
        <button type="button" class="primary" autofocus={first} onClick={() => void copy()}>
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
