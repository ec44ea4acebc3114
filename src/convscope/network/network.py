"""What is a network, to convscope?  A graph, its weights, what it is shown, and what its classes are called."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from hashlib import sha256
from typing import Any, TypeVar

import torch
from torch import nn

from convscope.errors import InputShapeError, UnknownNameError, UsageError
from convscope.graph.copying import borrowed_copy
from convscope.graph.graph import INPUT, Graph
from convscope.graph.layout import Layout
from convscope.graph.read import device_of, dtype_of, read
from convscope.graph.reader import named_outputs
from convscope.images import Classes, Preprocess
from convscope.network.address import Address
from convscope.network.layers import Layers
from convscope.walks.backward import recordable, recorded
from convscope.walks.derivative import Placed
from convscope.walks.fold import Folded, fold_batch_norm
from convscope.walks.forward import Plan, plan
from convscope.walks.fresh import calibrated, fresh_weights
from convscope.walks.local import LocalGraph, LocalWalk, local_graph, local_walk
from convscope.walks.onward import Above, Onward, above, onward
from convscope.walks.swap import Rewriting, swapped

Maps = dict[str, torch.Tensor]
CPU = torch.device("cpu")
MOST_PLANS = 64  # orders of work that are kept; the oldest goes first
MOST_SIZES = 16  # other sizes of images that a network is kept for, likewise; they share its weights
_Any = TypeVar("_Any")


@dataclass(frozen=True)
class _Kept:
    """What a network has worked out once and uses again."""

    plans: dict[Any, Plan] = field(default_factory=dict)
    above: dict[Any, Above] = field(default_factory=dict)
    local: dict[Any, LocalGraph] = field(default_factory=dict)
    sizes: dict[tuple[int, int], "Network"] = field(default_factory=dict)  # itself, for images of other sizes
    twins: dict[Any, "Network"] = field(default_factory=dict)  # itself, as it is quickest in a precision, or folded
    folded: Folded = field(default_factory=dict)  # folded weights, shared by all plans and sizes
    placed: Placed = field(default_factory=Placed)  # weights in the memory format of gradients, likewise


@dataclass(frozen=True, eq=False)
class Network:
    """A trained network, read once. Made by `convscope.load`; it never changes, each method that alters gives another one."""

    name: str
    graph: Graph = field(repr=False)
    output: str  # the step that gives the logits
    preprocess: Preprocess
    classes: Classes | None = field(repr=False, default=None)
    weights: str = "random"
    module: nn.Module | None = field(repr=False, default=None)  # our copy, to be read again for images of another size
    fold: bool = True  # whether batch norms are folded into convolutions while computing
    rewritings: tuple[Rewriting, ...] = ()
    redrawn: bool = False  # whether its weights are fresh ones, not the module's
    notes: tuple[str, ...] = ()
    device: torch.device = CPU
    dtype: torch.dtype = torch.float32
    channels_last: bool = False
    _kept: _Kept = field(repr=False, default_factory=_Kept)

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """The logits, `batch class`, float32, of normalised inputs `batch channel y x` of any size the network takes.

        Follows the caller's gradient mode. Raises InputShapeError for inputs of another form.
        """
        return self._compute(inputs, (self.output,))[self.output].float()

    def run(self, inputs: torch.Tensor, layers: Iterable[str]) -> Maps:
        """What values do these layers take?  All in one pass; `batch unit y x` each (`batch unit` for a vector), by name.

        Raises UnknownNameError with the nearest layers.
        """
        names = list(layers)
        steps = [self.resolve(name) for name in names]
        graph, values = self.graph_for(inputs), self._compute(inputs, steps)
        return {
            name: _layout(graph, step).to_map(values[step]).float() for name, step in zip(names, steps, strict=True)
        }

    def watch(
        self, inputs: torch.Tensor, layers: Sequence[str], see: Callable[[str, torch.Tensor], None]
    ) -> torch.Tensor:
        """Shows each layer's maps to `see` as soon as they are computed, and returns the logits; nothing is kept.

        `see` gets the layer's name and its maps (`batch unit y x` or `batch unit`, in the network's precision), whose memory
        may be used again after it returns. Raises UnknownNameError with the nearest layers.
        """
        steps = {self.resolve(name): name for name in layers}
        graph = self.graph_for(inputs)
        layouts = {step: _layout(graph, step) for step in steps}
        program = self._plan(graph, (self.output,), tuple(steps))

        def tap(step: str, value: torch.Tensor) -> None:
            see(steps[step], layouts[step].to_map(value))

        return program({INPUT: self._cast(inputs)}, tap=tap)[self.output].float()

    def upto(self, layer: str) -> Callable[[torch.Tensor], torch.Tensor]:
        """The part of the network below a layer, that layer included: inputs to its maps."""
        self.resolve(layer)
        return lambda inputs: self.run(inputs, [layer])[layer]

    def onward(self, layer: str, inputs: torch.Tensor, output: str | None = None) -> Onward:
        """The part of the network above a layer: maps to put in its place, to logits (or to the values of another `output` layer).

        What flows past the layer (residual branches) is computed once from `inputs` and kept; the maps may be more than the
        inputs by a whole factor (many variants of each).
        """
        step, top = self.resolve(layer), self.output if output is None else self.resolve(output)
        graph = self.graph_for(inputs)
        way = _once(
            self._kept.above,
            (graph.input_shape, step, top),
            lambda: above(graph, step, top, fold=self.fold, made=self._kept.folded, placed=self._kept.placed),
        )
        with recordable():
            return onward(graph, way, partial(self._compute, recorded(inputs)), self._cast, _size(inputs))

    def local(self, inputs: torch.Tensor, output: str | None = None) -> LocalWalk:
        """The network around one image (`1 channel y x`, normalised): windows of it and what they shall hold, to logits.

        Only what a window reaches is computed again, exactly; `.reach` says how far that helps. `output` is another layer whose
        values are wanted. Raises UsageError for more images than one, InputShapeError, UnknownNameError.
        """
        step = self.output if output is None else self.resolve(output)
        quick = self.quick_for(inputs)  # whose weights are in the order that the walk wants
        if quick is not self:
            return quick.local(inputs, step)
        graph = self.graph_for(inputs)

        def made() -> LocalGraph:
            folded = fold_batch_norm(graph, keep=[step], made=self._kept.folded) if self.fold else graph
            return local_graph(folded, step)

        return local_walk(_once(self._kept.local, (graph.input_shape, step), made, MOST_SIZES), self._cast(inputs))

    def swap(self, where: str, with_: Callable[[torch.Tensor], torch.Tensor] | str, **settings: Any) -> "Network":
        """The same network with an operation replaced: a layer by name, or all of an operation ("max_pool2d").

        `with_` is "subsample", "average", "identity", or a function of the operation's input; it must keep the shape.
        """
        rewriting = Rewriting(
            where if where not in self.graph.modules else self.resolve(where), with_, tuple(settings.items())
        )
        graph = swapped(self.graph, rewriting)
        return replace(self, graph=graph, rewritings=(*self.rewritings, rewriting), _kept=_Kept())

    def fresh(self, seed: int, inputs: torch.Tensor) -> "Network":
        """The same architecture with weights that have learned nothing: the control of most claims (see walks/fresh.py).

        `inputs` (normalised images) are what its batch norms take their statistics from.
        """
        graph = calibrated(fresh_weights(self.graph_for(inputs), seed), self._cast(inputs), self.output)
        return replace(self, graph=graph, weights=f"fresh, seed {seed}", redrawn=True, _kept=_Kept())

    def to(
        self,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        channels_last: bool | None = None,
    ) -> "Network":
        """The same network on another device, in another precision or memory format. Inputs and logits stay float32."""
        device = self.device if device is None else torch.device(device)
        dtype = self.dtype if dtype is None else dtype
        last = self.channels_last if channels_last is None else channels_last
        moved = replace(self, device=device, dtype=dtype, channels_last=last, _kept=_Kept())
        return replace(moved, graph=moved._moved(self.graph, self.dtype))

    def quick_for(self, inputs: torch.Tensor, dtype: torch.dtype | None = None) -> "Network":
        """The same network as it is quickest for inputs of a size: on a CPU channels last, equal up to rounding.

        Also in another precision. Made once, and kept. Raises InputShapeError.
        """
        graph, dtype = self.graph_for(inputs), self.dtype if dtype is None else dtype
        last = self.channels_last or self.device.type == "cpu"
        if (dtype, last) == (self.dtype, self.channels_last):
            return self
        twin = _once(self._kept.twins, dtype, lambda: self.to(dtype=dtype, channels_last=last))
        return twin._sized(_size(inputs), lambda: twin._moved(graph, self.dtype))

    def folded(self) -> "Network":
        """The same network, its batch norms folded into convolutions while computing. Made once, and kept."""
        return self if self.fold else _once(self._kept.twins, "folded", lambda: replace(self, fold=True, _kept=_Kept()))

    def unfolded(self) -> "Network":
        """The same network, computed as its owner wrote it."""
        return replace(self, fold=False, _kept=_Kept())

    def own_logits(self, inputs: torch.Tensor) -> torch.Tensor | None:
        """What the model itself says, without the graph; None for an exported program or an altered network."""
        if self.module is None or self.rewritings or self.redrawn:
            return None
        given = inputs.to(device_of(self.module), dtype_of(self.module))
        found = dict(named_outputs(borrowed_copy(self.module)(given)))
        name = next(name for name, step in self.graph.outputs.items() if step == self.output)
        return found[name].float().to(inputs.device)

    def at(self, y: int, x: int) -> "Network":
        """The same network for images of y by x pixels: its table of layers is made for that size.

        The last few sizes are kept. Raises InputShapeError for a size it does not take.
        """
        return self._sized((y, x), lambda: self._read_again(y, x))

    @cached_property
    def layers(self) -> Layers:
        """The table of layers at the network's own input size."""
        return Layers(self.graph)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(channel, y, x) of the images its table is made for."""
        return self.graph.input_shape

    @property
    def n_classes(self) -> int:
        return int(self.graph[self.output].shape[-1])  # type: ignore[index,arg-type]

    def resolve(self, layer: str) -> str:
        """The step behind a layer's name, or behind a module's path (the step that gives its output); "input" is the images.

        Raises UnknownNameError with the nearest layers.
        """
        if layer in self.graph.by_name or layer == INPUT:
            return layer
        if layer in self.graph.modules:
            return self.graph.modules[layer]
        raise UnknownNameError("layer", layer, dict.fromkeys((*self.layers.names, *self.graph.modules)))

    def address(self, place: str) -> Address:
        """A layer, unit or neuron of this network: `LAYER`, `LAYER:UNIT`, `LAYER:UNIT@y,x`.

        Raises UnknownNameError for the layer, UsageError for a unit or a position it does not have.
        """
        found = Address.parse(place)
        step = self.graph.by_name.get(self.resolve(found.layer))
        layout = step.layout[0] if step else self.graph.input_layout
        shape = layout.map_shape if layout else ()
        if found.unit is not None and not (shape and found.unit < shape[0]):
            n_units = shape[0] if shape else "no"
            raise UsageError(f"'{place}' was asked for.", f"{found.layer} has {n_units} units.", "Count from 0.")
        if found.position and (len(shape) < 3 or found.position[0] >= shape[1] or found.position[1] >= shape[2]):
            sizes = " x ".join(map(str, shape[1:])) or "one value a unit"
            raise UsageError(
                f"'{place}' was asked for.", f"The maps of {found.layer} are {sizes} (y x).", "Count from 0, 0."
            )
        return found

    @cached_property
    def fingerprint(self) -> str:
        """A hash of what the network computes: operations, settings, wiring, weights, which output. Equal weights, equal hash."""
        digest = sha256(self.output.encode())
        for step in self.graph:
            code = getattr(step.function, "__code__", None)  # of a function that was swapped in
            own = (code.co_code, code.co_consts, code.co_names) if code else ""
            digest.update(repr((step.name, step.op, step.args, sorted(step.kwargs.items()), step.shape, own)).encode())
        for name in sorted(self.graph.tensors):
            tensor = self.graph.tensors[name].detach().cpu().contiguous()
            digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
            digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
        return digest.hexdigest()

    def _compute(self, inputs: torch.Tensor, wanted: Sequence[str]) -> dict[str, Any]:
        graph = self.graph_for(inputs)
        return self._plan(graph, tuple(wanted))({INPUT: self._cast(inputs)})

    def _cast(self, values: torch.Tensor) -> torch.Tensor:
        return _placed(values, self.device, self.dtype, self.channels_last)

    def _constant(self, read_in: torch.dtype, value: Any) -> Any:
        """A precision or device that stands in the graph, as it is for this network."""
        if isinstance(value, torch.dtype) and value == read_in:
            return self.dtype
        return self.device if isinstance(value, torch.device) else value

    def _plan(self, graph: Graph, wanted: tuple[str, ...], tapped: tuple[str, ...] = ()) -> Plan:
        def made() -> Plan:
            folded = fold_batch_norm(graph, keep={*wanted, *tapped}, made=self._kept.folded) if self.fold else graph
            return plan(folded, wanted, tapped=tapped)

        return _once(self._kept.plans, (graph.input_shape, wanted, tapped), made)

    def graph_for(self, inputs: torch.Tensor) -> Graph:
        """The graph that takes these inputs. Raises InputShapeError if none does."""
        channels = self.input_shape[0]
        if not isinstance(inputs, torch.Tensor) or inputs.dim() != 4 or not inputs.is_floating_point():
            form = (
                f"{inputs.dtype} of shape {tuple(inputs.shape)}"
                if isinstance(inputs, torch.Tensor)
                else type(inputs).__name__
            )
            raise InputShapeError(
                "The network was given inputs.",
                f"They are {form}.",
                "Inputs are float, batch channel y x, normalised: net.preprocess(image) makes them.",
            )
        if inputs.shape[1] != channels:
            raise InputShapeError(
                "The network was given inputs.",
                f"They have {inputs.shape[1]} channels; the network takes {channels}.",
                "Load it with n_channels= if it takes any number, or convert the images.",
            )
        return self.at(*_size(inputs)).graph

    def _sized(self, size: tuple[int, int], graph: Callable[[], Graph]) -> "Network":
        """This network with another graph, for images of another size; weights are shared where they are equal."""
        if size == self.input_shape[1:] or self.graph.any_size:
            return self

        def made() -> Network:
            read, own = graph(), self.graph.tensors
            tensors = {name: own[name] if _equal(own.get(name), t) else t for name, t in read.tensors.items()}
            kept = _Kept(folded=self._kept.folded, placed=self._kept.placed)
            return replace(self, graph=replace(read, tensors=tensors), _kept=kept)

        return _once(self._kept.sizes, size, made, MOST_SIZES)

    def _moved(self, graph: Graph, read_in: torch.dtype) -> Graph:
        """A graph that was read in some precision, on this network's device, in its precision and memory format."""
        with recordable():
            return graph.moved(self._cast, partial(self._constant, read_in))

    def _read_again(self, y: int, x: int) -> Graph:
        if self.module is None:
            raise InputShapeError(
                f"The network was given images of {y} x {x} pixels.",
                f"It was exported for {self.input_shape[1]} x {self.input_shape[2]} only.",
                "Export it with dynamic sizes (torch.export.Dim), or resize the images.",
            )
        graph = read(self.module, (self.input_shape[0], y, x))
        for rewriting in self.rewritings:
            graph = swapped(graph, rewriting)
        if self.redrawn:
            own = self.graph.tensors
            kept = {name: own[name] for name, t in graph.tensors.items() if name in own and own[name].shape == t.shape}
            graph = replace(graph, tensors={**graph.tensors, **kept})
        return self._moved(graph, dtype_of(self.module))


