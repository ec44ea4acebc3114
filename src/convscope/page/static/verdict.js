// What may be said of a claim?  The verdict as a word and a mark; color is only the third sign.

import { html } from "htm/preact";

/** The verdicts in the order they are counted. */
export const VERDICTS = ["supported", "not supported", "undecided"];

const SIGNS = {
  supported: html`<path d="M5.2 10.4l3.2 3.2 6.4-7" />`,
  "not supported": html`<path d="M6.2 6.2l7.6 7.6M13.8 6.2l-7.6 7.6" />`,
  care: html`<path d="M10 4.8v6.4M10 14.6v.2" />`,
  "not run": html`<path d="M6 10h8" />`,
  undecided: html`<path d="M7.2 7.6a2.8 2.8 0 1 1 4 2.6c-.9.45-1.2.9-1.2 1.9M10 14.9v.2" />`,
};

/** @param {string} verdict */
export const slug = (verdict) => verdict.replace(" ", "-");

export function Sign({ of }) {
  return html`<svg class="sign ${slug(of)}" width="20" height="20" viewBox="0 0 20 20" aria-hidden="true">
    <circle cx="10" cy="10" r="9" />${SIGNS[of]}
  </svg>`;
}

export function Verdict({ of }) {
  return html`<span class="verdict ${slug(of)}"><${Sign} of=${of} />${of}</span>`;
}
