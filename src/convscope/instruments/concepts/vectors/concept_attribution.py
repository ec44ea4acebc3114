"""How much of a prediction goes through each concept's direction?  The logit of an image, shared out among concepts.

At each position the activation beyond the mean of the counter-examples is projected on a concept's vector; times the derivative of
the logit along it, summed over positions, that is what the logit owes to the concept, to first order:

    alone     sum_p  <v, a_p - a0> <v, dy/da_p>
    together  sum_p  c_p <v, dy/da_p>,  c_p the least-squares coefficients of a_p - a0 by all vectors

Vectors of several concepts are not at right angles: what two share is counted twice where each stands alone, and once together.
Together they add up to what goes through the space they span. The rest of the layer's first-order part is named `rest`, and what
is beyond the first order `remainder`. Where everything above the layer is affine, the remainder is 0, and

    logit = logit of the counter-examples' mean at every position + together + rest

holds exactly. Where a ReLU follows, it does as far as no ReLU switches between that mean and the image; the same mean at every
position is unlike any image, so in early layers the remainder can be as large as the logit, and says so. A concept that speaks
against a class and is missing in the image counts for the class.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from convscope.errors import NetworkError, UsageError
from convscope.images.concepts.concept import Concept
from convscope.instruments.concepts.vectors.sensitivity import class_index, class_name, logit_gradient
from convscope.instruments.concepts.vectors.vectors import ConceptVectors
from convscope.network import Network

ALIKE = 0.01  # singular values below this part of the largest are no direction of their own: alike vectors share alike


@dataclass(frozen=True, eq=False)
class ConceptAttribution:
    """What logits owe to concepts, in logits; float64."""

    layer: str
    concepts: tuple[Concept, ...]
    classes: tuple[str, ...]  # for each image, whose logit it is
    alone: np.ndarray  # image concept
    together: np.ndarray  # image concept
    places: np.ndarray  # image concept y x: the same by positions; 1 x 1 for a layer without maps
    rest: np.ndarray  # image: through the layer, and outside the space of the concepts
    remainder: np.ndarray  # image: beyond the first order
    at_baseline: np.ndarray  # image: the logit, with the mean of the counter-examples at every position
    logit: np.ndarray  # image: at_baseline + together + rest + remainder
    refused: dict[Concept, str]  # concepts without a vector that tells them, which are part of the rest

    def __repr__(self) -> str:
        n, of = self.alone.shape
        return f"ConceptAttribution({self.layer}: {n} logit{'s' if n != 1 else ''} shared out among {of} concepts)"


def attribute_to_concepts(
    network: Network,
    vectors: ConceptVectors,
    inputs: torch.Tensor,
    target: int | str | Sequence[int | str] | None = None,
) -> ConceptAttribution:
    """The logits of a batch (normalised inputs, `batch channel y x`), shared out among the concepts that have a vector.

    `target`: a class, one for each image, or None for what each image is predicted as. Raises UsageError where no vector tells its
    concept, or for targets of another number; UnknownNameError for a class, InputShapeError, NetworkError for values that are not
    finite.
    """
    if not vectors.tells.any():
        concept, why_not = next(iter(vectors.refused.items()))
        raise UsageError(
            f"Predictions were to be shared out among concepts at '{vectors.layer}'.",
            f"No vector tells its concept there. {concept}: {why_not}",
            "Name another layer, or give more examples.",
        )
    network.graph_for(inputs)  # raises InputShapeError
    if not len(inputs):
        raise UsageError("Predictions were to be shared out among concepts.", "The batch is empty.", "Give an image.")
    quick = network.quick_for(inputs)
    above = quick.onward(vectors.layer, inputs)
    maps = above.maps.detach()
    baseline = torch.from_numpy(vectors.baseline).to(maps).reshape(-1, *[1] * (maps.dim() - 2)).expand_as(maps)
    with torch.no_grad():
        logits, empty = above(maps), above(baseline)
    if not bool(torch.isfinite(logits).all()):
        raise NetworkError(
            "Predictions were to be shared out among concepts.",
            "The network answers with values that are not finite.",
            "Look for the layer they come from: convscope why counts them, layer by layer.",
        )
    classes = _classes(network, target, logits)
    slope, beyond = (
        _by_position(part).double() for part in (logit_gradient(above, maps, classes), maps - baseline)
    )  # batch unit position
    own = torch.from_numpy(vectors.vector[vectors.tells].astype(np.float64)).to(slope.device)  # concept unit
    along = own @ slope
    together = (torch.linalg.pinv(own.T, rtol=ALIKE) @ beyond) * along
    first_order = _numbers((slope * beyond).sum((1, 2)))
    image = torch.arange(len(classes))
    logit, at_baseline = (_numbers(values.double()[image, classes]) for values in (logits.cpu(), empty.cpu()))
    return ConceptAttribution(
        layer=vectors.layer,
        concepts=tuple(concept for concept, tells in zip(vectors.concepts, vectors.tells, strict=True) if tells),
        classes=tuple(class_name(network, int(index)) for index in classes),
        alone=_numbers(((own @ beyond) * along).sum(2)),
        together=_numbers(together.sum(2)),
        places=_numbers(together.unflatten(2, tuple(maps.shape[2:]) or (1, 1))),
        rest=first_order - _numbers(together.sum((1, 2))),
        remainder=logit - at_baseline - first_order,
        at_baseline=at_baseline,
        logit=logit,
        refused=dict(vectors.refused),
    )


def _by_position(maps: torch.Tensor) -> torch.Tensor:
    """Maps as `batch unit position`."""
    return maps[:, :, None] if maps.dim() == 2 else maps.flatten(2)


def _numbers(values: torch.Tensor) -> np.ndarray:
    return values.cpu().numpy()


def _classes(network: Network, target: int | str | Sequence[int | str] | None, logits: torch.Tensor) -> torch.Tensor:
    """The class of each image, int64."""
    if target is None:
        return logits.argmax(1).cpu()
    if isinstance(target, (int, str)):
        target = [target] * len(logits)
    if len(target) != len(logits):
        raise UsageError(
            "Predictions were to be shared out among concepts.",
            f"There are {len(target)} targets for {len(logits)} images.",
            "Give one class, or one for each image.",
        )
    return torch.tensor([class_index(network, one) for one in target])
