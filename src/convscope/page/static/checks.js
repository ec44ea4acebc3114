// Can this map be relied on?  Its checks as words with signs, their numbers, and what each asks.

import { html } from "htm/preact";

import { Evidence } from "cs/evidence";
import { number } from "cs/format";
import { shown } from "cs/names";
import { Sign } from "cs/verdict";

const SIGNS = { passes: "supported", care: "care", fails: "not supported", "not run": "not run" };
const CLASSES = { passes: "supported", care: "undecided", fails: "not-supported", "not run": "open" };
const WORDS = { passes: "passes", care: "with care", fails: "fails", "not run": "not run" };
const VERDICTS = {
  trusted: ["passes", "passes its checks"],
  limited: ["care", "to be read with care"],
  distrusted: ["fails", "not to be relied on"],
  unchecked: ["not run", "not checked"],
};

/** The verdict on a map. @param {{of: "trusted" | "limited" | "distrusted" | "unchecked"}} props */
export function Trust({ of }) {
  const [outcome, words] = VERDICTS[of];
  return html`<span class=${`verdict ${CLASSES[outcome]}`}><${Sign} of=${SIGNS[outcome]} />${words}</span>`;
}

/** The verdict as a sign alone, its words for screen readers. */
export function TrustSign({ of }) {
  const [outcome, words] = VERDICTS[of];
  return html`<span class=${`trust ${CLASSES[outcome]}`}><${Sign} of=${SIGNS[outcome]} /><span class="sr">${words}</span></span>`;
}

/** One outcome as a sign and a word. @param {{of: "passes" | "care" | "fails" | "not run"}} props */
export function Outcome({ of }) {
  return html`<span class=${`outcome ${CLASSES[of]}`}><${Sign} of=${SIGNS[of]} />${WORDS[of]}</span>`;
}

/** The same as a sign alone, its word for screen readers. */
export function OutcomeSign({ of }) {
  return html`<span class=${`trust ${CLASSES[of]}`}><${Sign} of=${SIGNS[of]} /><span class="sr">${WORDS[of]}</span></span>`;
}

/** One line a check. */
export function Checks({ checks }) {
  if (!checks.length) return null;
  return html`<ul class="checks">
    ${checks.map(
      (one) => html`<li class=${CLASSES[one.outcome]}>
        <${Sign} of=${SIGNS[one.outcome]} /><span>${shown(one.title)}</span><b>${one.outcome}</b>
      </li>`,
    )}
  </ul>`;
}

/** What each check found, in words and numbers, and what passing means. */
export function CheckNumbers({ checks }) {
  if (!checks.length) return null;
  return html`<ul class="checks full">
    ${checks.map(
      (one) => html`<li class=${CLASSES[one.outcome]}>
        <${Sign} of=${SIGNS[one.outcome]} /><strong>${shown(one.title)}</strong><b>${one.outcome}</b>
        <p>${shown(one.words)}${" "}<small>${measured(one)}</small></p>
      </li>`,
    )}
  </ul>`;
}

/** The number that was held against the bar, and the bar. */
function measured({ value, interval, bar }) {
  const between = interval && interval.low !== null ? `, 95 % interval ${number(interval.low)} to ${number(interval.high)}` : "";
  const found = value === null ? "" : `Value ${number(value)}${between}. `;
  return shown(found + (bar ? `Passing means: ${bar.replace(/\.$/, "")}.` : ""));
}

/** The curves behind the checks. */
export function CheckCurves({ checks }) {
  const all = checks.flatMap((one) => one.evidence);
  const isCurve = (one) => one.panel === "curves";
  const evidence = [...all.filter(isCurve), ...all.filter((one) => !isCurve(one))];
  if (!evidence.length) return null;
  return html`<div class="panels">${evidence.map((one) => html`<${Evidence} evidence=${one} />`)}</div>`;
}
