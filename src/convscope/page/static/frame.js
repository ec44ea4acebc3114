// What holds every view?  The frame of a page: the skip link, following the address, parts with headings, wrong links.

import { html } from "htm/preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { here, onMove } from "cs/address";
import { shown } from "cs/names";

/** The place that the address names, and how often it was asked for. */
export function usePlace(known, resolve) {
  const [asked, setAsked] = useState({ hash: here(), times: 0 });
  useEffect(() => onMove(() => setAsked(({ times }) => ({ hash: here(), times: times + 1 }))), []);
  const place = useMemo(() => resolve(asked.hash, known), [asked.hash, known, resolve]);
  const again = () => setAsked(({ hash, times }) => ({ hash, times: times + 1 }));
  return { place, times: asked.times, again };
}

const CHOOSERS = ["exemplars", "cards", "card", "explain"]; // parts that show one thing of several

/** What `data-place` says of the part that a place lies in. */
function nameOf(place) {
  if (place.fault) return "fault";
  if (place.view === "chapter") return `${place.page ? "page" : "chapter"}/${place.chapter}`;
  return place.claim ? `why/${place.claim}` : place.view;
}

/** Bring a part into view and into focus, unless focus is in it already and it is its chooser that moved. */
function reveal(root, place) {
  const name = nameOf(place);
  const part = [...root.querySelectorAll("[data-place]")].find((element) => element.dataset.place === name);
  // What is chosen from a table or a link is shown; a chooser stays where it is, under the hand.
  const chooser = CHOOSERS.includes(name) ? part : place.page ? part?.querySelector(".chooser") : null;
  if (!part || chooser?.contains(document.activeElement)) return;
  part.scrollIntoView({ block: "start" });
  (part.querySelector("[tabindex='-1']") ?? part).focus({ preventScroll: true });
}

/** The page around its parts. @param {{asked: object, skip: string, children: unknown}} props  `asked` is from usePlace */
export function Frame({ asked, skip, children }) {
  const root = useRef(null);
  const { place, times, again } = asked;
  useEffect(() => {
    if (place.view || place.fault) reveal(root.current, place);
  }, [place, times]);
  const onClick = (event) => {
    // The address in force does not change when its link is followed again.
    const link = event.target.closest?.("a[href^='#']");
    if (link && link.getAttribute("href") === here()) again();
  };
  const onSkip = (event) => {
    event.preventDefault();
    root.current.querySelector("main").focus();
  };
  return html`<div ref=${root} onClick=${onClick}>
    <a class="skip" href="#main" onClick=${onSkip}>${skip}</a>
    ${children}
    <footer><p>Made by convscope. This file holds all it shows and loads nothing.</p></footer>
  </div>`;
}

export function Part({ place, title, children }) {
  return html`<section class="part" data-place=${place} aria-labelledby=${`part-${place}`}>
    <h2 id=${`part-${place}`} tabindex="-1">${title}</h2>
    ${children}
  </section>`;
}

/** An address that names nothing here, with what it could have named. */
export function Fault({ fault }) {
  if (!fault) return null;
  const most = 12;
  const link = ({ name, href }, i) => html`${i ? ", " : ""}<a href=${href}>${shown(name)}</a>`;
  return html`<div class="notice fault" role="alert" data-place="fault">
    <p tabindex="-1"><strong>Wrong link.</strong> ${shown(fault.what)}</p>
    ${fault.known.length > 0 && html`<p>
      Known: ${fault.known.slice(0, most).map(link)}${fault.known.length > most && ` and ${fault.known.length - most} more`}.
    </p>`}
  </div>`;
}
