// What was found about one claim, and how far may it be believed?  Verdict, numbers, controls, pictures, meaning.

import { html } from "htm/preact";

import { write } from "cs/address";
import { Rows } from "cs/bars";
import { Evidence } from "cs/evidence";
import { differenceOf, measured, quantity } from "cs/format";
import { shown } from "cs/names";
import { Verdict } from "cs/verdict";

/** One section. @param {{finding: object, net: string, number: number}} props */
export function Claim({ finding, net, number }) {
  const { value, unit, controls } = finding;
  const rows = [
    { name: "this network", ...value, control: false },
    ...controls.map((one) => ({ name: one.name, ...one.value, control: true })),
  ];
  return html`<article class="claim" data-place=${`why/${finding.claim}`} aria-labelledby=${`claim-${number}`}>
    <header>
      <h3 id=${`claim-${number}`} tabindex="-1">${shown(finding.statement)}</h3>
      <${Verdict} of=${finding.verdict} />
    </header>
    <div class="claim-text">
      <p class="summary">${shown(finding.summary)}</p>
      ${finding.reason && html`<p class="reason"><strong>Why undecided.</strong> ${shown(finding.reason)}</p>`}
      <p><strong>What it means, and what it does not.</strong> ${shown(finding.means)}</p>
      ${value.value !== null && html`<${Judged} finding=${finding} />`}
    </div>
    ${value.value !== null && html`<figure class="panel against">
      <h4>Against its controls</h4>
      <p class="axis-label">${shown(finding.quantity)}</p>
      <${Rows} rows=${rows} unit=${unit} shape="dot" />
      <ul class="notes">${controls.map((one) => html`<li><bdi>${shown(one.name)}</bdi>: ${shown(one.what)}</li>`)}</ul>
    </figure>`}
    ${finding.evidence.length > 0 && html`
      <div class="panels">${finding.evidence.map((one) => html`<${Evidence} evidence=${one} />`)}</div>`}
    <p class="back"><a href=${write("why", { net })}>All findings</a></p>
  </article>`;
}

/** The rule of the verdict with its numbers. */
function Judged({ finding }) {
  const { beyond, least, resampled, deciding } = finding;
  const unit = finding.deciding_unit || differenceOf(finding.unit);
  return html`<dl class="judged">
    <div><dt>${deciding ? `What decides: ${shown(deciding)}` : "Beyond the strongest control"}</dt><dd>${measured(beyond, unit)}</dd></div>
    <div><dt>Least that matters</dt><dd>${quantity(least, unit)}</dd></div>
    <div><dt>Intervals</dt><dd>${resampled ? `95 %, over ${shown(resampled)}` : "none: exact counts"}</dd></div>
  </dl>`;
}
