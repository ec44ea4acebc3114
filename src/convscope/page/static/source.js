// Where do the data come from?  The only module that knows the host; the same few functions whatever it is.

/** What a host cannot give, with a code that says why. */
export class SourceError extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/**
 * The data of a study, of answers, or of cards. Each function returns a promise, rejected with a SourceError where the host lacks something.
 * @param {{kind: "file", document: Document}} host
 */
export function source(host) {
  if (host.kind !== "file") throw new SourceError("unknown_host", `No page can be shown by a host of kind "${host.kind}".`);
  return file(host.document);
}

/** A saved file: blocks of JSON in inert script elements, parsed when they are asked for. @param {Document} document */
function file(document) {
  const texts = new Map();
  for (const element of document.querySelectorAll('script[type="application/json"][data-block]')) {
    texts.set(element.dataset.block, element.textContent);
  }
  const block = async (name) => {
    const text = texts.get(name);
    if (text === undefined) throw new SourceError("not_in_file", `Not in this file: ${name}.`);
    return JSON.parse(text);
  };
  const overview = () => block("overview");
  const exemplars = async (layer) => {
    const at = (await overview()).exemplar_layers.indexOf(layer);
    if (at < 0) throw new SourceError("not_in_file", `The exemplars of the layer “${layer}” are not in this file.`);
    return block(`exemplars/${at}`);
  };
  const answer = async (image) => {
    const at = (await overview()).images.findIndex((one) => one.id === image);
    if (at < 0) throw new SourceError("not_in_file", `The image “${image}” is not in this file.`);
    return block(`answer/${at}`);
  };
  const card = async (address) => {
    const at = (await overview()).cards.findIndex((one) => one.address === address);
    if (at < 0) throw new SourceError("not_in_file", `The card of “${address}” is not in this file.`);
    return block(`card/${at}`);
  };
  const chapterAt = async (key) => {
    const at = (await overview()).chapters.findIndex((one) => one.key === key);
    if (at < 0) throw new SourceError("not_in_file", `The chapter “${key}” is not in this file.`);
    return at;
  };
  const chapter = async (key) => block(`chapter/${await chapterAt(key)}`);
  const page = async (key, address) => {
    const at = await chapterAt(key);
    const nth = (await overview()).chapters[at].pages.indexOf(address);
    if (nth < 0) throw new SourceError("not_in_file", `The page of “${address}” is not in this file.`);
    return block(`chapter/${at}/${nth}`);
  };
  return { overview, findings: () => block("findings"), layers: () => block("layers"), exemplars, answer, card, chapter, page };
}
