"""How does a sweep survive being killed?  Its whole state in one file, written beside and renamed."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from convscope.images import Skip

if TYPE_CHECKING:
    from convscope.sweep.engine import Sweep


def save_checkpoint(path: Path, found: "Sweep", signature: str) -> None:
    """Writes what has been seen so far; a file that is there holds either the state before or this one."""
    arrays = {
        f"{layer}\t{name}\t{part}": np.ascontiguousarray(array)  # safetensors scrambles others
        for layer, gauges in found.gauges.items()
        for name, gauge in gauges.items()
        for part, array in gauge.state().items()
    }
    facts = {
        "n_images": found.n_images,
        "stop": found.stop,
        "skipped": [list(skip) for skip in found.skipped],
        "not_finite": found.not_finite,
        "batch_size": found.batch_size,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    try:
        save_file(arrays, beside, metadata={"signature": signature, "facts": json.dumps(facts)})
    except SafetensorError as error:  # a full disk, in other words
        raise OSError(f"a checkpoint could not be written: {error}") from error
    with beside.open("rb") as written:
        os.fsync(written.fileno())
    beside.replace(path)


def load_checkpoint(path: Path, found: "Sweep", signature: str) -> bool:
    """Puts the saved state back; False if there is none, or it belongs to another sweep or is damaged."""
    try:
        with safe_open(path, framework="numpy") as stored:
            metadata = stored.metadata() or {}
            if metadata.get("signature") != signature:
                return False
            facts = json.loads(metadata["facts"])
            states: dict[tuple[str, str], dict[str, np.ndarray]] = {}
            for key in stored.keys():  # noqa: SIM118  # not a dictionary
                layer, name, part = key.split("\t")
                states.setdefault((layer, name), {})[part] = stored.get_tensor(key)
    except (FileNotFoundError, SafetensorError, KeyError, ValueError):
        return False
    if set(states) != {(layer, name) for layer, gauges in found.gauges.items() for name in gauges}:
        return False
    for (layer, name), state in states.items():
        found.gauges[layer][name].restore(state)
    found.n_images, found.stop, found.batch_size = facts["n_images"], facts["stop"], facts["batch_size"]
    found.skipped = [Skip(*skip) for skip in facts["skipped"]]
    found.not_finite = [(layer, id_) for layer, id_ in facts["not_finite"]]
    return True
