"""Can its predictions be explained by where it looks?  The most faithful method against maps that know nothing of the network."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from convscope.errors import NetworkError
from convscope.finding import Control, Finding
from convscope.instruments.attribution import LRP, GradCAM, Gradient, IntegratedGradients, Method, Occlusion
from convscope.instruments.attribution.checks import Subject
from convscope.instruments.attribution.contest import FEWEST_IMAGES, Contest, known_mean, mean_interval, row_of
from convscope.network import Network
from convscope.registry import register
from convscope.study.claim import Claim, Measured, Question

N_WINDOWS = 7  # along the shorter side, half overlapping: what occlusion covers at a time


def candidates(network: Network) -> dict[str, Method]:
    """One method of each family, at settings a study can afford, by name."""
    short = min(network.input_shape[1:])
    window = max(1, round(short / N_WINDOWS))
    found: tuple[Method, ...] = (
        GradCAM(),
        Occlusion(window=window, stride=max(1, window // 2)),
        LRP(),
        IntegratedGradients(n_steps=20),
        Gradient(),
    )
    return {method.title: method for method in found}


@register("claim", "why_these_predictions")
@dataclass(frozen=True)
class WhyThesePredictions(Claim):
    """Insertion gain of the most faithful method; controls: the middle of the image, its edges."""

    key = "why_these_predictions"
    statement = "What an explanation marks decides the prediction"
    quantity = "insertion gain of the most faithful method over random order"
    unit = "index"  # an area under probabilities
    least = 0.02  # two points of probability, on average along the curve
    means = (
        "The image is uncovered part by part, first what a map marks most, and the probability of the predicted class is followed; "
        "the gain is how much higher it lies on average than when parts are uncovered in random order. A map that only knows the "
        "middle of the image, or its edges, gains too, for that is where things are: what counts is the gain beyond the better of "
        "these. The method is chosen on one half of the images and measured on the other. That a map is faithful in this sense "
        "does not say that people read it rightly, nor that the network has good reasons."
    )
    n_sampled = 40
    doing = "explanations of single images"

    def measure(self, question: Question, network: Network, inputs: Tensor) -> dict[str, Any]:
        try:
            row = row_of(Subject(network, inputs, seed=question.seed), candidates(network))
        except NetworkError as error:  # an answer that is not finite
            return {"refused": error.found}
        return row if row["methods"] else {"refused": "No method gave a map."}

    def find(self, measured: Measured) -> Finding:
        rows = [row for row in measured.rows[self.key] if "refused" not in row]
        if not rows:
            return self.finding(summary="No prediction was explained.", why_not="No image gave finite values.")
        if len(rows) < FEWEST_IMAGES:
            few = f"{len(rows)} image{'s are' if len(rows) > 1 else ' is'} too few; give {FEWEST_IMAGES} or more."
            return self.finding(summary=f"{len(rows)} of the predictions could be explained.", why_not=few)
        contest = Contest.of(rows)
        rng = measured.rng("why these predictions")
        beyond, gain = contest.beyond(rng), contest.gain(rng)
        controls = [
            Control(
                f"{name}",
                f"The parts uncovered in the order of a map that {_KNOWS[name]}, whatever the network.",
                mean_interval(known_mean(contest.trivial[:, i], 1), rng),
            )
            for i, name in enumerate(contest.trivial_names)
        ]
        return self.finding(
            value=gain,
            controls=controls,
            beyond=beyond,
            conditions=[contest.beyond(rng, fill) for fill in range(len(contest.fills))],
            summary=_summary(contest, gain, controls),
            evidence=_evidence(contest, rng),
            resampled="images",
            deciding="gain beyond that of the strongest trivial map",
            deciding_unit=self.unit,
        )


_KNOWS = {"centre": "only knows where the middle is", "edges": "only knows where edges are"}


def _summary(contest: Contest, gain: Any, controls: list[Control]) -> str:
    names = " or ".join(dict.fromkeys(contest.names[i] for i in reversed(contest.chosen())))
    others = ", ".join(f"{control.value.value:.2f} for the {control.name} map" for control in controls)
    return (
        f"On {len(contest)} images {names}, chosen on the other half of them, gains {gain.value:.2f} over random order "
        f"(95 % interval {gain.low:.2f} to {gain.high:.2f}); {others}."
    )


def _evidence(contest: Contest, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Every method beside the trivial maps, under each fill."""
    return [
        {
            "panel": "bars",
            "title": f"Insertion gain over random order, in probability, the rest filled with {fill}",
            "unit": "index",
            "bars": [
                *(_bar(name, contest.gains[:, i, f], rng) for i, name in enumerate(contest.names)),
                *(
                    _bar(f"{name} map", contest.trivial[:, i, f], rng, control=True)
                    for i, name in enumerate(contest.trivial_names)
                ),
            ],
        }
        for f, fill in enumerate(contest.fills)
    ]


def _bar(name: str, values: np.ndarray, rng: np.random.Generator, *, control: bool = False) -> dict[str, Any]:
    found = {key: bound if np.isfinite(bound) else None for key, bound in mean_interval(values, rng).as_dict().items()}
    return {"name": name, **found, "control": control}
