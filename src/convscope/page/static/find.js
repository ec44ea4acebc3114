// Which rows of a long table are meant?  A box for words, and how many rows hold them all.

import { html } from "htm/preact";

import { count } from "cs/format";

/** Whether a text holds every word that is sought, in any order. @param {string} sought @returns {(text: string) => boolean} */
export function holding(sought) {
  const words = sought.toLowerCase().split(/\s+/).filter(Boolean);
  return (text) => words.every((word) => text.toLowerCase().includes(word));
}

/**
 * @param {{id: string, label: string, hint: string, sought: string, seek: (text: string) => void, n: number, of: number, what: string}} props
 *   `n` rows of `of` were found, which are `what`
 */
export function Find({ id, label, hint, sought, seek, n, of, what }) {
  return html`<div class="tools">
    <label for=${id}>${label}</label>
    <input id=${id} type="search" placeholder=${hint} autocomplete="off" spellcheck=${false}
      value=${sought} onInput=${(event) => seek(event.currentTarget.value)} />
    <span role="status">${n === of ? "" : `${count(n)} of `}${count(of)} ${what}</span>
  </div>`;
}
