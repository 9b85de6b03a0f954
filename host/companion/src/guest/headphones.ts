// Listens to what the page plays and to what its microphone hears, and says when the one comes back through the other.

import { EchoMeter, STEP_MS } from "../media/echo";

/** Advice that vanishes while it is read helps nobody: it stands for this long after the echo was last measured. */
const STANDS_MS = 20_000;

/** Calls `tell` when that changes. Returns what ends the listening. */
export function listenForEcho(played: MediaStream, microphone: MediaStreamTrack, tell: (echo: boolean) => void): () => void {
  // Without a tap on this page, after a reload, it stays silent, and nothing is measured before the first one.
  const context = new AudioContext();
  const ended = new AbortController();
  addEventListener("pointerdown", () => void context.resume().catch(() => undefined), { signal: ended.signal });
  const level = (stream: MediaStream) => {
    const analyser = context.createAnalyser();
    analyser.fftSize = 1024; // 21 ms at 48 kHz
    context.createMediaStreamSource(stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    return () => {
      analyser.getFloatTimeDomainData(samples);
      return 10 * Math.log10(samples.reduce((sum, s) => sum + s * s, 0) / samples.length);
    };
  };
  const [playedDb, heardDb] = [level(played), level(new MediaStream([microphone]))];
  const meter = new EchoMeter();
  let last = -Infinity;
  let told = false;
  const timer = setInterval(() => {
    if (context.state !== "running") return;
    const now = performance.now();
    if (meter.step(playedDb(), heardDb())) last = now;
    const echo = now - last < STANDS_MS;
    if (echo !== told) tell((told = echo));
  }, STEP_MS);
  return () => {
    clearInterval(timer);
    ended.abort();
    void context.close();
    if (told) tell(false);
  };
}
