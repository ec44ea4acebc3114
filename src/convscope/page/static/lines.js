// How is a number drawn over many layers, or over another number?  Lines with bands in one SVG; a slider below it reads one point off.

import { html } from "htm/preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";

import { number, tick } from "cs/format";
import { abbreviated, shown } from "cs/names";
import { band, line, lonely } from "cs/paths";
import { along, axis } from "cs/scale";

const PLOT_PX = 200; // height of the plot itself
const TOP_PX = 10;
const RIGHT_PX = 14;
const THUMB_PX = 16; // width of the slider's thumb; page.css says the same
const LETTER_PX = 6.1; // about, at 11 px
const LABEL_PX = 17; // least distance of two labels below the axis

/** The width of an element, kept up to date. */
function useWidth(first) {
  const at = useRef(null);
  const [width, setWidth] = useState(first);
  useLayoutEffect(() => {
    const measure = () => at.current && setWidth(Math.max(240, Math.round(at.current.clientWidth)));
    measure();
    const watch = new ResizeObserver(measure);
    watch.observe(at.current);
    return () => watch.disconnect();
  }, []);
  return [at, width];
}

/** Which points can have a label, so that two are at least `room` apart: as many as fit from the left. */
function apart(places, room) {
  const found = new Set();
  let last = -Infinity;
  places.forEach((place, i) => {
    if (place - last < room - 0.01) return;
    found.add(i);
    last = place;
  });
  return found;
}

/**
 * @param {{evidence: object, looks: object[], at: number, onAt: (i: number) => void, says: string}} props
 *   `at` is the point read off, `says` what is read off there, in words
 */
export function Lines({ evidence, looks, at, onAt, says }) {
  const [box, width] = useWidth(640);
  const { x, log, series, unit, title } = evidence;
  const scale = axis(series.flatMap((one) => [one.values, one.low ?? [], one.high ?? []].flat()), unit, { n: 5 });
  const labels = scale.ticks.map((value) => tick(value, unit, scale.step));
  const isNumeric = typeof x[0] === "number";
  const names = x.map((name) => (isNumeric ? number(name) : abbreviated(name)));
  const widest = Math.max(...names.map((name) => name.length)) * LETTER_PX;
  const isFlat = isNumeric || x.length * (widest + 16) < width - 80; // short names of few layers need not be turned
  const deep = isFlat ? LABEL_PX : widest * 0.72;
  const left = Math.max(30 + Math.max(...labels.map((label) => label.length)) * 5, isFlat ? widest / 2 : deep - 4);
  const plot = width - left - (isFlat ? Math.max(RIGHT_PX, widest / 2) : RIGHT_PX);
  const places = along(x, log);
  const px = (i) => left + places[i] * plot;
  const py = (value) => TOP_PX + (1 - scale.at(value)) * PLOT_PX;
  const bottom = TOP_PX + PLOT_PX;
  const labelled = apart(places.map((place) => place * plot), isFlat ? widest + 8 : LABEL_PX);
  const height = bottom + THUMB_PX + 12 + deep;
  const isSparse = x.length * 14 < plot;
  const points = (values) => (isSparse ? values.map((_, i) => i).filter((i) => values[i] !== null) : lonely(values));
  const turned = isFlat ? "" : " rotate(-45)";
  const placed = isFlat ? { "text-anchor": "middle", dy: "0.6em" } : { "text-anchor": "end", dy: "0.3em" };
  const share = (length) => `${(length / width) * 100}%`;
  const find = (event) => {
    const frame = event.currentTarget.getBoundingClientRect();
    const place = (((event.clientX - frame.left) / frame.width) * width - left) / plot;
    const far = places.map((one) => Math.abs(one - place));
    onAt(far.indexOf(Math.min(...far)));
  };
  return html`<div class="lines" ref=${box}>
    <svg class="plot" viewBox="0 0 ${width} ${height}" role="img" onPointerMove=${find}
      aria-label="${shown(title)}; its numbers are in the table below">
      <g class="grid">
        ${scale.ticks.map(
          (value, i) => html`<g class="y-tick">
            <line class=${value === 0 ? "zero" : ""} x1=${left} x2=${left + plot} y1=${py(value)} y2=${py(value)} />
            <text x=${left - 8} y=${py(value)} dy="0.35em" text-anchor="end">${labels[i]}</text>
          </g>`,
        )}
      </g>
      <g class="x-ticks">
        ${names.map((name, i) => labelled.has(i) && html`
          <text transform="translate(${px(i)} ${bottom + THUMB_PX + 8})${turned}" ...${placed}>${name}</text>`)}
      </g>
      ${series.map((one, i) => one.low && html`
        <path class="band" d=${band(one.low, one.high, px, py)} fill=${looks[i].color} />`)}
      <line class="cursor" x1=${px(at)} x2=${px(at)} y1=${TOP_PX} y2=${bottom + THUMB_PX / 2} />
      ${series.map(
        (one, i) => html`<g stroke=${looks[i].color} fill=${looks[i].color}>
          <path class="line" data-series=${i} d=${line(one.values, px, py)}
            stroke-width=${looks[i].width} stroke-dasharray=${looks[i].dash} />
          ${points(one.values).map((k) => html`<circle class="point" cx=${px(k)} cy=${py(one.values[k])} r="2.5" />`)}
          ${one.values[at] !== null && html`<circle class="dot" cx=${px(at)} cy=${py(one.values[at])} r="4" />`}
        </g>`,
      )}
    </svg>
    <input
      type="range" min="1" max=${x.length} step="1" value=${at + 1}
      aria-label="Read off: ${shown(title)}" aria-valuetext=${says}
      style=${{ left: share(left - THUMB_PX / 2), width: share(plot + THUMB_PX), top: `${bottom}px` }}
      onInput=${(event) => onAt(Number(event.currentTarget.value) - 1)}
    />
  </div>`;
}
