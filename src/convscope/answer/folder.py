"""How are answers kept, so that a stopped run is gone on with and nothing half-written is ever found?

answers.json             what was asked, of which network; the images in order; what was skipped
explain.html             all of it in one page
images/NAME.json         one image: prediction, sentences, checks with all their numbers
images/NAME.png          its maps, to look at
images/NAME.safetensors  its maps as numbers (float32 `y x`, at their layer's own positions), and the image as the network saw it

NAME is ours: what is harmless of the image's own name, and a hash of all of it. An answer is there when its JSON file is, which is
written last and names what it depends on.
"""

import io
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout
from safetensors.numpy import load_file, save

from convscope.answer.picture import picture
from convscope.answer.prediction import Prediction
from convscope.answer.record import Answer, Explanation, Refusal
from convscope.documents import document
from convscope.errors import InputError, UsageError
from convscope.instruments.attribution.checks import Outcome, Result
from convscope.intervals import Interval

if TYPE_CHECKING:
    from convscope.answer.answers import Answers

INDEX, PAGE, IMAGES = "answers.json", "explain.html", "images"
_LOCK = ".answers.lock"
_PIXELS = "pixels"


@dataclass(frozen=True)
class Folder:
    """A folder of answers."""

    path: Path

    @classmethod
    def at(cls, path: str | Path) -> "Folder":
        """A new folder, or one to go on with. Raises UsageError where something else lies there."""
        folder = Path(path)
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"Answers were to be written to '{folder}'.", "That is a file.", "Name a folder.")
        ours = any((folder / name).exists() for name in (INDEX, _LOCK))
        if folder.is_dir() and any(folder.iterdir()) and not ours:
            raise UsageError(
                f"Answers were to be written to '{folder}'.",
                "It holds something else.",
                "Name a new folder, or an empty one.",
            )
        return cls(folder)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """The folder for this process alone. Raises UsageError while another one writes it."""
        (self.path / IMAGES).mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / _LOCK)
        try:
            with lock.acquire(timeout=0):
                yield
        except Timeout:
            raise UsageError(
                f"Answers were to be written to '{self.path}'.",
                "Another process is writing there.",
                "Wait, or name another folder.",
            ) from None

    @property
    def page(self) -> Path:
        """The page about all answers."""
        return self.path / PAGE

    def file(self, id: str, ending: str) -> Path:
        """Where an image's answer lies."""
        harmless = re.sub(r"[^A-Za-z0-9]+", "-", id.rpartition("/")[2].rpartition(".")[0] or id).strip("-")[:40]
        digest = sha256(id.encode("utf-8", "backslashreplace")).hexdigest()[:8]
        return self.path / IMAGES / f"{harmless or 'image'}-{digest}.{ending}"

    def holds(self, id: str, digest: str) -> bool:
        """Whether the answer about an image is there, and was asked the same way."""
        try:
            found = json.loads(self.file(id, "json").read_bytes())
        except (OSError, ValueError):
            return False
        return isinstance(found, dict) and found.get("digest") == digest

    def write(self, answer: Answer, digest: str) -> None:
        """Keep an answer."""
        arrays = {f"map {one.name}": one.map for one in answer.explanations}
        _write(self.file(answer.id, "safetensors"), save({_PIXELS: answer.pixels, **arrays}))
        _write(self.file(answer.id, "png"), png(answer))
        _write(self.file(answer.id, "json"), document("answer", {"digest": digest, **answer.as_dict()}).encode())

    def read(self, id: str) -> Answer:
        """The answer about an image. Raises InputError where it is damaged or gone."""
        path = self.file(id, "json")
        try:
            found = json.loads(path.read_bytes())
            arrays = load_file(path.with_suffix(".safetensors"))
            explanations = tuple(_explanation(one, arrays[f"map {one['name']}"]) for one in found["explanations"])
            return Answer(
                id=found["image"],
                pixels=arrays[_PIXELS],
                prediction=Prediction.from_dict(found["prediction"]),
                about=found["about"],
                target=found["target"],
                explanations=explanations,
                refused=tuple(Refusal(**one) for one in found["refused"]),
            )
        except Exception as error:  # damaged files raise what they will
            raise InputError(
                f"The answer about '{id}' was to be read.", f"{path.name} is damaged or gone.", "Ask for it again."
            ) from error

    def finish(self, answers: "Answers") -> None:
        """Write what is about all answers: the page, then the index."""
        _write(self.page, answers.html().encode("ascii"))
        _write(self.path / INDEX, document("answers", answers.overview()).encode())

    def index(self) -> dict[str, Any]:
        """What the folder says of itself. Raises InputError where it holds no answers."""
        try:
            found: dict[str, Any] = json.loads((self.path / INDEX).read_bytes())
        except (OSError, ValueError) as error:
            raise InputError(
                f"Answers were to be read from '{self.path}'.",
                f"There is no readable {INDEX}.",
                "convscope explain ... -o writes one.",
            ) from error
        return found


def png(answer: Answer) -> bytes:
    """The picture of an answer as a PNG file."""
    stream = io.BytesIO()
    picture(answer).save(stream, "PNG")
    return stream.getvalue()


def _explanation(found: dict[str, Any], scores: Any) -> Explanation:
    same = (
        "name",
        "key",
        "title",
        "paper",
        "layer",
        "signed",
        "sizes_only",
        "unit",
        "promised",
        "error",
        "distrust",
        "sentence",
    )
    return Explanation(
        **{name: found[name] for name in same},
        settings=found["settings"],
        map=scores,
        size=tuple(found["size"]),
        score=float("nan") if found["score"] is None else found["score"],
        notes=tuple(found["notes"]),
        checks=tuple(_result(one) for one in found["checks"]),
    )


def _result(found: dict[str, Any]) -> Result:
    interval = found["interval"]
    return Result(
        **{
            **found,
            "outcome": Outcome(found["outcome"]),
            "interval": None if interval is None else Interval.from_dict(interval),
        }
    )


def _write(path: Path, content: bytes) -> None:
    """Writes a file under another name first: whoever looks finds the old one or the new one, whole."""
    beside = path.with_name(path.name + ".new")
    with beside.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(path)
