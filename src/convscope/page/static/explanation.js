// What does one method say of the image?  Its map, its verdict, its checks, its sentence; and how it was made.

import { html } from "htm/preact";

import { write } from "cs/answer-address";
import { CheckCurves, CheckNumbers, Checks, Trust } from "cs/checks";
import { number } from "cs/format";
import { Name, shown } from "cs/names";
import { Overlaid } from "cs/overlaid";

/** @param {{one: object, answer: object, net: string, strength: number, alone: boolean, number: number}} props */
export function Explanation({ one, answer, net, strength, alone, number: at }) {
  const id = `map-${at}`;
  const link = write("explain", { net, image: answer.image, method: alone ? "" : one.name });
  return html`<article class=${alone ? "explanation alone" : "explanation"} aria-labelledby=${id}>
    <header><h4 id=${id}>${shown(one.title)}</h4><p class="axis-label"><${Name} of=${one.place} /></p></header>
    <${Overlaid} picture=${answer.picture} one=${one} strength=${strength} size=${answer.size} />
    <div class="said">
      <${Trust} of=${one.verdict} />
      <p>${shown(one.sentence)}</p>
      ${alone ? html`<${CheckNumbers} checks=${one.checks} />` : html`<${Checks} checks=${one.checks} />`}
      ${one.notes.map((note) => html`<p class="axis-label">${shown(note)}</p>`)}
      <p><a href=${link}>${alone ? "All maps, side by side" : "Its checks and numbers"}<span class="sr"> of ${shown(one.title)}</span></a></p>
    </div>
    ${alone && html`<div class="details">
      <${CheckCurves} checks=${one.checks} />
      <${Made} one=${one} />
    </div>`}
  </article>`;
}

const written = (value) => (value === null ? "none" : Array.isArray(value) ? value.join(", ") : String(value));

/** What was computed, and with which settings. */
function Made({ one }) {
  const facts = [
    ["paper", one.paper],
    ["where scores live", one.layer === "input" ? "the image" : one.layer],
    ["what is explained", one.score === null ? "–" : number(one.score)],
    ["scores should add up to", one.promised === null ? "nothing is promised" : number(one.promised)],
    ...(one.error === null ? [] : [["they miss it by", `${number(one.error * 100)} %`]]),
    ["lowest and highest score", `${number(one.lowest)} to ${number(one.highest)} ${one.unit}`],
    ...Object.entries(one.settings).map(([key, value]) => [key.replaceAll("_", " "), written(value)]),
  ];
  return html`<dl class="pairs">
    ${facts.map(([key, value]) => html`<div><dt>${shown(key)}</dt><dd><${Name} of=${value} /></dd></div>`)}
  </dl>`;
}
