// What is on a page of answers, and which part does the address name?  `mount` puts the answers of a host into an element.

import { html } from "htm/preact";
import { useMemo } from "preact/hooks";

import { About } from "cs/about";
import { Answer } from "cs/answer";
import { resolve, write } from "cs/answer-address";
import { TrustSign } from "cs/checks";
import { Evidence } from "cs/evidence";
import { count, counted, day } from "cs/format";
import { Fault, Frame, Part, usePlace } from "cs/frame";
import { Name, shown } from "cs/names";
import { starting } from "cs/start";
import { Table } from "cs/table";

/** Show answers; returns the undo. */
export const mount = starting({ View: Report, what: "these answers", read: async (source) => ({ overview: await source.overview() }) });

function Report({ source, overview }) {
  const { images, methods } = overview;
  const net = overview.network.fingerprint.slice(0, 8);
  const known = useMemo(
    () => ({ net, images: images.map((one) => one.id), methods: methods.map((one) => one.name) }),
    [net, images, methods],
  );
  const asked = usePlace(known, resolve);
  const { place } = asked;
  return html`<${Frame} asked=${asked} skip="Skip to the answer">
    <${Head} overview=${overview} net=${net} />
    <main id="main" tabindex="-1">
      <${Fault} fault=${place.fault} />
      ${images.length > 0 && html`<${Part} place="explain" title="The answer">
        <${Answer} source=${source} images=${images} methods=${methods} place=${place} net=${net} />
      <//>`}
      ${overview.advice && html`<${Part} place="advice" title="Which method to use here"><${Advice} of=${overview.advice} /><//>`}
      ${images.length > 1 && html`
        <${Part} place="images" title="All images"><${All} images=${images} methods=${methods} net=${net} /><//>`}
      <${Part} place="about" title="How this was made"><${Made} overview=${overview} /><//>
    </main>
  <//>`;
}

function Head({ overview, net }) {
  const { network, images, skipped, n_skipped: nSkipped } = overview;
  return html`<header class="top">
    <p class="over">convscope explain</p>
    <h1>Why does <${Name} of=${network.name} /> say that?</h1>
    <dl class="facts">
      <div>
        <dt>Explained</dt>
        <dd>
          ${counted(images.length || overview.advice?.n_images || 0, "image")}, ${counted(overview.methods.length, "method")} each${overview.stopped && "; stopped before all were done"}${overview.n_left_out > 0 && `; ${count(overview.n_left_out)} more are not in this file`}
          ${nSkipped > 0 && html`<details class="open-in-print">
            <summary>${counted(nSkipped, "image")} skipped</summary>
            <ul class="plain">${skipped.map(({ id, reason }) => html`<li><${Name} of=${id} />: ${shown(reason)}</li>`)}</ul>
            ${nSkipped > skipped.length && html`<p>… and ${count(nSkipped - skipped.length)} more.</p>`}
          </details>`}
        </dd>
      </div>
      <div><dt>Weights</dt><dd><${Name} of=${network.weights} /></dd></div>
      <div><dt>Made</dt><dd>${day(overview.made)}</dd></div>
    </dl>
    ${images.length > 0 && html`<ul class="tally" aria-label="Maps by their checks">
      ${TALLY.filter(([verdict]) => overview.tally[verdict] > 0).map(([verdict, words]) => html`<li class=${TONES[verdict]}>
        <${TrustSign} of=${verdict} /><b>${overview.tally[verdict]}</b> ${words}
      </li>`)}
    </ul>`}
    <nav aria-label="Parts of this page">
      ${images.length > 0 && html`<a href=${write("explain", { net, image: images[0].id, method: "" })}>The answer</a>`}
      ${overview.advice && html`<a href=${write("advice", { net })}>Which method to use</a>`}
      ${images.length > 1 && html`<a href=${write("images", { net })}>All images</a>`}
      <a href=${write("about", { net })}>How this was made</a>
    </nav>
  </header>`;
}

const TALLY = [
  ["trusted", "pass their checks"],
  ["limited", "to be read with care"],
  ["distrusted", "not to be relied on"],
  ["unchecked", "not checked"],
];
const TONES = { trusted: "supported", limited: "undecided", distrusted: "not-supported", unchecked: "open" };

/** One row an image: what the network says, and how each map came out. */
function All({ images, methods, net }) {
  const columns = ["image", "the network says", "labelled", ...methods.map((one) => shown(one.label))];
  const rows = images.map((one) => [
    html`<a href=${write("explain", { net, image: one.id, method: "" })}><${Name} of=${one.id} /></a>`,
    shown(one.says),
    shown(one.label ?? "–"),
    ...methods.map((method) => {
      const verdict = one.verdicts[method.name];
      return verdict ? html`<${TrustSign} of=${verdict} />` : "refused";
    }),
  ]);
  return html`<${Table} label="What the network says of each image" columns=${columns} rows=${rows} tall />`;
}

function Advice({ of }) {
  return html`
    <p class="summary">${shown(of.recommendation)}</p>
    <div class="panels">${of.evidence.map((one) => html`<${Evidence} evidence=${one} />`)}</div>`;
}

function Made({ overview }) {
  return html`
    <p>The same again, from the command line or from Python:</p>
    ${overview.repeat.map((text) => html`<pre class="repeat">${shown(text)}</pre>`)}
    <${About} overview=${{ ...overview, images: {} }} />`;
}
