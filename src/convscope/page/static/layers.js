// What is the network made of?  All layers with shape, receptive field, size and what was found dead or double.

import { html } from "htm/preact";
import { useState } from "preact/hooks";

import { write } from "cs/address";
import { unitOf } from "cs/cards";
import { bare, count, lengths, short, sizes } from "cs/format";
import { Find, holding } from "cs/find";
import { Name, shown } from "cs/names";
import { Table } from "cs/table";

const COLUMNS = [
  ["layer", "left"], ["kind", "left"], ["shape", "right"], ["sees, px", "right"], ["stride", "right"],
  ["parameters", "right"], ["multiply-adds", "right"], ["never active", "right"], ["copies", "right"],
  ["selectivity", "right"],
];
const CARDS = ["unit cards", "left"], READS = ["reads", "left"];

/** What the part is called: a chapter may have its plain name. */
export const titleOfLayers = ({ chapters }) => (chapters.some(({ title }) => title === "Layers") ? "Layer by layer" : "Layers");

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
    field ? (field.global ? "all" : lengths(field.size_px)) : "–",
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
  const holds = holding(sought);
  const found = layers.filter(({ name, kind }) => holds(`${name} ${kind}`));
  const columns = [...COLUMNS, ...(cards.length ? [CARDS] : []), READS];
  return html`
    <${Find} id="find-layer" label="Find layers" hint="name or kind" sought=${sought} seek=${seek}
      n=${found.length} of=${layers.length} what="layers" />
    <p class="axis-label">
      “Sees” is the receptive field: how many pixels of the input one neuron depends on, “all” where that is the whole input; “stride” how many pixels lie
      between two neighbors. “Never active” and “copies” count units, on the images of this study.
    </p>
    ${found.length > 0
      ? html`<${Table} label="Layers of the network" tall
          columns=${columns.map(([name]) => name)} align=${columns.map(([, side]) => side)}
          rows=${found.map((layer) => cells(layer, net, pictured, cards))} />`
      : html`<p class="notice">No layer has “${shown(sought)}” in its name or kind. Clear the box to see all ${count(layers.length)} layers.</p>`}`;
}
