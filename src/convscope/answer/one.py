"""What is said about one image?  Every method asked once, every map checked, all on one Subject."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from convscope.answer.asked import AskedMethod
from convscope.answer.prediction import prediction_of
from convscope.answer.record import Answer, Explanation, Refusal, as_target, pixels_seen, unit_of
from convscope.answer.sentence import sentence
from convscope.errors import ConvscopeError, UsageError
from convscope.instruments.attribution import Attribution
from convscope.instruments.attribution.checks import Result, Subject, check_all, distrust
from convscope.network import Network

Step = Callable[[int, int], None]
_FINE = 50


@dataclass(frozen=True)
class Settings:
    """What is asked about every image."""

    methods: tuple[AskedMethod, ...]
    target: Any = None
    seed: int = 0
    checks: tuple[str, ...] | None = ()  # () all, None none

    def as_dict(self) -> dict[str, Any]:
        """The settings, fit for JSON."""
        methods = [
            {"name": one.name, "key": one.key, "title": one.method.title, "settings": one.settings, "layer": one.layer}
            for one in self.methods
        ]
        target = self.target
        asked = target if target is None or isinstance(target, int | str) else written(target)
        checks = "none" if self.checks is None else list(self.checks) or "all"
        return {"methods": methods, "target": asked, "seed": self.seed, "checks": checks}


def answer_of(
    network: Network,
    id: str,
    inputs: torch.Tensor,
    settings: Settings,
    label: int | None = None,
    label_name: str | None = None,
    mask: torch.Tensor | None = None,
    progress: Step = lambda done, total: None,
) -> Answer:
    """The answer about one image (normalised inputs, `1 channel y x`).

    Raises UsageError or UnknownNameError for a target that is not there, NetworkError for logits that are not finite.
    """
    known = mask if mask is not None and bool(mask.any()) else None  # the crop may have left nothing of it
    subject = Subject(network, inputs, settings.target, seed=settings.seed, mask=known)
    prediction = prediction_of(network, subject.logits[0], label, label_name)
    explanations: list[Explanation] = []
    refused: list[Refusal] = []
    steps = _Steps(progress, 2 * len(settings.methods))
    for asked in settings.methods:
        try:
            attribution = _attribution(subject, asked, steps.within)
            steps.next()
            checks = _checked(subject, attribution, settings.checks, steps.within)
        except ConvscopeError as error:
            reason = " ".join(filter(None, (error.found or error.asked, error.would_work)))
            refused.append(Refusal(asked.name, asked.method.title, reason))
        else:
            explanations.append(_explanation(asked, attribution, checks, subject))
        steps.to(2 * (len(explanations) + len(refused)))
    target = subject.target
    return Answer(
        id=id,
        pixels=pixels_seen(network.preprocess.pixels(inputs)[0]),
        prediction=prediction,
        about=target.words[0],
        target=as_target(target.step, target.plus, target.minus, target.position),
        explanations=tuple(explanations),
        refused=tuple(refused),
    )


class _Steps:
    """A bar for one image: each map and each map's checks are one part of it, of `_FINE` steps."""

    def __init__(self, progress: Step, parts: int) -> None:
        self.progress, self.parts, self.done = progress, parts, 0

    def within(self, done: int, total: int) -> None:
        self.progress(self.done * _FINE + done * _FINE // max(total, 1), self.parts * _FINE)

    def to(self, done: int) -> None:
        self.done = done
        self.within(0, 1)

    def next(self) -> None:
        self.to(self.done + 1)


def _attribution(subject: Subject, asked: AskedMethod, progress: Step) -> Attribution:
    found = asked.method(subject.network, subject.inputs, subject.target, asked.layer, progress)
    if not bool(torch.isfinite(found.map).all()):
        raise UsageError("", "Its scores are not finite (NaN or infinite).", "Another method may work.")
    return found


def _checked(
    subject: Subject, attribution: Attribution, only: tuple[str, ...] | None, progress: Step
) -> tuple[Result, ...]:
    return () if only is None else check_all(subject, attribution, only, progress)


def _explanation(asked: AskedMethod, found: Attribution, checks: tuple[Result, ...], subject: Subject) -> Explanation:
    method, why = asked.method, distrust(checks)
    sizes_only = method.channels == "absolute"
    of_class = found.target.step == subject.network.output
    return Explanation(
        name=asked.name,
        key=asked.key,
        title=method.title,
        paper=method.paper,
        settings=asked.settings,
        layer=found.layer,
        map=found.map[0].float().cpu().numpy(),
        size=subject.size,
        signed=method.signed,
        sizes_only=sizes_only,
        unit=unit_of(asked.key, of_class),
        score=float(found.score[0]),
        promised=None if found.promised is None else float(found.promised[0]),
        error=None if found.error is None else float(found.error[0]),
        notes=found.notes,
        checks=checks,
        distrust=why,
        sentence=sentence(
            found.scores[0].float().cpu().numpy(), found.target.words[0], checks, why, sizes_only=sizes_only
        ),
    )


def written(target: Any) -> Any:
    """A target as JSON can hold it."""
    if isinstance(target, list | tuple):
        return [written(one) for one in target]
    return target if target is None or isinstance(target, int | str) else str(target)
