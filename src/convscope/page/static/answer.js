// Why this prediction, and can that be trusted?  One image: what the network says of it, and the maps of all methods.

import { html } from "htm/preact";
import { useEffect, useState } from "preact/hooks";

import { write } from "cs/answer-address";
import { go } from "cs/address";
import { Rows } from "cs/bars";
import { Explanation } from "cs/explanation";
import { count } from "cs/format";
import { Name, shown } from "cs/names";

/** @param {{source: object, images: object[], methods: object[], place: object, net: string}} props */
export function Answer({ source, images, methods, place, net }) {
  const [answer, setAnswer] = useState(null);
  const [fault, setFault] = useState("");
  const [strength, setStrength] = useState(0.9);
  const id = place.image || images[0]?.id;
  useEffect(() => {
    let wanted = true;
    if (id === undefined) return;
    source.answer(id).then(
      (found) => wanted && (setAnswer(found), setFault("")),
      (error) => wanted && setFault(error.message),
    );
    return () => {
      wanted = false;
    };
  }, [source, id]);
  if (id === undefined) return html`<p class="notice">No image was explained.</p>`;
  const show = (image, method) => go(write("explain", { net, image, method }));
  return html`
    <${Chooser} images=${images} methods=${methods} id=${id} method=${place.method} show=${show}
      strength=${strength} onStrength=${setStrength} />
    <p class="sr" role="status">${answer ? `Answer about ${shown(answer.image)}` : "Reading the answer…"}</p>
    ${fault && html`<p class="notice">${shown(fault)}</p>`}
    ${answer && html`<${One} answer=${answer} method=${place.method} net=${net} strength=${strength} />`}`;
}

function Chooser({ images, methods, id, method, show, strength, onStrength }) {
  const at = images.findIndex((one) => one.id === id);
  const step = (by, words) => html`
    <button type="button" disabled=${!images[at + by]} onClick=${() => show(images[at + by].id, method)}>${words}</button>`;
  return html`<div class="tools chooser">
    ${images.length > 1 && html`
      <div class="pair"><label for="choose-image">Image</label>
        <select id="choose-image" value=${id} onChange=${(event) => show(event.currentTarget.value, method)}>
          ${images.map((one) => html`<option value=${one.id} selected=${one.id === id}>${shown(one.id)}</option>`)}
        </select></div>
      ${step(-1, "Previous")}${step(1, "Next")}<span>${count(at + 1)} of ${count(images.length)}</span>`}
    <div class="pair"><label for="choose-method">Show</label>
      <select id="choose-method" value=${method} onChange=${(event) => show(id, event.currentTarget.value)}>
        <option value="" selected=${method === ""}>all maps</option>
        ${methods.map((one) => html`<option value=${one.name} selected=${one.name === method}>${shown(one.label)}</option>`)}
      </select></div>
    <div class="pair"><label for="strength">Map over image</label>
      <input id="strength" class="slider" type="range" min="0" max="100" step="5" value=${Math.round(strength * 100)}
        aria-valuetext=${`${Math.round(strength * 100)} percent of the map`}
        onInput=${(event) => onStrength(Number(event.currentTarget.value) / 100)} /></div>
  </div>`;
}

function One({ answer, method, net, strength }) {
  const chosen = method ? answer.explanations.filter((one) => one.name === method) : answer.explanations;
  const refused = answer.refused.filter((one) => !method || one.name === method);
  const maps = chosen.map((one, i) => html`
    <${Explanation} key=${one.name} one=${one} answer=${answer} net=${net} strength=${strength} alone=${method !== ""} number=${i} />`);
  return html`
    <div class="answer-head">
      <h3><${Name} of=${answer.image} /></h3>
      <p class="summary">${shown(answer.prediction.sentence)}</p>
      ${answer.about !== answer.prediction.top[0]?.name && html`<p>Explained here: <strong>${shown(answer.about)}</strong></p>`}
    </div>
    <div class=${method ? "maps alone" : "maps"}>
      ${!method && html`<${Seen} answer=${answer} />`}
      ${maps}
    </div>
    ${refused.length > 0 && html`<ul class="plain">
      ${refused.map((one) => html`<li><strong>${shown(one.title)}</strong> gave no map. ${shown(one.reason)}</li>`)}
    </ul>`}`;
}

/** The image as the network sees it, and its best classes. */
function Seen({ answer }) {
  const few = Math.max(...answer.size) <= 96 ? "few" : "";
  const rows = answer.prediction.top.map((one) => ({ name: one.name, value: one.probability, low: null, high: null, control: false }));
  return html`<article class="explanation" aria-labelledby="seen">
    <header><h4 id="seen">What the network sees</h4><p class="axis-label">${answer.size.join(" × ")} pixels</p></header>
    <img class=${`seen ${few}`} src=${answer.picture} alt=${`The image ${shown(answer.image)}`} />
    ${rows.length > 0 && html`<${Rows} rows=${rows} unit="fraction" />`}
  </article>`;
}
