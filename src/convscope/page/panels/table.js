// What are the numbers themselves?  A plain table.

import { html } from "htm/preact";

import { aligned, number } from "cs/format";
import { Name, shown } from "cs/names";
import { Table } from "cs/table";

const WIDE = 6; // columns: more take the whole width

function cell(value, write, isNumeric) {
  if (value === null) return "–";
  if (typeof value === "number") return write(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  return isNumeric ? shown(value) : html`<${Name} of=${value} />`;
}

export function Panel({ evidence }) {
  const { title, columns, rows, align } = evidence;
  const isBroken = (value) => typeof value === "number" && !Number.isInteger(value);
  const write = columns.map((_, i) => (rows.some((row) => isBroken(row[i])) ? aligned : number));
  const cells = rows.map((row) => row.map((value, i) => cell(value, write[i], align[i] === "right")));
  return html`<figure class=${columns.length > WIDE ? "panel wide" : "panel"}>
    <h4>${shown(title)}</h4>
    <${Table} label=${shown(title)} columns=${columns.map(shown)} rows=${cells} align=${align} />
  </figure>`;
}
