"""What if each concept had a unit of its own?  The layer with the sums that tell its concepts put beside its units: the control.

There a concept cannot be spread: one unit says all that the sum of several said. Whether several still cover it better than one is
what the way of measuring finds where there is nothing to find.
"""

import numpy as np

from convscope.instruments.concepts.together.pixel_rows import Rows, blocks, rows_of
from convscope.sweep.gauges.at_pixels import HIGHEST, UnitsAtPixels
from convscope.sweep.gauges.overlap import IN_MEMORY, room


def with_sums(rows: Rows, weights: np.ndarray) -> Rows:
    """The same rows with a unit more for each target: the sum of standardised units by these weights (float64 `target unit`)."""
    own, n_targets = rows.values, len(weights)
    n_images, n_pixels, n_units = own.values.shape
    values = room((n_images, n_pixels, n_units + n_targets), np.float16, IN_MEMORY)
    exponents = own.exponents.copy()
    known = np.nan_to_num(weights)
    size = np.abs(known).sum(axis=1)
    known = known / np.where(size > 0, size, 1)[:, None]  # about as large as the units themselves
    keys = np.sort(np.concatenate(rows.keys))
    for places, part in blocks(own, keys):
        sums = ((part - rows.mean) / rows.scale) @ known.T * float(np.median(rows.scale))
        joined = np.concatenate([part, sums], axis=2)
        exponent = np.frexp(np.abs(joined).max(axis=(1, 2)))[1] - HIGHEST
        values[keys[places]] = np.ldexp(joined, -exponent[:, None, None]).astype(np.float16)
        exponents[keys[places]] = exponent
    return rows_of(UnitsAtPixels(values, exponents, own.seen), rows.labelled, 0)
