"""Is this network what its owner thinks, and what will work on it?  The preflight before any measurement."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from convscope.images import Images, Skip
from convscope.intervals import Interval, share
from convscope.network.formats import Trial, fastest
from convscope.network.network import Network

MOST_EXAMPLES = 32  # images of noise that speed and equality are measured on
COUNTED = frozenset(
    {"linear", "addmm", "mm", "bmm", "matmul", "scaled_dot_product_attention"}
)  # products with a rule for costs
Progress = Callable[[int, int], None]  # images done, images in all


@dataclass(frozen=True)
class Accuracy:
    """How often is the network right on labelled images?"""

    top1: Interval
    top5: Interval | None  # None with fewer than six classes
    n_labelled: int


@dataclass(frozen=True)
class MissingRule:
    """An operation that one walk does not know."""

    walk: str
    op: str
    layer: str
    where: str


@dataclass(frozen=True)
class Check:
    """What the preflight found."""

    network: Network
    graph_difference: float | None  # largest difference of logits, graph against model, relative; None without a model
    folded_difference: float  # the same, batch norms folded against not
    missing_rules: tuple[MissingRule, ...]
    trials: tuple[Trial, ...]
    accuracy: Accuracy | None
    n_images: int
    images_per_s: float | None  # reading, preparing and computing together
    skipped: tuple[Skip, ...]
    label_source: str

    @property
    def problems(self) -> tuple[str, ...]:
        """What speaks against going on, in words; empty if nothing does."""
        found = []
        if self.graph_difference is not None and not self.graph_difference <= 1e-5:
            found.append(f"the graph differs from the model by {self.graph_difference:.1e} of the largest logit")
        if not self.folded_difference <= 1e-4:
            found.append(f"folding batch norms changes the logits by {self.folded_difference:.1e}")
        if self.network.weights == "random":
            found.append("the weights are random: give --weights FILE (or 'hub' for the published ones)")
        return tuple(found)

    def as_dict(self) -> dict[str, Any]:
        """The findings, fit for JSON."""
        net, accuracy = self.network, self.accuracy
        return {
            "network": net.name,
            "weights": net.weights,
            "fingerprint": net.fingerprint,
            "input_shape": list(net.input_shape),
            "n_classes": net.n_classes,
            "n_layers": len(net.layers),
            "parameters": net.layers.total.n_parameters,
            "macs": net.layers.total.n_macs,
            "notes": list(net.notes),
            "preprocess": net.preprocess.as_dict(),
            "graph_difference": self.graph_difference,
            "folded_difference": self.folded_difference,
            "missing_rules": [vars(rule) for rule in self.missing_rules],
            "formats": [trial.as_dict() for trial in self.trials],
            "accuracy": accuracy
            and {
                "n": accuracy.n_labelled,
                "top1": accuracy.top1.as_dict(),
                "top5": accuracy.top5 and accuracy.top5.as_dict(),
                "labels": self.label_source,
            },
            "n_images": self.n_images,
            "images_per_s": self.images_per_s,
            "skipped": [{"id": skip.id, "reason": skip.reason} for skip in self.skipped],
            "problems": list(self.problems),
        }


def check(
    network: Network,
    images: Images | None = None,
    *,
    batch_size: int = 32,
    progress: Progress | None = None,
) -> Check:
    """Does the graph compute what the model does, which walks lack a rule, how fast is it, how accurate on labelled images?

    Images may be unlabelled; labelled ones are matched to the network's classes first (ImagesError if they do not fit).
    """
    inputs = _examples(network, min(batch_size, MOST_EXAMPLES))
    graph_difference, folded_difference = _differences(network, inputs[:4])
    quickest, trials = fastest(network, inputs)
    if quickest.dtype != torch.float32:  # speed is shown for all; what is measured here is measured exactly
        quickest = fastest(network, inputs, dtypes=(torch.float32,), n_rounds=1)[0]
    measured = _Measured()
    if images is not None:
        if network.classes is not None and (images.labels >= 0).any():
            images = images.match(network.classes)
        measured = _measure(quickest, images, batch_size, progress)
    return Check(
        network=network,
        graph_difference=graph_difference,
        folded_difference=folded_difference,
        missing_rules=_missing_rules(network),
        trials=trials,
        accuracy=measured.accuracy(network.n_classes),
        n_images=measured.n_images,
        images_per_s=measured.n_images / measured.seconds if measured.n_images else None,
        skipped=tuple(measured.skipped) + (images.skipped if images is not None else ()),
        label_source=images.label_source if images is not None else "none",
    )


def _examples(network: Network, n: int) -> torch.Tensor:
    """Noise of the strength of normalised pixels; structureless, so that no operation is spared."""
    return torch.randn(n, *network.input_shape, generator=torch.Generator().manual_seed(0))


def _differences(network: Network, inputs: torch.Tensor) -> tuple[float | None, float]:
    """Largest relative difference of logits: graph against model, and folded against not."""
    plain = network.unfolded()
    with torch.no_grad():
        logits, folded = plain(inputs), network(inputs)
        scale = float(logits.abs().max()) or 1.0
        own = network.own_logits(inputs)
    difference = None if own is None else float((own - logits).abs().max()) / scale
    return difference, float((folded - logits).abs().max()) / scale


def _missing_rules(network: Network) -> tuple[MissingRule, ...]:
    found = [MissingRule("receptive fields", step.op, step.name, step.where) for step in network.layers.without_field]
    found += [
        MissingRule("costs", step.op, step.name, step.where) for step in network.graph.layers if step.kind == "other"
    ]
    return tuple(found)


class _Measured:
    """Counts over a stream of images."""

    def __init__(self) -> None:
        self.n_images = self.n_labelled = self.n_top1 = self.n_top5 = 0
        self.seconds = 0.0
        self.skipped: list[Skip] = []

    def add(self, logits: torch.Tensor, labels: torch.Tensor) -> None:
        known = labels >= 0
        best = logits[known].topk(min(5, logits.shape[1]), dim=1).indices
        hits = best == labels[known][:, None]
        self.n_images += len(labels)
        self.n_labelled += int(known.sum())
        self.n_top1 += int(hits[:, 0].sum())
        self.n_top5 += int(hits.any(dim=1).sum())

    def accuracy(self, n_classes: int) -> Accuracy | None:
        if not self.n_labelled:
            return None
        top5 = share(self.n_top5, self.n_labelled) if n_classes > 5 else None
        return Accuracy(share(self.n_top1, self.n_labelled), top5, self.n_labelled)


def _measure(network: Network, images: Images, batch_size: int, progress: Progress | None) -> _Measured:
    measured = _Measured()
    start = time.perf_counter()
    with torch.no_grad():
        for batch in images.stream(network.preprocess.prepare_one, batch_size=batch_size):
            measured.skipped.extend(batch.skipped)
            if len(batch):
                measured.add(network(batch.inputs), batch.labels)
            if progress:
                progress(batch.stop, len(images))
    measured.seconds = time.perf_counter() - start
    return measured
