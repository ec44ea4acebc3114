"""Does a class grow or shrink along a concept's direction?  Directional derivatives of its logit, and a test of them.

Kim et al. 2018 (arXiv:1711.11279), eq. 1 and 2: the sensitivity of an image is the derivative of the logit along the vector, here
at all positions at once; the TCAV score of a class is the share of its images where that is positive. Since the vector is the same
at every position, the gradient summed over positions is all that is needed of an image, for any number of concepts.

The paper compares the scores of several runs with those of random concepts by a two-sided t test. That test is wrong: runs share
the examples, so their scores are alike for a random concept, too, and counting them as independent finds far too much: on four
layers of SqueezeNet 1.1 and MobileNetV2, with 20 concepts of 30 images drawn at random and 10 classes, it calls 41 to 59 % of the
pairs significant at 5 %, the test here 2 to 9 %. And near the output a score says little: all images of a class have nearly the
same gradient there, so that any direction scores 0 or 1. Here a concept counts once, and what is compared is the derivative
itself, along the classifiers' weights (mean over runs and images), with those of random concepts that went through all the same
steps. The paper's p value is given beside it. Neither says that the network uses the concept: only that the logit, to first order,
changes along its direction.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.special import stdtr

from convscope.errors import ImagesError, UnknownNameError, UsageError
from convscope.images import Images
from convscope.images.concepts.concept import Concept
from convscope.instruments.concepts.vectors.one_against_many import one_against_many
from convscope.instruments.concepts.vectors.vectors import RATE, ConceptVectors
from convscope.intervals import false_discovery_rate
from convscope.network import Network
from convscope.sweep.engine import Progress
from convscope.walks.onward import Onward


@dataclass(frozen=True, eq=False)
class Sensitivities:
    """What classes owe to the directions of concepts; arrays are float64 `class concept` unless said, NaN where refused."""

    layer: str
    concepts: tuple[Concept, ...]
    classes: tuple[str, ...]
    n_images: np.ndarray  # int64 class
    derivative: np.ndarray  # of the logit along the vector, mean over images and runs; logits per unit of activation
    error: np.ndarray  # of it, from looking at some images of the class only: a standard error; NaN for one image
    effect: np.ndarray  # logits: the derivative times the distance between held-out examples and counter-examples
    score: np.ndarray  # TCAV score, 0-1: share of images with a positive derivative, mean over runs
    scores: np.ndarray  # class concept run
    random_scores: np.ndarray  # class concept random: of random concepts
    p_values: np.ndarray  # of one concept against random concepts
    paper_p_values: np.ndarray  # of the t test over runs, for comparison: it finds too much
    refused: dict[Concept, str] = field(default_factory=dict)
    rate: float = RATE

    def __repr__(self) -> str:
        n, of = int(self.significant.sum()), int((~np.isnan(self.p_values)).sum())
        return f"Sensitivities({self.layer}: {n} of {of} pairs of a class and a concept are significant)"

    @property
    def significant(self) -> np.ndarray:
        """Which classes are sensitive to which concepts, truth values: at most a share `rate` of them falsely."""
        known = ~np.isnan(self.p_values)
        found = np.zeros(known.shape, bool)
        found[known] = false_discovery_rate(self.p_values[known], self.rate)
        return found


def sensitivities(
    network: Network,
    vectors: ConceptVectors,
    images: Images,
    classes: Sequence[int | str] | None = None,
    *,
    batch_size: int = 32,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Sensitivities:
    """How sensitive each class is to each concept, over the images of that class.

    Images are matched to the network's classes by their labels; where none has a label, all count for each class that is named.
    `classes` are indices or names, by default all that have images. Raises UnknownNameError for a class, ImagesError for one
    without images or where a gradient is not finite, UsageError where classes are needed and not named.
    """
    labelled = _matched(network, images)
    has_labels = bool((labelled.labels >= 0).any())
    if classes is None and not has_labels:
        raise UsageError(
            "Sensitivities were asked for.", "No image has a label, and no class is named.", "Give classes=[...]."
        )
    wanted = np.unique(labelled.labels[labelled.labels >= 0]).tolist() if classes is None else classes
    indices = list(dict.fromkeys(class_index(network, one) for one in wanted))
    pairs = [
        (place, index)
        for index in indices
        for place in range(len(images))
        if not has_labels or labelled.labels[place] == index
    ]
    if not pairs:
        raise _no_images(network, indices[0])
    gradients, failed = class_gradients(
        network, vectors.layer, labelled, pairs, batch_size=batch_size, workers=workers, progress=progress
    )
    of = np.array([index for _, index in pairs])
    parts = [gradients[(of == index) & ~failed] for index in indices]
    for index, part in zip(indices, parts, strict=True):
        if not len(part):
            raise _no_images(network, index)
    return _compared(network, vectors, indices, parts)


def class_gradients(
    network: Network,
    layer: str,
    images: Images,
    pairs: Sequence[tuple[int, int]],
    *,
    batch_size: int = 32,
    workers: int | None = None,
    progress: Progress | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The gradient of a class's logit by the layer's units, summed over positions, of pairs of an image (its place) and a class.

    float32 `pair unit`; and which pairs have none, because the image cannot be read or its gradient is not finite.
    """
    rows: dict[int, np.ndarray] = {}
    shown = images[np.array([place for place, _ in pairs], np.int64)]  # an image once for each of its classes
    for batch in shown.stream(network.preprocess, batch_size=batch_size, workers=workers):
        quick = network.quick_for(batch.inputs)
        above = quick.onward(layer, batch.inputs)
        classes = torch.tensor([pairs[index][1] for index in batch.indices])
        gradient = logit_gradient(above, above.maps, classes)
        summed = gradient.flatten(2).sum(2) if gradient.dim() > 2 else gradient
        rows.update(zip(batch.indices, summed.cpu().numpy(), strict=True))
        if progress:
            progress(batch.stop, len(pairs))
    n_units = len(next(iter(rows.values())))
    found = np.array([rows.get(index, np.full(n_units, np.nan, np.float32)) for index in range(len(pairs))])
    return found, ~np.isfinite(found).all(axis=1)


