"""Networks built by a function of the user's own: `FILE.py:FUNCTION`; options go to that function. The file is run."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from convscope.errors import InputError, UnknownNameError, UsageError
from convscope.images import Classes, Preprocess
from convscope.network.origin import Origin, Request, describe_weights
from convscope.registry import register


@register("source", "file")
def file_source(request: Request) -> Origin:
    """The module a function returns, or a pair (module, dict) with any of preprocess, classes, input_shape.

    Raises InputError if the file is not there or fails, UnknownNameError for a function it does not have, UsageError if the
    function returns something else.
    """
    file, _, function = request.spec.name.rpartition(":")
    module = _run(Path(file))
    build = getattr(module, function, None)
    if not callable(build):
        names = [
            name for name, value in vars(module).items() if callable(value) and value.__module__ == module.__name__
        ]
        raise UnknownNameError(f"function in {file}", function, names)
    built = _call(build, function, request)
    model, known = built if isinstance(built, tuple) and len(built) == 2 else (built, {})
    fits = isinstance(model, nn.Module) and isinstance(known, dict)
    if not fits or not set(known) <= {"preprocess", "classes", "input_shape"}:
        raise UsageError(
            f"The network '{request.spec.text}' was asked for.",
            f"{function}() returned {type(built).__name__}.",
            "It must return a torch.nn.Module, or (module, {'preprocess': ..., 'classes': ..., 'input_shape': ...}).",
        )
    return Origin(
        model=model,
        weights="its own" if request.weights is None else describe_weights(request.weights),
        preprocess=_preprocess(known.get("preprocess")),
        classes=_classes(known.get("classes")),
        input_shape=known.get("input_shape"),
        notes=(f"{file} was run",),
    )


def _call(build: Callable[..., Any], name: str, request: Request) -> Any:
    try:
        return build(**request.spec.options)
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise InputError(
            f"The function {name}({', '.join(f'{k}={v!r}' for k, v in request.spec.options.items())}) was to build a network.",
            f"It fails: {type(error).__name__}: {error}",
            "Check the options after '?', and call it from python first.",
        ) from error


def _run(path: Path) -> ModuleType:
    asked = f"The file '{path}' was to be run for a network."
    if not path.is_file():
        raise InputError(
            asked, "There is no such file.", "Give the path of a Python file, then ':' and a function's name."
        )
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)  # dataclasses of the file look their module up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise InputError(asked, f"It fails: {type(error).__name__}: {error}", "Run it with python first.") from error
    return module


def _preprocess(given: Any) -> Preprocess | None:
    return Preprocess(**given) if isinstance(given, dict) else given


def _classes(given: Any) -> Classes | None:
    return given if given is None or isinstance(given, Classes) else Classes(tuple(given))
