// What are the numbers themselves?  A plain table.

import { html } from "htm/preact";

import { shown } from "cs/names";
import { Table, written } from "cs/table";

const WIDE = 6; // columns: more take the whole width

export function Panel({ evidence }) {
  const { title, words, columns, rows, align } = evidence;
  return html`<figure class=${columns.length > WIDE ? "panel wide" : "panel"}>
    <h4>${shown(title)}</h4>
    ${words && html`<p class="axis-label">${shown(words)}</p>`}
    <${Table} label=${shown(title)} columns=${columns.map(shown)} rows=${written(rows, align)} align=${align} />
  </figure>`;
}
