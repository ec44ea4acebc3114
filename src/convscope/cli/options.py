"""How is a network named on the command line?  The argument NET and the options that go with it, shared by all commands."""

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from convscope.network import Network


def network_argument(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds NET and its options to a command; the command is called with `network`, loaded."""

    @wraps(function)
    def with_network(net: str, **given: Any) -> Any:
        settings = {name: given.pop(name) for name in _NETWORK_NAMES}
        return function(network=_load(net, settings), **given)

    for option in reversed(_NETWORK_OPTIONS):
        with_network = option(with_network)
    return click.argument("net", metavar="NET")(with_network)


class _Numbers(click.ParamType):
    """Numbers joined by commas: 0.485,0.456,0.406."""

    name = "numbers"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"'{value}' is not numbers joined by commas", param, ctx)


class _Size(click.ParamType):
    """A number of pixels, or height x width: 224, 64x96."""

    name = "size"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        parts = str(value).lower().split("x")
        if len(parts) not in (1, 2) or not all(part.isdigit() and int(part) > 0 for part in parts):
            self.fail(f"'{value}' is not a size: write 224 or 64x96 (height x width)", param, ctx)
        return int(parts[0]), int(parts[-1])


_NETWORK_OPTIONS = (
    click.option(
        "--weights", metavar="FILE", help="Weights: safetensors or a plain checkpoint; 'hub' downloads the published."
    ),
    click.option("--partial", is_flag=True, help="Load what fits of weights that do not fit."),
    click.option("--classes", metavar="FILE", help="Class names: a JSON file, or text with one name a line."),
    click.option("--size", type=_Size(), help="Size of the images it sees, in px: 224, or 64x96 (height x width)."),
    click.option("--input-channels", type=click.IntRange(1), help="Channels of its images."),
    click.option("--output", metavar="NAME", help="Which output holds the logits, where there are several."),
    click.option("--resize", type=_Size(), help="Resize to this short side (or height x width) before the crop."),
    click.option("--interpolation", help="nearest, bilinear, bicubic, lanczos or box."),
    click.option("--mean", type=_Numbers(), help="Subtracted, one number a channel."),
    click.option("--std", type=_Numbers(), help="Divided by, one number a channel."),
    click.option("--channels", type=click.Choice(["RGB", "BGR", "L"]), help="Order of the channels."),
    click.option("--scale", type=float, help="The value of a full pixel: 1 (default) or 255."),
    click.option(
        "--fold/--no-fold", default=True, help="Fold batch norms into convolutions while computing (default: yes)."
    ),
)
_PREPROCESS_NAMES = ("resize", "interpolation", "mean", "std", "channels", "scale")
_NETWORK_NAMES = ("weights", "partial", "classes", "size", "input_channels", "output", "fold", *_PREPROCESS_NAMES)


def _load(net: str, settings: dict[str, Any]) -> "Network":
    from convscope.network import load  # imports torch

    preprocess = {name: settings[name] for name in _PREPROCESS_NAMES if settings[name] is not None}
    if "resize" in preprocess and preprocess["resize"][0] == preprocess["resize"][1]:
        preprocess["resize"] = preprocess["resize"][0]
    network = load(
        net,
        weights=settings["weights"],
        partial=settings["partial"],
        classes=settings["classes"],
        size=settings["size"],
        n_channels=settings["input_channels"],
        output=settings["output"],
        preprocess=preprocess or None,
        fold=settings["fold"],
    )
    for note in network.notes:
        click.echo(f"note: {note}", err=True)
    if network.weights == "random":
        click.echo(
            "note: the weights are random; give --weights FILE, or --weights hub for the published ones", err=True
        )
    return network
