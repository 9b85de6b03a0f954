// The sessions of a page, as far as no media flow.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { MediaSessions } from "../src/media/sessions";
import { ANA, browser, FakeLink, until } from "./stage";

/** Candidates that reached a peer connection. */
let added: string[];

class Peer extends EventTarget {
  localDescription = { sdp: "" };
  setRemoteDescription = async () => undefined;
  setLocalDescription = async () => undefined;
  createAnswer = async () => ({});
  getTransceivers = () => [];
  addIceCandidate = async ({ candidate }: { candidate: string }) => void added.push(candidate);
  close = () => undefined;
}

beforeEach(() => {
  browser();
  added = [];
  Object.assign(globalThis, { RTCPeerConnection: Peer, MediaStream: class {} });
});

const offer = (session: string) => ({ session, sdp: "", ice_servers: [], video: { width: 0, height: 0, max_fps: 0, max_kbps: 0 } });

test("candidates that come before their offer wait for it, those of a few sessions and no more", async () => {
  const link = new FakeLink(ANA);
  const media = new MediaSessions(link.asBoxLink, null);
  media.wanted = true;
  for (let n = 0; n < 20; n += 1) link.tell("media.candidate", { session: `s${n}`, candidate: { candidate: `c${n}` } });
  link.tell("media.offer", offer("s0"));
  await until("it is answered", () => link.methods.filter((m) => m === "media.answer").length === 1);
  assert.deepEqual(added, [], "the first was forgotten for the newer ones");
  for (let n = 20; n < 22; n += 1) link.tell("media.candidate", { session: `s${n}`, candidate: { candidate: `c${n}` } });
  link.tell("media.offer", offer("s21"));
  await until("what waited is used", () => added.includes("c21"));
  media.end();
});
