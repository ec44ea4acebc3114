"""Why does this network work?  Every claim measured on it and its control, in one folder that can be gone on with."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from convscope.errors import UsageError
from convscope.images import Images
from convscope.images import images as open_images
from convscope.network import Network
from convscope.study import folder as on_disk
from convscope.study.asked import begin, begun, described, labelled, question_of
from convscope.study.measure import Progress, measure
from convscope.study.plan import chosen_claims
from convscope.study.study import Study


def why(
    network: Network,
    images: Any,
    out: str | Path,
    *,
    only: Sequence[str] = (),
    layers: Sequence[str] = (),
    limit: int | None = None,
    seed: int = 0,
    batch_size: int = 32,
    workers: int | None = None,
    form: str | None = None,
    progress: Progress | None = None,
) -> Study:
    """Why does this network work?  Measures every claim (or `only` some) and writes a study folder; returns it.

    `images` is anything `convscope.images` opens. `layers` are names or patterns; by default the end of every chain of convolution,
    norm and activation. `limit` takes a sample of the images, drawn by `seed`. `form` is a precision and memory format ("float32
    channels_last", "bfloat16"); by default the fastest that changes no answer is found by trying. A study that was
    stopped is gone on with; one that is there is completed by the claims it lacks.

    Raises UsageError for a folder that holds another study, StudyLockedError while another process writes it, ImagesError where
    no image can be read, UnknownNameError for a claim or layer that is not there.
    """
    folder = Path(out)
    _check(seed, batch_size)
    shown, mismatch = labelled(open_images(images, limit=limit, seed=seed), network)
    _check_apart(folder, shown)
    question = question_of(network, shown, layers, seed, mismatch)
    claims = chosen_claims(only)
    with on_disk.writing(folder):
        asked = described(question, limit=limit, batch_size=batch_size)
        manifest = begun(folder, asked) or begin(folder, asked, question, form)
        _check_form(manifest, form)
        missing = [claim for claim in claims if manifest["claims"].get(claim.key) != claim.version]
        if missing or not manifest["complete"]:
            measure(folder, manifest, question, missing, batch_size, workers, progress or _silent)
        on_disk.clear(folder, on_disk.SWEEPS)  # a process that was killed at its very end has left them
        study = Study.open(folder)
        if missing or not (folder / on_disk.REPORT).exists():
            study.report()
        return study


def _check(seed: int, batch_size: int) -> None:
    if seed < 0 or batch_size < 1:
        found = f"seed {seed}, batch size {batch_size}."
        raise UsageError("A study was asked for.", found, "Seeds count from 0, batches from 1.")


def _check_apart(folder: Path, images: Images) -> None:
    """Raises UsageError for a study that would lie among its images, and be taken for some of them the next time."""
    root = getattr(images.source, "root", None)
    if root is not None and folder.resolve().is_relative_to(Path(root).resolve()):
        raise UsageError(
            f"A study was to be written to '{folder}'.", "That lies in the folder of the images.", "Give one elsewhere."
        )


def _check_form(manifest: dict[str, Any], form: str | None) -> None:
    there = manifest["settings"]["format"]
    if form is not None and form != there:
        raise UsageError(
            f"A study was to be gone on with in {form}.",
            f"It was begun in {there}.",
            "Leave the format out, or give another -o.",
        )


def _silent(stage: str, done: int, total: int) -> None:
    pass
