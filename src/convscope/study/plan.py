"""What has to be swept?  One pass over the images for all claims together, on the network and on its control."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

from convscope.errors import UnknownNameError
from convscope.network import Network
from convscope.registry import items
from convscope.study.claim import FRESH, N_FRESH, TRAINED, Claim, Question
from convscope.study.profiles import FEWEST_GROUPS
from convscope.sweep.engine import OUTPUT, Gauges, Sweep, sweep
from convscope.sweep.gauges import Distribution, Exemplars, Gauge, Moments
from convscope.sweep.gauges.exemplars import SATURATING

N_EXEMPLARS = 9
MOST_BYTES = 512 * 2**20  # for sums by class, which are the largest
MOST_GROUPS = 16


@dataclass(frozen=True, eq=False)
class Plan:
    """The gauges of each network; a network without any is not swept."""

    gauges: dict[str, Gauges]

    def signature(self, which: str, network: Network, question: Question, images: str, batch_size: int) -> str:
        """A hash of all that decides what a sweep finds; a checkpoint of another is not gone on from."""
        settings = [
            (
                layer,
                name,
                sorted((key, str(value)) for key, value in vars(gauge).items() if not hasattr(value, "shape")),
            )
            for layer, gauges in self.gauges[which].items()
            for name, gauge in gauges.items()
        ]
        parts = (which, network.fingerprint, str(network.dtype), network.channels_last, images, question.seed)
        return sha256(repr((parts, batch_size, settings)).encode("utf-8", "backslashreplace")).hexdigest()


def chosen_claims(only: Sequence[str] = ()) -> tuple[Claim, ...]:
    """The registered claims, or those named. Raises UnknownNameError with the nearest names."""
    known = items("claim")
    for name in only:
        if name not in known:
            raise UnknownNameError("claim", name, known)
    return tuple(make() for name, make in known.items() if not only or name in only)


def plan(question: Question, claims: Sequence[Claim], *, describe: bool) -> Plan:
    """Every gauge that a claim asks for, each once; with `describe` also those that describe every unit."""
    networks = {TRAINED: TRAINED} | {f"{FRESH}-{draw}": FRESH for draw in range(N_FRESH)}
    found: dict[str, Gauges] = {name: {} for name in networks}
    for layer in question.layers:
        n_units = question.network.layers[layer].n_units
        if describe:
            saturates = question.network.layers[layer].op in SATURATING
            own = (Exemplars(n_units, N_EXEMPLARS, saturates), Moments(n_units), Distribution(n_units))
            found[TRAINED][layer] = {gauge.name: gauge for gauge in own}
        for name, which in networks.items():
            for claim in claims:
                _add(found[name], layer, claim.gauges(question, which, layer, n_units))
    for claim in claims:
        _add(found[TRAINED], OUTPUT, claim.output_gauges(question, question.network.n_classes))
    return Plan({name: gauges for name, gauges in found.items() if gauges})


def _add(found: Gauges, layer: str, gauges: Sequence[Gauge]) -> None:
    for gauge in gauges:
        found.setdefault(layer, {}).setdefault(gauge.name, gauge)


def affordable_groups(network: Network, layers: Sequence[str], n_classes: int, n_images: int) -> int:
    """In how many groups the images may fall whose sums by class are kept apart, for intervals; 1 where memory allows no more."""
    n_units = max(sum(network.layers[layer].n_units for layer in layers), 1)
    most_cells = MOST_BYTES // (n_units * (1 + N_FRESH) * 3 * 8)  # of each network and labelling, in float64
    groups = MOST_GROUPS if n_images <= most_cells else min(MOST_GROUPS, most_cells // max(n_classes, 1))
    return groups if groups >= FEWEST_GROUPS else 1


def carry_out(
    planned: Plan,
    networks: Callable[[str], Network],
    question: Question,
    *,
    images: str,
    folder: Path,
    batch_size: int,
    workers: int | None,
    progress: Callable[[str, int, int], None],
) -> dict[str, Sweep]:
    """The sweeps of a plan, each gone on from where it was stopped; `images` is their fingerprint."""
    found = {}
    for which, gauges in planned.gauges.items():
        network = networks(which)
        found[which] = sweep(
            network,
            question.images,
            gauges,
            batch_size=batch_size,
            workers=workers,
            checkpoint=folder / f"{which}.safetensors",
            signature=planned.signature(which, network, question, images, batch_size),
            progress=partial(progress, stage_of(which)),
        )
    return found


def stage_of(which: str) -> str:
    """What is being done, in words for the bar."""
    if which == TRAINED:
        return "images through the network"
    return f"the same through fresh weights, {int(which.removeprefix(FRESH + '-')) + 1} of {N_FRESH}"
