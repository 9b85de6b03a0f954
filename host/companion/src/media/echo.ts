// Whether what the guest hears comes back through their microphone, past the browser's own echo canceller: then the
// loudness of the microphone follows that of the loudspeaker, a moment later. Pure: levels in, a verdict out.

/** Levels are read so often. Shorter than a syllable, whose rhythm is what is compared. */
export const STEP_MS = 20;
/** Long enough for several words; two windows in a row must agree. */
const WINDOW = 4_000 / STEP_MS;
/** How far the microphone may lag behind the loudspeaker: buffers of the system, and the way through the room. */
const MAX_LAG = 500 / STEP_MS;
/** At no lag at all it is not an echo but one source that reaches both, such as a second device in the room. */
const MIN_LAG = 1;
const LOOK_EVERY = 1_000 / STEP_MS;
const FLOOR_DB = -70;
/** Speech moves by tens of dB; a steady hum on either side says nothing. */
const MIN_SPREAD_DB = 5;
/** Two people who talk at the same time reach 0.5 by chance. */
const CORRELATION = 0.8;
const AGREEING = 2;
/** Whatever repeats itself (music, an alarm, test tones) fits anything of the same beat: it is no evidence. */
const REPEATS = 0.7;
const [BEAT_MIN, BEAT_MAX] = [200 / STEP_MS, 1_200 / STEP_MS];

export class EchoMeter {
  readonly #played: number[] = [];
  readonly #heard: number[] = [];
  #steps = 0;
  #agreed = 0;
  #echo = false;

  /** Takes the levels of one step, in dB, and says whether there is an echo. */
  step(playedDb: number, heardDb: number): boolean {
    push(this.#played, playedDb, WINDOW + MAX_LAG);
    push(this.#heard, heardDb, WINDOW + MAX_LAG);
    this.#steps += 1;
    if (this.#played.length < WINDOW + MAX_LAG || this.#steps % LOOK_EVERY !== 0) return this.#echo;
    this.#agreed = this.#follows() ? this.#agreed + 1 : 0;
    this.#echo = this.#agreed >= AGREEING;
    return this.#echo;
  }

  #follows(): boolean {
    if (repeats(this.#heard)) return false;
    const heard = this.#heard.slice(-WINDOW);
    for (let lag = MIN_LAG; lag <= MAX_LAG; lag += 1) {
      const end = this.#played.length - lag;
      if (correlation(this.#played.slice(end - WINDOW, end), heard) >= CORRELATION) return true;
    }
    return false;
  }
}

function repeats(levels: number[]): boolean {
  for (let beat = BEAT_MIN; beat <= BEAT_MAX; beat += 1) {
    if (correlation(levels.slice(beat), levels.slice(0, -beat)) >= REPEATS) return true;
  }
  return false;
}

function push(values: number[], db: number, keep: number): void {
  values.push(Number.isFinite(db) ? Math.max(FLOOR_DB, db) : FLOOR_DB);
  if (values.length > keep) values.shift();
}

function correlation(a: number[], b: number[]): number {
  const mean = (x: number[]) => x.reduce((s, v) => s + v, 0) / x.length;
  const [ma, mb] = [mean(a), mean(b)];
  let ab = 0;
  let aa = 0;
  let bb = 0;
  a.forEach((v, i) => {
    const [da, db] = [v - ma, (b[i] ?? mb) - mb];
    ab += da * db;
    aa += da * da;
    bb += db * db;
  });
  const spread = (sum: number) => Math.sqrt(sum / a.length);
  if (spread(aa) < MIN_SPREAD_DB || spread(bb) < MIN_SPREAD_DB) return 0;
  return ab / Math.sqrt(aa * bb);
}
