// How is a name shown that may hold anything?  As text only, with what cannot be seen made visible.

import { html } from "htm/preact";

// Controls would break lines or vanish; marks of direction would turn the text around them.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]/gu;

/** A name as one line of visible text. @param {unknown} name */
export function shown(name) {
  return String(name).replace(UNSEEN, (c) => {
    const code = c.codePointAt(0) ?? 0;
    if (code < 0x20) return String.fromCodePoint(0x2400 + code);
    return `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
  });
}

/** A name in a line of text, which may break after a dot, a slash, an underscore; not within a number. */
export function Name({ of }) {
  const pieces = shown(of).split(/(?<=[._/:#-])(?!\d)/);
  return html`<bdi class="name">${pieces.map((piece, i) => (i ? [html`<wbr />`, piece] : piece))}</bdi>`;
}

/** A layer's name in little room: earlier parts cut to four letters, the middle left out. @param {string} name */
export function abbreviated(name, most = 16) {
  const parts = shown(name).split(".");
  const last = parts.pop() ?? "";
  const brief = [...parts.map((part) => part.slice(0, 4)), last].join(".");
  if (brief.length <= most) return brief;
  const tail = Math.floor((most - 1) * 0.4);
  return `${brief.slice(0, most - 1 - tail)}…${brief.slice(brief.length - tail)}`;
}

/** How unlike two names are: Levenshtein's distance. @param {string} a @param {string} b */
function distance(a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(next[j - 1] + 1, row[j] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length];
}

/** The known names, the most like the asked one first. @param {string} asked @param {string[]} known */
export function nearest(asked, known) {
  const cut = asked.slice(0, 200);
  const far = new Map(known.map((name) => [name, distance(cut, name.slice(0, 200))]));
  return [...known].sort((a, b) => (far.get(a) ?? 0) - (far.get(b) ?? 0));
}
