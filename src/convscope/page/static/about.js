// Could this be measured again?  Hashes, versions, seeds and settings, and what was left out.

import { html } from "htm/preact";

import { counted } from "cs/format";
import { Name, shown } from "cs/names";

const written = (value) => {
  if (value === null) return "none";
  if (Array.isArray(value) && value.every((one) => typeof one !== "object")) return value.join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
};

export function About({ overview }) {
  const { network, images, settings, versions } = overview;
  const facts = [
    ["network", network.name],
    ["weights", network.weights],
    ["fingerprint of the network", network.fingerprint],
    ["images", images.source],
    ["fingerprint of the images", images.fingerprint],
    ["labels", images.label_source],
    ...Object.entries(settings).map(([key, value]) => [key.replaceAll("_", " "), value]),
    ["made", overview.made],
    ...Object.entries(versions),
  ].filter(([, value]) => value !== undefined && value !== "");
  const notes = network.notes ?? [];
  const missing = overview.not_finite; // a study counts them
  return html`
    <dl class="pairs">
      ${facts.map(([key, value]) => html`<div><dt>${shown(key)}</dt><dd><${Name} of=${written(value)} /></dd></div>`)}
    </dl>
    ${notes.length > 0 && html`<h3>Notes on the network</h3>`}
    ${notes.length > 0 && html`<ul class="plain">${notes.map((note) => html`<li>${shown(note)}</li>`)}</ul>`}
    ${missing && html`<h3>Numbers that were left out</h3>`}
    ${missing && (missing.length
      ? html`<ul class="plain">${missing.map((one) => html`<li><${Missing} ...${one} /></li>`)}</ul>`
      : html`<p>None: every activation was finite.</p>`)}`;
}

/** A layer whose activations were not all finite. */
function Missing({ layer, n_images: n, ids }) {
  const named = ids.map((id, i) => html`${i ? ", " : ""}<${Name} of=${id} />`);
  const list = named.length > 0 ? [" (", named, ")"] : null;
  return html`<${Name} of=${layer} />: activations that are not finite on ${counted(n, "image")}${list}`;
}
