// What went wrong, in the reader's language: the catalogue has a sentence for the refusals that people meet; for all
// others the box's own sentence says more.

import { t } from "./i18n";
import { RpcError } from "./rpc";

export function sentence(error: unknown): string {
  const words = error instanceof Error ? error.message : String(error);
  const own = error instanceof RpcError && error.reason ? t.reasons[error.reason] : undefined;
  return typeof own === "function" ? own(words) : (own ?? words);
}
