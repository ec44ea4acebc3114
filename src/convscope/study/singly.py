"""What is measured image by image?  Experiments on a sample of the images; each row is kept as it is done."""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from convscope.documents import finite
from convscope.errors import ImagesError
from convscope.images import Images
from convscope.network import Network
from convscope.study.claim import Claim, Question

Row = dict[str, Any]


def singly(
    claim: Claim,
    network: Network,
    question: Question,
    *,
    images: str,
    folder: Path,
    progress: Callable[[int, int], None],
) -> list[Row]:
    """The claim's measurement of each image of its sample, in order; `images` is their fingerprint.

    Rows are appended to a file in `folder`; those that are there are not measured again. Images that cannot be read are left out.
    """
    sample = question.images.limited(claim.n_sampled, question.seed)
    settings = (
        claim.key,
        claim.version,
        claim.n_sampled,
        network.fingerprint,
        str(network.dtype),
        images,
        question.seed,
    )
    path = folder / f"{claim.key}-{sha256(repr(settings).encode('utf-8', 'backslashreplace')).hexdigest()[:16]}.jsonl"
    there = _read(path)
    _measure(claim, network, question, sample, there, path, progress)
    return [there[id_] for id_ in sample.ids if id_ in there]


def _measure(
    claim: Claim,
    network: Network,
    question: Question,
    sample: Images,
    there: dict[str, Row],
    path: Path,
    progress: Callable[[int, int], None],
) -> None:
    missing = [place for place, id_ in enumerate(sample.ids) if id_ not in there]
    n_done = len(sample) - len(missing)
    progress(n_done, len(sample))
    if not missing:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file, suppress(ImagesError):  # that of a stream with no readable image
        for batch in sample[missing].stream(network.preprocess.prepare_one, batch_size=1):
            n_done += len(batch) + len(batch.skipped)
            for id_, inputs in zip(batch.ids, batch.inputs, strict=True):
                row = finite(claim.measure(question, network, inputs[None]))
                there[id_] = row
                file.write(json.dumps({"id": id_, "row": row}, allow_nan=False) + "\n")
                file.flush()
                os.fsync(file.fileno())
            progress(n_done, len(sample))


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
