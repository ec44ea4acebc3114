"""Is a unit really driven by the picture?  What is checked of every optimised image.

It must drive the unit beyond the best natural image, as bytes (uint8) too, and moved by a pixel in any direction; a class should be
recognised by another network. And how much of it is power above half the Nyquist frequency, which raw ascent is full of: of two
pictures that drive a unit, the one with less of it says more.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from convscope.errors import UsageError
from convscope.instruments.appearance.drive import Drive, moved
from convscope.instruments.appearance.driven_words import ALMOST, MOVED, said
from convscope.instruments.appearance.optimise import Optimised
from convscope.instruments.appearance.regularise import HALF_NYQUIST
from convscope.network import Network

MOST_OF_RAW = 0.5  # the part of a picture's power that is above, in parts of raw ascent's
MANY_CLASSES, N_TOP = 50, 5  # among that many classes, being among the first five is recognising; else only the first
TINY = 1e-12


@dataclass(frozen=True)
class Driven:
    """What the checks found of one picture. Responses are those of the layer that was asked about."""

    about: str  # "features.3.relu:5", "class 'otter'"
    kind: str  # "unit", "neuron", "direction" or "class"
    is_down: bool  # whether it is to be driven down
    value: float  # the response to the picture as it was made
    rendered: float  # to its bytes
    shifted: float  # to its bytes moved by one pixel, the mean of four directions
    weakest: float  # of the four: what is judged
    natural: float | None  # the strongest response to a natural image
    silent: bool  # nothing that was tried turned the unit on
    # both end where the activation ends, or where nothing in the picture can raise the unit: neither can be stronger
    reached_ceiling: bool
    high_power: float  # variance of the pixels (0-1) above half the Nyquist frequency
    high_frac: float  # the part of all their variance that is
    raw_power: float | None  # that variance of raw ascent's picture
    raw_frac: float | None  # that part, of raw ascent's
    raw_void: bool  # raw ascent was tried and found nothing: no control
    rank: int | None  # of the class on this network; 0 is the first
    other: str  # the other network, "" where none was tried
    other_rank: int | None  # of the class there
    other_top: int  # of so many first guesses there, one must be the class
    failed: tuple[str, ...]  # checks that were not passed, in words
    untried: tuple[str, ...]

    @property
    def high_of_raw(self) -> float | None:
        """The power above half the Nyquist frequency, in parts of raw ascent's."""
        return None if self.raw_power is None else self.high_power / max(self.raw_power, TINY)

    @property
    def frac_of_raw(self) -> float | None:
        """The part of its power that is above, in parts of raw ascent's."""
        return None if self.raw_frac is None else self.high_frac / max(self.raw_frac, TINY)

    @property
    def held(self) -> float:
        """The weaker of the responses to its bytes and to these moved by a pixel in any direction."""
        return max(self.rendered, self.weakest) if self.is_down else min(self.rendered, self.weakest)

    @property
    def is_beyond(self) -> bool | None:
        """Whether it drives the unit beyond the best natural image, also as bytes and moved; or as far, where nothing can do more.

        None without a natural image.
        """
        if self.natural is None:
            return None
        sign = -1.0 if self.is_down else 1.0
        if self.reached_ceiling:
            return sign * (self.rendered - self.held) <= (1 - ALMOST) * abs(self.rendered)
        return sign * self.held > sign * self.natural and not self.silent

    @property
    def passed(self) -> bool:
        return not self.failed

    @property
    def outcome(self) -> str:
        """What the checks say: "passes", "fails", or "not run" where there is nothing to compare with."""
        if self.silent and self.natural is None and self.rank is None:
            return "not run"
        if self.failed:
            return "fails"
        return "not run" if self.natural is None and self.rank is None else "passes"

    @property
    def words(self) -> str:
        """What was found, for a newcomer: a sentence or two, one more for a class."""
        return said(self)


def n_top(n_classes: int) -> int:
    """Among how many of a network's first guesses the class must be, to be recognised."""
    return N_TOP if n_classes >= MANY_CLASSES else 1


def driven(
    found: Optimised, *, natural: float | None = None, other: Network | None = None, raw: Optimised | None = None
) -> tuple[Driven, ...]:
    """The checks of each picture that was found.

    `natural` is the unit's strongest response to a natural image (its first exemplar; where it is driven down, its weakest), `raw`
    what raw ascent found for the same objective. Raises UsageError for a `raw` of another objective.
    """
    if raw is not None and (raw.objective.words != found.objective.words or raw.canvas.size != found.canvas.size):
        raise UsageError(
            f"A picture for {found.objective.words} was to be compared with raw ascent.",
            f"That is for {raw.objective.words}, of {raw.canvas.size} px.",
            "Optimise the same objective with RAW.",
        )
    bytes_ = found.images.mul(255).round() / 255
    drive = Drive(found.canvas, [found.objective] * len(bytes_), 1, 0.0)
    answers = torch.stack([drive.responses(one) for one in (bytes_, *moved(bytes_))])
    sign = found.objective.sign
    weakest = (sign * answers[1:]).amin(0) * sign
    flat = drive.derivative(bytes_).flatten(1).abs().amax(1) == 0
    high, total = high_power(found.images)
    is_void = raw is not None and raw.silent and not bool(raw.values.any())
    of_raw = None if raw is None or is_void else tuple(float(power.mean()) for power in high_power(raw.images))
    ranks = _ranks(found, found.canvas.network, bytes_)
    other_ranks = [None] * len(bytes_) if other is None else _ranks(found, other, bytes_)
    return tuple(
        _judged(
            found,
            value=float(found.values[i]),
            flat=bool(flat[i]),
            rendered=float(answers[0, i]),
            shifted=float(answers[1:, i].mean()),
            weakest=float(weakest[i]),
            natural=natural,
            high=float(high[i]),
            total=float(total[i]),
            raw=of_raw,
            raw_void=is_void,
            rank=ranks[i],
            other=other,
            other_rank=other_ranks[i],
        )
        for i in range(len(bytes_))
    )


