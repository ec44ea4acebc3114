// How does a value lie beside its controls?  All of them on one axis, small enough for a row of the sheet.

import { html } from "htm/preact";

import { Mark, Whisker } from "cs/bars";
import { measured, tick } from "cs/format";
import { shown } from "cs/names";
import { axis } from "cs/scale";

const VALUE_PX = 9; // the lane of the value
const CONTROLS_PX = 24; // the lane of the controls
const AXIS_PX = 35;

/** Value and controls of a finding on one axis; the numbers as text below it. */
export function Strip({ finding }) {
  const { value, controls, unit } = finding;
  if (value.value === null) return html`<p class="strip-numbers">not measured</p>`;
  const all = [value, ...controls.map((control) => control.value)];
  const scale = axis(all.flatMap((one) => [one.value, one.low, one.high]), unit, { n: 3 });
  const at = (x) => `${(scale.at(x) * 100).toFixed(2)}%`;
  return html`<div class="strip">
    <svg width="100%" height="54" aria-hidden="true">
      <line class="grid" x1="0%" x2="100%" y1=${AXIS_PX} y2=${AXIS_PX} />
      ${scale.ticks.map(
        (x) => html`<line class="grid" x1=${at(x)} x2=${at(x)} y1=${AXIS_PX} y2=${AXIS_PX + 4} />
          <text x=${at(x)} y=${AXIS_PX + 16} text-anchor="middle">${tick(x, unit, scale.step)}</text>`,
      )}
      ${controls.map((control) => html`<${Interval} of=${control.value} at=${at} y=${CONTROLS_PX} control />`)}
      <${Interval} of=${value} at=${at} y=${VALUE_PX} />
    </svg>
    <p class="strip-numbers">
      <b>${measured(value, unit)}</b>
      ${controls.map((one) => html`<span><bdi>${shown(one.name)}</bdi>${" "}${measured(one.value, unit)}</span>`)}
    </p>
  </div>`;
}

function Interval({ of, at, y, control = false }) {
  return html`
    ${of.low !== of.high && html`<${Whisker} from=${at(of.low)} to=${at(of.high)} y=${y} control=${control} />`}
    <${Mark} x=${at(of.value)} y=${y} control=${control} />`;
}

function Sample({ control = false }) {
  return html`<svg width="26" height="12" aria-hidden="true">
    <${Whisker} from=${1} to=${25} y=${6} control=${control} /><${Mark} x=${13} y=${6} control=${control} />
  </svg>`;
}

/** What the marks mean, once above the sheet. */
export function StripKey() {
  return html`<p class="key">
    <span><${Sample} /> the value and its 95 % interval</span>
    <span><${Sample} control /> its controls: the same measurement where the claim cannot hold</span>
  </p>`;
}
