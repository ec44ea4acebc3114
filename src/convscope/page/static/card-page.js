// What is on a page of cards?  Its head and the chosen card. `mount` puts the cards of a host into an element.

import { html, render } from "htm/preact";
import { useEffect, useErrorBoundary, useMemo, useState } from "preact/hooks";

import { resolve, write } from "cs/card-address";
import { Cards } from "cs/cards";
import { counted } from "cs/format";
import { Fault, Frame, Part, usePlace } from "cs/frame";
import { Name, shown } from "cs/names";
import { source } from "cs/source";

/** Show cards. @param {HTMLElement} element @param {object} host  see cs/source @returns {() => void} the undo */
export function mount(element, host) {
  element.replaceChildren();
  render(html`<${Page} source=${source(host)} />`, element);
  return () => render(null, element);
}

function Page({ source }) {
  const [overview, setOverview] = useState(null);
  const [fault, setFault] = useState("");
  const [error] = useErrorBoundary();
  useEffect(() => {
    source.overview().then(setOverview, (error) => setFault(error.message));
  }, [source]);
  const trouble = fault || (error && String(error.message ?? error));
  if (trouble) return html`<main><h1>These cards cannot be shown</h1><p class="notice">${shown(trouble)}</p></main>`;
  if (!overview) return html`<main><p role="status">Reading the cards…</p></main>`;
  return html`<${Sheets} source=${source} overview=${overview} />`;
}

function Sheets({ source, overview }) {
  const { network, cards } = overview;
  const net = network.fingerprint.slice(0, 8);
  const known = useMemo(() => ({ net, cards: cards.map((one) => one.address) }), [net, cards]);
  const asked = usePlace(known, resolve);
  const { place } = asked;
  const isOne = cards.length === 1;
  return html`<${Frame} asked=${asked} skip="Skip to the card">
    <header class="top">
      <p class="over">convscope see</p>
      <h1>${isOne
        ? html`What does <${Name} of=${cards[0].address} /> look for?`
        : html`What do the units of <${Name} of=${network.name} /> look for?`}</h1>
      <dl class="facts">
        <div><dt>Network</dt><dd><${Name} of=${network.name} /></dd></div>
        ${!isOne && html`<div><dt>Here</dt><dd>${counted(cards.length, "card")}</dd></div>`}
      </dl>
    </header>
    <main id="main" tabindex="-1">
      <${Fault} fault=${place.fault} />
      <${Part} place="card" title=${isOne ? "Its card" : "The cards"}>
        <${Cards} source=${source} cards=${cards} chosen=${place.card} to=${(address) => write(net, address)} />
      <//>
    </main>
  <//>`;
}
