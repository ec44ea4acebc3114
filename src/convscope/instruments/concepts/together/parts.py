"""How is the half that chooses cut in two, so that what is fitted on one part is chosen by what it does on the other?

By whole images, the earlier against the later ones: neighbours are alike, and what was fitted on an image does well on the next.
Where a concept would then be in one part only (images that lie class by class), the images are cut into more runs, dealt to the
parts in turn: as few runs as leave it in both.
"""

from dataclasses import dataclass

import numpy as np

SHARE = 0.25  # of the images with a concept that each part has at least


@dataclass(frozen=True, eq=False)
class Cuts:
    """Ways to cut some images in two, from two runs to runs of a single image, and the way for each target."""

    part: np.ndarray  # int8 cut image: 0 or 1
    of: np.ndarray  # int64 target: its cut; -1 where none leaves it in both parts


def cuts(has: np.ndarray) -> Cuts:
    """Cuts of images in order, by which of them have which target, truth values `image target`."""
    n_images, n_targets = has.shape
    n_runs = [2]
    while n_runs[-1] < n_images:
        n_runs.append(2 * n_runs[-1])
    part = np.array([np.arange(n_images) * min(n, n_images) // max(1, n_images) % 2 for n in n_runs], np.int8)
    with_it = np.stack([(part == side).astype(np.int64) @ has for side in (0, 1)]).min(axis=0)  # cut target
    enough = (with_it >= SHARE * has.sum(axis=0)) & (with_it > 0)
    of = np.where(enough.any(axis=0), enough.argmax(axis=0), with_it.argmax(axis=0))
    return Cuts(part, np.where(with_it[of, np.arange(n_targets)] > 0, of, -1))
