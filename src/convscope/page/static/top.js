// What was measured, on what, and how did it come out?  The head of the report.

import { html } from "htm/preact";

import { write } from "cs/address";
import { count, counted, day, short, sizes } from "cs/format";
import { titleOfLayers } from "cs/layers";
import { Name, shown } from "cs/names";
import { Sign, slug, VERDICTS } from "cs/verdict";

export function Top({ overview, findings, net }) {
  const { network, images } = overview;
  return html`<header class="top">
    <p class="over">convscope report</p>
    <h1>Why does <${Name} of=${network.name} /> work?</h1>
    <dl class="facts">
      <div>
        <dt>Network</dt>
        <dd>
          ${counted(network.n_layers, "layer")}, ${short(network.parameters)} parameters, ${short(network.macs)} multiply-adds
          for one image of ${sizes(network.input_shape)}, ${counted(network.n_classes, "class", "classes")}
        </dd>
      </div>
      <div>
        <dt>Images</dt>
        <dd>
          ${counted(images.n, "image")} from${" "}<${Name} of=${images.source} />${labels(images)}
          <${Skipped} images=${images} />
        </dd>
      </div>
      <div><dt>Measured</dt><dd>${day(overview.made)}</dd></div>
    </dl>
    <ul class="tally" aria-label="Verdicts">
      ${VERDICTS.map(
        (verdict) => html`<li class=${slug(verdict)}>
          <${Sign} of=${verdict} /><b>${findings.filter((one) => one.verdict === verdict).length}</b> ${verdict}
        </li>`,
      )}
    </ul>
    <nav aria-label="Parts of this report">
      <a href=${write("why", { net })}>Findings</a>
      ${overview.chapters.map(({ key, title }) => html`
        <a href=${write("chapter", { net, chapter: key })}>${shown(title)}</a>`)}
      <a href=${write("layers", { net })}>${titleOfLayers(overview)}</a>
      <a href=${write("exemplars", { net, layer: overview.exemplar_layers[0] ?? "" })}>Exemplars</a>
      ${overview.cards.length > 0 && html`<a href=${write("cards", { net, card: overview.cards[0].address })}>Unit cards</a>`}
      <a href=${write("about", { net })}>About</a>
    </nav>
  </header>`;
}

function labels({ n, n_labelled: labelled, n_classes: classes }) {
  if (!labelled) return ", without labels";
  return `, ${labelled === n ? "all" : count(labelled)} labelled, in ${counted(classes, "class", "classes")}`;
}

/** The images that could not be used, each with its reason. */
function Skipped({ images }) {
  if (!images.n_skipped) return null;
  return html`<details class="open-in-print">
    <summary>${counted(images.n_skipped, "image")} skipped</summary>
    <ul class="plain">
      ${images.skipped.map(({ id, reason }) => html`<li><${Name} of=${id} />: ${shown(reason)}</li>`)}
    </ul>
    ${images.n_skipped > images.skipped.length && html`
      <p>… and ${count(images.n_skipped - images.skipped.length)} more.</p>`}
  </details>`;
}
