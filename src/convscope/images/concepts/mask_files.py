"""Which file in a folder is the mask of this image, and which numbers does it hold?"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np

from convscope.errors import ImagesError
from convscope.images.decode import open_image
from convscope.images.picture import Skip, printable

MAX_PIXELS = 100_000_000
_PLAIN = ("1", "L", "P", "I", "I;16", "I;16L", "I;16B", "I;16N")


def stem_of(id: str) -> str:
    """An image's name without its ending, folders kept."""
    return str(PurePosixPath(id).with_suffix(""))


@dataclass(frozen=True, eq=False)
class MaskFiles:
    """The files of a folder and its sub-folders whose names end in `ending`; what stands before it is an image's name.

    An image finds the file of its own path, `a/cat.jpg` that of `a/cat.png`; else the only one of its own name, wherever it
    lies. Raises ImagesError where there is no such folder, or no such file in it.
    """

    folder: Path
    ending: str = ".png"

    def __post_init__(self) -> None:
        asked = f"Masks were to be read from '{printable(str(self.folder))}'."
        if not self.folder.is_dir():
            raise ImagesError(asked, "There is no such folder.", "Check the path.")
        if not self.files:
            raise ImagesError(asked, f"No file in it ends in '{self.ending}'.", "Give the folder that holds the masks.")

    @cached_property
    def files(self) -> dict[str, Path]:
        """The files by what stands before the ending, folders with slashes."""
        found = sorted(path for path in self.folder.rglob(f"*{self.ending}") if path.is_file())
        return {printable(path.relative_to(self.folder).as_posix())[: -len(self.ending)]: path for path in found}

    @cached_property
    def by_name(self) -> dict[str, str | None]:
        """The same keys by their last part; None where two files share it."""
        names: dict[str, str | None] = {}
        for key in self.files:
            name = key.rpartition("/")[2]
            names[name] = None if name in names else key
        return names

    def key_of(self, id: str) -> str | None:
        """The key of an image's file, or None."""
        stem = stem_of(id)
        return stem if stem in self.files else self.by_name.get(stem.rpartition("/")[2])

    def path_of(self, id: str) -> Path | None:
        key = self.key_of(id)
        return None if key is None else self.files[key]

    def strays(self, ids: Collection[str]) -> tuple[Skip, ...]:
        """The files that belong to none of these images."""
        wanted = {self.key_of(id) for id in ids}
        told = (
            Skip(printable(path.name), "no image looked at has its name")
            for key, path in self.files.items()
            if key not in wanted
        )
        return tuple(told)


def read_numbers(path: Path) -> np.ndarray:
    """The whole numbers `y x` that an index file holds: those of a palette as they are stored, not its colours.

    Raises ImagesError for a file that cannot be read, is too large, or holds colours.
    """
    asked = f"The mask '{printable(path.name)}' was to be read."
    try:
        with path.open("rb") as stream:
            image = open_image(stream)
            if image.width * image.height > MAX_PIXELS:
                raise ImagesError(
                    asked, f"It has more than {MAX_PIXELS:,} pixels; it was not decoded.", "Scale it down."
                )
            if image.mode not in _PLAIN:
                raise ImagesError(
                    asked, f"It holds colours (mode {image.mode}), no label indices.", "Write the index of each label."
                )
            image.load()
            return np.asarray(image).astype(np.int32)
    except ImagesError:
        raise
    except Exception as error:  # Pillow's readers raise a dozen kinds of exception on damaged files
        reason = re.sub(r"\s+", " ", printable(str(error))).strip() or type(error).__name__
        raise ImagesError(asked, f"It cannot be read: {reason.rstrip('.')}.", "Give a PNG of label indices.") from error
