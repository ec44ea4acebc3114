"""What can images be read from?  The one shape that files, arrays and data sets share."""

from typing import Protocol

from convscope.images.decode import Decode
from convscope.images.labels import Labels
from convscope.images.picture import Picture, Skip


class Source(Protocol):
    """Where images come from: an ordered list of ids, and a way to read each.  Reading is safe from several threads."""

    @property
    def name(self) -> str:
        """What the images are called, in a few words; no path of this machine."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Unique, stable names, in order."""

    @property
    def left_out(self) -> tuple[Skip, ...]:
        """What was found beside the images and not taken, with the reason."""

    def read(self, index: int, decode: Decode) -> Picture:
        """The image at this place, its label only if it comes with it.  Raises ImagesError if it cannot be read."""

    def labels(self) -> Labels | None:
        """The labels that the source itself knows without reading its images, or None."""

    def size(self, index: int) -> int:
        """A number that changes when the image is replaced by one of another size; cheap."""

    def content(self, index: int) -> bytes:
        """The bytes of the image as stored, for hashing."""
