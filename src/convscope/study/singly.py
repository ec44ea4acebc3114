"""How is it kept what is measured one by one?  Each row is written as it is done, so that a stopped study goes on where it was."""

import json
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from convscope.documents import finite
from convscope.study.claim import TRAINED, Claim, Measured, Networks
from convscope.study.samples import Row, Sample


def singly(
    claim: Claim,
    measured: Measured,
    networks: Networks,
    *,
    images: str,
    folder: Path,
    progress: Callable[[int, int], None],
) -> list[Row]:
    """The claim's measurement of each thing of its sample (images, units), in order; `images` is the images' fingerprint.

    Rows are appended to a file in `folder`; those that are there are not measured again. Images that cannot be read are left out.
    """
    sample = claim.sample(measured, networks)
    if sample is None:
        return []
    network, other = networks(TRAINED), measured.other
    settings = (
        claim.key,
        claim.version,
        sample.ids,
        network.fingerprint,
        str(network.dtype),
        images,
        measured.seed,
        other.fingerprint if other is not None else "",
    )
    path = folder / f"{claim.key}-{sha256(repr(settings).encode('utf-8', 'backslashreplace')).hexdigest()[:16]}.jsonl"
    there = _read(path)
    _measure(sample, there, path, progress)
    return [there[id_] for id_ in sample.ids if id_ in there]


def _measure(sample: Sample, there: dict[str, Row], path: Path, progress: Callable[[int, int], None]) -> None:
    missing = [place for place, id_ in enumerate(sample.ids) if id_ not in there]
    n_done = len(sample.ids) - len(missing)
    progress(n_done, len(sample.ids))
    if not missing:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        for id_, row in sample.rows(missing):
            if row is not None:
                there[id_] = finite(row)
                file.write(json.dumps({"id": id_, "row": there[id_]}, allow_nan=False) + "\n")
                file.flush()
                os.fsync(file.fileno())
            n_done += 1
            progress(n_done, len(sample.ids))


def _read(path: Path) -> dict[str, Row]:
    """The rows that are there; a last line that was cut off is left out, and the file mended."""
    if not path.exists():
        return {}
    found: dict[str, Row] = {}
    lines = path.read_text("utf-8").splitlines(keepends=True)
    for i, line in enumerate(lines):
        try:
            entry = json.loads(line if line.endswith("\n") else "")
            found[entry["id"]] = entry["row"]
        except (ValueError, KeyError, TypeError):
            path.write_text("".join(lines[:i]), "utf-8")
            break
    return found
