// What is on a page of cards?  Its head and the chosen card. `mount` puts the cards of a host into an element.

import { html } from "htm/preact";
import { useMemo } from "preact/hooks";

import { resolve, write } from "cs/card-address";
import { Cards } from "cs/cards";
import { counted } from "cs/format";
import { Fault, Frame, Part, usePlace } from "cs/frame";
import { Name, shown } from "cs/names";
import { starting } from "cs/start";

/** Show cards; returns the undo. */
export const mount = starting({ View: Sheets, what: "these cards", read: async (source) => ({ overview: await source.overview() }) });

function Sheets({ source, overview }) {
  const { network, cards } = overview;
  const net = network.fingerprint.slice(0, 8);
  const known = useMemo(() => ({ net, cards: cards.map((one) => one.address) }), [net, cards]);
  const asked = usePlace(known, resolve);
  const { place } = asked;
  const isOne = cards.length === 1;
  const lead = ({ view, to }) => (view === "cards" && known.cards.includes(to.card) ? write(net, to.card) : "");
  return html`<${Frame} asked=${asked} skip="Skip to the card">
    <header class="top">
      <p class="over">convscope see</p>
      <h1><${Question} cards=${cards} of=${network.name} /></h1>
      <dl class="facts">
        <div><dt>Network</dt><dd><${Name} of=${network.name} /></dd></div>
        ${!isOne && html`<div><dt>Here</dt><dd>${counted(cards.length, "card")}</dd></div>`}
      </dl>
    </header>
    <main id="main" tabindex="-1">
      <${Fault} fault=${place.fault} />
      <${Part} place="card" title=${isOne ? "Its card" : "The cards"}>
        <${Cards} source=${source} cards=${cards} chosen=${place.card} to=${(address) => write(net, address)} lead=${lead} />
      <//>
    </main>
  <//>`;
}

/** Units look for something; concepts and classes do not. */
function Question({ cards, of }) {
  const network = html`<${Name} of=${of} />`;
  const areUnits = cards.every((one) => one.layer !== null);
  if (cards.length > 1) return areUnits ? html`What do the units of ${network} look for?` : html`What was found in ${network}?`;
  const one = html`<${Name} of=${cards[0].address} />`;
  return areUnits ? html`What does ${one} look for?` : html`What is ${one} to ${network}?`;
}
