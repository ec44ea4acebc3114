"""What does the network say, and by how much?  The class, its probability, and how far it leads."""

from dataclasses import asdict, dataclass
from typing import Any

import torch

from convscope.errors import NetworkError
from convscope.instruments.attribution.target import class_name
from convscope.network import Network

N_TOP = 5


@dataclass(frozen=True)
class Ranked:
    """A class with its logit and probability."""

    index: int
    name: str
    logit: float
    probability: float  # softmax over all classes; for a network of one logit the sigmoid of it


@dataclass(frozen=True)
class Prediction:
    """What a network says of one image."""

    top: tuple[Ranked, ...]  # the best classes, best first: at most five
    margin: float  # logit of the best less that of the second; for a network of one logit, the logit itself
    label: int | None = None  # the true class, where it is known
    label_name: str | None = None
    single: bool = False  # whether the network has one logit: above 0 it says yes

    @property
    def best(self) -> Ranked:
        return self.top[0]

    @property
    def runner_up(self) -> Ranked | None:
        return self.top[1] if len(self.top) > 1 else None

    @property
    def right(self) -> bool | None:
        """Whether the best class is the true one; None where that is not known."""
        if self.label is None:
            return None
        return (self.margin > 0) == (self.label == 1) if self.single else self.best.index == self.label

    @property
    def sentence(self) -> str:
        """The prediction in words."""
        best, second = self.best, self.runner_up
        if second is None:
            said = f"yes to {best.name}" if self.margin > 0 else f"no to {best.name}"
            text = f"It says {said}: logit {best.logit:.2f}, probability {percent(best.probability)} (sigmoid)"
        else:
            text = f"It says {best.name}: {percent(best.probability)}, {self.margin:.2f} logits ahead of {second.name}"
        if self.right is None:
            return text + "."
        return text + (", and is right." if self.right else f", and is wrong: the image is labelled {self.label_name}.")

    @property
    def brief(self) -> str:
        """The prediction in a few words: tabby 62 %."""
        no = "no " if self.single and self.margin <= 0 else ""
        return f"{no}{self.best.name} {percent(self.best.probability)}"

    def as_dict(self) -> dict[str, Any]:
        return {
            **{name: getattr(self, name) for name in ("margin", "label", "label_name", "right", "single", "sentence")},
            "top": [asdict(one) for one in self.top],
        }

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> "Prediction":
        """The inverse of `as_dict`."""
        top = tuple(Ranked(**one) for one in found["top"])
        return cls(top, found["margin"], found["label"], found["label_name"], found["single"])


def prediction_of(
    network: Network, logits: torch.Tensor, label: int | None = None, label_name: str | None = None
) -> Prediction:
    """The prediction in one image's logits, `class`. Raises NetworkError for logits that are not finite."""
    if not bool(torch.isfinite(logits).all()):
        raise NetworkError(
            "A prediction was to be explained.",
            "The network answers with values that are not finite (NaN or infinite).",
            "Look for the layer they come from: convscope why counts them, layer by layer.",
        )
    values = logits.double()
    single = len(values) == 1
    shares = torch.sigmoid(values) if single else torch.softmax(values, 0)
    order = torch.argsort(values, descending=True, stable=True)[:N_TOP].tolist()
    top = tuple(Ranked(i, class_name(network, i), float(values[i]), float(shares[i])) for i in order)
    margin = top[0].logit if single else top[0].logit - top[1].logit
    known = label if label is None or 0 <= label < max(2, len(values)) else None
    if known is not None and label_name is None:
        label_name = class_name(network, known) if not single else ("yes" if known else "no")
    return Prediction(top, margin, known, label_name if known is not None else None, single)


def percent(share: float) -> str:
    """A share in words: 62 %, 99.98 % rather than 100 % as long as it is not all."""
    for digits in range(5):
        text = f"{100 * share:.{digits}f}"
        if float(text) not in (0.0, 100.0):
            return text + " %"
    return f"{100 * share:.4g} %"
