"""How does a model become a Network?  `load` finds it, gives it its weights, and reads its graph once."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn
from torch.export import ExportedProgram

from convscope.errors import NetworkError, UsageError
from convscope.graph.copying import onlookers, own_copy
from convscope.graph.graph import Graph
from convscope.graph.read import device_of, dtype_of, read, read_program
from convscope.images import Classes, Preprocess
from convscope.network.checkpoint import apply_weights, read_weights
from convscope.network.network import Network
from convscope.network.origin import FROM_HUB, Origin, Request, describe_weights
from convscope.network.spec import Spec
from convscope.registry import lookup

Size = int | tuple[int, int]


def load(
    source: str | Path | nn.Module | ExportedProgram,
    *,
    weights: str | Path | None = None,
    partial: bool = False,
    preprocess: Preprocess | dict[str, Any] | None = None,
    classes: Classes | Sequence[str] | str | Path | None = None,
    size: Size | None = None,
    n_channels: int | None = None,
    output: str | None = None,
    fold: bool = True,
) -> Network:
    """Which network is to be looked at?  A spec (`timm:NAME`, `torchvision:NAME`, `hf:ORG/NAME`, `builtin:NAME`, `FILE.pt2`,
    `FILE.py:FUNCTION`, each with `?option=value`), a module, or an exported program becomes a Network.

    A module is copied: the Network shows it as it is now, and the module itself is left as it was. `weights` is a file, or
    "hub" for those the source publishes; `partial` accepts weights that fit only in part. `preprocess`, `classes`, `size`
    (pixels, or (y, x)) and `n_channels` replace what the source says. `output` names the output that holds the
    logits where there are several. `fold` lets batch norms be folded into the convolutions while computing.

    Raises UsageError, InputError or NetworkError (see convscope.errors) with what was found and what would work.
    """
    origin, name = _origin(source, weights, partial)
    settings = _preprocess(origin, preprocess)
    shape = _input_shape(origin, settings, size, n_channels)
    settings, assumed = settings or _assumed(shape), settings is None
    if isinstance(origin.model, ExportedProgram):
        graph = read_program(origin.model)
        module = None
    else:
        module = origin.model.eval()
        graph = read(module, shape)
    notes = [*origin.notes, *_graph_notes(graph)]
    like = module if module is not None else graph.tensors
    if assumed:
        notes.append("preprocessing is assumed: pixels 0 to 1, no mean, no standard deviation")
    return Network(
        name=name,
        graph=graph,
        module=module,
        weights=origin.weights,
        preprocess=_fitted(settings, graph.input_shape, keep_resize=_gives_resize(preprocess)),
        classes=_classes(classes, origin, _n_classes(graph, output)),
        output=_output(graph, output),
        fold=fold,
        notes=tuple(notes),
        device=device_of(like),
        dtype=dtype_of(like),
    )


def _graph_notes(graph: Graph) -> list[str]:
    """What the user should know of a network as it was read."""
    norms = [
        step for step in graph if step.op in ("batch_norm", "_native_batch_norm_legit_functional") and step.args[5]
    ]
    trained = [step.name for step in norms if step.args[3] is not None]
    if trained:
        raise NetworkError(
            "The network was to be read as it is when it is not being trained.",
            f"It was exported for training: {trained[0]} takes its statistics from the batch and changes them.",
            "Call eval() before torch.export.export.",
        )
    names = ", ".join(step.name for step in norms[:3])
    return [f"{names} take statistics from the batch: what an image gets depends on its neighbours"] if norms else []


def _origin(source: Any, weights: Any, partial: bool) -> tuple[Origin, str]:
    if isinstance(source, nn.Module):
        source = _unwrapped(source)
        found = [path or "the model itself" for path in onlookers(source)]
        notes = (f"hooks of {', '.join(found[:3])} are not part of the network",) if found else ()
        origin = Origin(model=own_copy(source), weights="its own", notes=notes)
        name, spec = type(source).__name__, Spec("module", type(source).__name__)
    elif isinstance(source, ExportedProgram):
        return Origin(model=source, weights="its own"), "exported program"
    elif isinstance(source, (str, Path)):
        spec = Spec.parse(str(source))
        origin, name = lookup("source", spec.source)(Request(spec, weights, partial)), str(source)
    else:
        raise UsageError(
            "A network was asked for.",
            f"A {type(source).__name__} was given.",
            "Give a spec such as 'timm:resnet18', a torch.nn.Module or an exported program.",
        )
    if weights is None or weights == FROM_HUB:
        return origin, name
    assert isinstance(origin.model, nn.Module)
    left = apply_weights(origin.model, read_weights(weights), source=str(weights), partial=partial)
    return replace(origin, weights=describe_weights(weights), notes=(*origin.notes, *_partial_note(left))), name


def _unwrapped(module: nn.Module) -> nn.Module:
    """The model inside DataParallel, DistributedDataParallel or torch.compile."""
    for wrapper in ("_orig_mod", "module"):
        inner = getattr(module, wrapper, None)
        if isinstance(inner, nn.Module) and type(module).__name__ in (
            "OptimizedModule",
            "DataParallel",
            "DistributedDataParallel",
        ):
            return _unwrapped(inner)
    return module


def _partial_note(left: list[str]) -> tuple[str, ...]:
    return ("weights were loaded in part:\n" + "\n".join(left),) if left else ()


def _preprocess(origin: Origin, given: Preprocess | dict[str, Any] | None) -> Preprocess | None:
    """The source's preprocessing with what the user gives laid over it."""
    if isinstance(given, Preprocess) or given is None:
        return given or origin.preprocess
    known = origin.preprocess.as_dict() if origin.preprocess else {}
    try:
        return Preprocess(**{**known, **given})
    except TypeError as error:
        raise UsageError(
            f"The preprocessing {given} was given.",
            f"It cannot be used: {error}.",
            "See convscope.Preprocess for its settings.",
        ) from error


