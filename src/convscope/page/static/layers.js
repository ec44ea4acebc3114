// What is the network made of?  All layers with shape, receptive field, size and what was found dead or double.

import { html } from "htm/preact";
import { useState } from "preact/hooks";

import { write } from "cs/address";
import { unitOf } from "cs/cards";
import { bare, count, lengths, short, sizes } from "cs/format";
import { Name, shown } from "cs/names";
import { Table } from "cs/table";

const COLUMNS = [
  ["layer", "left"], ["kind", "left"], ["shape", "right"], ["sees, px", "right"], ["stride", "right"],
  ["parameters", "right"], ["multiply-adds", "right"], ["never active", "right"], ["copies", "right"],
  ["selectivity", "right"],
];
const CARDS = ["unit cards", "left"], READS = ["reads", "left"];

const maybe = (x, write) => (x === null || x === undefined ? "–" : write(x));

/** The cards of a layer's units, each a link. */
const carded = (layer, cards, net) => cards.filter((card) => card.layer === layer.name).map((card, i) => html`${i ? ", " : ""}
  <a href=${write("cards", { net, card: card.address })}><span class="sr">card of </span>${unitOf(card)}</a>`);

function cells(layer, net, pictured, cards) {
  const field = layer.receptive_field;
  const name = html`<${Name} of=${layer.name} />`;
  return [
    pictured.has(layer.name) ? html`<a href=${write("exemplars", { net, layer: layer.name })}>${name}</a>` : name,
    shown(layer.kind),
    sizes(layer.shape),
    field ? (field.global ? "everything" : lengths(field.size_px)) : "–",
    field && !field.global ? lengths(field.stride_px) : "–",
    short(layer.parameters),
    short(layer.macs),
    maybe(layer.n_dead, count),
    maybe(layer.n_duplicates, count),
    maybe(layer.selectivity, (x) => bare(x, "index")),
    ...(cards.length ? [carded(layer, cards, net)] : []),
    (layer.reads ?? []).map((read, i) => html`${i ? ", " : ""}<${Name} of=${read} />`),
  ];
}

export function Layers({ layers, exemplars, cards, net }) {
  const [sought, seek] = useState("");
  const pictured = new Set(exemplars);
  const words = sought.toLowerCase().split(/\s+/).filter(Boolean);
  const holds = ({ name, kind }) => words.every((word) => `${name} ${kind}`.toLowerCase().includes(word));
  const found = layers.filter(holds);
  const columns = [...COLUMNS, ...(cards.length ? [CARDS] : []), READS];
  const all = `${count(layers.length)} layers`;
  return html`
    <div class="tools">
      <label for="find-layer">Find layers</label>
      <input id="find-layer" type="search" placeholder="name or kind" autocomplete="off" spellcheck=${false}
        value=${sought} onInput=${(event) => seek(event.currentTarget.value)} />
      <span role="status">${found.length === layers.length ? all : `${count(found.length)} of ${all}`}</span>
    </div>
    <p class="axis-label">
      “Sees” is the receptive field: how many pixels of the input one neuron depends on; “stride” how many pixels lie
      between two neighbors. “Never active” and “copies” count units, on the images of this study.
    </p>
    ${found.length > 0
      ? html`<${Table} label="Layers of the network" tall
          columns=${columns.map(([name]) => name)} align=${columns.map(([, side]) => side)}
          rows=${found.map((layer) => cells(layer, net, pictured, cards))} />`
      : html`<p class="notice">No layer has “${shown(sought)}” in its name or kind. Clear the box to see all ${all}.</p>`}`;
}
