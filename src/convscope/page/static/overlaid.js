// Where in the image does a map lie?  The map over the image, which loses its colors the more the map is shown; and the legend.

import { html } from "htm/preact";

import { shown } from "cs/names";

/** @param {{picture: string, one: object, strength: number, size: number[]}} props  `strength` 0 to 1 of the map */
export function Overlaid({ picture, one, strength, size }) {
  const few = Math.max(...size) <= 96 ? "few" : "";
  const says = `${shown(one.title)} over the image. ${shown(one.sentence)}`;
  return html`<figure class="overlaid">
    <div class=${`stack ${few}`} style=${{ aspectRatio: `${size[1]} / ${size[0]}`, "--strength": strength }}>
      <img class="below" src=${picture} alt="" />
      <img class="map" src=${one.overlay} alt=${says} />
      ${one.distrust && html`<p class="reason-on-map"><strong>Not to be relied on:</strong> ${shown(one.reason)}.</p>`}
    </div>
    <figcaption>
      <span class="ramp" style=${{ backgroundImage: `linear-gradient(to right, ${one.colors.join(", ")})` }}></span>
      <span class="ends">${one.legend.map((end) => html`<span>${shown(end)}</span>`)}</span>
    </figcaption>
  </figure>`;
}