def _assumed(shape: tuple[int, int, int]) -> Preprocess:
    n, y, x = shape
    channels: str | int = {1: "L", 3: "RGB"}.get(n, n)
    return Preprocess(resize=min(y, x), crop=(y, x), mean=(0.0,) * n, std=(1.0,) * n, channels=channels)


def _input_shape(
    origin: Origin, preprocess: Preprocess | None, size: Size | None, n_channels: int | None
) -> tuple[int, int, int]:
    known = origin.input_shape or (preprocess.input_shape if preprocess else None)
    channels = n_channels or (known[0] if known else preprocess.n_channels if preprocess else _n_channels(origin.model))
    y, x = ((size, size) if isinstance(size, int) else size) or (known[1:] if known else (224, 224))
    return channels, y, x


def _n_channels(model: nn.Module | ExportedProgram) -> int:
    """The channels the first convolution takes."""
    parts = model.modules() if isinstance(model, nn.Module) else ()
    return next((part.in_channels for part in parts if isinstance(part, nn.Conv2d)), 3)


def _gives_resize(given: Preprocess | dict[str, Any] | None) -> bool:
    return isinstance(given, Preprocess) or (given is not None and "resize" in given)


def _fitted(settings: Preprocess, shape: tuple[int, int, int], *, keep_resize: bool) -> Preprocess:
    """The preprocessing with the crop the graph was read for; unless the resize was given too, it grows or shrinks alike."""
    if settings.input_shape in (shape, None):
        return settings
    settings = _with_channels(settings, shape[0])
    y, x = shape[1:]
    crop = settings.crop
    if keep_resize:
        return replace(settings, crop=(y, x))
    if crop is None or settings.resize is None or isinstance(settings.resize, tuple):
        return replace(settings, resize=(y, x), crop=None if crop is None else (y, x))
    return replace(settings, resize=round(settings.resize * min(y, x) / min(crop)), crop=(y, x))


def _with_channels(settings: Preprocess, n: int) -> Preprocess:
    """The preprocessing for another number of channels: each gets the mean of the means, and of the standard deviations."""
    if settings.n_channels == n:
        return settings
    channels: str | int = {1: "L", 3: "RGB"}.get(n, n)
    mean, std = (sum(values) / len(values) for values in (settings.mean, settings.std))
    return replace(settings, channels=channels, mean=(mean,) * n, std=(std,) * n, fill=())


def _output(graph: Graph, wanted: str | None) -> str:
    """The step that gives the logits: the output asked for, the one called so, or the only one."""
    outputs = graph.outputs
    if wanted is not None and wanted not in outputs:
        raise UsageError(
            f"The output '{wanted}' was asked for.", f"The outputs are: {', '.join(outputs)}.", "Name one of these."
        )
    name = wanted or ("logits" if "logits" in outputs else next(iter(outputs)) if len(outputs) == 1 else None)
    if name is None:
        raise NetworkError(
            "An image classifier was expected, with one output.",
            "This network has several: "
            + "; ".join(f"'{key}' {_shown(graph, step)}" for key, step in outputs.items())
            + ".",
            "Say which one holds the logits: output='...' (--output).",
        )
    step = outputs[name]
    shape = graph[step].shape if step in graph.by_name else None
    if shape is not None and len(shape) == 2 and shape[0] is not None:
        raise NetworkError(
            "Batches of any size are to be computed.",
            f"The program was exported for batches of {shape[0]} only.",
            "Export it with dynamic_shapes=({0: torch.export.Dim.DYNAMIC},).",
        )
    if shape is None or len(shape) != 2:
        raise NetworkError(
            "An image classifier was expected: one score for each class and image.",
            f"The output '{name}' has the shape {_shown(graph, step)}.",
            "Wrap the model in a module whose output is batch classes (take the mean over positions, say).",
        )
    return step


def _shown(graph: Graph, step: str) -> str:
    shape = graph[step].shape if step in graph.by_name else (None, *graph.input_shape)
    return " x ".join("batch" if size is None else str(size) for size in shape or ())


def _n_classes(graph: Graph, output: str | None) -> int:
    shape = graph[_output(graph, output)].shape
    assert shape is not None
    return int(shape[-1] or 0)


def _classes(given: Any, origin: Origin, n: int) -> Classes | None:
    """Class names as given, or as the source knows them where their number is right."""
    if given is None:
        return origin.classes if origin.classes is not None and len(origin.classes) == n else None
    if not isinstance(given, Classes):
        given = Classes.read(given) if isinstance(given, (str, Path)) else Classes(tuple(given))
    if len(given) != n:
        raise UsageError(f"The network has {n} classes.", f"{len(given)} class names were given.", f"Give {n} names.")
    return given
