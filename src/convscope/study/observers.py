"""Who else recognises a picture?  Another network, or, where none is given, a witness that learned from the labelled images alone.

A picture that drives a network may be an attack on just that network. An observer has none of its weights. The witness is a
linear reading (ridge regression) of the same architecture with weights that have learned nothing: all it knows is from the images
and their labels. It is weak, so it is asked first about images it has not seen; one that is no better there than chance is
no witness.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch.nn import functional as F

from convscope.images import Classes, Images
from convscope.instruments.appearance.driven import n_top
from convscope.intervals import share
from convscope.network import Network
from convscope.study.claim import FRESH, N_FRESH, Networks, Question
from convscope.study.drawn import hidden

TIMES_CHANCE, MOST_ASKED = 2.0, 0.7  # of natural images an observer must recognise more than twice chance, or than this
N_IMAGES, LEARNS = 1000, 0.7  # the images a witness is shown, at most, and the part it learns from
LEAST_A_CLASS = 5  # images of a class, or a witness does not know it
N_LAYERS, MOST_UNITS, CELLS = 8, 64, 4  # what it reads: some units of some layers, means over 4 x 4 parts of their maps
RIDGE = 0.1  # in parts of the mean square length of what it reads
N_DRAWS = 3  # of fresh weights, other than those of the controls
N_NATURAL = 100  # images another network is asked about


class Observer(Protocol):
    """Recognises classes of the studied network in pictures."""

    @property
    def name(self) -> str: ...
    @property
    def known(self) -> np.ndarray:
        """Classes of the studied network that it knows, int64."""

    @property
    def natural(self) -> tuple[int, int]:
        """Of how many natural images it recognises the class, of how many it was asked."""

    def ranks(self, images: torch.Tensor, targets: Sequence[int]) -> list[int]:
        """How many of the known classes it finds likelier than the target, for each picture (float 0-1, `batch channel y x`)."""


def recognises_images(n_right: int, n: int, n_classes: int) -> bool:
    """Whether it recognises enough natural images to be asked about pictures."""
    return n > 0 and share(n_right, n).low > min(TIMES_CHANCE * n_top(n_classes) / n_classes, MOST_ASKED)


def known_classes(question: Question) -> np.ndarray:
    """The classes that whoever can be asked knows, int64; none where nobody can be."""
    if question.other is not None:
        return known_there(question.network, question.other)[0]
    shown = _labelled(question.images)
    if question.mismatch or not hidden(question) or not len(shown):
        return np.zeros(0, np.int64)
    labels = shown.limited(N_IMAGES, question.seed).labels
    counts = np.bincount(labels, minlength=question.network.n_classes)
    return np.flatnonzero(counts >= LEAST_A_CLASS)


@dataclass(frozen=True, eq=False)
class OtherNetwork:
    """Another network, of other weights, that knows some of the same classes."""

    network: Network
    known: np.ndarray
    there: np.ndarray  # their indices there
    natural: tuple[int, int] = (0, 0)

    @property
    def name(self) -> str:
        return self.network.name

    def ranks(self, images: torch.Tensor, targets: Sequence[int]) -> list[int]:
        with torch.no_grad():
            logits = self.network(self.network.preprocess.normalize(_sized(images, self.network.input_shape[1:])))
        return _ranks(logits[:, self.there.tolist()], _places(self.known, targets))


@dataclass(frozen=True, eq=False)
class Witness:
    """A linear reading of networks that have learned nothing."""

    read: Callable[[torch.Tensor], torch.Tensor]  # pictures -> `batch feature`
    mean: torch.Tensor
    std: torch.Tensor
    weights: torch.Tensor  # `feature class`, of the known ones
    known: np.ndarray
    natural: tuple[int, int]
    name: str = "a witness that learned from these images alone"

    def ranks(self, images: torch.Tensor, targets: Sequence[int]) -> list[int]:
        scores = (self.read(images) - self.mean) / self.std @ self.weights
        return _ranks(scores, _places(self.known, targets))


def observer(question: Question, networks: Networks) -> Observer | None:
    """Who can be asked; None where no other network is given and the labels are too few, or not the network's classes."""
    return witness(question, networks) if question.other is None else other_network(question, question.other)


def known_there(network: Network, other: Network) -> tuple[np.ndarray, np.ndarray]:
    """Classes that both have, as indices of each: by name where both have names, else by index where they are equally many.

    A name that several classes of one network have is left out: which of them is meant is not known.
    """
    every = np.arange(network.n_classes)
    if network.classes is not None and other.classes is not None:
        own, index = _once(network.classes), _once(other.classes)
        pairs = [(i, index[name]) for name, i in own.items() if name in index]
        return tuple(np.array(pairs, np.int64).reshape(-1, 2).T)  # type: ignore[return-value]
    return (every, every) if network.n_classes == other.n_classes else (every[:0], every[:0])


def _once(classes: Classes) -> dict[str, int]:
    """The index of each name that one class has alone."""
    counts = Counter(classes.names)
    return {name: i for i, name in enumerate(classes.names) if counts[name] == 1}


