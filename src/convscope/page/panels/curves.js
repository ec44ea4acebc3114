// How does a number change from layer to layer, or with another number?  Legend, lines, what is read off at one point, and the table.

import { html } from "htm/preact";
import { useState } from "preact/hooks";

import { bare, measured, number, sign } from "cs/format";
import { Legend, looks } from "cs/legend";
import { Lines } from "cs/lines";
import { Name, shown } from "cs/names";
import { Numbers } from "cs/table";

/** The interval of a series at one point, as it stands in the evidence. */
const at = (one, i) => ({ value: one.values[i], low: one.low?.[i] ?? null, high: one.high?.[i] ?? null });

export function Panel({ evidence }) {
  const { title, words, log, x_label: xLabel, y_label: yLabel, unit, series } = evidence;
  const isNumeric = typeof evidence.x[0] === "number";
  const x = isNumeric ? evidence.x.map(number) : evidence.x;
  const [chosen, choose] = useState(x.length - 1);
  const look = looks(series);
  const reads = series.map((one) => [shown(one.name), measured(at(one, chosen), unit)]);
  const behind = sign(unit).trim();
  const heads = series.flatMap((one) => [one.name, ...(one.low ? ["from", "to"] : [])]);
  const rows = x.map((name, i) => [
    name,
    ...series.flatMap((one) => [one.values, ...(one.low ? [one.low, one.high] : [])].map((row) => bare(row[i], unit))),
  ]);
  return html`<figure class="panel">
    <h4>${shown(title)}</h4>
    ${words && html`<p class="axis-label">${shown(words)}</p>`}
    <p class="axis-label">${shown(yLabel)}${behind && ` (${behind})`} <span>by ${shown(xLabel)}${log && ", logarithmic axis"}</span></p>
    <${Legend} series=${series} looks=${look} />
    <${Lines} evidence=${evidence} looks=${look} at=${chosen} onAt=${choose}
      says="${isNumeric ? `${shown(xLabel)} ` : ""}${shown(x[chosen])}: ${reads.map((read) => read.join(" ")).join("; ")}" />
    <p class="readout">
      <span>${isNumeric && `${shown(xLabel)} `}<${Name} of=${x[chosen]} /></span>
      ${reads.map(([name, value]) => html`<span><bdi>${name}</bdi> <b>${value}</b></span>`)}
    </p>
    <${Numbers} title=${shown(title)} columns=${[xLabel, ...heads].map(shown)} rows=${rows} />
  </figure>`;
}
