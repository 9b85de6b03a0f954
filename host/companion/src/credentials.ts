// Who this browser is to the box. One origin serves one box, so the origin's own storage keeps them apart.
//
// A guest's credential belongs to one tab at a time: a second tab of the same browser becomes a second guest instead of
// taking the first one's seat. The tab that holds a credential holds a Web Lock of the same name, and a reload finds it
// again by the tab's session storage.

import type { Credential } from "./protocol";
import { isObject } from "./rpc";

const HOST_KEY = "dais.host";
const GUEST_KEY = "dais.guest";
const OWN_KEY = "dais.own";

export interface StoredGuest extends Credential {
  name: string;
}

function read(storage: Storage, key: string, needs = ["user_id", "username", "password", "box"]): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(storage.getItem(key) ?? "null");
    return isObject(value) && needs.every((k) => typeof value[k] === "string") ? value : null;
  } catch {
    return null; // blocked storage or a damaged entry: the same as none
  }
}

function write(storage: Storage, key: string, value: object): void {
  try {
    storage.setItem(key, JSON.stringify(value));
  } catch {
    // Storage is full or blocked (private browsing): the credential then lives as long as the page.
  }
}

function drop(storage: Storage, key: string): void {
  try {
    storage.removeItem(key);
  } catch {
    // Blocked storage holds nothing to remove.
  }
}

export const hostCredentials = {
  load: () => read(localStorage, HOST_KEY) as Credential | null,
  save: (c: Credential) => write(localStorage, HOST_KEY, c),
  forget: () => drop(localStorage, HOST_KEY),
};

/** Holds the tab's lock on a credential until the page goes. Without Web Locks every tab may have it. */
function hold(userId: string): Promise<boolean> {
  if (!("locks" in navigator)) return Promise.resolve(true);
  return new Promise((decided) => {
    navigator.locks
      .request(`${GUEST_KEY}.${userId}`, { ifAvailable: true }, (lock) => {
        decided(lock !== null);
        return lock === null ? undefined : new Promise<void>(() => undefined);
      })
      .catch(() => decided(true));
  });
}

export const guestCredentials = {
  /** The credential of this tab, or one that no tab holds. */
  async load(): Promise<StoredGuest | null> {
    const own = read(sessionStorage, GUEST_KEY) as StoredGuest | null;
    // At a reload the page before may hold the lock for a moment longer.
    for (let tries = 0; own && tries < 5; tries += 1) {
      if (await hold(own.user_id)) return own;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    const shared = read(localStorage, GUEST_KEY) as StoredGuest | null;
    if (shared && shared.user_id !== own?.user_id && (await hold(shared.user_id))) {
      write(sessionStorage, GUEST_KEY, shared);
      return shared;
    }
    return null;
  },
  async save(c: StoredGuest): Promise<void> {
    await hold(c.user_id);
    write(sessionStorage, GUEST_KEY, c);
    write(localStorage, GUEST_KEY, c);
  },
  forget(userId: string): void {
    for (const storage of [sessionStorage, localStorage]) {
      if (read(storage, GUEST_KEY)?.user_id === userId) drop(storage, GUEST_KEY);
    }
  },
};

/** What a guest did with their own seat, for a reload of their page. */
export interface OwnState {
  audio_muted: boolean;
  video_muted: boolean;
  /** They left it, and the box does not know yet. */
  left: boolean;
}

export const ownState = {
  load(userId: string): OwnState | null {
    const kept = read(sessionStorage, OWN_KEY, ["user_id"]);
    if (kept?.user_id !== userId) return null;
    return { audio_muted: kept.audio_muted === true, video_muted: kept.video_muted === true, left: kept.left === true };
  },
  save: (userId: string, own: OwnState) => write(sessionStorage, OWN_KEY, { user_id: userId, ...own }),
  forget: () => drop(sessionStorage, OWN_KEY),
};
