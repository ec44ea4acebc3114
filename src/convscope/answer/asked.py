"""Which methods explain, and where do their scores live?  A name, a name with settings, or a method itself."""

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from convscope.errors import UnknownNameError, UsageError
from convscope.instruments.attribution import Method
from convscope.instruments.attribution.method import settings
from convscope.network import Network
from convscope.registry import items, lookup

WINDOWS = 7  # windows of occlusion that fit into the short side of an image, by default

AskedMethods = str | Method | type[Method] | Sequence[str | Method | type[Method]] | None


@dataclass(frozen=True)
class AskedMethod:
    """A method, with the place it was asked for."""

    key: str
    method: Method
    layer: str | None = None  # None: where this method's scores live by itself

    @property
    def name(self) -> str:
        """How it is told from others: its key, and what was set: occlusion:window=32."""
        standard = {field.name: field.default for field in fields(self.method)}
        given = [f"{name}={_written(value)}" for name, value in self.settings.items() if value != standard[name]]
        given += [f"layer={self.layer}"] if self.layer is not None else []
        return self.key + (":" + ",".join(given) if given else "")

    @property
    def settings(self) -> dict[str, Any]:
        return settings(self.method)


def asked_methods(network: Network, asked: AskedMethods = None, layer: str | None = None) -> tuple[AskedMethod, ...]:
    """The methods that were meant, each once. `layer` is where scores live, unless a name says otherwise (`grad_cam:layer=NAME`).

    Raises UnknownNameError for a method, setting or layer that is not there, UsageError for a setting that cannot be.
    """
    wanted = defaults(network) if asked is None else asked
    several = list(wanted) if isinstance(wanted, Sequence) and not isinstance(wanted, str) else [wanted]
    if not several:
        raise UsageError(
            "Explanations were asked for.", "No method was named.", f"Known: {', '.join(items('method'))}."
        )
    found: dict[str, AskedMethod] = {}
    for one in several:
        made = _made(one, layer)
        if made.layer is not None:
            network.resolve(made.layer)
        found.setdefault(made.name, made)
    return tuple(found.values())


def defaults(network: Network) -> tuple[str, ...]:
    """One method of each kind, none of them slow: maps of a layer, what pixels add, what is missed, what matters in any noise."""
    step = max(1, round(min(network.input_shape[1:]) / WINDOWS / 2))
    window = "" if step == 8 else f":window={2 * step},stride={step}"
    return "grad_cam", "integrated_gradients", f"occlusion{window}", "smoothgrad"


def target_in(network: Network, text: str | None) -> Any:
    """The target that a text means: a class, "A - B" (one class rather than another), or a unit; None for the predicted class."""
    if text is None or " - " not in text:
        return text
    if network.classes is not None and text in network.classes.names:
        return text
    return tuple(part.strip() for part in text.split(" - "))


def _made(asked: Any, layer: str | None) -> AskedMethod:
    if isinstance(asked, Method):
        return AskedMethod(_key(type(asked)), asked, layer)
    if isinstance(asked, type) and issubclass(asked, Method):
        return AskedMethod(_key(asked), asked(), layer)
    if not isinstance(asked, str):
        found = f"That is a {type(asked).__name__}."
        raise UsageError(
            f"The method {asked!r} was asked for.", found, "Give a name, as 'grad_cam', or a method, as GradCAM()."
        )
    key, _, given = asked.strip().partition(":")
    method = lookup("method", key.strip())
    values = _settings(key, given, [field.name for field in fields(method)])
    layer = values.pop("layer", layer)
    return AskedMethod(key, _instance(method, asked, values), None if layer is None else str(layer))


def _settings(key: str, given: str, known: list[str]) -> dict[str, Any]:
    """The settings in "window=32,stride=8"; a value may hold commas inside brackets."""
    values = {}
    for part in re.split(r",(?![^(\[]*[)\]])", given) if given.strip() else ():
        name, equals, value = part.partition("=")
        name = name.strip()
        if not equals:
            raise UsageError(
                f"The method '{key}:{given}' was asked for.", f"'{part}' sets nothing.", f"Write {key}:SETTING=VALUE."
            )
        if name != "layer" and name not in known:
            raise UnknownNameError(f"setting of {key}", name, [*known, "layer"])
        values[name] = value.strip() if name == "layer" else _value(value.strip())
    return values


def _value(text: str) -> Any:
    """A number, a truth value, none, a pair (16x24), or the text itself."""
    if re.fullmatch(r"\d+x\d+", text):
        return tuple(int(part) for part in text.split("x"))
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _instance(method: type[Method], asked: str, values: dict[str, Any]) -> Method:
    """The method with these settings; whatever it says of one that cannot be is passed on in our words."""
    standard = {field.name: field.default for field in fields(method)}
    for name, value in values.items():
        usual = standard.get(name)
        if isinstance(usual, int | float) and isinstance(value, str):
            raise UsageError(f"The method '{asked}' was asked for.", f"{name} is a number, not '{value}'.", "Give one.")
    try:
        return method(**values)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"The method '{asked}' was asked for.", f"{error}.".replace("..", "."), "Set it otherwise."
        ) from error


def _key(method: type[Method]) -> str:
    return next((key for key, known in items("method").items() if known is method), method.__name__)


def _written(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
