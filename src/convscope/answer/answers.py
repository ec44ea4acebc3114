"""What are the answers about some images, all asked the same way?  A sequence; read from its folder, where it has one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, overload

from PIL import Image

from convscope.answer.folder import Folder, png
from convscope.answer.one import Settings
from convscope.answer.page import page
from convscope.answer.picture import picture
from convscope.answer.record import Answer
from convscope.documents import document, finite
from convscope.errors import UnknownNameError, UsageError
from convscope.images import Skip
from convscope.network import Network


@dataclass(frozen=True, eq=False)
class Answers(Sequence[Answer]):
    """Why these predictions?  One Answer an image, in the images' order."""

    ids: tuple[str, ...]
    network: dict[str, Any]  # what was asked about: name, weights, fingerprint ...
    settings: dict[str, Any]  # how: methods, target, seed, checks
    skipped: tuple[Skip, ...] = ()  # images without an answer, and why
    stopped: bool = False  # whether it was stopped before all were explained
    made: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    folder: Folder | None = None
    _held: tuple[Answer, ...] = field(default=(), repr=False)

    @classmethod
    def of(
        cls,
        network: Network,
        settings: Settings,
        found: Sequence[Answer],
        skipped: tuple[Skip, ...] = (),
        stopped: bool = False,
    ) -> "Answers":
        """Answers that are held in memory."""
        about = head(network, settings)
        return cls(ids=tuple(one.id for one in found), skipped=skipped, stopped=stopped, _held=tuple(found), **about)

    @classmethod
    def within(
        cls,
        folder: Folder,
        network: Network,
        settings: Settings,
        ids: Sequence[str],
        skipped: tuple[Skip, ...],
        stopped: bool,
    ) -> "Answers":
        """Answers that lie in a folder."""
        return cls(ids=tuple(ids), skipped=skipped, stopped=stopped, folder=folder, **head(network, settings))

    @classmethod
    def open(cls, path: str | Path) -> "Answers":
        """The answers in a folder that `explain(..., out=...)` wrote. Raises InputError where there are none."""
        folder = Folder(Path(path))
        found = folder.index()
        same = {name: found[name] for name in ("network", "settings", "stopped", "made", "versions")}
        skipped = tuple(Skip(one["id"], one["reason"]) for one in found["skipped"])
        return cls(ids=tuple(found["images"]), skipped=skipped, folder=folder, **same)

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, key: int | str) -> Answer: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Answer, ...]: ...
    def __getitem__(self, key: Any) -> Any:
        """The answer about an image, by place or by its id."""
        if isinstance(key, slice):
            return tuple(self[i] for i in range(*key.indices(len(self))))
        if isinstance(key, str):
            if key not in self.ids:
                raise UnknownNameError("image", key, self.ids)
            key = self.ids.index(key)
        return self.folder.read(self.ids[key]) if self.folder else self._held[key]

    def __iter__(self) -> Iterator[Answer]:
        return (self[i] for i in range(len(self)))

    def picture(self, image: int | str = 0) -> Image.Image:
        """The maps of one image, with their checks, to look at."""
        return picture(self[image])

    def html(self) -> str:
        """The page about all of them, one self-contained document."""
        return page(self)

    def as_dict(self) -> dict[str, Any]:
        """Everything but the maps, fit for JSON; see docs/explain.md for the keys."""
        index = {name: value for name, value in self.overview().items() if name != "images"}
        return {**index, "answers": [answer.as_dict() for answer in self]}

    def overview(self) -> dict[str, Any]:
        """What is about all answers."""
        same = {name: getattr(self, name) for name in ("made", "versions", "network", "settings", "stopped")}
        return {
            **same,
            "images": list(self.ids),
            "skipped": [{"id": one.id, "reason": one.reason} for one in self.skipped],
        }

    def save(self, path: str | Path) -> Path:
        """Write a file, as its name says: .html (the page), .json, .png (of a single image). Raises UsageError for others."""
        path = Path(path)
        if path.suffix == ".html":
            path.write_text(self.html(), encoding="ascii")
        elif path.suffix == ".json":
            path.write_text(document("explain", self.as_dict()) + "\n", encoding="utf-8")
        elif path.suffix == ".png" and len(self) == 1:
            path.write_bytes(png(self[0]))
        else:
            found = (
                "A PNG shows one image." if path.suffix == ".png" else f"'{path.suffix}' is none of .html, .json, .png."
            )
            raise UsageError(
                f"Answers about {len(self)} images were to be saved as '{path.name}'.",
                found,
                "Use .html, or .picture(image) for one; explain(..., out=FOLDER) writes a PNG for each.",
            )
        return path

    def _repr_png_(self) -> bytes | None:
        return png(self[0]) if len(self) == 1 else None


def head(network: Network, settings: Settings) -> dict[str, Any]:
    """What was asked of which network, when and with what."""
    about = {
        "name": network.name,
        "weights": network.weights,
        "fingerprint": network.fingerprint,
        "input_shape": list(network.input_shape),
        "n_classes": network.n_classes,
        "n_layers": len(network.layers),
        "parameters": network.layers.total.n_parameters,
        "macs": network.layers.total.n_macs,
        "preprocess": network.preprocess.as_dict(),
        "notes": list(network.notes),
    }
    versions = {name: version(name) for name in ("convscope", "torch", "numpy", "pillow")}
    made = datetime.now(UTC).isoformat(timespec="seconds")
    plain: dict[str, Any] = finite({"network": about, "settings": settings.as_dict()})  # as it is once read from a file
    return {**plain, "made": made, "versions": versions}
