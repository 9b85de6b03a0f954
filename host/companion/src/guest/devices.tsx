// Which camera and which microphone, where there is a choice.

import { t } from "../i18n";
import type { Capture } from "../media/capture";
import { sentence } from "../sentence";

export function Devices({ capture, onError }: { capture: Capture; onError: (message: string) => void }) {
  const choose = (kind: "camera" | "microphone", id: string) =>
    capture.choose(kind, id).catch((error: unknown) => onError(sentence(error)));
  return (
    <div class="devices">
      <Choice
        label={t.camera}
        devices={capture.devices.value.filter((d) => d.kind === "videoinput")}
        chosen={capture.video.value?.getSettings().deviceId}
        onChoose={(id) => void choose("camera", id)}
      />
      <Choice
        label={t.microphone}
        devices={capture.devices.value.filter((d) => d.kind === "audioinput")}
        chosen={capture.audio.value?.getSettings().deviceId}
        onChoose={(id) => void choose("microphone", id)}
      />
    </div>
  );
}

function Choice(props: { label: string; devices: MediaDeviceInfo[]; chosen: string | undefined; onChoose: (id: string) => void }) {
  if (props.devices.length < 2) return null;
  return (
    <label class="field">
      <span>{props.label}</span>
      <select value={props.chosen ?? ""} onChange={(e) => props.onChoose(e.currentTarget.value)}>
        {props.devices.map((d, i) => (
          <option key={d.deviceId} value={d.deviceId}>
            {d.label || `${props.label} ${i + 1}`}
          </option>
        ))}
      </select>
    </label>
  );
}