def _compared(
    network: Network, vectors: ConceptVectors, indices: Sequence[int], gradients: Sequence[np.ndarray]
) -> Sensitivities:
    """Derivatives along vectors, beside those along random ones."""
    n_concepts, n_runs = vectors.vectors.shape[:2]
    shape = (len(indices), n_concepts)
    derivative, error, effect, p_values, paper_p_values = (np.full(shape, np.nan) for _ in range(5))
    scores = np.full((*shape, n_runs), np.nan)
    random_scores = np.full((*shape, vectors.random_vectors.shape[1]), np.nan)
    for row, own in enumerate(gradients):
        for at in np.flatnonzero(vectors.tells):
            along = own @ vectors.vectors[at].T  # image run
            along_random = own @ vectors.random_vectors[at].T
            scores[row, at], random_scores[row, at] = (along > 0).mean(axis=0), (along_random > 0).mean(axis=0)
            mean = own.mean(axis=0, dtype=np.float64)
            derivative[row, at] = along.mean()
            if len(own) > 1:
                error[row, at] = along.mean(axis=1).std(ddof=1) / np.sqrt(len(own))
            effect[row, at] = (along.mean(axis=0) * vectors.gap[at]).mean()
            p_values[row, at] = one_against_many(
                mean @ vectors.weights[at], vectors.random_weights[at].astype(np.float64) @ mean
            )
            paper_p_values[row, at] = paper_p(scores[row, at], random_scores[row, at])
    return Sensitivities(
        vectors.layer,
        vectors.concepts,
        tuple(class_name(network, index) for index in indices),
        np.array([len(own) for own in gradients]),
        derivative=derivative,
        error=error,
        effect=effect,
        score=scores.mean(axis=2),
        scores=scores,
        random_scores=random_scores,
        p_values=p_values,
        paper_p_values=paper_p_values,
        refused=dict(vectors.refused),
    )


def paper_p(scores: np.ndarray, random_scores: np.ndarray) -> float:
    """The p value of the paper: Student's two-sided t test of the scores of runs and of random concepts."""
    n, m = len(scores), len(random_scores)
    squares = n * scores.var() + m * random_scores.var()
    away = abs(scores.mean() - random_scores.mean())
    if squares < 1e-20:
        return 1.0 if away < 1e-10 else 0.0
    return float(2 * stdtr(n + m - 2, -away / np.sqrt(squares / (n + m - 2) * (1 / n + 1 / m))))


def logit_gradient(above: Onward, maps: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """The derivative of one logit of each image by the layer's maps, in their shape."""

    def chosen(value: torch.Tensor) -> torch.Tensor:
        signal = torch.zeros_like(value)
        signal[torch.arange(len(value)), classes.to(value.device)] = 1
        return signal

    return above.gradient(maps, chosen)[1].detach()


def _no_images(network: Network, index: int) -> ImagesError:
    return ImagesError(
        f"The sensitivity of class {index} ({class_name(network, index)}) was asked for.",
        "No image has that label and can be computed.",
        "Give images of that class, or images without labels.",
    )


def _matched(network: Network, images: Images) -> Images:
    """Images by the network's own class indices, where both have names."""
    if network.classes is None or not (images.labels >= 0).any():
        return images
    return images.match(network.classes, partial=True)


def class_index(network: Network, asked: int | str) -> int:
    """The class that is meant. Raises UnknownNameError."""
    if network.classes is not None:
        return network.classes.index_of(asked)
    if isinstance(asked, str) or not 0 <= asked < network.n_classes:
        raise UnknownNameError("class", str(asked), (), f"There are {network.n_classes} classes, counted from 0.")
    return int(asked)


def class_name(network: Network, index: int) -> str:
    """What a class is called."""
    return network.classes[index] if network.classes is not None else f"class {index}"
