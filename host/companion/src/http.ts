// The two questions that are asked by HTTP: everything after them goes by MQTT.

import type { Credential } from "./protocol";
import { isObject } from "./rpc";
import { t } from "./i18n";

async function post(path: string, body: object): Promise<Record<string, unknown>> {
  let response: Response;
  try {
    response = await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout ? AbortSignal.timeout(10_000) : null,
    });
  } catch {
    throw new Error(t.boxUnreachable);
  }
  const text = await response.text();
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    answer = null;
  }
  // Ours first: it is in the reader's language.
  if (!response.ok) throw new Error(t.httpStatus[response.status] ?? sentence(answer) ?? t.httpFailed(response.status));
  if (!isObject(answer)) throw new Error(t.httpFailed(response.status));
  return answer;
}

/** The box's own sentence, wherever in the body it stands. */
function sentence(answer: unknown): string | null {
  if (!isObject(answer)) return null;
  if (typeof answer.message === "string") return answer.message;
  if (typeof answer.error === "string") return answer.error;
  return isObject(answer.error) ? sentence(answer.error) : null;
}

export async function pair(code: string, name: string): Promise<Credential> {
  return (await post("/api/pair", { code, ...(name ? { name } : {}) })) as unknown as Credential;
}

export async function join(invite: string, name: string): Promise<Credential> {
  return (await post("/api/join", { invite, name })) as unknown as Credential;
}
