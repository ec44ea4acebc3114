"""Why this prediction, and can that be trusted?  One image after another: the prediction, the maps, the checks, a sentence each."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch

from convscope.answer.answers import Answers
from convscope.answer.asked import AskedMethod, AskedMethods, asked_methods
from convscope.answer.folder import Folder
from convscope.answer.given import Masks, MaskSource, check_masks, opened
from convscope.answer.one import Settings, answer_of
from convscope.answer.record import Answer
from convscope.errors import ImagesError, NetworkError, UnknownNameError, UsageError
from convscope.images import Images, Picture, Skip
from convscope.network import Network, load
from convscope.registry import items

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Explaining:
    """What is to be explained, checked. Iterating gives one Answer after another; nothing is kept but what was skipped."""

    network: Network
    images: Images
    settings: Settings
    targets: Any = None  # one for all images, or a list
    masks: MaskSource = field(default_factory=lambda: MaskSource(None))
    progress: Progress | None = None
    skipped: list[Skip] = field(default_factory=list)
    root: Path | None = None  # the folder that the images were listed in

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[Answer]:
        return self.of(range(len(self.images)))

    def of(self, places: Sequence[int]) -> Iterator[Answer]:
        """The answers about the images at these places. Raises the last error where none could be explained."""
        shapes: dict[str, tuple[int, int]] = {}
        tell = self.progress or _silent
        done, fault = len(self.images) - len(places), None
        tell("images", done, len(self.images))
        chosen = self.images[np.asarray(places, int)]
        n_answers = 0
        for batch in chosen.stream(partial(self._prepare, shapes), batch_size=1) if len(places) else ():
            self.skipped.extend(batch.skipped)
            place = places[batch.indices[0]]
            try:
                answer = self._answer(batch.ids[0], place, batch.inputs, int(batch.labels[0]), shapes)
            except NetworkError as error:
                fault = error
                self.skipped.append(Skip(batch.ids[0], " ".join(filter(None, (error.found, error.would_work)))))
            else:
                n_answers += 1
                yield answer
            done += 1 + len(batch.skipped)
            tell("images", done, len(self.images))
        if fault is not None and not n_answers:
            raise fault

    def _prepare(self, shapes: dict[str, tuple[int, int]], picture: Picture) -> torch.Tensor:
        shapes[picture.id] = picture.shape
        return self.network.preprocess.prepare_one(picture)

    def _answer(
        self, id: str, place: int, inputs: torch.Tensor, label: int, shapes: dict[str, tuple[int, int]]
    ) -> Answer:
        size = int(inputs.shape[2]), int(inputs.shape[3])
        mask = self.masks.of(id, place, shapes.pop(id), self.network.preprocess, size)
        names = self.images.label_names
        name = names[label] if names is not None and 0 <= label < len(names) else None
        settings = replace(self.settings, target=self.target_of(place))
        step = partial(self.progress, "this image") if self.progress else _silent_step
        return answer_of(self.network, id, inputs, settings, None if label < 0 else label, name, mask, step)

    def target_of(self, place: int) -> Any:
        return self.targets[place] if isinstance(self.targets, list) else self.targets

    def digest(self, place: int) -> str:
        """What an answer depends on: network, settings, the image, its label, its mask. Equal digests, equal answers."""
        network, id = self.network, self.images.ids[place]
        mask = self.masks._find(id, place)
        if isinstance(mask, Path):
            mask = mask.read_bytes()
        masked = (
            "" if mask is None else sha256(mask if isinstance(mask, bytes) else np.asarray(mask).tobytes()).hexdigest()
        )
        about = (
            *(
                network.fingerprint,
                network.preprocess.as_dict(),
                network.classes and network.classes.names,
                str(network.dtype),
            ),
            *({**self.settings.as_dict(), "target": None}, repr(self.target_of(place)), masked),
            self.images[[place]].fingerprint(content=True),
        )
        return sha256(repr(about).encode("utf-8", "backslashreplace")).hexdigest()


def explaining(
    network: Any,
    images: Any,
    methods: AskedMethods = None,
    layer: str | None = None,
    target: Any = None,
    *,
    seed: int = 0,
    masks: Masks = None,
    checks: bool | Sequence[str] = True,
    labels: Any = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Explaining:
    """What `explain` is asked, checked before anything is computed. Iterating gives one Answer after another, for any number of
    images.
    """
    network = network if isinstance(network, Network) else load(network)
    asked = tuple(_seeded(one, seed) for one in asked_methods(network, methods, layer))
    only = _checks(checks)
    shown = opened(images, network, labels, limit, seed)
    target = list(target) if isinstance(target, list | torch.Tensor | np.ndarray) else target
    if isinstance(target, list) and len(target) != len(shown):
        found = f"There are {len(target)} for {len(shown)} images."
        raise UsageError("A target was given for each image.", found, "Give one for each, or one for all.")
    settings = Settings(asked, target, seed, only)
    root = Path(images) if isinstance(images, str | PathLike) and Path(images).is_dir() else None
    return Explaining(network, shown, settings, target, check_masks(masks, shown), progress, list(shown.skipped), root)


def explain(
    network: Any,
    images: Any,
    methods: AskedMethods = None,
    layer: str | None = None,
    target: Any = None,
    *,
    out: str | Path | None = None,
    seed: int = 0,
    masks: Masks = None,
    checks: bool | Sequence[str] = True,
    labels: Any = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Answers:
    """Why these predictions, and can that be trusted?  Per image the prediction with its margin, a map by each method, its checks.

    `network`: a Network, or anything `load` takes. `images`: a path, a folder, a Picture, a Pillow image, an array, a list of
    these, or anything `images` opens; `labels` and `limit` as there. `methods`: keys ("grad_cam"), keys with settings
    ("occlusion:window=32,stride=8", "grad_cam:layer=NAME"), or methods (GradCAM()); by default Grad-CAM, integrated gradients,
    occlusion and SmoothGrad. `layer`: where scores live. `target`: a class by index or name, a pair of them (the first rather
    than the second), "LAYER:UNIT", "LAYER:UNIT@y,x", or a list with one for each image; by default the predicted class. `masks`:
    what should matter, `y x` for each image: a folder of files named like the images, a dictionary by id, or a list. `checks`:
    all, none, or those named.

    With `out` every answer is written to that folder as soon as it is there (PNG, JSON, the maps as numbers), and explain.html
    when all are; nothing stays in memory, and what is there already, with the same settings, is not done again. Ctrl-C stops:
    what is done is returned, with `stopped` set.

    Images that cannot be read, and those the network answers with NaN, are named in `skipped`; methods without a sound rule for
    this network in `refused`. Raises UnknownNameError for a method, setting, layer, class or check that is not there, UsageError
    for a target that cannot be, masks of another size, or a folder of something else, ImagesError where no image can be read,
    NetworkError where the network answers with nothing but NaN.
    """
    asked = explaining(
        network,
        images,
        methods,
        layer,
        target,
        seed=seed,
        masks=masks,
        checks=checks,
        labels=labels,
        limit=limit,
        progress=progress,
    )
    if out is None:
        return collected(asked)
    return written(asked, Folder.at(out))


def collected(asked: Explaining) -> Answers:
    """All answers, held in memory; those there are when it is stopped."""
    found: list[Answer] = []
    stopped = False
    try:
        found.extend(asked)
    except KeyboardInterrupt:
        if not found:
            raise
        stopped = True
    return Answers.of(asked.network, asked.settings, found, tuple(asked.skipped), stopped)


def written(asked: Explaining, folder: Folder) -> Answers:
    """All answers, in a folder; those that are there already are not computed again."""
    _check_apart(folder.path, asked.root)
    stopped = False
    with folder.writing():
        digests = {id: asked.digest(place) for place, id in enumerate(asked.images.ids)}
        missing = [place for place, id in enumerate(asked.images.ids) if not folder.holds(id, digests[id])]
        try:
            for answer in asked.of(missing):
                folder.write(answer, digests[answer.id])
        except KeyboardInterrupt:
            stopped = True
        except (ImagesError, NetworkError):  # not one of the missing could be explained
            if len(missing) == len(asked):
                raise
            asked.skipped.extend(_unreadable(asked.images, missing))
        ids = [id for id in asked.images.ids if folder.holds(id, digests[id])]
        if stopped and not ids:
            raise KeyboardInterrupt
        answers = Answers.within(folder, asked.network, asked.settings, ids, tuple(asked.skipped), stopped)
        folder.finish(answers)
    return answers


def _unreadable(images: Images, places: Sequence[int]) -> Iterator[Skip]:
    """The images that cannot be read, and why."""
    for place in places:
        try:
            images.picture(place)
        except ImagesError as error:
            yield Skip(images.ids[place], error.found or error.asked)


def _check_apart(folder: Path, images: Path | None) -> None:
    """Raises UsageError for answers that would lie among the images, and be taken for some of them the next time."""
    if images is not None and folder.resolve().is_relative_to(images.resolve()):
        raise UsageError(
            f"Answers were to be written to '{folder}'.",
            "That lies in the folder of the images.",
            "Name one elsewhere.",
        )


def _seeded(asked: AskedMethod, seed: int) -> AskedMethod:
    """A method that draws random numbers draws those of the seed, unless its own was set."""
    if asked.method.seeded and asked.settings.get("seed") == 0 and seed:
        return replace(asked, method=replace(asked.method, seed=seed))  # type: ignore[call-arg]
    return asked


def _checks(asked: bool | Sequence[str]) -> tuple[str, ...] | None:
    """The names of checks: none of them (None), or those named; () for all. Raises UnknownNameError."""
    if isinstance(asked, bool):
        return () if asked else None
    names = (asked,) if isinstance(asked, str) else tuple(asked)
    known = items("check")
    for name in names:
        if name not in known:
            raise UnknownNameError("check", name, known)
    return names or None


def _silent(stage: str, done: int, total: int) -> None:
    pass


def _silent_step(done: int, total: int) -> None:
    pass
