// How does a page start?  It reads what all its parts need, and says so; or it says why it cannot be shown.

import { html, render } from "htm/preact";
import { useEffect, useErrorBoundary, useState } from "preact/hooks";

import { shown } from "cs/names";
import { source } from "cs/source";

/**
 * The function that puts a page into an element, and returns its undo. It is given a host: see cs/source.
 * @param {{View: Function, what: string, read: (source: object) => Promise<object>}} page
 *   `View` draws what `read` gave and the source; `what` is what it shows, in words: "these cards"
 */
export function starting({ View, what, read }) {
  return function mount(element, host) {
    element.replaceChildren();
    render(html`<${Page} source=${source(host)} View=${View} what=${what} read=${read} />`, element);
    return () => render(null, element);
  };
}

function Page({ source, View, what, read }) {
  const [found, setFound] = useState(null);
  const [fault, setFault] = useState("");
  const [error] = useErrorBoundary();
  useEffect(() => {
    read(source).then(setFound, (error) => setFault(error.message));
  }, [source, read]);
  const trouble = fault || (error && String(error.message ?? error));
  if (trouble) {
    const title = `${what[0].toUpperCase()}${what.slice(1)} cannot be shown`;
    return html`<main><h1>${title}</h1><p class="notice">${shown(trouble)}</p></main>`;
  }
  if (!found) return html`<main><p role="status">Reading ${what}…</p></main>`;
  return html`<${View} source=${source} ...${found} />`;
}
