// Which image and which map does an address name?  The addresses of a page of answers.

import { meant, read, write as written } from "cs/address";
import { nearest } from "cs/names";

/** The views of this page and the keys each is written with, always all of them. */
const VIEWS = { explain: ["net", "image", "method"], advice: ["net"], images: ["net"], about: ["net"] };

/** The address of a place, written in full. @param {string} view @param {Record<string, string>} values */
export const write = (view, values) => written(view, values, VIEWS);

/**
 * The place that an address names: its view, image and method; and, if it names something unknown, the fault.
 * @param {string} hash
 * @param {{net: string, images: string[], methods: string[]}} known
 */
export function resolve(hash, known) {
  const place = { view: "", image: "", method: "", fault: null };
  const asked = read(hash);
  const wrong = (what, names, href) => ({ ...place, fault: { what, known: names.map((name) => ({ name, href: href(name) })) } });
  const views = Object.keys(VIEWS);
  const inView = (view) => write(view, { net: known.net });
  if (asked === null) return wrong("This address cannot be read.", views, inView);
  if (!Object.keys(asked).length) return place;
  const { view = "explain", net = known.net, image = "", method = "" } = asked;
  if (!views.includes(view)) return wrong(`This file has no view “${view}”.`, nearest(view, views), inView);
  if (net !== known.net) {
    return wrong(`This address is about the network ${net}, but this file holds ${known.net}.`, views, inView);
  }
  if (view !== "explain") return { ...place, view };
  const found = { image: meant(known.images, image), method: meant(known.methods, method) };
  if (image && found.image === undefined) {
    const href = (name) => write("explain", { net, image: name });
    return wrong(`The image “${image}” is not in this file.`, nearest(image, known.images), href);
  }
  if (method && found.method === undefined) {
    const href = (name) => write("explain", { net, image, method: name });
    return wrong(`The method “${method}” was not asked for here.`, nearest(method, known.methods), href);
  }
  return { ...place, view, image: found.image ?? "", method: found.method ?? "" };
}
