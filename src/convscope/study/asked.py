"""What is a study about?  A network, images with their labels, the layers to be measured; and whether a folder holds just that."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from convscope.documents import finite
from convscope.errors import ImagesError, UsageError
from convscope.images import Images
from convscope.images.concepts.concept import Source
from convscope.network import Network
from convscope.network.chosen_layers import chosen_layers
from convscope.network.formats import choose_format, form_name, named_format
from convscope.study import folder as on_disk
from convscope.study.claim import Question
from convscope.study.concepts import named
from convscope.study.plan import affordable_groups
from convscope.sweep.engine import try_out

N_TRIED = 32  # images on which precisions and formats are tried


def labelled(images: Images, network: Network) -> tuple[Images, str]:
    """The images with the network's classes as labels; or with their own, and why those are not the network's."""
    if not (images.labels >= 0).any():
        return images, "The images carry no labels. Put them into a folder for each class, or give --labels."
    if network.classes is None:
        return images, _unnamed(images, network.n_classes)
    try:
        return images.match(network.classes), ""
    except ImagesError as error:
        return images, f"The labels are not classes of this network. {error.found} {error.would_work}"


def _unnamed(images: Images, n_classes: int) -> str:
    """Why labels cannot be held against a network whose classes have no names; empty for indices, or a folder for each class."""
    names, most = images.label_names, int(images.labels.max())
    if names is not None and len(names) != n_classes and not all(name.isdecimal() for name in names):
        return (
            f"The network has {n_classes} classes without names, and the labels are {len(names)} names: which is which is "
            "not known. Give --classes."
        )
    if most >= n_classes:
        return f"The labels go up to {most}, and the network has {n_classes} classes. Give other --labels."
    return ""


def question_of(
    network: Network,
    images: Images,
    layers: Sequence[str],
    seed: int,
    mismatch: str,
    other: Network | None = None,
    sources: tuple[Source, ...] = (),
) -> Question:
    chosen = chosen_layers(network, layers)
    n_classes = len(set(images.labels[images.labels >= 0].tolist()))
    groups = affordable_groups(network, chosen, n_classes, len(images))
    return Question(
        network, images, chosen, seed=seed, mismatch=mismatch, n_groups=groups, other=other, sources=sources
    )


def described(question: Question, *, limit: int | None, batch_size: int) -> dict[str, Any]:
    """What a study is about; a folder holds one such question."""
    network, images = question.network, question.images
    known = images.labels[images.labels >= 0]
    return {
        "network": {
            "name": network.name,
            "weights": network.weights,
            "fingerprint": network.fingerprint,
            "input_shape": list(network.input_shape),
            "n_classes": network.n_classes,
            "n_layers": len(network.layers),
            "parameters": network.layers.total.n_parameters,
            "macs": network.layers.total.n_macs,
            "preprocess": network.preprocess.as_dict(),
            "notes": list(network.notes),
        },
        "images": {
            "source": images.source.name,
            "n": len(images),
            "n_labelled": len(known),
            "n_classes": len(set(known.tolist())),
            "label_source": images.label_source,
            "fingerprint": images.fingerprint(),
        },
        "settings": {
            "seed": question.seed,
            "limit": limit,
            "batch_size": batch_size,
            "layers": list(question.layers),
            "n_groups": question.n_groups,
            "other": _other(question.other),
            "concepts": named(question.sources),
        },
    }


def _other(network: Network | None) -> dict[str, str] | None:
    return None if network is None else {"name": network.name, "fingerprint": network.fingerprint}


def begun(folder: Path, asked: dict[str, Any]) -> dict[str, Any] | None:
    """The manifest of the study in the folder. Raises UsageError if it is about something else."""
    if not (folder / on_disk.MANIFEST).exists():
        return None
    manifest = on_disk.read_manifest(folder)
    for part, names in (
        ("network", ("fingerprint", "preprocess")),
        ("images", ("fingerprint",)),
        ("settings", ("layers", "seed", "limit", "batch_size")),
    ):
        for name in names:
            there, given = (finite(found[part][name]) for found in (manifest, asked))
            if _plain(there) != _plain(given):
                raise UsageError(
                    f"The study '{folder}' was to be gone on with.",
                    f"It is about {_OTHER.get((part, name), 'another ' + name.replace('_', ' '))}.",
                    "Give another folder with -o, or ask what it was made for.",
                )
    beside, given = manifest["settings"].get("other"), asked["settings"]["other"]
    if beside and beside["fingerprint"] != (given or {}).get("fingerprint"):
        raise UsageError(
            f"The study '{folder}' was to be gone on with.",
            f"Its pictures were shown to another network, {beside['name']}; {'not to this one' if given else 'now none is given'}.",
            "Give the same one (--other), or another folder with -o.",
        )
    return manifest


_OTHER = {
    ("network", "fingerprint"): "another network (or other weights)",
    ("network", "preprocess"): "the same network with another preprocessing",
    ("images", "fingerprint"): "other images",
    ("settings", "layers"): "other layers",
}


def _plain(value: Any) -> Any:
    """Without the difference of tuples and lists, which JSON does not keep."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def begin(folder: Path, asked: dict[str, Any], question: Question, form: str | None) -> dict[str, Any]:
    """A new manifest: what is asked, and in which precision and format it will be computed, from here to the end."""
    if form is None:
        inputs = examples(question.network, question.images, N_TRIED)
        placed, trials = choose_format(question.network, inputs, partial(try_out, layers=question.layers))
        tried = [f"{t.name}: {t.images_per_s:.1f} images/s, logits within {t.logit_difference:.1e}" for t in trials]
    else:
        placed, tried = named_format(question.network, form), []
    manifest = {
        "schema": on_disk.SCHEMA,
        "version": on_disk.VERSION,
        "complete": False,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {name: version(name) for name in ("convscope", "torch", "numpy", "pillow")},
        **asked,
        "sprites": {},
        "not_finite": [],
        "columns": {},
        "claims": {},
    }
    manifest["settings"] |= {
        "format": form_name(placed.dtype, placed.channels_last),
        "n_threads": torch.get_num_threads(),
        "formats_tried": tried,
    }
    on_disk.write_json(folder / on_disk.MANIFEST, manifest)
    return manifest


def examples(network: Network, images: Images, n: int) -> torch.Tensor:
    """The first images that can be read, of one size."""
    found: list[torch.Tensor] = []
    for batch in images.stream(network.preprocess.prepare_one, batch_size=n):
        if len(batch):
            found.append(batch.inputs)
            break
    return found[0]
