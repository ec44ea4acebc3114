"""Which images are in this folder, or in this list of files?  Listed without opening them."""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from convscope.errors import ImagesError
from convscope.images.decode import Decode, looks_like_image
from convscope.images.labels import Labels, from_paths
from convscope.images.picture import Picture, Skip, printable

SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".mpo",
        ".png",
        ".apng",
        ".webp",
        ".gif",
        ".tif",
        ".tiff",
        ".bmp",
        ".dib",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".avif",
        ".jp2",
        ".j2k",
        ".ico",
    ]
)


@dataclass(frozen=True, eq=False)
class Files:
    """Images that are files.  Ids are paths relative to `root`, with slashes."""

    root: str
    paths: tuple[str, ...]  # relative to root, as the system spells them
    left_out: tuple[Skip, ...] = ()

    @property
    def name(self) -> str:
        """The folder's own name, without the way to it."""
        return printable(os.path.basename(os.path.abspath(self.root)))  # noqa: PTH100, PTH119 - resolve() would follow links

    @cached_property
    def ids(self) -> tuple[str, ...]:
        ids = [printable(path.replace(os.sep, "/")) for path in self.paths]
        if len(set(ids)) == len(ids):
            return tuple(ids)
        return tuple(_told_apart(ids))

    def path(self, index: int) -> str:
        return os.path.join(self.root, self.paths[index])  # noqa: PTH118 - names that are not UTF-8, a hundred thousand of them

    def read(self, index: int, decode: Decode) -> Picture:
        name, path = self.ids[index], self.path(index)
        return Picture(name, decode.image(path, name), origin=printable(path))

    def labels(self) -> Labels:
        return from_paths(self.ids)

    def size(self, index: int) -> int:
        try:
            return os.stat(self.path(index)).st_size  # noqa: PTH116 - a Path for each of a hundred thousand takes seconds
        except OSError:
            return -1

    def content(self, index: int) -> bytes:
        try:
            return Path(self.path(index)).read_bytes()
        except OSError:
            return b""


def list_folder(folder: "str | os.PathLike[str]") -> Files:
    """All images in a folder and its sub-folders, sorted by path.

    Links to files and folders are followed; a folder that was reached already (a loop, or a second way to it) is
    entered once, through its real path if that lies inside. Hidden files are passed over silently; other files are
    taken if their name or their first bytes say image, and named in `left_out` if not. Raises ImagesError when there
    is no such folder, or no image.
    """
    root = os.fspath(folder)
    listing = _Listing(root)
    listing.walk()
    if not listing.paths:
        found = f"{len(listing.left_out)} other files were found." if listing.left_out else "It is empty."
        would_work = f"Give a folder with image files ({', '.join(sorted(SUFFIXES)[:6])} ...) or with folders of them."
        raise ImagesError(f"Images were to be listed in '{printable(root)}'.", f"There is none. {found}", would_work)
    order = sorted(listing.paths, key=lambda path: path.split(os.sep))  # noqa: PTH206 - Path is slow, and loses nothing here
    return Files(root, tuple(order), tuple(sorted(listing.left_out)))


class _Listing:
    """One walk through a folder: real folders first, linked ones after, none twice."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.paths: list[str] = []
        self.left_out: list[Skip] = []
        self.entered: dict[tuple[int, int], str] = {}
        self.linked: list[str] = []

    def walk(self) -> None:
        self._enter("")
        while self.linked:
            waiting, self.linked = sorted(self.linked), []
            for folder in waiting:
                self._enter(folder)

    def _enter(self, start: str) -> None:
        waiting = [start]
        while waiting:
            folder = waiting.pop()
            try:
                if self._is_new(folder):
                    waiting += [self._join(folder, name) for name in self._list(folder)]
            except OSError as error:
                if folder == "":
                    raise _no_folder(self.root, error) from error
                self._leave_out(folder, f"the folder cannot be read: {error.strerror}")

    def _is_new(self, folder: str) -> bool:
        status = Path(self.root, folder).stat()
        key = (status.st_dev, status.st_ino)
        if key in self.entered:
            self._leave_out(folder, f"the same folder as '{printable(self.entered[key]) or '.'}'")
            return False
        self.entered[key] = folder
        return True

    def _list(self, folder: str) -> Iterator[str]:
        """Take the images of a folder; yields the names of its real sub-folders."""
        with os.scandir(Path(self.root, folder)) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                path = self._join(folder, entry.name)
                try:
                    if entry.is_dir(follow_symlinks=False):
                        yield entry.name
                    elif entry.is_dir():
                        self.linked.append(path)
                    elif not entry.is_file():
                        self._leave_out(path, "it is not a regular file")
                    elif _is_image(entry):
                        self.paths.append(path)
                    else:
                        self._leave_out(path, "neither its name nor its content says image")
                except OSError as error:
                    self._leave_out(path, f"it cannot be read: {error.strerror}")

    def _leave_out(self, path: str, reason: str) -> None:
        self.left_out.append(Skip(printable(path.replace(os.sep, "/")), reason))

    @staticmethod
    def _join(folder: str, name: str) -> str:
        return f"{folder}{os.sep}{name}" if folder else name


def list_files(paths: "Iterable[str | os.PathLike[str]]") -> Files:
    """The files of a list, in its order; ids are relative to their common folder.

    Files are not looked at before they are read. Raises ImagesError for an empty list, or a file that is in it twice.
    """
    absolute = [os.path.abspath(os.fspath(path)) for path in paths]  # noqa: PTH100 - resolve() would follow links
    if not absolute:
        raise ImagesError("A list of image files was given.", "It is empty.", "Give at least one path.")
    seen: set[str] = set()
    for path in absolute:
        if path in seen:
            raise ImagesError(
                "A list of image files was given.", f"'{printable(path)}' is in it twice.", "Give each file once."
            )
        seen.add(path)
    root = os.path.commonpath([os.path.dirname(path) for path in absolute])  # noqa: PTH120
    return Files(root, tuple(os.path.relpath(path, root) for path in absolute))


def _is_image(entry: "os.DirEntry[str]") -> bool:
    if os.path.splitext(entry.name)[1].lower() in SUFFIXES:  # noqa: PTH122 - a hundred thousand names
        return True
    with open(entry.path, "rb") as stream:  # noqa: PTH123
        return looks_like_image(stream.read(32))


def _told_apart(ids: list[str]) -> Iterator[str]:
    """Ids made unique: two names can become one when bytes that are not UTF-8 are spelled out."""
    taken: dict[str, int] = {}
    for name in ids:
        taken[name] = taken.get(name, 0) + 1
        yield name if taken[name] == 1 else f"{name}~{taken[name]}"


def _no_folder(root: str, error: OSError) -> ImagesError:
    asked = f"Images were to be listed in '{printable(root)}'."
    return ImagesError(asked, f"The folder cannot be read: {error.strerror}.", "Check the path.")


def is_folder(path: str) -> bool:
    """Whether this path is a folder.  Raises ImagesError when there is nothing."""
    try:
        return stat.S_ISDIR(Path(path).stat().st_mode)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ImagesError(
            f"Images were to be read from '{printable(path)}'.", f"{reason}.", "Check the path."
        ) from error
