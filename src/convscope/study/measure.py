"""How does a study come about?  Sweeps, what is measured one by one, what was found, and the files, the manifest last."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch

from convscope.finding import Finding
from convscope.images import Images
from convscope.network import Network
from convscope.network.calibration import calibrated_fresh
from convscope.network.chosen_layers import depths
from convscope.network.formats import named_format
from convscope.study import folder as on_disk
from convscope.study.chapters import chapters, class_rows, write_chapters
from convscope.study.claim import N_FRESH, TRAINED, Claim, Measured, Question
from convscope.study.concepts import concepts_of
from convscope.study.plan import carry_out, chosen_claims, plan
from convscope.study.singly import singly
from convscope.study.sprites import sprites
from convscope.study.units import described, layer_curves, quantile_curves, with_columns
from convscope.sweep.engine import OUTPUT

Progress = Callable[[str, int, int], None]  # what is being done, how much of it, of how much


def _findings_before(folder: Path, manifest: dict[str, Any]) -> dict[str, Finding]:
    """The findings that were there, by claim: those the manifest, which is written last, knows of."""
    if not manifest["claims"]:
        return {}
    found = on_disk.read_findings(folder)
    return {finding.claim: finding for finding in found if finding.claim in manifest["claims"]}


@dataclass(frozen=True)
class _Networks:
    """The network and its control, as they are computed."""

    trained: Network
    images: Images
    seed: int

    def __call__(self, which: str) -> Network:
        if which == TRAINED:
            return self.trained
        own = self.trained.to(dtype=torch.float32)
        draw = int(which.rsplit("-", 1)[1])
        fresh = calibrated_fresh(own, self.images, self.seed, N_FRESH * self.seed + draw)
        return fresh.to(dtype=self.trained.dtype)


def measure(
    folder: Path,
    manifest: dict[str, Any],
    question: Question,
    missing: Sequence[Claim],
    batch_size: int,
    workers: int | None,
    progress: Progress,
) -> None:
    """Sweeps for the missing claims, finds, and writes everything; the manifest last."""
    describe = not manifest["complete"]
    network = named_format(question.network, manifest["settings"]["format"])
    planned = plan(question, missing, describe=describe)
    sweeps = carry_out(
        planned,
        _Networks(network, question.images, question.seed),
        question,
        images=manifest["images"]["fingerprint"],
        folder=folder / on_disk.SWEEPS,
        batch_size=batch_size,
        workers=workers,
        progress=progress,
    )
    own = _Networks(network.to(dtype=torch.float32), question.images, question.seed)
    once = cache(own.__call__)  # a draw of fresh weights takes a second
    measured = Measured(**{**vars(question), "sweeps": sweeps})
    if any(claim.asks_concepts for claim in missing):
        concepts = concepts_of(
            question,
            once,
            folder=folder / on_disk.SWEEPS,
            signature=manifest["images"]["fingerprint"],
            batch_size=batch_size,
            workers=workers,
            progress=progress,
        )
        measured = replace(measured, concepts=concepts)
        manifest["labels_not_used"] = [] if concepts is None else list(concepts.labels.not_used)
    rows = {
        claim.key: singly(
            claim,
            measured,
            once,
            images=manifest["images"]["fingerprint"],
            folder=folder / on_disk.SWEEPS,
            progress=partial(progress, claim.doing),
        )
        for claim in missing
        if claim.n_sampled
    }
    measured = replace(measured, rows=rows)
    found = {claim.key: replace(claim.find(measured), version=claim.version) for claim in missing}
    columns = {name: column for claim in missing for name, column in claim.unit_columns(measured).items()}
    if describe:
        columns = described(measured) | columns
        _draw(folder, manifest, measured, progress)
    made = chapters(own.trained, measured.concepts, class_rows(rows), _shown(manifest), progress)
    manifest["chapters"] = write_chapters(folder, made, manifest.get("chapters", []))
    _write(folder, manifest, measured, _findings_before(folder, manifest) | found, columns, describe)


def _shown(manifest: dict[str, Any]) -> dict[str, Any]:
    """On which images, as pages say it."""
    return {"source": manifest["images"]["source"], "n": manifest["images"]["n"]}


def _draw(folder: Path, manifest: dict[str, Any], measured: Measured, progress: Progress) -> None:
    drawn = sprites(measured, lambda done, total: progress("exemplars cut out", done, total))
    for number, (layer, picture) in enumerate(zip(measured.layers, drawn, strict=True)):
        name = f"{number:03d}.webp"
        on_disk.write_bytes(folder / on_disk.SPRITES / name, picture)
        manifest["sprites"][layer] = name


def _write(
    folder: Path,
    manifest: dict[str, Any],
    measured: Measured,
    findings: dict[str, Finding],
    columns: dict[str, Any],
    describe: bool,
) -> None:
    order = [claim.key for claim in chosen_claims()]
    rows = sorted(findings.values(), key=lambda found: order.index(found.claim) if found.claim in order else len(order))
    network = measured.network
    on_disk.clear(folder, on_disk.REPORT)  # it would not show what is written now
    on_disk.write_json(folder / on_disk.LAYERS, network.layers.as_dicts())
    on_disk.write_json(folder / on_disk.FINDINGS, [found.as_dict() for found in rows])
    there = None if describe else on_disk.read_table(folder / on_disk.UNITS)
    if columns:
        on_disk.write_table(folder / on_disk.UNITS, with_columns(there, columns))
    kept = quantile_curves(measured) if describe else _quantiles(folder)
    over_depth = layer_curves(rows, depths(network.graph), manifest["images"]["n"])
    on_disk.write_table(folder / on_disk.CURVES, on_disk.joined(kept, over_depth))
    if describe:
        manifest |= {"not_finite": _not_finite(measured), "images": manifest["images"] | _read(measured)}
    manifest["columns"] |= {name: column.unit for name, column in columns.items()}
    manifest["claims"] = {found.claim: found.version for found in rows}
    manifest["complete"] = True
    on_disk.write_json(folder / on_disk.MANIFEST, manifest)
    on_disk.clear(folder, on_disk.SWEEPS)


def _quantiles(folder: Path) -> Any:
    there = on_disk.read_table(folder / on_disk.CURVES)
    return there.filter([kind == "quantile" for kind in there["kind"].to_pylist()])


def _read(measured: Measured) -> dict[str, Any]:
    """How many images were read, and which could not be."""
    sweep = measured.sweeps[TRAINED]
    skipped = [*measured.images.skipped, *sweep.skipped]
    return {
        "n": sweep.n_images,
        "n_skipped": len(skipped),
        "skipped": [{"id": skip.id, "reason": skip.reason} for skip in skipped],
    }


def _not_finite(measured: Measured) -> list[dict[str, Any]]:
    """NaN and infinities: in which layer, for which images."""
    found: dict[str, list[str]] = {}
    for layer, id_ in measured.sweeps[TRAINED].not_finite:
        found.setdefault(layer, []).append(id_)
    order = [layer for layer in (*measured.layers, OUTPUT) if layer in found]
    return [{"layer": layer, "n_images": len(found[layer]), "ids": found[layer][:20]} for layer in order]
