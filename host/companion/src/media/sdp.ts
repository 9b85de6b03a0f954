// The little that the pages must know of a session description: what each media section of the box's offer is for.

export type Direction = "sendrecv" | "sendonly" | "recvonly" | "inactive";

export interface Section {
  mid: string;
  kind: string;
  /** As the offering side says it: `sendonly` means that the box only sends. */
  direction: Direction;
}

export function sections(sdp: string): Section[] {
  const found: Section[] = [];
  let common: Direction = "sendrecv"; // RFC 8866: the default, unless the session part says otherwise
  for (const line of sdp.split(/\r?\n/)) {
    const current = found[found.length - 1];
    const media = /^m=(\S+)/.exec(line);
    if (media) {
      found.push({ mid: String(found.length), kind: media[1] ?? "", direction: common });
      continue;
    }
    const direction = /^a=(sendrecv|sendonly|recvonly|inactive)$/.exec(line)?.[1] as Direction | undefined;
    if (direction && current) current.direction = direction;
    else if (direction) common = direction;
    const mid = /^a=mid:(\S+)/.exec(line)?.[1];
    if (mid && current) current.mid = mid;
  }
  return found;
}

/** Whether the box wants media from us: on air, not only watching. */
export function wantsMedia(sdp: string): boolean {
  return sections(sdp).some((s) => s.direction === "sendrecv" || s.direction === "recvonly");
}
