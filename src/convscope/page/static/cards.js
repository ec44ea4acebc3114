// Which unit's card is shown?  A chooser by layer and unit, the chosen card, and all cards in a table.

import { html } from "htm/preact";
import { useEffect, useState } from "preact/hooks";

import { go } from "cs/address";
import { Card } from "cs/card";
import { OutcomeSign } from "cs/checks";
import { count } from "cs/format";
import { Name, shown } from "cs/names";
import { Table } from "cs/table";

/** What stands behind the layer in an address: the unit; a card of the whole layer has none. */
export function unitOf({ address, layer }) {
  if (layer === null) return shown(address);
  if (address.startsWith(`${layer}:`)) return shown(address.slice(layer.length + 1));
  return address === layer ? "all units" : shown(address);
}

/**
 * @param {{source: object, cards: object[], chosen: string, to: (address: string) => string, lead: (link: object) => string,
 *   beside?: (card: object) => unknown}} props
 *   `to` gives the address on this page of a card, `lead` that of a link in it (empty: not here), `beside` what else is linked from it
 */
export function Cards({ source, cards, chosen, to, lead, beside }) {
  const address = chosen || cards[0]?.address;
  if (address === undefined) return html`<p class="notice">There is no card in this file.</p>`;
  return html`
    ${cards.length > 1 && html`<${Chooser} cards=${cards} address=${address} to=${to} />`}
    <${Chosen} read=${source.card} address=${address} what="card" id="card" lead=${lead} beside=${beside} />
    ${cards.length > 1 && html`<${All} cards=${cards} to=${to} />`}`;
}

/** The card of an address, once it is read. @param {{read: (address: string) => Promise<object>, what: string, id: string}} props */
export function Chosen({ read, address, what, id, lead, beside = () => null }) {
  const [card, setCard] = useState(null);
  const [fault, setFault] = useState("");
  useEffect(() => {
    let wanted = true;
    read(address).then(
      (found) => wanted && (setCard(found), setFault("")),
      (error) => wanted && setFault(error.message),
    );
    return () => {
      wanted = false;
    };
  }, [read, address]);
  const name = `${what[0].toUpperCase()}${what.slice(1)}`;
  return html`
    <p class="sr" role="status">${card ? `${name} of ${shown(card.address)}` : `Reading the ${what}…`}</p>
    ${fault && html`<p class="notice">${shown(fault)}</p>`}
    ${card && html`<${Card} key=${card.address} card=${card} id=${id} lead=${lead}>${beside(card)}<//>`}`;
}

/** Which layer's units a card is listed with; a concept or a class has none. */
const layerOf = (card) => card.layer ?? "";

function Chooser({ cards, address, to }) {
  const at = cards.findIndex((one) => one.address === address);
  const layer = layerOf(cards[at]);
  const layers = [...new Set(cards.map(layerOf))];
  const units = cards.filter((one) => layerOf(one) === layer);
  const show = (address) => go(to(address));
  const step = (by, words) => html`
    <button type="button" disabled=${!cards[at + by]} onClick=${() => show(cards[at + by].address)}>${words}</button>`;
  return html`<div class="tools chooser">
    ${(layers.length > 1 || layer) && html`<div class="pair"><label for="choose-card-layer">Card of layer</label>
      <select id="choose-card-layer" value=${layer}
        onChange=${(event) => show(cards.find((one) => layerOf(one) === event.currentTarget.value).address)}>
        ${layers.map((one) => html`<option value=${one} selected=${one === layer}>${one ? shown(one) : "none"}</option>`)}
      </select></div>`}
    <div class="pair"><label for="choose-card-unit">${layer ? "unit" : "Card of"}</label>
      <select id="choose-card-unit" value=${address} onChange=${(event) => show(event.currentTarget.value)}>
        ${units.map((one) => html`<option value=${one.address} selected=${one.address === address}>${unitOf(one)}</option>`)}
      </select></div>
    ${step(-1, "Previous card")}${step(1, "Next card")}
    <span>${count(at + 1)} of ${count(cards.length)}</span>
  </div>`;
}

/** One row a card: its unit, what it says, how its checks came out. */
function All({ cards, to }) {
  const rows = cards.map((one) => [
    html`<a href=${to(one.address)}><${Name} of=${one.address} /></a>`,
    shown(one.title),
    one.outcomes.length ? html`<span class="signs">${one.outcomes.map((of) => html`<${OutcomeSign} of=${of} />${" "}`)}</span>` : "–",
  ]);
  return html`<details>
    <summary>All ${count(cards.length)} cards</summary>
    <${Table} label="All cards" columns=${["of", "card", "checks"]} rows=${rows} />
  </details>`;
}
