"""What does the network say of many changed versions of one place?  As many at a time as fit; only what lies above is computed."""

from collections.abc import Callable
from dataclasses import replace
from math import prod

import torch

from convscope.errors import NetworkError, UsageError
from convscope.graph.graph import INPUT
from convscope.instruments.attribution.method import Question, chunks

AT_ONCE = 1 << 23  # values of the largest step of a pass: more leaves the cache, fewer wait for the threads
_FINE = 1000  # parts of an image's progress


def scores_of(
    question: Question, n_variants: int, make: Callable[[slice], torch.Tensor], batch_size: int | None = None
) -> torch.Tensor:
    """The score of each variant of each image, `image variant`, float64.

    `make` gives some of the variants, `image variant unit y x`; `batch_size` is how many go into one pass, all images counted.
    Raises NetworkError where a score is not finite, UsageError for a batch size below one.
    """
    if batch_size is not None and batch_size < 1:
        raise UsageError("A batch size was given.", f"It is {batch_size}.", "Give at least 1, or None: as many as fit.")
    n_images = len(question.inputs)
    found = [torch.zeros(n_images, 0, dtype=torch.float64)]
    for part in chunks(n_variants, max(1, (batch_size or affordable(question)) // n_images)):
        scores = question.score(make(part).flatten(0, 1))
        found.append(scores.reshape(n_images, -1).double().cpu())
        question.progress(part.stop, n_variants)
    scores = torch.cat(found, 1)
    if not bool(torch.isfinite(scores).all()):
        raise NetworkError(
            f"The score was computed with '{question.layer}' changed, {n_variants} times.",
            "The network answers some of them with values that are not finite (NaN or infinite).",
            "Use a method that asks about the image as it is, or another baseline.",
        )
    return scores


def affordable(question: Question) -> int:
    """How many images go into one pass: as many as keep the largest value in bounds."""
    shapes = [step.shape for step in question.path if step.shape is not None]
    sizes = [prod(size for size in shape if size is not None) for shape in shapes]
    return max(1, AT_ONCE // max(question.maps[0].numel(), *sizes, 1))


def at_images(question: Question) -> Question:
    """The same question with the image as its place, for many passes of the whole network."""
    network = question.network.quick_for(question.inputs)
    above = network.onward(INPUT, question.inputs, question.target.step)
    return replace(question, network=network, layer=INPUT, above=above)


def alone(question: Question, image: int, n_images: int) -> Question:
    """The same question for one image of a batch; its progress is a part of the whole."""

    def progress(done: int, total: int) -> None:
        question.progress(image * _FINE + _FINE * done // total, n_images * _FINE)

    one = slice(image, image + 1)
    inputs, target = question.inputs[one], question.target.of(image)
    above = question.network.onward(question.layer, inputs, target.step)
    return replace(
        question, inputs=inputs, target=target, progress=progress, above=above, unchanged=question.unchanged[one]
    )


def positions(question: Question, values: torch.Tensor) -> torch.Tensor:
    """Values of the place as `batch unit y x`; a vector has one position. Raises UsageError for tokens without a place."""
    if values.dim() == 2:
        return values[:, :, None, None]
    if values.dim() == 4:
        return values
    raise UsageError(
        f"Maps of '{question.layer}' were asked for.",
        f"Its values have units but no rows and columns: their shape is {tuple(values.shape[1:])}.",
        "Name a layer with maps (convscope layers NET shows them).",
    )
