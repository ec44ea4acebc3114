"""What can be said of a unit before looking at it?  Where it stands, what it sees, how often it is on; and how to ask again."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convscope.images import Images
from convscope.network import Network
from convscope.see.asked import Asked
from convscope.see.swept import OfLayer
from convscope.words import number

if TYPE_CHECKING:
    from convscope.see.dissected import Dissected

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
    if own is not None and what.unit is not None:
        found.append(("answers", on_text(own, what.unit, has_places=len(size) == 2)))
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


def on_text(own: OfLayer, unit: int, *, has_places: bool) -> str:
    """How often a unit is on, and how strongly."""
    moments, values = own.moments, own.distribution
    if moments is None:
        return f"Peak {number(float(own.exemplars.values[unit, 0]))}."
    text = f"Above zero in {moments.on_frac[unit]:.0%} of {moments.n_images:,} images"
    if values is not None and has_places:
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
    network: Network,
    place: str,
    images: Images | None,
    settings: Mapping[str, Any],
    usual: Mapping[str, Any],
    other: Network | None = None,
) -> tuple[str, ...]:
    """How to ask the same again: a command, and a line of Python; settings that are as usual are left out."""
    words = ["convscope", "see", network.name, place, *_weights(network, "--weights")]
    shown = ""
    if images is not None:
        source, whole = source_of(images), len(images.source.ids)
        words += ["--images", source if source.startswith("builtin:") else "IMAGES"]
        words += ["--limit", str(len(images))] if len(images) < whole else []
        shown = ", images"
    if other is not None:
        words += ["--other", other.name, *_weights(other, "--other-weights")]
        shown += ", other=other"
    changed = {name: value for name, value in settings.items() if value != usual[name] and name != "seed"}
    for name, value in changed.items():
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        words += [f"--{_OPTIONS.get(name, name)}", text]
    python = "".join(f", {name}={value!r}" for name, value in changed.items())
    seed = settings["seed"]
    return shlex.join([*words, "--seed", str(seed)]), f"cs.see(net, {place!r}{shown}{python}, seed={seed})"


def repeat_concept(known: "Dissected", concept: str) -> tuple[str, ...]:
    """How to ask for the page of a concept again: a command and a line of Python; () where sources have no names."""
    network, images = known.network, known.labels.images
    if "concepts" not in known.settings:
        return ()
    sources = known.settings["concepts"]
    source, limit = source_of(images), len(images)
    words = ["convscope", "see", network.name, "--concept", concept, *_weights(network, "--weights")]
    words += ["--images", source if source.startswith("builtin:") else "IMAGES", "--limit", str(limit)]
    words += [word for one in sources for word in ("--concepts", one)]
    shown = f", concepts={list(sources)!r}" if sources else ""
    return shlex.join(words), f"cs.dissect(net, images{shown}, limit={limit}).sheet({concept!r})"


def _weights(network: Network, option: str) -> list[str]:
    """The option that gives a network's weights, where they are a file (not "random", or its own)."""
    return [option, network.weights] if Path(network.weights).suffix else []


_OPTIONS = {"n_steps": "steps", "scale": "map-scale"}
