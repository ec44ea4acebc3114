// How is a table shown that may be wider than the page?  In a region that scrolls by itself and that keys can reach.

import { html } from "htm/preact";

import { Name } from "cs/names";

/** A region that scrolls sideways, named for screen readers; only a tall one is a landmark, others would be too many. */
function Region({ label, tall, children }) {
  const role = tall ? "region" : "group";
  return html`<div class=${tall ? "region tall" : "region"} role=${role} aria-label=${label} tabindex="0">${children}</div>`;
}

/**
 * A table whose first column names its rows.
 * @param {{label: string, columns: string[], rows: unknown[][], align?: string[], keys?: string[]}} props
 *   cells are text, or what htm made; `align` is "left" or "right" a column
 */
export function Table({ label, columns, rows, align = [], tall = false }) {
  const side = (i) => (align[i] === "right" ? "num" : undefined);
  return html`<${Region} label=${label} tall=${tall}>
    <table>
      <thead>
        <tr>${columns.map((name, i) => html`<th scope="col" class=${side(i)}>${name}</th>`)}</tr>
      </thead>
      <tbody>
        ${rows.map(
          (row) => html`<tr>
            ${row.map((cell, i) => (i ? html`<td class=${side(i)}>${cell}</td>` : html`<th scope="row">${cell}</th>`))}
          </tr>`,
        )}
      </tbody>
    </table>
  <//>`;
}

/** The numbers of a chart, folded away below it. */
export function Numbers({ title, columns, rows }) {
  const align = columns.map((_, i) => (i ? "right" : "left"));
  const named = rows.map(([name, ...rest]) => [html`<${Name} of=${name} />`, ...rest]);
  return html`<details class="numbers">
    <summary>The numbers${" "}<span class="sr">of: ${title}</span></summary>
    <${Table} label=${`Numbers of: ${title}`} columns=${columns} rows=${named} align=${align} />
  </details>`;
}
