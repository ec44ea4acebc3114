// Which place of the report does an address name?  The part after `#`: key=value joined by `&`, percent-encoded.

import { nearest } from "cs/names";

/** The address in force. Only these three know that it stands in the document's own address. */
export const here = () => location.hash;

/** Go to an address, so that back returns. @param {string} href */
export function go(href) {
  location.hash = href;
}

/** Be told of every change of the address; returns the undo. @param {() => void} listener */
export function onMove(listener) {
  addEventListener("hashchange", listener);
  return () => removeEventListener("hashchange", listener);
}

/** The views of this page and the keys each is written with, always all of them. */
export const VIEWS = {
  why: ["net", "claim"], chapter: ["net", "chapter", "page"], layers: ["net"], exemplars: ["net", "layer"], cards: ["net", "card"],
  about: ["net"],
};

/** A name as an address can hold it: half a character cannot be encoded. @param {string} name */
const encodable = (name) => name.replace(/[\ud800-\udfff]/gu, "\ufffd");

/** The known name that an address means. @param {string[]} known @param {string} asked */
export const meant = (known, asked) => known.find((name) => encodable(name) === asked);

/** The address of a place, written in full. @param {string} view @param {Record<string, string>} values */
export function write(view, values, views = VIEWS) {
  const pairs = [["view", view], ...views[view].map((key) => [key, values[key] ?? ""])];
  return `#${pairs.map(([key, value]) => `${key}=${encodeURIComponent(encodable(value))}`).join("&")}`;
}

/** The keys and values of an address; null where it cannot be decoded. @param {string} hash */
export function read(hash) {
  const found = {};
  for (const pair of hash.replace(/^#/, "").split("&").filter(Boolean)) {
    const cut = pair.indexOf("=");
    if (cut < 0) continue; // a plain fragment is not ours
    try {
      found[pair.slice(0, cut)] = decodeURIComponent(pair.slice(cut + 1));
    } catch {
      return null;
    }
  }
  return found;
}

/**
 * The address that a link of a card leads to; empty where this file does not hold it.
 * @param {{view: string, to: Record<string, string>}} link
 * @param {object} known  as in `resolve`
 */
export function hrefOf({ view, to }, known) {
  const pages = known.chapters.find((one) => one.key === to.chapter)?.pages;
  const isThere = {
    why: known.claims.includes(to.claim), exemplars: known.exemplars.includes(to.layer), cards: known.cards.includes(to.card),
    chapter: pages !== undefined && (!to.page || pages.includes(to.page)),
  };
  return isThere[view] ? write(view, { ...to, net: known.net }) : "";
}

const MANY = { cards: "cards", chapter: "chapters" };

/**
 * The place that an address names: its view, claim, chapter and page, layer, card; and, if it names something unknown, the fault.
 * @param {string} hash
 * @param {{net: string, claims: string[], layers: string[], exemplars: string[], cards: string[],
 *   chapters: {key: string, title: string, pages: string[]}[]}} known
 * @returns {{view: string, claim: string, chapter: string, page: string, layer: string, card: string,
 *   fault: null | {what: string, known: object[]}}}
 */
export function resolve(hash, known) {
  const place = { view: "", claim: "", chapter: "", page: "", layer: "", card: "", fault: null };
  const asked = read(hash);
  const wrong = (what, names = [], href = (_) => "") => ({
    ...place, fault: { what, known: names.map((name) => ({ name, href: href(name) })) },
  });
  const views = Object.keys(VIEWS).filter((view) => !["cards", "chapter"].includes(view) || known[MANY[view]].length > 0);
  const inView = (view) => write(view, { net: known.net });
  if (asked === null) return wrong("This address cannot be read.", views, inView);
  if (!Object.keys(asked).length) return place;
  const { view = "why", net = known.net, claim = "", layer = "", card = "" } = asked;
  if (!views.includes(view)) return wrong(`This file has no view “${view}”.`, nearest(view, views), inView);
  if (net !== known.net) {
    return wrong(`This address is about the network ${net}, but this file holds ${known.net}.`, views, inView);
  }
  const found = {
    claim: meant(known.claims, claim), layer: meant(known.exemplars, layer), card: meant(known.cards, card),
  };
  if (view === "why" && claim && found.claim === undefined) {
    const href = (name) => write("why", { net, claim: name });
    return wrong(`No claim “${claim}” was measured in this study.`, nearest(claim, known.claims), href);
  }
  if (view === "exemplars" && layer && found.layer === undefined) {
    const href = (name) => write("exemplars", { net, layer: name });
    const what = meant(known.layers, layer) !== undefined
      ? `The exemplars of the layer “${layer}” are not in this file.`
      : `There is no layer “${layer}” in this network.`;
    return wrong(what, nearest(layer, known.exemplars), href);
  }
  if (view === "cards" && card && found.card === undefined) {
    const href = (name) => write("cards", { net, card: name });
    return wrong(`No card of “${card}” was made in this study.`, nearest(card, known.cards), href);
  }
  if (view === "chapter") return inChapter(asked, known, place, wrong);
  const only = (of, key) => (view === of ? found[key] ?? "" : "");
  return { ...place, view, claim: only("why", "claim"), layer: only("exemplars", "layer"), card: only("cards", "card") };
}

/** The chapter and page that an address names; without a chapter, the first. */
function inChapter({ chapter = "", page = "" }, { net, chapters }, place, wrong) {
  const keys = chapters.map((one) => one.key);
  const key = chapter ? meant(keys, chapter) : keys[0];
  const href = (name) => write("chapter", { net, chapter: name });
  if (key === undefined) return wrong(`This file has no chapter “${chapter}”.`, nearest(chapter, keys), href);
  const { title, pages } = chapters.find((one) => one.key === key);
  const found = page ? meant(pages, page) : "";
  const toPage = (name) => write("chapter", { net, chapter: key, page: name });
  if (found === undefined) return wrong(`There is no page “${page}” under “${title}”.`, nearest(page, pages), toPage);
  return { ...place, view: "chapter", chapter: key, page: found };
}
