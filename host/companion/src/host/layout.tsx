// The layouts as small pictures of themselves.

import { t } from "../i18n";
import type { Layout } from "../protocol";
import { useOwn } from "../ui/own";
import type { Console } from "./console";

type Box = [x: number, y: number, w: number, h: number];

/** On a canvas of 32 by 18. They sketch the idea; the box knows the geometry. */
const LAYOUTS: [Layout, Box[]][] = [
  ["auto", [[1, 1, 14, 7], [17, 1, 14, 7], [9, 10, 14, 7]]],
  ["solo", [[1, 1, 30, 16]]],
  ["side-by-side", [[1, 4, 14.5, 10], [16.5, 4, 14.5, 10]]],
  ["grid", [[1, 1, 14.5, 7.5], [16.5, 1, 14.5, 7.5], [1, 9.5, 14.5, 7.5], [16.5, 9.5, 14.5, 7.5]]],
  ["spotlight", [[1, 1, 21, 16], [23, 1, 8, 4.6], [23, 6.7, 8, 4.6], [23, 12.4, 8, 4.6]]],
  ["pip", [[1, 1, 30, 16], [21, 10, 8, 5.5]]],
];

export function LayoutPicker({ show }: { show: Console }) {
  const room = show.room.value;
  const layout = useOwn(room?.layout, (layout) => (layout ? show.ask("layout.set", { layout }) : Promise.resolve()));
  return (
    <div class="layouts" role="radiogroup" aria-label={t.layout}>
      {LAYOUTS.map(([name, boxes]) => (
        <label key={name} class={layout.shown === name ? "layout chosen" : "layout"}>
          <input type="radio" name="layout" value={name} checked={layout.shown === name} disabled={!room} onChange={() => layout.set(name)} />
          <svg viewBox="0 0 32 18" aria-hidden="true">
            {boxes.map(([x, y, w, h], i) => (
              <rect key={i} x={x} y={y} width={w} height={h} rx="1" class={i === boxes.length - 1 && name === "pip" ? "inset" : ""} />
            ))}
          </svg>
          <span>{t.layoutName[name]}</span>
        </label>
      ))}
    </div>
  );
}
