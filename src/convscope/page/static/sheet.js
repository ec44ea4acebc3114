// What was found, at a glance?  One row a claim: its words, its value beside its controls, the verdict.

import { html } from "htm/preact";

import { write } from "cs/address";
import { Claim } from "cs/claim";
import { shown } from "cs/names";
import { Strip, StripKey } from "cs/strip";
import { Verdict } from "cs/verdict";

export function Sheet({ findings, net }) {
  if (!findings.length) return html`<p class="notice">No claim was measured in this study.</p>`;
  return html`
    <${StripKey} />
    <ul class="sheet">
      ${findings.map(
        (finding) => html`<li>
          <div class="words">
            <a href=${write("why", { net, claim: finding.claim })}>${shown(finding.statement)}</a>
            <p>${shown(finding.quantity)}</p>
          </div>
          <${Strip} finding=${finding} />
          <${Verdict} of=${finding.verdict} />
        </li>`,
      )}
    </ul>`;
}

export function Claims({ findings, net }) {
  return findings.map((finding, i) => html`<${Claim} finding=${finding} net=${net} number=${i + 1} />`);
}
