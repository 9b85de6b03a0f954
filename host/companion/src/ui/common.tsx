// Small pieces that every page uses.

import { useSignal } from "@preact/signals";
import { render, type ComponentChildren } from "preact";
import { useEffect, useId } from "preact/hooks";
import { language, t } from "../i18n";

/** Puts a page up, in the language of its catalogue. */
export function start(title: string, page: ComponentChildren): void {
  document.title = title;
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  // A page out of the back-forward cache has said goodbye already: it starts anew.
  addEventListener("pageshow", (e) => {
    if (e.persisted) location.reload();
  });
  const app = document.getElementById("app");
  if (app) render(page, app);
}

export function ErrorBox({ message, onDismiss }: { message: string | null; onDismiss?: () => void }) {
  if (!message) return null;
  return (
    <div class="error" role="alert">
      <p>{message}</p>
      {onDismiss && (
        <button type="button" class="quiet dismiss" aria-label={t.dismiss} onClick={onDismiss}>
          ✕
        </button>
      )}
    </div>
  );
}

/** Another page of this browser has taken the connection over. */
export function Replaced() {
  return (
    <div class="banner replaced" role="alert">
      <p>{t.replaced}</p>
      <button type="button" onClick={() => location.reload()}>
        {t.useHere}
      </button>
    </div>
  );
}

/** Seconds until a time of `performance.now()`, counted down on this page: no wall clock is asked. */
export function Countdown({ until, total, bare = false }: { until: number; total?: number; bare?: boolean }) {
  const now = useSignal(performance.now());
  useEffect(() => {
    now.value = performance.now();
    const timer = setInterval(() => (now.value = performance.now()), bare ? 100 : 500);
    return () => clearInterval(timer);
  }, [until]);
  const left = Math.max(0, until - now.value);
  const share = total ? Math.min(1, left / total) : null;
  return (
    <span class={bare ? "countdown bare" : "countdown"} role="timer" {...(bare ? { "aria-hidden": true } : {})}>
      {share !== null && (
        <span class="countdown-bar" aria-hidden="true">
          <span style={{ transform: `scaleX(${share})` }} />
        </span>
      )}
      {!bare && <span class="countdown-text">{t.secondsLeft(Math.ceil(left / 1000))}</span>}
    </span>
  );
}

export function Field(props: {
  label: string;
  value: string;
  onInput: (value: string) => void;
  /** Not shown while it is written. */
  secret?: boolean;
  autoComplete?: string;
  maxLength?: number;
  inputMode?: "text" | "numeric" | "url";
  required?: boolean;
  /** Offered, and not imposed. */
  suggestions?: readonly string[];
}) {
  const { label, onInput, secret = false, autoComplete = "off", suggestions, ...rest } = props;
  const list = useId();
  const common = { ...rest, autoComplete, onInput: (e: { currentTarget: HTMLInputElement }) => onInput(e.currentTarget.value) };
  return (
    <label class="field">
      <span>{label}</span>
      {secret ? <input {...common} type="password" /> : <input {...common} type="text" {...(suggestions ? { list } : {})} />}
      {suggestions && (
        <datalist id={list}>
          {suggestions.map((s) => (
            <option key={s} value={s} />
          ))}
        </datalist>
      )}
    </label>
  );
}
