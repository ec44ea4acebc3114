"""What can be said of a unit before looking at it?  Where it stands, what it sees, how often it is on; and how to ask again."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convscope.images import Images
from convscope.network import Network
from convscope.see.asked import Asked
from convscope.see.swept import OfLayer
from convscope.words import number

KINDS = {
    "conv2d": "convolution",
    "linear": "dense layer",
    "relu": "ReLU",
    "relu6": "ReLU6",
    "batch_norm": "batch norm",
    "cat": "concatenation",
    "add": "sum",
}


def facts_of(network: Network, what: Asked, own: OfLayer | None) -> tuple[tuple[str, str], ...]:
    """Name and text of what is known of the place."""
    step = network.graph[what.layer]
    layout = step.layout[0]
    assert layout is not None
    n_units, *size = layout.map_shape
    kind = KINDS.get(step.op, step.op.replace("_", " "))
    place = f"{what.layer} ({kind})"
    where = f"unit {what.unit} of {n_units:,}" if what.unit is not None else f"{n_units:,} units"
    found = [("layer", place), ("unit" if what.unit is not None else "units", where)]
    found.append(("maps", " x ".join(map(str, size)) if size else "one value for each image"))
    found.append(("sees", sees(network, what.layer)))
    if own is not None and what.unit is not None and own.moments is not None:
        found.append(("answers", on_text(own, what.unit)))
    return tuple(found)


def sees(network: Network, layer: str) -> str:
    """What a neuron of a layer sees, in words."""
    field = network.layers[layer].receptive_field if layer in network.layers.names else None
    rows, columns = network.input_shape[1:]
    whole = f"{rows} x {columns} px"
    if field is None:
        return "not known: an operation below has no rule" if layer in network.layers.names else f"all of {whole}"
    if field.is_global:
        return f"all of {whole}"
    high, wide = field.size_px
    step = field.stride_px[0]
    return f"{high:g} x {wide:g} of {whole}, every {step:g} px"


def on_text(own: OfLayer, unit: int) -> str:
    """How often a unit is on, and how strongly."""
    moments, values = own.moments, own.distribution
    if moments is None:
        return f"Peak {number(float(own.exemplars.values[unit, 0]))}."
    text = f"Above zero in {moments.on_frac[unit]:.0%} of {moments.n_images:,} images"
    if values is not None:
        text += (
            f", at {values.active_frac[unit]:.2g} of the positions"
            if values.active_frac[unit] < 0.995
            else ", everywhere"
        )
    return f"{text}; peak {number(float(moments.max[unit]))}."


def source_of(images: Images) -> str:
    """Where images come from, in a word or a path."""
    return images.source.name


def network_of(network: Network) -> dict[str, Any]:
    return {"name": network.name, "weights": network.weights, "fingerprint": network.fingerprint}


def repeat(
    network: Network, place: str, images: Images | None, seed: int, settings: Mapping[str, Any]
) -> tuple[str, ...]:
    """How to ask the same again: a command, and a line of Python."""
    words = ["convscope", "see", network.name, place]
    if Path(network.weights).suffix:  # a file, not "random" or "its own"
        words += ["--weights", network.weights]
    words += [] if images is None else ["--images", "IMAGES"]
    words += [word for name, value in settings.items() for word in (f"--{_OPTIONS.get(name, name)}", str(value))]
    shown = "" if images is None else ", images"
    python = "".join(f", {name}={value!r}" for name, value in settings.items())
    return shlex.join([*words, "--seed", str(seed)]), f"cs.see(net, {place!r}{shown}{python}, seed={seed})"


_OPTIONS = {"n_steps": "steps"}