def high_power(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The variance above half the Nyquist frequency, and all of it, of each picture: mean over channels, `batch` each.

    By Parseval the squares of the spectrum, over the number of pixels, add up to the variance.
    """
    n_pixels = images.shape[2] * images.shape[3]
    power = torch.fft.fft2(images.double(), norm="ortho").abs().pow(2).mean(1) / n_pixels
    power[:, 0, 0] = 0
    y, x = (torch.fft.fftfreq(n) for n in images.shape[2:])
    is_high = torch.hypot(y[:, None], x[None, :]) > HALF_NYQUIST
    return (power * is_high).sum((1, 2)), power.sum((1, 2))


def _judged(
    found: Optimised,
    *,
    value: float,
    flat: bool,
    rendered: float,
    shifted: float,
    weakest: float,
    natural: float | None,
    high: float,
    total: float,
    raw: tuple[float, ...] | None,
    raw_void: bool,
    rank: int | None,
    other: Network | None,
    other_rank: int | None,
) -> Driven:
    sign, ceiling = found.objective.sign, found.objective.ceiling
    failed, untried = [], []
    other_top = N_TOP if other is None else n_top(other.n_classes)
    high_frac = high / max(total, TINY)
    raw_frac = raw[0] / max(raw[1], TINY) if raw else 0.0
    # A unit that is off in every image and in the picture stands at its floor, not at its ceiling.
    at_ceiling = (
        natural is not None
        and sign * natural > 0
        and not found.silent
        and (
            (ceiling is not None and sign > 0 and min(rendered, natural) >= ALMOST * ceiling)
            or (flat and abs(rendered - natural) <= (1 - ALMOST) * abs(natural))
        )
    )
    if found.silent:
        failed.append("nothing that was tried turns the unit on: it is dead, or needs another start")
    if natural is None:
        untried.append("beyond the best natural image: no natural image was given")
    elif not at_ceiling:
        for name, response in (("as bytes", rendered), (MOVED, weakest)):
            if sign * response <= sign * natural:
                failed.append(f"{name} it drives the unit to {response:.3g}; a natural image to {natural:.3g}")
    elif sign * weakest < sign * rendered - (1 - ALMOST) * abs(rendered):
        failed.append(f"{MOVED} it drives the unit to {weakest:.3g}; a natural image to {natural:.3g}")
    if raw is None:
        untried.append(f"high frequencies: raw ascent {'found nothing' if raw_void else 'was not tried'}")
    elif high_frac > MOST_OF_RAW * raw_frac:
        failed.append(
            f"{high_frac:.0%} of its power is above half the Nyquist frequency; of raw ascent's {raw_frac:.0%}"
        )
    if rank is not None and rank > 0 and sign > 0:
        failed.append(f"the class is number {rank + 1} of the network's own prediction")
    if other is None:
        untried.append("another network: none was given")
    elif other_rank is None:
        untried.append(f"another network: {other.name} has no such class or unit")
    elif other_rank >= other_top and sign > 0:
        failed.append(f"{other.name} has the class as number {other_rank + 1}")
    return Driven(
        about=found.objective.words,
        kind=found.objective.kind,
        is_down=found.objective.negative,
        value=value,
        rendered=rendered,
        shifted=shifted,
        weakest=weakest,
        natural=natural,
        silent=found.silent,
        reached_ceiling=at_ceiling,
        high_power=high,
        high_frac=high_frac,
        raw_power=None if raw is None else raw[0],
        raw_frac=None if raw is None else raw_frac,
        raw_void=raw_void,
        rank=rank,
        other="" if other is None else other.name,
        other_rank=other_rank,
        other_top=other_top,
        failed=tuple(failed),
        untried=tuple(untried),
    )


def _ranks(found: Optimised, network: Network, images: torch.Tensor) -> list[int | None]:
    """The place of the class among a network's predictions for each picture, 0 for the first; None where there is no such class."""
    target = _same_class(found, network)
    if target is None or images.shape[1] != network.input_shape[0]:
        return [None] * len(images)
    size = network.input_shape[1:]
    shown = images
    if images.shape[2:] != size:
        shown = F.interpolate(images, size=size, mode="bilinear", align_corners=False, antialias=True)
    with torch.no_grad():
        logits = torch.cat([network(network.preprocess.normalize(one[None].to(network.device))) for one in shown])
    return [int(n) for n in (logits > logits[:, target : target + 1]).sum(1)]


def _same_class(found: Optimised, network: Network) -> int | None:
    """The index of the class there: by its name where both have names, by its index where there are equally many.

    A name that several classes of one network have says nothing to another.
    """
    own, target = found.canvas.network, found.objective.target
    if target is None or network is own:
        return target
    if own.classes is not None and network.classes is not None:
        names, name = network.classes.names, own.classes[target]
        return names.index(name) if names.count(name) == own.classes.names.count(name) == 1 else None
    return target if own.n_classes == network.n_classes else None
