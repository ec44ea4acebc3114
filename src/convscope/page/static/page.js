// What is on the page, and which part does the address name?  `mount` puts the report of a host into an element.

import { html, render } from "htm/preact";
import { useEffect, useErrorBoundary, useMemo, useState } from "preact/hooks";

import { About } from "cs/about";
import { resolve, write } from "cs/address";
import { Cards } from "cs/cards";
import { Exemplars } from "cs/exemplars";
import { Fault, Frame, Part, usePlace } from "cs/frame";
import { Layers } from "cs/layers";
import { shown } from "cs/names";
import { Claims, Sheet } from "cs/sheet";
import { source } from "cs/source";
import { Top } from "cs/top";

/** Show a study. @param {HTMLElement} element @param {object} host  see cs/source @returns {() => void} the undo */
export function mount(element, host) {
  element.replaceChildren();
  render(html`<${Page} source=${source(host)} />`, element);
  return () => render(null, element);
}

function Page({ source }) {
  const [study, setStudy] = useState(null);
  const [fault, setFault] = useState("");
  const [error] = useErrorBoundary();
  useEffect(() => {
    Promise.all([source.overview(), source.findings(), source.layers()]).then(
      ([overview, findings, layers]) => setStudy({ overview, findings, layers }),
      (error) => setFault(error.message),
    );
  }, [source]);
  const trouble = fault || (error && String(error.message ?? error));
  if (trouble) return html`<main><h1>This report cannot be shown</h1><p class="notice">${shown(trouble)}</p></main>`;
  if (!study) return html`<main><p role="status">Reading the study…</p></main>`;
  return html`<${Report} source=${source} ...${study} />`;
}

function Report({ source, overview, findings, layers }) {
  const net = overview.network.fingerprint.slice(0, 8);
  const { exemplar_layers: exemplars, cards } = overview;
  const known = useMemo(
    () => ({
      net, exemplars, claims: findings.map((one) => one.claim), layers: layers.map((one) => one.name),
      cards: cards.map((one) => one.address),
    }),
    [net, findings, layers, exemplars, cards],
  );
  const asked = usePlace(known, resolve);
  const { place } = asked;
  return html`<${Frame} asked=${asked} skip="Skip to the findings">
    <${Top} overview=${overview} findings=${findings} net=${net} />
    <main id="main" tabindex="-1">
      <${Fault} fault=${place.fault} />
      <${Part} place="why" title="What was found"><${Sheet} findings=${findings} net=${net} /><//>
      ${findings.length > 0 && html`
        <${Part} place="claims" title="The claims, one by one"><${Claims} findings=${findings} net=${net} /><//>`}
      <${Part} place="layers" title="Layers">
        <${Layers} layers=${layers} exemplars=${exemplars} cards=${cards} net=${net} />
      <//>
      <${Part} place="exemplars" title="Exemplars">
        <${Exemplars} source=${source} names=${exemplars} chosen=${place.layer} net=${net}
          nImages=${overview.images.n} cards=${cards} />
      <//>
      ${cards.length > 0 && html`<${Part} place="cards" title="Unit cards">
        <${Cards} source=${source} cards=${cards} chosen=${place.card} to=${(card) => write("cards", { net, card })}
          beside=${({ layer }) => exemplars.includes(layer) && html`<p>
            <a href=${write("exemplars", { net, layer })}>Exemplars of all units of this layer</a></p>`} />
      <//>`}
      <${Part} place="about" title="About"><${About} overview=${overview} /><//>
    </main>
  <//>`;
}
