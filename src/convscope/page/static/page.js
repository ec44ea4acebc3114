// What is on the page, and which part does the address name?  `mount` puts the report of a host into an element.

import { html } from "htm/preact";
import { useMemo } from "preact/hooks";

import { About } from "cs/about";
import { hrefOf, resolve, write } from "cs/address";
import { Cards } from "cs/cards";
import { Chapter } from "cs/chapter";
import { Exemplars } from "cs/exemplars";
import { Fault, Frame, Part, usePlace } from "cs/frame";
import { Layers, titleOfLayers } from "cs/layers";
import { shown } from "cs/names";
import { Claims, Sheet } from "cs/sheet";
import { starting } from "cs/start";
import { Top } from "cs/top";

/** Show a study; returns the undo. */
export const mount = starting({ View: Report, what: "this report", read: all });

/** What every part needs at once: pictures, cards and the pages of chapters are read when they are shown. */
async function all(source) {
  const [overview, findings, layers] = await Promise.all([source.overview(), source.findings(), source.layers()]);
  const chapters = await Promise.all(overview.chapters.map(({ key }) => source.chapter(key)));
  return { overview, findings, layers, chapters };
}

function Report({ source, overview, findings, layers, chapters }) {
  const net = overview.network.fingerprint.slice(0, 8);
  const { exemplar_layers: exemplars, cards } = overview;
  const known = useMemo(
    () => ({
      net, exemplars, claims: findings.map((one) => one.claim), layers: layers.map((one) => one.name),
      cards: cards.map((one) => one.address), chapters: overview.chapters,
    }),
    [net, findings, layers, exemplars, cards, overview],
  );
  const asked = usePlace(known, resolve);
  const { place } = asked;
  const lead = (link) => hrefOf(link, known);
  return html`<${Frame} asked=${asked} skip="Skip to the findings">
    <${Top} overview=${overview} findings=${findings} net=${net} />
    <main id="main" tabindex="-1">
      <${Fault} fault=${place.fault} />
      <${Part} place="why" title="What was found"><${Sheet} findings=${findings} net=${net} /><//>
      ${findings.length > 0 && html`
        <${Part} place="claims" title="The claims, one by one"><${Claims} findings=${findings} net=${net} /><//>`}
      ${chapters.map((one, i) => html`
        <${Part} key=${one.key} place=${`chapter/${one.key}`} title=${shown(one.title)}>
          <${Chapter} source=${source} chapter=${one} pages=${overview.chapters[i].pages} net=${net} lead=${lead}
            chosen=${place.chapter === one.key ? place.page : ""} />
        <//>`)}
      <${Part} place="layers" title=${titleOfLayers(overview)}>
        <${Layers} layers=${layers} exemplars=${exemplars} cards=${cards} net=${net} />
      <//>
      <${Part} place="exemplars" title="Exemplars">
        <${Exemplars} source=${source} names=${exemplars} chosen=${place.layer} net=${net}
          nImages=${overview.images.n} cards=${cards} />
      <//>
      ${cards.length > 0 && html`<${Part} place="cards" title="Unit cards">
        <${Cards} source=${source} cards=${cards} chosen=${place.card} to=${(card) => write("cards", { net, card })} lead=${lead}
          beside=${({ layer }) => exemplars.includes(layer) && html`<p>
            <a href=${write("exemplars", { net, layer })}>Exemplars of all units of this layer</a></p>`} />
      <//>`}
      <${Part} place="about" title="About"><${About} overview=${overview} /><//>
    </main>
  <//>`;
}
