// What is on the page, and which part does the address name?  `mount` puts the report of a host into an element.

import { html, render } from "htm/preact";
import { useEffect, useErrorBoundary, useMemo, useRef, useState } from "preact/hooks";

import { About } from "cs/about";
import { here, onMove, resolve } from "cs/address";
import { Exemplars } from "cs/exemplars";
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

/** The place that the address names, and how often it was asked for. */
function usePlace(known) {
  const [asked, setAsked] = useState({ hash: here(), times: 0 });
  useEffect(() => onMove(() => setAsked(({ times }) => ({ hash: here(), times: times + 1 }))), []);
  const place = useMemo(() => resolve(asked.hash, known), [asked.hash, known]);
  const again = () => setAsked(({ hash, times }) => ({ hash, times: times + 1 }));
  return { place, times: asked.times, again };
}

/** Bring a part into view and into focus, unless focus is in it already and it is the layer's chooser that moved. */
function reveal(root, place) {
  const name = place.fault ? "fault" : place.claim ? `why/${place.claim}` : place.view;
  const part = [...root.querySelectorAll("[data-place]")].find((element) => element.dataset.place === name);
  if (!part || (name === "exemplars" && part.contains(document.activeElement))) return;
  part.scrollIntoView({ block: "start" });
  (part.querySelector("[tabindex='-1']") ?? part).focus({ preventScroll: true });
}

function Report({ source, overview, findings, layers }) {
  const root = useRef(null);
  const net = overview.network.fingerprint.slice(0, 8);
  const exemplars = overview.exemplar_layers;
  const known = useMemo(
    () => ({ net, claims: findings.map((one) => one.claim), layers: layers.map((one) => one.name), exemplars }),
    [net, findings, layers, exemplars],
  );
  const { place, times, again } = usePlace(known);
  useEffect(() => {
    if (place.view || place.fault) reveal(root.current, place);
  }, [place, times]);
  const onClick = (event) => {
    // The address in force does not change when its link is followed again.
    const link = event.target.closest?.("a[href^='#']");
    if (link && link.getAttribute("href") === here()) again();
  };
  const skip = (event) => {
    event.preventDefault();
    root.current.querySelector("main").focus();
  };
  return html`<div ref=${root} onClick=${onClick}>
    <a class="skip" href="#main" onClick=${skip}>Skip to the findings</a>
    <${Top} overview=${overview} findings=${findings} net=${net} />
    <main id="main" tabindex="-1">
      <${Fault} fault=${place.fault} />
      <${Part} place="why" title="What was found"><${Sheet} findings=${findings} net=${net} /><//>
      ${findings.length > 0 && html`
        <${Part} place="claims" title="The claims, one by one"><${Claims} findings=${findings} net=${net} /><//>`}
      <${Part} place="layers" title="Layers"><${Layers} layers=${layers} exemplars=${exemplars} net=${net} /><//>
      <${Part} place="exemplars" title="Exemplars">
        <${Exemplars} source=${source} names=${exemplars} chosen=${place.layer} net=${net}
          nImages=${overview.images.n} />
      <//>
      <${Part} place="about" title="About"><${About} overview=${overview} /><//>
    </main>
    <footer><p>Made by convscope. This file holds all it shows and loads nothing.</p></footer>
  </div>`;
}

function Part({ place, title, children }) {
  return html`<section class="part" data-place=${place} aria-labelledby=${`part-${place}`}>
    <h2 id=${`part-${place}`} tabindex="-1">${title}</h2>
    ${children}
  </section>`;
}

/** An address that names nothing here, with what it could have named. */
function Fault({ fault }) {
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
