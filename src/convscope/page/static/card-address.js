// Which card does an address name?  The addresses of a page of cards.

import { meant, read, write as written } from "cs/address";
import { nearest } from "cs/names";

const VIEWS = { card: ["net", "card"] };

/** The address of a card, written in full. @param {string} net @param {string} card */
export const write = (net, card) => written("card", { net, card }, VIEWS);

/**
 * The card that an address names; and, if it names something unknown, the fault.
 * @param {string} hash
 * @param {{net: string, cards: string[]}} known
 */
export function resolve(hash, known) {
  const place = { view: "", card: "", fault: null };
  const asked = read(hash);
  const wrong = (what, cards) => ({
    ...place, fault: { what, known: cards.map((name) => ({ name, href: write(known.net, name) })) },
  });
  if (asked === null) return wrong("This address cannot be read.", known.cards);
  if (!Object.keys(asked).length) return place;
  const { view = "card", net = known.net, card = "" } = asked;
  if (view !== "card") return wrong(`This file has no view “${view}”.`, known.cards);
  if (net !== known.net) {
    return wrong(`This address is about the network ${net}, but this file holds ${known.net}.`, known.cards);
  }
  const found = meant(known.cards, card);
  if (card && found === undefined) return wrong(`No card of “${card}” is in this file.`, nearest(card, known.cards));
  return { ...place, view, card: found ?? "" };
}
