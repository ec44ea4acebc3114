// What is known of many things of one kind, and of one of them?  A table that is searched and sorted, and below it the chosen page.

import { html } from "htm/preact";
import { useCallback, useMemo, useState } from "preact/hooks";

import { go, write } from "cs/address";
import { Chosen } from "cs/cards";
import { Find, holding } from "cs/find";
import { count, counted } from "cs/format";
import { Name, shown } from "cs/names";
import { Table, written } from "cs/table";

/**
 * @param {{source: object, chapter: object, pages: string[], chosen: string, net: string, lead: (link: object) => string}} props
 *   `pages` are the addresses of all pages, `chosen` that of the one to show, or empty
 */
export function Chapter({ source, chapter, pages, chosen, net, lead }) {
  const { key, title } = chapter;
  const read = useCallback((page) => source.page(key, page), [source, key]);
  const to = (page) => write("chapter", { net, chapter: key, page });
  return html`
    ${chapter.words && html`<p class="axis-label">${shown(chapter.words)}</p>`}
    <${Index} chapter=${chapter} chosen=${chosen} to=${to} />
    ${pages.length > 0 && html`<div class="page" data-place=${`page/${key}`} role="group" tabindex="-1"
      aria-label=${`${shown(title)}: ${chosen ? shown(chosen) : "no page chosen"}`}>
      <${Chooser} chapter=${chapter} pages=${pages} chosen=${chosen} to=${to} />
      ${chosen
        ? html`<${Chosen} read=${read} address=${chosen} what="page" id=${`page-${key}`} lead=${lead} />`
        : html`<p class="axis-label unchosen">Choose a name in the table to read its page here.</p>`}
    </div>`}`;
}

/** The table of all. */
function Index({ chapter, chosen, to }) {
  const { key, title, columns, rows, leads, align } = chapter;
  const [sought, seek] = useState("");
  const [sort, setSort] = useState({ by: -1, falls: false });
  const cells = useMemo(() => written(rows, align), [rows, align]);
  const holds = holding(sought);
  const found = ordered(rows, sort).filter((i) => holds(rows[i].filter((cell) => typeof cell === "string").join(" ")));
  const named = (i) => [leads[i] === null ? cells[i][0] : html`<a href=${to(leads[i])}>${cells[i][0]}</a>`, ...cells[i].slice(1)];
  // What grows first: words. Of numbers the largest are looked for.
  const ask = (by) => setSort({ by, falls: by === sort.by ? !sort.falls : rows.some((row) => typeof row[by] === "number") });
  return html`
    <${Find} id=${`find-${key}`} label=${`Find in: ${shown(title)}`} hint="words" sought=${sought} seek=${seek}
      n=${found.length} of=${rows.length} what="rows" />
    ${found.length > 0
      ? html`<div class="index"><${Table} label=${`All of: ${shown(title)}`} tall columns=${columns.map(shown)} align=${align}
          rows=${found.map(named)} current=${chosen ? found.findIndex((i) => leads[i] === chosen) : -1} sort=${{ ...sort, ask }} /></div>`
      : html`<p class="notice">${sought ? `No row has “${shown(sought)}”. Clear the box to see all ${count(rows.length)}.` : "There is nothing in this table."}</p>`}`;
}

/** The numbers of the rows in the order asked for; rows without a value come last. */
function ordered(rows, { by, falls }) {
  const all = rows.map((_, i) => i);
  if (by < 0) return all;
  const [there, none] = [true, false].map((is) => all.filter((i) => (rows[i][by] !== null) === is));
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : COLLATOR.compare(String(a), String(b)));
  there.sort((i, j) => (falls ? -1 : 1) * compare(rows[i][by], rows[j][by]));
  return [...there, ...none];
}

const COLLATOR = new Intl.Collator("en", { numeric: true });

function Chooser({ chapter, pages, chosen, to }) {
  const { key } = chapter;
  const at = pages.indexOf(chosen);
  const show = (page) => go(to(page));
  const step = (by, words) => html`
    <button type="button" disabled=${!pages[at + by]} onClick=${() => show(pages[at + by])}>${words}</button>`;
  return html`<div class="tools chooser">
    <div class="pair"><label for=${`choose-page-${key}`}>Page</label>
      <select id=${`choose-page-${key}`} value=${chosen} onChange=${(event) => show(event.currentTarget.value)}>
        <option value="" selected=${!chosen}>none</option>
        ${pages.map((one) => html`<option value=${one} selected=${one === chosen}>${shown(one)}</option>`)}
      </select></div>
    ${step(-1, "Previous page")}${step(1, "Next page")}
    <span>${at < 0 ? counted(pages.length, "page") : `${count(at + 1)} of ${count(pages.length)}`}</span>
  </div>`;
}
