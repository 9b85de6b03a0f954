// How the box feels. Quiet when all is well; otherwise the top of the page says what to do. The figures are folded away.

import { bytes, duration, span, t } from "../i18n";
import type { Alarm, Health } from "../protocol";
import type { Console } from "./console";

/** At the top of the page, for as long as it lasts: what is wrong, and what to do. */
export function Alarms({ show }: { show: Console }) {
  const alarms = show.link.value?.health.value?.alarms ?? [];
  if (alarms.length === 0) return null;
  return (
    <section class="banner" aria-label={t.alarms}>
      <ul class="alarms" role="list">
        {alarms.map((a) => (
          <li key={a.what}>
            <strong>{alarmName(a)}:</strong> {t.alarmAdvice[a.what] ?? a.advice}
          </li>
        ))}
      </ul>
    </section>
  );
}

export function HealthLine({ show }: { show: Console }) {
  const health = show.link.value?.health.value;
  const [look, words] = !health ? ["well unknown", t.healthUnknown] : health.alarms.length === 0 ? ["well", t.healthOk] : ["well not", t.healthNot];
  return (
    <section class="card health" aria-label={t.healthLine}>
      <p class={look}>
        <span class="dot" aria-hidden="true" />
        {words}
      </p>
      <details>
        <summary>{t.healthMore}</summary>
        {health && <Figures health={health} />}
      </details>
    </section>
  );
}

export function alarmName({ what }: Pick<Alarm, "what">): string {
  const [, line, left] = /^the (.+) encoder (\S+)$/.exec(what) ?? [];
  if (line && left) return t.alarmEncoder(t.line[line] ?? line, left);
  return t.alarmName[what] ?? `${what.charAt(0).toUpperCase()}${what.slice(1)}`;
}

function Figures({ health }: { health: Health }) {
  const dropped = Object.entries(health.dropped).filter(([, n]) => n > 0);
  const one = (n: number) => n.toFixed(1);
  const facts: [string, string][] = [
    [t.frames, one(health.fps)],
    ...(health.camera == null ? [] : [[t.cameraSignal, t.signal[health.camera]] as [string, string]]),
    ...(health.encoders ?? []).map(({ line, element, left }): [string, string] => [
      `${t.encoder}: ${t.line[line] ?? line}`,
      left?.length ? t.encoderLeft(element, left.join(", ")) : element,
    ]),
    [t.dropsBy, dropped.map(([place, n]) => `${t.place[place] ?? place} ${n}`).join(", ") || t.nothingDropped],
    ...Object.entries(health.latency).map(([stage, l]): [string, string] => [
      `${t.latency}: ${t.stage[stage] ?? stage}`,
      t.ms(one(l.p50_ms), one(l.p99_ms)),
    ]),
    [t.processor, t.cores(Math.round(health.cpu * 10) / 10)],
    [t.memory, bytes(health.memory_bytes)],
    ...optional(t.temperature, health.temperature_c, (c) => t.celsius(Math.round(c))),
    ...optional(t.disk, health.disk_free_bytes, (n) =>
      health.disk_free_s == null ? bytes(n) : `${bytes(n)} · ${t.roomFor(span(health.disk_free_s))}`,
    ),
    [t.audience, String(health.watchers)],
    [t.uptime, duration(health.uptime_ms / 1000)],
  ];
  return (
    <dl class="figures">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function optional(name: string, value: number | null | undefined, tell: (n: number) => string): [string, string][] {
  return value == null ? [] : [[name, tell(value)]];
}
