"""What pattern of pixels does one neuron project back to?  The deconvolutional network of Zeiler and Fergus 2013.

Section 2.1 (arXiv:1311.2901): all other activations of the layer are set to zero; what is left is unpooled by the switches of the
max-pools, rectified, and filtered with the transposed filters, down to the pixels. As a backward walk: it starts with the
neuron's own value, and each rectifier passes the positive part of the signal (guided, Springenberg et al. 2014: where its input
was positive, too). A picture shows what the *image* held there, not what a class looks like; see covering.py for whether it holds
what the neuron needs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch

from convscope.errors import NetworkError, UsageError
from convscope.graph.graph import INPUT, Step
from convscope.instruments.appearance.ceiling import has_ceiling
from convscope.instruments.appearance.seen import Region, Seen
from convscope.network import Network
from convscope.network.address import Address
from convscope.walks.backward import Call, Rule, Signal
from convscope.walks.onward import Onward
from convscope.walks.rectifiers import DECONVNET, GUIDED
from convscope.walks.treatment import path, rules_of, substitutions

WAYS = {
    "deconvnet": ("Deconvnet", DECONVNET),
    "guided": ("Guided backpropagation", GUIDED),
}
AT_ONCE = 8  # images in one pass


@dataclass(frozen=True, eq=False)
class Projection:
    """A neuron of one image, projected back to the pixels."""

    place: Address
    value: float  # the neuron's response
    signal: np.ndarray = field(
        repr=False
    )  # float32 `channel y x`, in the units of the network's input times the response
    seen: Region  # what the neuron can see
    way: str = "deconvnet"
    notes: tuple[str, ...] = ()

    @cached_property
    def energy(self) -> np.ndarray:
        """Squared signal, summed over channels: float64 `y x`."""
        return np.square(self.signal, dtype=np.float64).sum(0)

    @property
    def inside_frac(self) -> float:
        """The part of the energy that lies in what the neuron can see: 1, or something is wrong; NaN without energy."""
        total = float(self.energy.sum())
        return float(self.energy[self.seen.slices].sum()) / total if total else float("nan")

    @property
    def crop(self) -> np.ndarray:
        """The signal over what the neuron can see, `channel y x`."""
        return self.signal[(slice(None), *self.seen.slices)]


def project(
    network: Network,
    inputs: torch.Tensor,
    layer: str,
    units: Sequence[int],
    positions: Sequence[tuple[int, int] | None] | None = None,
    way: str = "deconvnet",
) -> tuple[Projection, ...]:
    """Neurons of a layer projected back: units[i] in inputs[i] (normalised, `batch channel y x`), or all in the one image given.

    `positions` are (y, x) on the map; None, or without them: where the unit's peak is, the first in reading order. A neuron that
    is zero has nothing to project, and its notes say so. `way` is "deconvnet" or "guided". Raises UsageError for units, positions
    or a way that are not there, UnknownNameError for a layer, InputShapeError, MissingRuleError for an operation without a sound
    rule, NetworkError for a neuron that is not finite.
    """
    if way not in WAYS:
        raise UsageError(f"A projection by '{way}' was asked for.", "", f"Use {', '.join(WAYS)}.")
    network.graph_for(inputs)
    step = network.resolve(layer)
    if step == INPUT:
        raise UsageError("A projection of 'input' was asked for.", "It is the image itself.", "Name a layer.")
    if len(inputs) not in (1, len(units)) or (positions is not None and len(positions) != len(units)):
        raise UsageError(
            f"{len(units)} neurons of '{layer}' were to be projected back.",
            f"{len(inputs)} images and {len(units) if positions is None else len(positions)} positions were given.",
            "Give one image for each neuron (or one for all), and one position for each (or none).",
        )
    seen = Seen(network, inputs)
    asked = list(zip(units, positions or [None] * len(units), strict=True))
    found: list[Projection] = []
    if len(inputs) == 1:
        above = network.onward(INPUT, inputs, step)
        for one in asked:
            found += _projected(network, above, inputs, layer, step, [one], seen, way)
        return tuple(found)
    for first in range(0, len(inputs), AT_ONCE):
        some = inputs[first : first + AT_ONCE]
        above = network.onward(INPUT, some, step)
        found += _projected(network, above, some, layer, step, asked[first : first + AT_ONCE], seen, way)
    return tuple(found)


def _projected(
    network: Network,
    above: Onward,
    inputs: torch.Tensor,
    layer: str,
    step: str,
    asked: Sequence[tuple[int, tuple[int, int] | None]],
    seen: Seen,
    way: str,
) -> Iterator[Projection]:
    graph = above.above.graph
    title, table = WAYS[way]
    steps = path(graph, INPUT, step)
    rules, notes = rules_of(title, table, steps), substitutions(table, steps)
    with torch.no_grad():
        tape = above.tape(above.maps)
        layout = graph[step].layout[0]
        assert layout is not None
        maps = layout.to_map(tape.values[step])
        signal, places = torch.zeros_like(maps), []
        for i, (unit, position) in enumerate(asked):
            place = _place(network, layer, maps[i], unit, position)
            at = (unit, *(place.position or ()))
            value = maps[i][at]
            if not bool(torch.isfinite(value)):
                raise NetworkError(
                    f"The neuron {place} was to be projected back.",
                    f"Its value is {float(value)}.",
                    "Take another image.",
                )
            signal[i][at] = value
            places.append((place, float(value)))

        def from_the_neuron(one: Step) -> Rule | None:
            return _passes if one.name == step and has_ceiling(one, graph) else rules(one)

        passed = tape.back({step: layout.from_map(signal)}, [INPUT], from_the_neuron)
        arrived = above.layout.to_map(passed[INPUT]).float().cpu().numpy()
    for (place, response), one in zip(places, arrived, strict=True):
        region = seen.from_neuron(step, place.position)
        yield Projection(place, response, one, region, way, (*notes, *_notes(response, bool(one.any()), region)))


def _passes(call: Call, signal: Signal) -> list[Signal]:
    """The neuron's own activation: its signal starts below, or guided none would leave a neuron that stands at its ceiling."""
    return [signal for _ in call.inputs]


