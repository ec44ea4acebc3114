// Which line is which?  A color and a dash pattern for each series, and the legend that shows them.

import { html } from "htm/preact";

import { shown } from "cs/names";

const MEASURED = ["", "16 3", "16 3 3 3", "24 3"];
const CONTROLS = ["5 4", "2 3", "8 3 2 3", "1 5"];

/**
 * The look of each series: Okabe and Ito's colors in turn; what was measured is drawn through, controls are dashed.
 * @param {{control: boolean}[]} series
 */
export function looks(series) {
  const taken = { measured: 0, control: 0 };
  return series.map(({ control }, i) => {
    const nth = control ? taken.control++ : taken.measured++;
    const dashes = control ? CONTROLS : MEASURED;
    return { color: `var(--line-${i % 7})`, dash: dashes[nth % dashes.length], width: control ? 1.6 : 2.2 };
  });
}

/** The legend of lines. */
export function Legend({ series, looks }) {
  return html`<ul class="legend">
    ${series.map(
      (one, i) => html`<li>
        <svg width="34" height="10" aria-hidden="true">
          <line x1="1" x2="33" y1="5" y2="5" stroke=${looks[i].color}
            stroke-width=${looks[i].width} stroke-dasharray=${looks[i].dash} />
        </svg>
        <bdi>${shown(one.name)}</bdi>${one.control ? html` <small>control</small>` : null}
      </li>`,
    )}
  </ul>`;
}
