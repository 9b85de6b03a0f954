import { t } from "../i18n";
import { Programme } from "../ui/programme";
import type { Console } from "./console";

export function Preview({ show }: { show: Console }) {
  const media = show.media.value;
  const error = media?.error.value;
  return (
    <section class="preview" aria-label={t.programme}>
      <Programme stream={media?.stream.value ?? null} silent />
      {error && (
        <div class="error" role="alert">
          <p>
            {t.previewFailed} {error}
          </p>
          <button type="button" class="quiet" onClick={() => media.watch()}>
            {t.tryAgain}
          </button>
        </div>
      )}
    </section>
  );
}
