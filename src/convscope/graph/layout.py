"""Which axis of a value is the batch, which the units, which y and x?

A tensor inside a network may be channels-last, cut into windows or flattened into tokens. Its layout says what each of its
dimensions is made of, so that the value can be shown as `batch unit y x` and put back.
"""

from collections import Counter
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import prod

import torch

BATCH, UNIT, Y, X, OTHER = "batch", "unit", "y", "x", "?"
ORDER = (BATCH, UNIT, Y, X, OTHER)


@dataclass(frozen=True, slots=True)
class Atom:
    """A whole axis, or one factor of an axis that has been cut (windows, heads, groups)."""

    axis: str
    size: int
    stride: int = 1  # how far apart two neighbours of this factor lie on the whole axis

    def cut(self, inner: int) -> tuple["Atom", "Atom"]:
        """Outer and inner part, the inner one of the given size."""
        outer = Atom(self.axis, self.size // inner, self.stride * inner)
        return outer, Atom(self.axis, inner, self.stride)


Dimension = tuple[Atom, ...]  # outermost first; empty for a dimension of size 1


@dataclass(frozen=True, slots=True)
class Layout:
    """What each dimension of a value is made of."""

    dims: tuple[Dimension, ...]

    @property
    def atoms(self) -> tuple[Atom, ...]:
        return tuple(atom for dim in self.dims for atom in dim)

    def size(self, axis: str) -> int:
        """Number of entries along an axis, 1 if it is not there."""
        return prod(atom.size for atom in self.atoms if atom.axis == axis)

    def has(self, axis: str) -> bool:
        return any(atom.axis == axis for atom in self.atoms)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(prod(atom.size for atom in dim) for dim in self.dims)

    @property
    def is_flat(self) -> bool:
        """Whether the value has units but no positions: `batch unit`."""
        return len(self.dims) < 4 and not any(self.has(axis) for axis in (Y, X, OTHER))

    @property
    def map_shape(self) -> tuple[int, ...]:
        """Shape without the batch, as shown: `unit`, `unit y x`, or `unit token` where positions have lost their place."""
        if self.is_flat:
            return (self.size(UNIT),)
        if self.has(OTHER) and not (self.has(Y) or self.has(X)):
            return self.size(UNIT), self.size(OTHER)
        return self.size(UNIT), self.size(Y), self.size(X) * self.size(OTHER)

    def to_map(self, value: torch.Tensor) -> torch.Tensor:
        """The value as `batch unit y x` (`batch unit` for a vector, `batch unit token` for tokens without a place)."""
        if self.is_plain:
            return value
        order = self._shown_order()
        shown = value.reshape(self._atom_sizes(value)).permute(order)
        return shown.reshape(-1, *self._shown_shape(value))

    def from_map(self, maps: torch.Tensor) -> torch.Tensor:
        """The inverse of `to_map`: what the network itself would hold for these maps."""
        if self.is_plain:
            return maps
        order = self._shown_order()
        sizes = self._sizes_for(maps)
        inverse = [order.index(i) for i in range(len(order))]
        held = maps.reshape([sizes[i] for i in order]).permute(inverse)
        ends = [0, *accumulate(len(dim) for dim in self.dims)]
        return held.reshape([prod(held.shape[i:j]) for i, j in pairwise(ends)])

    @property
    def is_plain(self) -> bool:
        """Whether the value is held the way it is shown."""
        axes = tuple(tuple(atom.axis for atom in dim) for dim in self.dims)
        if axes == ((BATCH,), (UNIT,)):
            return True
        allowed = (((BATCH,),), ((UNIT,), ()), ((Y,), ()), ((X,), ()))
        return len(axes) == 4 and all(axis in choice for axis, choice in zip(axes, allowed, strict=True))

    def _shown_order(self) -> list[int]:
        atoms = self.atoms
        return sorted(range(len(atoms)), key=lambda i: (ORDER.index(atoms[i].axis), -atoms[i].stride))

    def _atom_sizes(self, value: torch.Tensor) -> list[int]:
        sizes = []
        for dim, held in zip(self.dims, value.shape, strict=True):
            if len(dim) == 1:
                sizes.append(held)
            else:
                sizes.extend(-1 if atom.axis == BATCH else atom.size for atom in dim)
        return sizes

    def _sizes_for(self, maps: torch.Tensor) -> list[int]:
        """The size of each atom; of an uncut axis, as these maps have it (see `_shown_shape`)."""
        n_atoms = Counter(atom.axis for atom in self.atoms)
        shown = (UNIT, OTHER) if self.map_shape[1:] and not (self.has(Y) or self.has(X)) else (UNIT, Y, X)
        found = dict(zip((BATCH, *shown), maps.shape, strict=False))
        if self.has(OTHER) and X in found:  # shown along x
            found[X] //= self.size(OTHER)
        return [found.get(atom.axis, atom.size) if n_atoms[atom.axis] == 1 else atom.size for atom in self.atoms]

    def _shown_shape(self, value: torch.Tensor) -> tuple[int, ...]:
        # Sizes of uncut axes are read from the value, which may be of another image size than the graph was read at.
        found = dict.fromkeys(ORDER, 1)
        for dim, held in zip(self.dims, value.shape, strict=True):
            if len(dim) == 1:
                found[dim[0].axis] *= held
            else:
                for atom in dim:
                    found[atom.axis] *= atom.size
        if self.is_flat:
            return (found[UNIT],)
        if self.has(OTHER) and not (self.has(Y) or self.has(X)):
            return found[UNIT], found[OTHER]
        return found[UNIT], found[Y], found[X] * found[OTHER]


def plain(batch: int, unit: int, y: int, x: int) -> Layout:
    """The layout of images: `batch unit y x`."""
    return Layout(((Atom(BATCH, batch),), (Atom(UNIT, unit),), (Atom(Y, y),), (Atom(X, x),)))


def tidy(dims: tuple[Dimension, ...]) -> Layout:
    """A layout with strides made compact, factors of size 1 dropped, and a factor that appears twice marked as unknown."""
    seen: set[tuple[str, int]] = set()
    marked: list[list[Atom]] = []
    for dim in dims:
        kept = []
        for atom in dim:
            if atom.size == 1 and atom.axis != BATCH:
                continue
            key = (atom.axis, atom.stride)
            kept.append(Atom(OTHER, atom.size) if atom.axis != OTHER and key in seen else atom)
            seen.add(key)
        marked.append(kept)
    order = sorted((atom for dim in marked for atom in dim), key=lambda atom: atom.stride)
    strides: dict[tuple[str, int], int] = {}
    reach = dict.fromkeys(ORDER, 1)
    for atom in order:
        if (atom.axis, atom.stride) not in strides:
            strides[atom.axis, atom.stride] = reach[atom.axis]
            reach[atom.axis] *= atom.size
    compact = [tuple(Atom(a.axis, a.size, strides[a.axis, a.stride]) for a in dim) for dim in marked]
    return Layout(tuple(_renumbered(_merged(dim), reach[UNIT]) for dim in compact))


def _renumbered(dim: Dimension, n_units: int) -> Dimension:
    """A dimension that holds all units, in whatever order: that order is their numbering (a channel shuffle ends here)."""
    whole = len(dim) > 1 and all(atom.axis == UNIT for atom in dim) and prod(atom.size for atom in dim) == n_units
    return (Atom(UNIT, n_units),) if whole else dim


def _merged(dim: Dimension) -> Dimension:
    """Neighbouring factors that are adjacent parts of one axis, joined."""
    joined: list[Atom] = []
    for atom in dim:
        last = joined[-1] if joined else None
        if last and last.axis == atom.axis != OTHER and last.stride == atom.stride * atom.size:
            joined[-1] = Atom(atom.axis, last.size * atom.size, atom.stride)
        else:
            joined.append(atom)
    return tuple(joined)


def regroup(dims: tuple[Dimension, ...], shape: tuple[int, ...]) -> tuple[Dimension, ...] | None:
    """The same atoms, in the same order, grouped into dimensions of other sizes; None if they cannot be cut that way."""
    atoms = [atom for dim in dims for atom in dim]
    grouped: list[Dimension] = []
    for size in shape:
        dim: list[Atom] = []
        missing = size
        while missing > 1:
            if not atoms:
                return None
            atom = atoms.pop(0)
            if missing % atom.size == 0:
                missing //= atom.size
                dim.append(atom)
            elif atom.size % missing == 0:
                outer, inner = atom.cut(atom.size // missing)
                dim.append(outer)
                atoms.insert(0, inner)
                missing = 1
            else:
                return None
        grouped.append(tuple(dim))
    return None if any(atom.size > 1 for atom in atoms) else tuple(grouped)
