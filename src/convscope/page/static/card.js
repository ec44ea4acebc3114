// What is known of one unit, layer, concept or class?  Its card: what was found, its checks, charts, and pictures with their checks.

import { html } from "htm/preact";

import { Outcome } from "cs/checks";
import { Evidence } from "cs/evidence";
import { counted } from "cs/format";
import { Name, shown } from "cs/names";

/**
 * @param {{card: object, id: string, lead: (link: object) => string, children?: unknown}} props
 *   `id` begins its ids; `lead` gives the address of a link, empty where that is not in this file; `children` are further links
 */
export function Card({ card, id, lead, children }) {
  const { checks, evidence, sections } = card;
  return html`<article class="card" aria-labelledby=${`${id}-title`}>
    <header>
      <h3 id=${`${id}-title`}><${Name} of=${card.title} /></h3>
      <p class="summary">${shown(card.sentence)}</p>
      <${Links} links=${card.links} lead=${lead} />
      ${children}
    </header>
    ${card.facts.length > 0 && html`<dl class="card-facts">
      ${card.facts.map(([name, text]) => html`<div><dt>${shown(name)}</dt><dd><${Name} of=${text} /></dd></div>`)}
    </dl>`}
    ${checks.length > 0 && html`<div class="card-part" role="group" aria-labelledby=${`${id}-checks`}>
      <h4 id=${`${id}-checks`}>${evidence.length > 0 ? "Checks" : "Checks of these pictures"}</h4>
      <ul class="card-checks">
        ${checks.map((one) => html`<li>
          <p><strong>${shown(one.title)}</strong>${" "}<${Outcome} of=${one.outcome} /></p>
          <p>${shown(one.words)}</p>
        </li>`)}
      </ul>
    </div>`}
    ${evidence.length > 0 && html`<div class="panels">${evidence.map((one) => html`<${Evidence} evidence=${one} />`)}</div>`}
    ${sections.map((section, i) => html`<${Section} section=${section} id=${`${id}-part-${i}`} />`)}
    ${card.notes.length > 0 && html`<div class="card-part" role="group" aria-labelledby=${`${id}-notes`}>
      <h4 id=${`${id}-notes`}>Notes</h4>
      <ul class="plain">${card.notes.map((note) => html`<li>${shown(note)}</li>`)}</ul>
    </div>`}
    <${Made} card=${card} />
  </article>`;
}

/** Words that lead elsewhere in this file; those whose place is not in it are left out. */
function Links({ links, lead }) {
  const found = links.map((link) => ({ ...link, href: lead(link) })).filter((link) => link.href);
  if (!found.length) return null;
  return html`<ul class="card-links" aria-label="More in this file">
    ${found.map(({ words, href }) => html`<li><a href=${href}><${Name} of=${words} /></a></li>`)}
  </ul>`;
}

function Section({ section, id }) {
  const { tiles, title, words } = section;
  const wordsOf = (i) => `${id}-tile-${i}`;
  return html`<div class="card-part" role="group" aria-labelledby=${id}>
    <h4 id=${id}>${shown(title)}</h4>
    <p class="axis-label">${shown(words)}${order(tiles)}</p>
    ${tiles.length > 0 && html`<ul class="tiles" style=${{ "--tile": `${widest(section)}px`, "--rows": rows(tiles) }}>
      ${tiles.map((tile, i) => html`
        <li><${Tile} tile=${tile} px=${section.tile_px} says=${tile.words ? wordsOf(i) : undefined} /></li>`)}
    </ul>`}
    <${Words} section=${section} wordsOf=${wordsOf} />
  </div>`;
}

/** How wide a tile is at most: as asked for, or as wide as its pictures are. */
const widest = ({ tile_px: px, tiles }) => px || Math.max(...tiles.flatMap((tile) => tile.pictures.map((one) => one.size[1])));

/** In how many rows the pictures and captions of all tiles are aligned. */
const rows = (tiles) => 1 + Math.max(...tiles.map((tile) => tile.pictures.length));

/** What lies below what in each tile, where all have the same pictures. */
function order(tiles) {
  const roles = tiles.map((tile) => tile.pictures.map((one) => one.role));
  if (!roles.length || roles[0].length < 2 || new Set(roles.map((one) => JSON.stringify(one))).size > 1) return "";
  return ` From top to bottom: ${roles[0].map(shown).join(", ")}.`;
}

/** Pictures that belong together, and what the check of them came to. */
function Tile({ tile, px, says }) {
  return html`<figure class="tile">
    ${tile.pictures.map((one) => html`
      <img src=${one.src} alt=${alternative(one, tile)} aria-describedby=${says} decoding="async" ...${sized(one.size, px)} />`)}
    ${(tile.caption || tile.outcome) && html`<figcaption>
      ${tile.caption && html`<${Name} of=${tile.caption} />`}
      ${tile.outcome && html`<${Outcome} of=${tile.outcome} />`}
    </figcaption>`}
  </figure>`;
}

const alternative = ({ role }, { caption }) => shown(caption ? `${role}, ${caption}` : role);

/** A picture's longer side fills its tile; one that is much smaller keeps its pixels. */
function sized([height, width], px) {
  const longer = Math.max(height, width);
  const style = { aspectRatio: `${width} / ${height}`, width: px ? `${(100 * width) / longer}%` : `min(100%, ${width}px)` };
  return { style, class: px && longer * 2 <= px ? "few" : "" };
}

/** What is said of each tile, on demand: its check, or its numbers. */
function Words({ section, wordsOf }) {
  const { tiles, title } = section;
  const told = tiles.map((tile, i) => ({ ...tile, id: wordsOf(i), name: tile.caption || `picture ${i + 1}` })).filter((one) => one.words);
  if (!told.length) return null;
  const what = told.some((one) => one.outcome) ? "What the checks found" : "In words";
  return html`<details class="open-in-print">
    <summary>${what}, ${counted(told.length, "picture")}<span class="sr"> of: ${shown(title)}</span></summary>
    <ul class="tile-words">
      ${told.map((one) => html`<li id=${one.id}><b><${Name} of=${one.name} /></b>${" "}<span>${shown(one.words)}</span></li>`)}
    </ul>
  </details>`;
}

/** On what it was made, and how to make it again. */
function Made({ card }) {
  const { network, images, repeat } = card;
  const facts = [
    ["network", network.name],
    ["fingerprint of the network", network.fingerprint],
    ["images", images ? `${images.source}, ${counted(images.n, "image")}` : "none"],
  ];
  return html`<details>
    <summary>How this card was made</summary>
    <dl class="pairs">
      ${facts.map(([key, value]) => html`<div><dt>${key}</dt><dd><${Name} of=${value} /></dd></div>`)}
    </dl>
    ${repeat.length > 0 && html`<p>The same again, from the command line or from Python:</p>`}
    ${repeat.map((text) => html`<pre class="repeat">${shown(text)}</pre>`)}
  </details>`;
}
