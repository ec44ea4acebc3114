"""How is a prediction attributed?  What all methods share: the question is checked once, the answer is one record.

A method is a frozen dataclass of its settings. Called with a network, inputs, a target and a place, it returns an Attribution. The
leaf file holds the paper's equation alone: `values`, what each unit at each position of the place contributes.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, ClassVar

import torch
import torch.nn.functional as F

from convscope.errors import UsageError
from convscope.graph.graph import INPUT, Graph, Step
from convscope.instruments.attribution.target import Asked as AskedTarget
from convscope.instruments.attribution.target import Target, layout_of, resolve_target, target_step
from convscope.network import Network
from convscope.network.layers import Layer
from convscope.walks.backward import Rules, Tape, gradient, recordable, recorded
from convscope.walks.onward import Onward
from convscope.walks.treatment import path

Progress = Callable[[int, int], None]
CHANNELS = ("sum", "absolute", "positive")
_WEIGHING = frozenset({"conv", "linear", "attention"})  # operations that mix units
LAST_MAPS = "last maps"  # the last layer that has positions: where class activation maps live
_THERE_AND_BACK = 3  # forward passes, about, that a walk up and back again costs


@dataclass(frozen=True, eq=False)
class Question:
    """One prediction to be explained (or several), as a method sees it."""

    network: Network
    inputs: torch.Tensor  # normalised, `batch channel y x`
    target: Target
    layer: str  # the step where scores live; "input" is the image
    progress: Progress
    above: Onward  # the network from the place to what is explained
    unchanged: torch.Tensor  # the score itself, one for each image
    spent: list[float] = field(default_factory=list, repr=False)  # images computed so far, see `took`

    @property
    def graph(self) -> Graph:
        """The steps as they are computed, batch norms folded."""
        return self.above.above.graph

    @property
    def maps(self) -> torch.Tensor:
        """The values of the place, `batch unit y x`."""
        return self.above.maps

    def score(self, maps: torch.Tensor) -> torch.Tensor:
        """What is explained, with these maps in the place; n variants of each image, grouped by image."""
        self.took(len(maps))
        with torch.no_grad():
            return self._scored(self.above(maps))

    def back(self, maps: torch.Tensor, rules: Rules = gradient) -> tuple[torch.Tensor, torch.Tensor]:
        """What arrives at the place when the target's derivative is sent back, `batch unit y x`; and the score itself."""
        if rules is gradient:
            self.took(_THERE_AND_BACK * len(maps))
            value, found = self.above.gradient(maps, self._signal)
            return found, self._scored(value)
        tape = self.tape(maps)
        signals = tape.back({self.target.step: self.derivative(tape)}, [self.layer], rules)
        return self.arrived(signals), self._scored(tape.values[self.target.step])

    def total_gradient(self, n_variants: int, variants: Callable[[slice], torch.Tensor]) -> torch.Tensor:
        """The sum of the gradients at n variants of each image's maps, `batch unit y x`; computed a few at a time.

        `variants` gives some of them, grouped by image.
        """
        self.took(_THERE_AND_BACK * n_variants * len(self.inputs))
        return self.above.total_gradient(n_variants, variants, self._signal, self.progress)

    def line_gradient(self, start: torch.Tensor, shares: Sequence[float]) -> torch.Tensor:
        """The sum of the gradients at points of the straight line from `start` (share 0) to the place's maps (1)."""
        self.took(_THERE_AND_BACK * len(shares) * len(self.inputs))
        return self.above.line_gradient(start, shares, self._signal, self.progress)

    def tape(self, maps: torch.Tensor) -> Tape:
        """The walk from these maps to the target, remembered."""
        self.took(_THERE_AND_BACK * len(maps))
        return self.above.tape(maps)

    def derivative(self, tape: Tape) -> torch.Tensor:
        """The derivative of the score by the target step's value, shaped like that value: the signal a gradient starts with."""
        return self._signal(tape.values[self.target.step])

    def arrived(self, signals: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """What came down to the place, `batch unit y x`, float32."""
        return self.above.layout.to_map(signals[self.layer]).float()

    def took(self, n_images: float) -> None:
        """Enters that n images were computed from the place on; for a method that computes them by itself."""
        self.spent.append(n_images * self._share)

    @property
    def path(self) -> tuple[Step, ...]:
        """The steps between the place and the target."""
        return path(self.graph, self.layer, self.target.step)

    @cached_property
    def _share(self) -> float:
        """How much of the network's work lies above the place, 0-1."""
        if self.layer == INPUT:
            return 1.0
        above = {step.name for step in self.path}
        costs = {row.name: row.n_macs for row in self.network.layers}
        return sum(n for name, n in costs.items() if name in above) / max(1, sum(costs.values()))

    def _signal(self, value: torch.Tensor) -> torch.Tensor:
        return self._held(self.target.signal(self._shown(value).float())).to(value.dtype)

    def _scored(self, value: torch.Tensor) -> torch.Tensor:
        return self.target.score(self._shown(value).float())

    def _shown(self, value: torch.Tensor) -> torch.Tensor:
        return layout_of(self.network, self.target.step, self.inputs).to_map(value)

    def _held(self, maps: torch.Tensor) -> torch.Tensor:
        return layout_of(self.network, self.target.step, self.inputs).from_map(maps)


@dataclass(frozen=True, eq=False)
class Values:
    """What a method found."""

    values: torch.Tensor  # `batch unit y x`: what each unit at each position contributes, signed
    promised: torch.Tensor | None = None  # what they should add up to, for each image, where the method promises that
    notes: tuple[str, ...] = ()  # what was computed otherwise than the paper says, where
    standard_error: torch.Tensor | None = None  # of each value, where they are estimated from random draws


@dataclass(frozen=True, eq=False)
class Attribution:
    """Why this prediction?  A signed score for each pixel, with all it takes to check and repeat it."""

    method: "Method"
    network: Network = field(repr=False)
    inputs: torch.Tensor = field(repr=False)
    target: Target
    layer: str
    values: torch.Tensor = field(repr=False)  # `batch unit y x` at the layer, float32
    score: torch.Tensor  # what is explained, a number for each image
    promised: torch.Tensor | None = None  # what `values` should add up to
    notes: tuple[str, ...] = ()
    standard_error: torch.Tensor | None = field(repr=False, default=None)  # of `values`, where they are estimates
    passes: float = 1.0  # over the network, about, that it took for an image; a walk back counts as two

    @cached_property
    def map(self) -> torch.Tensor:
        """The scores at the layer's own positions, `batch y x`. Raises UsageError for a layer without positions."""
        if self.values.dim() != 4:
            raise UsageError(
                f"A map of scores at '{self.layer}' was asked for.",
                f"Its values have no positions: their shape is {tuple(self.values.shape[1:])}.",
                "Use .values, or a layer with maps.",
            )
        if self.method.channels == "absolute":
            return self.values.abs().sum(1)
        summed = self.values.sum(1)
        return summed.clamp(min=0) if self.method.channels == "positive" else summed

    @cached_property
    def scores(self) -> torch.Tensor:
        """The scores for each pixel, `batch y x`: the map, spread over the image where the layer is coarser."""
        size = self.inputs.shape[-2:]
        if self.map.shape[-2:] == size:
            return self.map
        return F.interpolate(self.map[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]

    @property
    def error(self) -> torch.Tensor | None:
        """How far the values are from adding up to what they should; None where nothing is promised.

        For each image, as a part of what is promised or of the score, whichever is larger: where biases keep nearly all of a
        score, next to nothing is promised, and a part of that would be rounding.
        """
        if self.promised is None:
            return None
        total, promised = self.values.double().flatten(1).sum(1), self.promised.double()
        whole = torch.maximum(promised.abs(), self.score.to(promised).abs())
        return ((total - promised).abs() / whole.clamp_min(1e-12)).float()


@dataclass(frozen=True)
class Method(ABC):
    """A way to attribute a prediction. Settings in the constructor, data in the call."""

    title: ClassVar[str]  # as the field calls it
    paper: ClassVar[str]
    place: ClassVar[str] = INPUT  # where scores live unless the caller says otherwise
    signed: ClassVar[bool] = True  # whether a negative score means "against"
    seeded: ClassVar[bool] = False  # whether it draws random numbers
    conserves: ClassVar[bool] = False  # whether it hands down the score itself, which biases keep a part of

    @property
    def channels(self) -> str:
        """How the units at one position become one score: "sum", "absolute" (sum of sizes) or "positive" (sum, if above 0)."""
        return "sum"

    def __call__(
        self,
        network: Network,
        inputs: torch.Tensor,
        target: AskedTarget = None,
        layer: str | None = None,
        progress: Progress | None = None,
    ) -> Attribution:
        """The attribution of each image of a batch (normalised inputs, `batch channel y x`).

        `target` is a class (by default the predicted one), a pair of classes (the first less the second), a list with one for
        each image, `LAYER:UNIT` (mean response) or `LAYER:UNIT@y,x`; `layer` is where scores live. Raises UsageError for a
        target or layer that is not there, InputShapeError for inputs the network does not take, MissingRuleError naming the
        operation and its layer where the method has no sound rule.
        """
        with recordable(), torch.no_grad():
            question = self.question(network, inputs, target, layer, progress)
            found = self.values(question)
        return Attribution(
            method=self,
            network=network,
            inputs=question.inputs,
            target=question.target,
            layer=question.layer,
            values=found.values,
            score=question.unchanged,
            promised=found.promised,
            notes=found.notes,
            standard_error=found.standard_error,
            passes=max(1.0, sum(question.spent) / max(1, len(question.inputs))),
        )

    def question(
        self,
        network: Network,
        inputs: torch.Tensor,
        target: AskedTarget = None,
        layer: str | None = None,
        progress: Progress | None = None,
    ) -> Question:
        """What is asked, checked."""
        network.graph_for(inputs)  # raises InputShapeError
        if not len(inputs):
            raise UsageError(
                f"{self.title} was asked for.", "There are no images: the batch is empty.", "Give at least one."
            )
        network, inputs = self.computed(network, inputs), recorded(inputs.detach())
        there = network.at(inputs.shape[2], inputs.shape[3])
        top = target_step(there, target)
        place = self.place if layer is None else layer
        step = last_maps(there, top) if place == LAST_MAPS else network.resolve(place)
        with torch.no_grad():  # one pass: up to the place, and from there on
            above = network.onward(step, inputs, top)
            value = layout_of(network, top, inputs).to_map(above(above.maps)).float()
            resolved = resolve_target(there, value, target)
        return Question(network, inputs, resolved, step, progress or _silent, above, resolved.score(value))

    def computed(self, network: Network, inputs: torch.Tensor) -> Network:
        """The network in the form this method wants: the same function, up to rounding."""
        return network

    @abstractmethod
    def values(self, question: Question) -> Values:
        """What each unit at each position of the place contributes."""

    @classmethod
    def refuses(cls, graph: Graph) -> Sequence[str]:
        """Operations of this graph that the method has no sound rule for, as "operation in layer"; empty where all is well."""
        return ()


def last_maps(network: Network, target: str) -> str:
    """The last layer with positions below a target, class maps left out. Raises UsageError where there is none."""
    found = next(_with_maps(network, target), None)
    if found is None:
        raise UsageError(
            "The last layer with maps was asked for.",
            f"'{target}' has no layer with positions below it.",
            "Name a layer, or use a method whose scores live at the image.",
        )
    return found.name


def places(network: Network, n_sizes: int = 3) -> tuple[str, ...]:
    """Where class activation maps are worth trying: the last layer of each of the last sizes of maps, the last first."""
    found: dict[tuple[int, int] | None, str] = {}
    for row in _with_maps(network, network.output):
        found.setdefault(row.map_shape, row.name)
    return tuple(found.values())[:n_sizes]


def _with_maps(network: Network, target: str) -> Iterator[Layer]:
    """The layers with positions below a target, the last first, class maps left out: those that nothing weighs on the way."""
    graph = network.graph
    weighing = [graph[name] for name in graph.below([target]) if name != INPUT and graph[name].kind in _WEIGHING]
    below = graph.below(name for step in weighing for name in step.inputs)
    for row in reversed(network.layers):
        size = row.map_shape
        if row.name not in below or size is None or max(size) < 2 or row.name == target:
            continue
        if row.kind in ("conv", "activation", "norm", "sum", "concat", "product"):
            yield row


def _silent(done: int, total: int) -> None:
    pass


def chunks(total: int, size: int) -> list[slice]:
    """Slices that cover `total` things, `size` at a time."""
    return [slice(i, min(i + size, total)) for i in range(0, total, size)]


def settings(method: Method) -> dict[str, Any]:
    """The settings of a method, fit for JSON."""
    return {item.name: getattr(method, item.name) for item in fields(method)}
