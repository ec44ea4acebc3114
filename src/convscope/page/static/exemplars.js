// What do the units of a layer look for?  One layer's page at a time: the patches each unit answers to most.

import { html } from "htm/preact";
import { useEffect, useState } from "preact/hooks";

import { go, write } from "cs/address";
import { unitOf } from "cs/cards";
import { aligned, bare, count, counted, sizes } from "cs/format";
import { Name, shown } from "cs/names";
import { Patches, usePicture } from "cs/sprite";
import { Table } from "cs/table";

/** @param {{source: object, names: string[], chosen: string, net: string, nImages: number, cards: object[]}} props */
export function Exemplars({ source, names, chosen, net, nImages, cards }) {
  const [layer, setLayer] = useState(null);
  const [fault, setFault] = useState("");
  const name = chosen || names[0];
  useEffect(() => {
    let wanted = true;
    if (name === undefined) return;
    source.exemplars(name).then(
      (found) => wanted && (setLayer(found), setFault("")),
      (error) => wanted && setFault(error.message),
    );
    return () => {
      wanted = false;
    };
  }, [source, name]);
  if (!names.length) return html`<p class="notice">No exemplars were kept in this study.</p>`;
  return html`
    <${Chooser} names=${names} name=${name} net=${net} />
    <p class="sr" role="status">${layer ? `Exemplars of ${shown(layer.layer)}` : "Reading the exemplars…"}</p>
    ${fault && html`<p class="notice">${shown(fault)}</p>`}
    ${layer && html`<${Layer} layer=${layer} nImages=${nImages} net=${net}
      cards=${cards.filter((one) => one.layer === layer.layer)} />`}`;
}

function Chooser({ names, name, net }) {
  const at = names.indexOf(name);
  const show = (layer) => go(write("exemplars", { net, layer }));
  const step = (by, words) => html`
    <button type="button" disabled=${!names[at + by]} onClick=${() => show(names[at + by])}>${words}</button>`;
  return html`<div class="tools chooser">
    <label for="choose-layer">Layer</label>
    <select id="choose-layer" value=${name} onChange=${(event) => show(event.currentTarget.value)}>
      ${names.map((one) => html`<option value=${one} selected=${one === name}>${shown(one)}</option>`)}
    </select>
    ${step(-1, "Previous")}${step(1, "Next")}
    <span>${count(at + 1)} of ${count(names.length)}</span>
  </div>`;
}

function Layer({ layer, nImages, net, cards }) {
  const linkOf = (card) => write("cards", { net, card: card.address });
  const picture = usePicture(layer.sprite);
  const seen = layer.field_px && `${sizes(layer.field_px)} pixels of the input`;
  const field = seen ? ` Each patch is what one neuron sees: ${seen}.` : "";
  const which = layer.shown && layer.units.length < layer.n_units ? `; shown: ${shown(layer.shown)}` : "";
  const isTold = layer.units.some((unit) => unit.class && !unit.dead);
  const classes = isTold ? " Below some units stands the class they answer to most, with their selectivity." : "";
  const concepts = layer.units.some((unit) => unit.concept) ? " “Detects” names the concept that a unit detects best." : "";
  return html`
    <h3><${Name} of=${layer.layer} /></h3>
    <p class="axis-label">
      ${counted(layer.n_units, "unit")}${which}. Each with the patches of ${counted(nImages, "image")} it answers to most,
      strongest first, and its highest activation.${field}${classes}${concepts}
    </p>
    ${cards.length > 0 && html`<p class="axis-label">Unit cards of this layer:${" "}
      ${cards.map((card, i) => html`${i ? ", " : ""}<a href=${linkOf(card)}>${unitOf(card)}</a>`)}.
    </p>`}
    <ul class="units">
      ${layer.units.map((unit) => html`
        <li><${Unit} unit=${unit} layer=${layer} picture=${picture} nImages=${nImages}
          card=${cards.filter((card) => card.unit === unit.unit).map(linkOf)[0]} /></li>`)}
    </ul>
    <${Files} layer=${layer} />`;
}

function Unit({ unit, layer, picture, nImages, card }) {
  const silent = unit.dead || !unit.values.length;
  return html`<div class="unit">
    <p><b>${unit.unit}${card && html`${" "}<a href=${card}>card<span class="sr"> of unit ${unit.unit}</span></a>`}</b>${silent ? null : html`<span>${aligned(unit.values[0])}</span>`}</p>
    ${silent
      ? html`
        <p class="silent" style=${{ aspectRatio: `${layer.columns} / 1` }}>silent on all ${counted(nImages, "image")}</p>`
      : html`<${Patches} unit=${unit} layer=${layer} picture=${picture} />`}
    ${unit.class && !silent ? html`<${Class} unit=${unit} />` : null}
    ${unit.concept && !silent ? html`<p class="class">detects <bdi>${shown(unit.concept)}</bdi></p>` : null}
  </div>`;
}

function Class({ unit }) {
  const told = typeof unit.selectivity === "number" ? html` <small>${bare(unit.selectivity, "index")}</small>` : null;
  return html`<p class="class"><bdi>${shown(unit.class)}</bdi>${told}</p>`;
}

/** The pictures as a table: where each patch comes from. */
function Files({ layer }) {
  const columns = ["unit", "class", "selectivity", "image and activation, strongest first"];
  const rows = layer.units.map((unit) => [
    unit.unit,
    unit.class ? html`<${Name} of=${unit.class} />` : "–",
    bare(unit.selectivity ?? null, "index"),
    unit.values.map((value, i) => html`${i ? ", " : ""}<${Name} of=${unit.ids[i]} />${" "}${aligned(value)}`),
  ]);
  return html`<details class="numbers">
    <summary>Where the patches come from</summary>
    <${Table} label="Images and activations of the exemplars" columns=${columns} rows=${rows}
      align=${["left", "left", "right", "left"]} />
  </details>`;
}