def other_network(question: Question, other: Network) -> Observer | None:
    """The other network, asked about images by their labels; without labels, by what the studied network takes them for."""
    known, there = known_there(question.network, other)
    if not len(known) or question.network.input_shape[0] != other.input_shape[0]:
        return None
    asked = OtherNetwork(other.to(dtype=torch.float32), known, there)
    own, labels = question.network, question.images.labels
    images = question.images if question.mismatch else question.images[np.flatnonzero(np.isin(labels, known))]
    n_right = n = 0
    for pictures, given in _pictures(own, images.limited(N_NATURAL, question.seed)) if len(images) else ():
        if question.mismatch:
            with torch.no_grad():
                given = own(own.preprocess.normalize(pictures)).argmax(1).cpu().numpy()
        fit = np.isin(given, known)
        ranks = asked.ranks(pictures[torch.from_numpy(fit)], given[fit].tolist()) if fit.any() else []
        n_right, n = n_right + sum(rank < n_top(len(known)) for rank in ranks), n + len(ranks)
    return replace(asked, natural=(n_right, n)) if n else None


def witness(question: Question, networks: Networks) -> Observer | None:
    """What can be learned from the labelled images, tested on those held back; None without enough labels."""
    known = known_classes(question)
    if len(known) < 2:
        return None
    images = _labelled(question.images).limited(N_IMAGES, question.seed)
    images = images[np.flatnonzero(np.isin(images.labels, known))]
    read = _reading(question, [networks(f"{FRESH}-{N_FRESH + draw}") for draw in range(N_DRAWS)])
    parts = [(read(pictures), labels) for pictures, labels in _pictures(question.network, images)]
    features, labels = torch.cat([part for part, _ in parts]), np.concatenate([part for _, part in parts])
    order = question.rng("witness").permutation(len(labels))
    learns, rest = np.split(order, [round(LEARNS * len(order))])
    mean, std = features[learns].mean(0), features[learns].std(0)
    std = std + 1e-3 * std.mean() + 1e-12
    weights = _ridge((features[learns] - mean) / std, np.searchsorted(known, labels[learns]), len(known))
    found = Witness(read, mean, std, weights, known, (0, 0))
    ranks = _ranks((features[rest] - mean) / std @ weights, np.searchsorted(known, labels[rest]).tolist())
    return replace(found, natural=(sum(rank < n_top(len(known)) for rank in ranks), len(ranks)))


def _labelled(images: Images) -> Images:
    return images[np.flatnonzero(images.labels >= 0)]


def _ridge(features: torch.Tensor, labels: np.ndarray, n_classes: int) -> torch.Tensor:
    """Weights `feature class` of the ridge regression on 0 and 1, features centred: A^T (A A^T + c I)^-1 Y."""
    wanted = F.one_hot(torch.from_numpy(labels), n_classes).double()
    products = (features @ features.T).double()
    products += RIDGE * products.diagonal().mean() * torch.eye(len(features), dtype=torch.float64)
    return features.T @ torch.linalg.solve(products, wanted - wanted.mean(0)).float()


def _reading(question: Question, fresh: Sequence[Network]) -> Callable[[torch.Tensor], torch.Tensor]:
    """What is read of pictures: parts of maps of some layers, averaged."""
    layers = hidden(question)
    layers = tuple(layers[i] for i in np.unique(np.linspace(0, len(layers) - 1, N_LAYERS).round().astype(int)))

    def read(pictures: torch.Tensor) -> torch.Tensor:
        found = []
        with torch.no_grad():
            for network in fresh:
                shown = _sized(pictures, network.input_shape[1:])
                for maps in network.run(network.preprocess.normalize(shown), layers).values():
                    some = maps[:, :MOST_UNITS]
                    found.append(F.adaptive_avg_pool2d(some, CELLS).flatten(1) if maps.dim() == 4 else some)
        return torch.cat(found, 1).cpu()

    return read


def _pictures(network: Network, images: Images) -> Iterator[tuple[torch.Tensor, np.ndarray]]:
    """The images as the network gets them, float 0-1, of its own size, with their labels; a few at a time."""
    for batch in images.stream(network.preprocess.prepare_one, batch_size=16):
        if len(batch):
            shown = network.preprocess.denormalize(batch.inputs).clamp(0, 1)
            yield _sized(shown, network.input_shape[1:]), np.asarray(batch.labels)


def _sized(pictures: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    if pictures.shape[2:] == size:
        return pictures
    return F.interpolate(pictures, size=size, mode="bilinear", align_corners=False, antialias=True)


def _places(known: np.ndarray, targets: Sequence[int]) -> list[int]:
    """Where classes stand among those that are known."""
    return [int(np.flatnonzero(known == target)[0]) for target in targets]


def _ranks(scores: torch.Tensor, targets: Sequence[int]) -> list[int]:
    own = scores[torch.arange(len(scores)), torch.tensor(targets)]
    return [int(n) for n in (scores > own[:, None]).sum(1)]
