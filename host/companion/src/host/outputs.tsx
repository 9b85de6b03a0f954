// The recording, and where else the programme goes.

import { useSignal } from "@preact/signals";
import { bytes, span, t } from "../i18n";
import type { Output, OutputKind, OutputState } from "../protocol";
import { Field } from "../ui/common";
import type { Console } from "./console";
import { Recordings } from "./recordings";

const RUNS: OutputState[] = ["connecting", "live", "retrying"];
/** Less room than this is worth a thought before the show goes on. */
const SOON_FULL_S = 30 * 60;
const KINDS: OutputKind[] = ["rtmp", "srt", "whip"];

export function Recording({ show }: { show: Console }) {
  const record = show.link.value?.outputs.value?.record;
  const runs = record ? RUNS.includes(record.state) : false;
  // While nothing is recorded, the box says how long a recording could last.
  const left = (runs ? record?.seconds_left : null) ?? show.link.value?.health.value?.disk_free_s ?? null;
  const facts = [
    record?.file?.split("/").pop(),
    record?.file ? bytes(record.bytes) : null,
    left !== null ? t.roomFor(span(left)) : null,
  ].filter(Boolean);
  return (
    <section class="card" aria-label={t.recording}>
      <div class="card-head">
        <h2>
          {runs && <span class="live-dot" aria-hidden="true" />} {t.recording}
        </h2>
        {runs ? (
          <button type="button" class="danger" onClick={() => void show.ask("record.stop", {})}>
            {t.stopRecording}
          </button>
        ) : (
          <button type="button" onClick={() => void show.ask("record.start", {})}>
            {t.startRecording}
          </button>
        )}
      </div>
      {!runs && <p class="empty">{t.notRecording}</p>}
      {facts.length > 0 && <p class={left !== null && left < SOON_FULL_S ? "warn facts" : "hint facts"}>{facts.join(" · ")}</p>}
      {record?.error && <p class="warn">{record.error}</p>}
      <Recordings show={show} />
    </section>
  );
}

/** In sight wherever the page is scrolled to. */
export function RecordingNow({ show }: { show: Console }) {
  const state = show.link.value?.outputs.value?.record.state;
  if (!state || !RUNS.includes(state)) return null;
  return (
    <span class={state === "live" ? "rec" : "rec trouble"} role="img" aria-label={t.recordingNow}>
      <span class="live-dot" aria-hidden="true" /> REC
    </span>
  );
}

export function Outputs({ show }: { show: Console }) {
  const adding = useSignal(false);
  const outputs = show.link.value?.outputs.value?.outputs ?? [];
  return (
    <section class="card" aria-label={t.outputs}>
      <div class="card-head">
        <h2>{t.outputs}</h2>
        <button
          type="button"
          aria-label={adding.value ? t.close : t.addOutput}
          aria-expanded={adding.value}
          onClick={() => (adding.value = !adding.value)}
        >
          {adding.value ? t.close : t.add}
        </button>
      </div>
      {adding.value && <AddOutput show={show} onDone={() => (adding.value = false)} />}
      {outputs.length === 0 && !adding.value && <p class="empty">{t.noOutputs}</p>}
      {outputs.length > 0 && (
        <ul class="rows" role="list" aria-label={t.outputs}>
          {outputs.map((o) => (
            <OutputRow key={o.output_id} show={show} output={o} />
          ))}
        </ul>
      )}
    </section>
  );
}

function OutputRow({ show, output }: { show: Console; output: Output }) {
  const runs = RUNS.includes(output.state);
  return (
    <li class={`row output ${output.state}`} aria-label={output.name}>
      <div class="who">
        <strong>{output.name}</strong>
        <span class="hint">
          {output.kind} · {t.outputState[output.state] ?? output.state}
          {runs && ` · ${output.kbps} kbit/s`}
          {output.dropped > 0 && ` · ${t.dropped(output.dropped)}`}
        </span>
        {output.error && <span class="warn">{output.error}</span>}
      </div>
      {output.state !== "stopped" && (
        <div class="row-actions">
          <button type="button" aria-label={t.stopOutput(output.name)} onClick={() => void show.ask("output.stop", { output_id: output.output_id })}>
            {t.stop}
          </button>
        </div>
      )}
    </li>
  );
}

function AddOutput({ show, onDone }: { show: Console; onDone: () => void }) {
  const kind = useSignal<OutputKind>("rtmp");
  const url = useSignal("");
  const key = useSignal("");
  const name = useSignal("");
  const submit = async () => {
    const answer = await show.ask("output.start", {
      kind: kind.value,
      url: url.value.trim(),
      ...(key.value ? { key: key.value } : {}),
      ...(name.value.trim() ? { name: name.value.trim() } : {}),
    });
    if (answer) onDone();
  };
  return (
    <form
      class="ask add"
      onSubmit={(e) => {
        e.preventDefault();
        void submit();
      }}
    >
      <label class="field">
        <span>{t.kind}</span>
        <select value={kind.value} onChange={(e) => (kind.value = e.currentTarget.value as OutputKind)}>
          {KINDS.map((k) => (
            <option key={k} value={k}>
              {k.toUpperCase()}
            </option>
          ))}
        </select>
      </label>
      <Field label={t.url} value={url.value} inputMode="url" required onInput={(v) => (url.value = v)} />
      <Field label={t.key} value={key.value} secret autoComplete="new-password" onInput={(v) => (key.value = v)} />
      <Field label={t.outputName} value={name.value} maxLength={40} onInput={(v) => (name.value = v)} />
      <div class="actions">
        <button type="submit" class="primary">
          {t.start}
        </button>
      </div>
    </form>
  );
}
