// How does a number change from layer to layer?  Legend, lines, what is read off at one layer, and the table.

import { html } from "htm/preact";
import { useState } from "preact/hooks";

import { bare, measured, sign } from "cs/format";
import { Legend, looks } from "cs/legend";
import { Lines } from "cs/lines";
import { Name, shown } from "cs/names";
import { Numbers } from "cs/table";

/** The interval of a series at one layer, as it stands in the evidence. */
const at = (one, i) => ({ value: one.values[i], low: one.low?.[i] ?? null, high: one.high?.[i] ?? null });

export function Panel({ evidence }) {
  const { title, x, x_label: xLabel, y_label: yLabel, unit, series } = evidence;
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
    <p class="axis-label">${shown(yLabel)}${behind && ` (${behind})`} <span>by ${shown(xLabel)}</span></p>
    <${Legend} series=${series} looks=${look} />
    <${Lines} evidence=${evidence} looks=${look} at=${chosen} onAt=${choose}
      says="${shown(x[chosen])}: ${reads.map((read) => read.join(" ")).join("; ")}" />
    <p class="readout">
      <${Name} of=${x[chosen]} />
      ${reads.map(([name, value]) => html`<span><bdi>${name}</bdi> <b>${value}</b></span>`)}
    </p>
    <${Numbers} title=${shown(title)} columns=${[xLabel, ...heads].map(shown)} rows=${rows} />
  </figure>`;
}
