"""What is a claim?  A statement that may hold for a network or not, what has to be measured to know, and how it is judged.

A claim says which gauges it wants on which layers, for the network as it is and for the same architecture with fresh
weights; so one sweep can be planned for all claims. After the sweeps it may measure things one by one, images or units. Then it is
given what was found, and returns a Finding.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from convscope.finding import Control, Finding, Verdict, judge
from convscope.images import Images
from convscope.images.concepts.concept import Source
from convscope.instruments.concepts.dissect import Dissection, Labels
from convscope.intervals import Interval, none
from convscope.network import Network
from convscope.study.samples import Row, Sample, of_images
from convscope.sweep.engine import Sweep
from convscope.sweep.gauges import Gauge

TRAINED, FRESH = "trained", "fresh"  # what a claim can have measured: the network, and its control
NONE = none()
Networks = Callable[[str], Network]  # by name: the trained network, or a draw of fresh weights
N_FRESH = 3  # draws of fresh weights: what is said of them holds for each


@dataclass(frozen=True, eq=False)
class Concepts:
    """What is labelled in the images, and what the network and its controls say of it."""

    labels: Labels
    networks: dict[str, Dissection]  # by name, as sweeps

    @property
    def fresh(self) -> tuple[str, ...]:
        """The names of those with fresh weights."""
        return tuple(which for which in self.networks if which.startswith(FRESH))


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked: which network, which images, which layers, with which seed."""

    network: Network
    images: Images
    layers: tuple[str, ...]
    seed: int = 0
    mismatch: str = ""  # why the labels cannot be held against the network's answers; empty if they can
    n_groups: int = 1  # groups of images that can be drawn again, for intervals
    other: Network | None = None  # another network, which some pictures are shown to
    sources: tuple[Source, ...] = ()  # where concepts come from

    def rng(self, what: str) -> np.random.Generator:
        """Random numbers for one purpose, the same at every run."""
        return np.random.default_rng([self.seed, *what.encode()])


@dataclass(frozen=True, eq=False)
class Measured(Question):
    """What was asked, and what the sweeps found."""

    sweeps: dict[str, Sweep] = field(default_factory=dict)
    rows: dict[str, list[Row]] = field(default_factory=dict)  # by claim: what was measured one by one
    concepts: Concepts | None = None  # what the networks say of concepts, where a claim asks and sources are given

    @property
    def draws(self) -> tuple[str, ...]:
        """The names of the sweeps with fresh weights."""
        return tuple(which for which in self.sweeps if which.startswith(FRESH))

    def result(self, which: str, layer: str, gauge: str) -> Any:
        """The result of one gauge."""
        return self.sweeps[which].gauges[layer][gauge].result()


@dataclass(frozen=True, eq=False)
class Column:
    """A column of the table of units."""

    unit: str  # of measure, in words
    values: Any  # array or list, one for each unit


class Claim(ABC):
    """A statement about a network, with its measurement and its rule. One file each."""

    key: ClassVar[str]  # its name on the command line and in files
    statement: ClassVar[str]  # in the wording that evidence allows
    quantity: ClassVar[str]  # what the value is, in words
    unit: ClassVar[str]  # of the value, as in Finding
    least: ClassVar[float]  # the smallest difference from the control that matters
    means: ClassVar[str]  # one paragraph: what the finding means, and what it does not
    version: ClassVar[int] = 1  # counts changes of the measurement: an older finding is measured again
    n_sampled: ClassVar[int] = 0  # how much it measures one by one
    doing: ClassVar[str] = ""  # what that is, in words for the bar
    asks_other: ClassVar[bool] = False  # whether it shows pictures to another network, where one is given
    asks_concepts: ClassVar[bool] = False  # whether it asks what the networks say of concepts
    names_concepts: ClassVar[bool] = False  # whether its pages name them: it is then measured anew when they are

    def gauges(self, question: Question, which: str, layer: str, n_units: int) -> Sequence[Gauge]:
        """What has to be measured at a layer of the trained or the fresh network; nothing by default."""
        return ()

    def output_gauges(self, question: Question, n_classes: int) -> Sequence[Gauge]:
        """What has to be measured at the logits of the trained network; nothing by default."""
        return ()

    def sample(self, measured: Measured, networks: Networks) -> Sample | None:
        """What is measured one by one, after the sweeps (networks are in float32): by default `n_sampled` images, or nothing."""
        if not self.n_sampled:
            return None
        network, images = networks(TRAINED), measured.images.limited(self.n_sampled, measured.seed)
        return of_images(images, network, partial(self.measure, measured, network))

    def measure(self, question: Question, network: Network, inputs: Tensor) -> Row:
        """What has to be measured of one image of the sample (`1 channel y x`, in float32), fit for JSON; nothing by default."""
        return {}

    def unit_columns(self, measured: Measured) -> dict[str, Column]:
        """What is said of single units, a value for each unit of the measured layers in order; nothing by default."""
        return {}

    def finding(
        self,
        *,
        summary: str,
        value: Interval = NONE,
        controls: Sequence[Control] = (),
        beyond: Interval = NONE,
        conditions: Sequence[Interval] = (),
        why_not: str = "",
        evidence: Sequence[dict[str, Any]] = (),
        resampled: str = "",
        deciding: str = "",
        deciding_unit: str = "",
    ) -> Finding:
        """What was found, judged; `why_not` says why it cannot be, `conditions` are further values that must be above zero."""
        verdict = judge(beyond, self.least, conditions, why_not)
        least = f"{100 * self.least:g} points" if self.unit == "fraction" else f"{self.least:g}"
        few = f"The interval of what decides holds {least.replace('-', '−')}: more images may narrow it."
        return Finding(
            claim=self.key,
            statement=self.statement,
            quantity=self.quantity,
            value=value,
            unit=self.unit,
            controls=tuple(controls),
            beyond=beyond,
            least=self.least,
            verdict=verdict,
            summary=summary,
            means=self.means,
            reason=why_not or (few if verdict == Verdict.UNDECIDED else ""),
            evidence=tuple(evidence),
            resampled=resampled,
            deciding=deciding,
            deciding_unit=deciding_unit,
        )

    @abstractmethod
    def find(self, measured: Measured) -> Finding:
        """The finding, from what was measured."""
