// How is the evidence of a claim drawn?  Each piece by its panel; one that fails leaves a sentence, not a blank page.

import { html } from "htm/preact";
import { useErrorBoundary } from "preact/hooks";

import { panels } from "cs/panels";
import { shown } from "cs/names";

export function Evidence({ evidence }) {
  const [error] = useErrorBoundary();
  const Panel = panels.get(evidence.panel);
  if (error || !Panel) {
    const why = error ? String(error.message ?? error) : `this page has no panel “${evidence.panel}”`;
    return html`<p class="notice">“${shown(evidence.title)}” could not be drawn: ${shown(why)}.</p>`;
  }
  return html`<${Panel} evidence=${evidence} />`;
}
