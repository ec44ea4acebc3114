// How large are a few numbers, and how sure?  Rows with a name, a mark on one common axis, and the number as text.

import { html } from "htm/preact";

import { parts, tick } from "cs/format";
import { Name } from "cs/names";
import { axis } from "cs/scale";

const percent = (x) => `${(Math.min(1, Math.max(0, x)) * 100).toFixed(2)}%`;

/** A mark at a place of the axis: a dot for what was measured, a diamond for a control. */
export function Mark({ x, y, control }) {
  return html`<svg x=${x} y=${y} class=${control ? "mark control" : "mark"} overflow="visible">
    ${control ? html`<path d="M0-5L5 0L0 5L-5 0Z" />` : html`<circle r="5" />`}
  </svg>`;
}

/** An interval as a line with ends. */
export function Whisker({ from, to, y, control }) {
  return html`<g class=${control ? "whisker control" : "whisker"}>
    <line x1=${from} x2=${to} y1=${y} y2=${y} /><line x1=${from} x2=${from} y1=${y - 3.5} y2=${y + 3.5} />
    <line x1=${to} x2=${to} y1=${y - 3.5} y2=${y + 3.5} />
  </g>`;
}

/**
 * @param {{rows: object[], unit: string, log?: boolean, shape?: "bar" | "dot"}} props
 *   rows of name, value, low, high, control
 */
export function Rows({ rows, unit, log = false, shape = "bar" }) {
  const scale = axis(rows.flatMap(({ value, low, high }) => [value, low, high]), unit, { log, n: 3 });
  const at = (value) => percent(scale.at(value));
  return html`<ul class="rows">
    ${rows.map(
      (row) => html`<li class=${row.control ? "row control" : "row"}>
        <span class="row-name"><${Name} of=${row.name} />${row.control && html` <small>control</small>`}</span>
        <span class="row-plot">
          <svg width="100%" height="24" aria-hidden="true">
            ${scale.ticks.map((tick) => html`<${GridLine} x=${at(tick)} isZero=${tick === 0} />`)}
            ${row.value !== null && shape === "bar" && html`
              <${Bar} from=${log ? 0 : scale.at(0)} to=${scale.at(row.value)} control=${row.control} />`}
            ${row.low !== null && row.low !== row.high && html`
              <${Whisker} from=${at(row.low)} to=${at(row.high)} y=${12} control=${row.control} />`}
            ${row.value !== null && shape === "dot" && html`
              <${Mark} x=${at(row.value)} y=${12} control=${row.control} />`}
          </svg>
        </span>
        <span class="row-number">${parts(row, unit)[0]} <small>${parts(row, unit)[1]}</small></span>
      </li>`,
    )}
    <li class="row-axis" aria-hidden="true">
      <svg width="100%" height="16">
        ${scale.ticks.map((value) => html`
          <text x=${at(value)} y="12" text-anchor="middle">${tick(value, unit, log ? value : scale.step)}</text>`)}
      </svg>
    </li>
  </ul>`;
}

function Bar({ from, to, control }) {
  const [start, end] = from < to ? [from, to] : [to, from];
  const name = control ? "bar control" : "bar";
  return html`<rect class=${name} x=${percent(start)} width=${percent(end - start)} y="5" height="14" rx="1" />`;
}

function GridLine({ x, isZero }) {
  return html`<line class=${isZero ? "grid zero" : "grid"} x1=${x} x2=${x} y1="0" y2="24" />`;
}
