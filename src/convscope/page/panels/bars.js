// How large are a few numbers side by side?  The rows are their own table: each has its number as text.

import { html } from "htm/preact";

import { Rows } from "cs/bars";
import { shown } from "cs/names";

export function Panel({ evidence }) {
  const { title, words, unit, log, bars } = evidence;
  return html`<figure class="panel">
    <h4>${shown(title)}</h4>
    ${words && html`<p class="axis-label">${shown(words)}</p>`}
    ${log && html`<p class="axis-label">Logarithmic axis</p>`}
    <${Rows} rows=${bars} unit=${unit} log=${log} />
  </figure>`;
}