def _place(network: Network, layer: str, maps: torch.Tensor, unit: int, position: tuple[int, int] | None) -> Address:
    """The neuron that is meant, checked."""
    shape = tuple(maps.shape)
    if not 0 <= unit < shape[0]:
        raise UsageError(f"Unit {unit} of '{layer}' was asked for.", f"It has {shape[0]} units.", "Count from 0.")
    if len(shape) == 2:
        raise UsageError(
            f"Unit {unit} of '{layer}' was asked for.",
            f"Its {shape[1]} tokens have lost their place in the image: what one of them sees is not known.",
            "Name a layer whose maps have positions, or the classes.",
        )
    if len(shape) != 3:
        return Address(layer, unit)
    if position is None:
        flat = int(maps[unit].flatten().argmax())
        return Address(layer, unit, (flat // shape[2], flat % shape[2]))
    if not (0 <= position[0] < shape[1] and 0 <= position[1] < shape[2]):
        raise UsageError(
            f"Unit {unit} of '{layer}' at {position} was asked for.",
            f"Its maps are {shape[1]} x {shape[2]} (y x).",
            "Count from 0, 0.",
        )
    return Address(layer, unit, (int(position[0]), int(position[1])))


def _notes(value: float, arrives: bool, seen: Region) -> tuple[str, ...]:
    if not seen.n_px:
        return ("It sees padding only.",)
    if value == 0:
        return ("The neuron is off in this image: there is nothing to project.",)
    if value < 0:
        return ("The neuron is below zero here: what is bright holds it down.",)
    if not arrives:
        return (
            "Nothing of the neuron arrives at the pixels: on the way down, all of its signal is below zero and held back.",
        )
    return ()
