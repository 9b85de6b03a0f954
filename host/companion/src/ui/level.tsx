// Level meters. The bar moves often; what a screen reader is told changes only twice a second.

import { useEffect, useRef } from "preact/hooks";

/** Below this nothing is heard in a room; the bar starts here. */
const FLOOR_DB = -60;

/** How often a screen reader is told another level, in milliseconds. */
const TOLD_MS = 500;

export function fill(db: number): number {
  return Number.isFinite(db) ? Math.min(1, Math.max(0, 1 - db / FLOOR_DB)) : 0;
}

/** The level, in whole dB, that fills this share of the bar. */
function inDb(share: number): number {
  return Math.round(share * -FLOOR_DB + FLOOR_DB);
}

const UNKNOWN = { at: -Infinity, loudest: 0, db: FLOOR_DB };

/** Without a level nothing is known of the sound now. */
export function LevelBar({ label, levelDb, speaking = false }: { label: string; levelDb: number | undefined; speaking?: boolean }) {
  const share = fill(levelDb ?? FLOOR_DB);
  const told = useRef(UNKNOWN);
  const loudest = Math.max(told.current.loudest, share);
  const now = performance.now();
  if (levelDb === undefined) told.current = UNKNOWN;
  else if (now - told.current.at > TOLD_MS) told.current = { at: now, loudest: 0, db: inDb(loudest) };
  else told.current = { ...told.current, loudest };
  return (
    <div
      class={speaking ? "level speaking" : "level"}
      role="meter"
      aria-label={label}
      aria-valuemin={FLOOR_DB}
      aria-valuemax={0}
      aria-valuenow={told.current.db}
    >
      <span class="glides" style={{ transform: `scaleX(${share})` }} />
    </div>
  );
}

/** The level of a track of our own, before anything is sent. */
export function TrackLevel({ label, track }: { label: string; track: MediaStreamTrack }) {
  const bar = useRef<HTMLSpanElement>(null);
  const meter = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const context = new AudioContext();
    const source = context.createMediaStreamSource(new MediaStream([track]));
    const analyser = context.createAnalyser();
    analyser.fftSize = 1024;
    source.connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    let frame = 0;
    let told = 0;
    const draw = (now: number) => {
      analyser.getFloatTimeDomainData(samples);
      const peak = samples.reduce((m, s) => Math.max(m, Math.abs(s)), 0);
      const share = fill(20 * Math.log10(peak));
      bar.current?.style.setProperty("transform", `scaleX(${share})`);
      if (now - told > TOLD_MS) {
        told = now;
        meter.current?.setAttribute("aria-valuenow", String(inDb(share)));
      }
      frame = requestAnimationFrame(draw);
    };
    frame = requestAnimationFrame(draw);
    return () => {
      cancelAnimationFrame(frame);
      void context.close();
    };
  }, [track]);
  return (
    <div ref={meter} class="level" role="meter" aria-label={label} aria-valuemin={FLOOR_DB} aria-valuemax={0} aria-valuenow={FLOOR_DB}>
      <span ref={bar} style={{ transform: "scaleX(0)" }} />
    </div>
  );
}
