"""Which units get a card, and how does a card come into a study?  Each is written as it is done, and none is made twice.

What drives the units of the measured layers most stands in `units.parquet`, with its places: those layers are not swept again. A
card may need layers that were not measured (those that its unit reads); all of these are swept together, once.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from convscope.errors import InputError, UsageError
from convscope.images import Images
from convscope.network import Network
from convscope.network.chosen_layers import has_maps
from convscope.network.formats import named_format
from convscope.page.card_blocks import card_blocks
from convscope.see import unit
from convscope.see.asked import Asked, asked
from convscope.see.page import block
from convscope.see.swept import OfLayer, Swept, swept
from convscope.study import folder as on_disk
from convscope.study.claim import Question
from convscope.study.plan import N_EXEMPLARS
from convscope.study.sprites import shown_units
from convscope.sweep.engine import keys_of, n_units
from convscope.sweep.gauges.exemplars import ExemplarTable
from convscope.sweep.gauges.moments import UnitMoments

N_OF_LAYER = 6  # units of a layer that was asked for as a whole

Entry = dict[str, str]  # of the manifest: address, file


def chosen_units(network: Network, wanted: Sequence[str]) -> tuple[Asked, ...]:
    """The units that are meant, each once: `LAYER:UNIT`, or some of `LAYER`, spread evenly over their numbers.

    Raises UnknownNameError for a layer that is not there, UsageError for a unit that is not, a single position, or a layer whose
    units have no maps.
    """
    found = {one.text: one for place in wanted for one in _units(network, place)}
    return tuple(found.values())


def _units(network: Network, place: str) -> Iterator[Asked]:
    what = asked(network, place)
    if what.position is not None or not has_maps(network, what.layer):
        why_not = "Its units have no maps." if what.position is None else "That is one neuron."
        raise UsageError(
            f"The card of '{place}' was asked for.", why_not, "A study holds cards of units: LAYER, LAYER:UNIT."
        )
    if what.unit is not None:
        yield what
        return
    for number in shown_units(n_units(network, what.layer), N_OF_LAYER):
        yield asked(network, f"{what.layer}:{number}")


def make_cards(
    folder: Path,
    manifest: dict[str, Any],
    question: Question,
    chosen: Sequence[Asked],
    progress: Callable[[str, int, int], None],
) -> bool:
    """Makes the cards that a study lacks, and names them in its manifest, which is written last. Returns whether there were any."""
    there: list[Entry] = manifest.get("cards", [])
    known = {entry["address"] for entry in there}
    new = [what for what in chosen if what.text not in known]
    if not new:
        return False
    entries = [{"address": what.text, "file": f"{i:03d}.json"} for i, what in enumerate(new, len(there))]
    missing = [(what, entry) for what, entry in zip(new, entries, strict=True) if not _is_there(folder, entry)]
    if missing:
        network = named_format(question.network, manifest["settings"]["format"]).to(dtype=torch.float32)
        found = _answers(folder, manifest, network, question.images, new, progress)
        for n, (what, entry) in enumerate(missing, len(new) - len(missing)):
            progress("unit cards", n, len(new))
            _write(folder, entry, network, what, question, found)
        progress("unit cards", len(new), len(new))
    _clear_others(folder, [*there, *entries])
    on_disk.clear(folder, on_disk.REPORT)  # it would not show what is written now
    manifest["cards"] = [*there, *entries]
    on_disk.write_json(folder / on_disk.MANIFEST, manifest)
    return True


def read_card(folder: Path, entry: Entry) -> dict[str, Any]:
    """A card of a study. Raises InputError where it is missing or damaged."""
    path = folder / on_disk.CARDS / Path(entry["file"]).name
    found = on_disk.read_json(path)
    try:
        card: dict[str, Any] = card_blocks([found])["card/0"]
        if card["address"] != entry["address"]:
            raise ValueError(f"it is that of '{card['address']}'")
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise on_disk.unreadable(path, error) from error
    return card


def _is_there(folder: Path, entry: Entry) -> bool:
    """Whether a stopped process has finished this card."""
    with suppress(InputError):
        return bool(read_card(folder, entry))
    return False


def _write(folder: Path, entry: Entry, network: Network, what: Asked, question: Question, found: Swept) -> None:
    settings = unit.Settings(seed=question.seed)
    sheet = unit.card(network, what, question.images, settings, question.other, found, _silent)
    if sheet.stopped:  # Ctrl-C ends an ascent, which gives what it has; a study keeps whole cards only
        raise KeyboardInterrupt
    on_disk.write_json(folder / on_disk.CARDS / entry["file"], block(sheet))


def _clear_others(folder: Path, entries: Sequence[Entry]) -> None:
    """Removes what a stopped process that was asked for other cards has left."""
    files = {entry["file"] for entry in entries}
    for path in sorted((folder / on_disk.CARDS).iterdir()):
        if path.name not in files:
            on_disk.clear(folder / on_disk.CARDS, path.name)


def _answers(
    folder: Path,
    manifest: dict[str, Any],
    network: Network,
    images: Images,
    chosen: Sequence[Asked],
    progress: Callable[[str, int, int], None],
) -> Swept:
    """What the images do to the layers that the cards need: as the study has it, or swept now."""
    needed = dict.fromkeys(layer for what in chosen for layer in unit.layers_needed(network, what))
    table = on_disk.read_table(folder / on_disk.UNITS)
    n, key_of = manifest["images"]["n"], dict(zip(images.ids, keys_of(images).tolist(), strict=True))
    measured = [layer for layer in needed if layer in manifest["settings"]["layers"]]
    found = {layer: _as_measured(table.filter(pc.equal(table["layer"], layer)), n, key_of) for layer in measured}
    others = [layer for layer in needed if layer not in found]
    if others:
        told = lambda done, total: progress("images through the layers that the cards need", done, total)  # noqa: E731
        found |= swept(network, images, others, N_EXEMPLARS, told).layers
    return Swept(images, found, n)


def _as_measured(rows: pa.Table, n_images: int, key_of: dict[str, int]) -> OfLayer:
    """What the table of units says of one layer."""
    n = len(rows)
    values, keys = np.full((n, N_EXEMPLARS), -np.inf, np.float32), np.full((n, N_EXEMPLARS), -1)
    y, x = np.zeros((n, N_EXEMPLARS), np.int64), np.zeros((n, N_EXEMPLARS), np.int64)
    for place, column in ((values, "values"), (keys, "ids"), (y, "y"), (x, "x")):
        for number, row in enumerate(rows[f"exemplar_{column}"].to_pylist()):
            place[number, : len(row)] = [key_of[id_] for id_ in row] if column == "ids" else row
    mean, std, highest, on_frac = (rows[name].to_numpy() for name in ("mean", "std", "max", "on_frac"))
    n_on, lost = np.rint(on_frac * n_images).astype(np.int64), np.full(n, np.nan, np.float32)
    moments = UnitMoments(n_images, mean, std, highest.astype(np.float32), on_frac, n_on, std == 0, lost)
    return OfLayer(ExemplarTable(values, keys, y, x), moments)


def _silent(stage: str, done: int, total: int) -> None:
    pass
