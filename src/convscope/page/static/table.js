// How is a table shown that may be wider than the page?  In a region that scrolls by itself and that keys can reach.

import { html } from "htm/preact";

import { column } from "cs/format";
import { Name, shown } from "cs/names";

/** A region that scrolls sideways, named for screen readers; only a tall one is a landmark, others would be too many. */
function Region({ label, tall, children }) {
  const role = tall ? "region" : "group";
  return html`<div class=${tall ? "region tall" : "region"} role=${role} aria-label=${label} tabindex="0">${children}</div>`;
}

/**
 * A table whose first column names its rows.
 * @param {{label: string, columns: string[], rows: unknown[][], align?: string[], tall?: boolean, current?: number, sort?: object}} props
 *   cells are text, or what htm made; `align` is "left" or "right" a column; `current` is the row that is shown elsewhere; `sort` is
 *   {by, falls, ask}: the column and direction of the order, and what is called with a column to change it
 */
export function Table({ label, columns, rows, align = [], tall = false, current, sort }) {
  const side = (i) => (align[i] === "right" ? "num" : undefined);
  const order = (i) => (sort && sort.by === i ? (sort.falls ? "descending" : "ascending") : undefined);
  return html`<${Region} label=${label} tall=${tall}>
    <table>
      <thead>
        <tr>
          ${columns.map((name, i) => html`<th scope="col" class=${side(i)} aria-sort=${order(i)}>
            ${sort ? html`<${Sorter} name=${name} order=${order(i)} ask=${() => sort.ask(i)} />` : name}
          </th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (row, i) => html`<tr aria-current=${i === current ? "true" : undefined}>
            ${row.map((cell, i) => (i ? html`<td class=${side(i)}>${cell}</td>` : html`<th scope="row">${cell}</th>`))}
          </tr>`,
        )}
      </tbody>
    </table>
  <//>`;
}

/** The name of a column, which sorts by it; an arrow says how. */
function Sorter({ name, order, ask }) {
  const arrow = order ? (order === "ascending" ? "▲" : "▼") : "↕";
  return html`<button type="button" class="sorter" onClick=${ask}>${name}<span class="arrow" aria-hidden="true">${arrow}</span></button>`;
}

/** Cells as text: numbers of a column alike, with a dash where there is none. @param {unknown[][]} rows @param {string[]} align */
export function written(rows, align) {
  const write = align.map((_, i) => column(rows.map((row) => row[i]).filter((value) => typeof value === "number")));
  return rows.map((row) => row.map((value, i) => cell(value, write[i], align[i] === "right")));
}

function cell(value, write, isNumeric) {
  if (value === null) return "–";
  if (typeof value === "number") return write(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  return isNumeric ? shown(value) : html`<${Name} of=${value} />`;
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
