// What does a unit look for?  Its row of the layer's sprite, cut out onto a canvas of its own.

import { html } from "htm/preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { aligned } from "cs/format";
import { shown } from "cs/names";

const GAP_PX = 4; // between two patches, in pixels of the canvas

/** The decoded picture of a sprite; null while it is read. @param {string} address */
export function usePicture(address) {
  const [picture, setPicture] = useState(null);
  useEffect(() => {
    let wanted = true;
    const image = new Image();
    image.src = address;
    image.decode().then(() => wanted && setPicture(image), () => wanted && setPicture(null));
    return () => {
      wanted = false;
    };
  }, [address]);
  return picture;
}

/** The patches of one unit. @param {{unit: object, layer: object, picture: HTMLImageElement | null}} props */
export function Patches({ unit, layer, picture }) {
  const at = useRef(null);
  const { cell_px: cell, columns } = layer;
  const n = Math.min(columns, unit.values.length);
  useEffect(() => {
    const pen = at.current?.getContext("2d");
    if (!pen || !picture) return;
    pen.clearRect(0, 0, pen.canvas.width, cell);
    for (let i = 0; i < n; i++) {
      pen.drawImage(picture, i * cell, unit.row * cell, cell, cell, i * (cell + GAP_PX), 0, cell, cell);
    }
  }, [picture, unit, cell, columns, n]);
  const each = unit.values.map((value, i) => `${shown(unit.ids[i])} ${aligned(value)}`).join(", ");
  const says = `Unit ${unit.unit}: the ${n} patches it answers to most, from ${each}`;
  const width = columns * (cell + GAP_PX) - GAP_PX;
  return html`<canvas ref=${at} width=${width} height=${cell} role="img" aria-label=${says}></canvas>`;
}