def _layout(graph: Graph, step: str) -> Layout:
    layout = graph.input_layout if step == INPUT else graph[step].layout[0]
    if layout is None:
        raise UsageError(
            f"The maps of '{step}' were asked for.", "Its value has no units.", "Ask for a layer of the table."
        )
    return layout


def _once(kept: dict[Any, _Any], key: Any, make: Callable[[], _Any], most: int = MOST_PLANS) -> _Any:
    """What was made for a key before; otherwise it is made now, fit for a backward walk, and the oldest one goes."""
    found = kept.get(key)
    if found is None:
        with recordable():
            found = make()
        for old in list(kept)[: max(0, len(kept) + 1 - most)]:
            kept.pop(old, None)
        kept[key] = found
    return found


def _equal(own: torch.Tensor | None, other: torch.Tensor) -> bool:
    """Whether one tensor can stand for another."""
    if own is None or (own.shape, own.dtype) != (other.shape, other.dtype):
        return False
    return own.data_ptr() == other.data_ptr() or torch.equal(own, other)


def _size(inputs: torch.Tensor) -> tuple[int, int]:
    return int(inputs.shape[2]), int(inputs.shape[3])


def _placed(tensor: torch.Tensor, device: torch.device, dtype: torch.dtype, channels_last: bool) -> torch.Tensor:
    """A tensor on a device, in a precision and memory format; whole numbers keep their type."""
    if not tensor.is_floating_point():
        return tensor.to(device)
    tensor = tensor.to(device=device, dtype=dtype)
    if tensor.dim() == 4:
        tensor = tensor.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    return tensor
