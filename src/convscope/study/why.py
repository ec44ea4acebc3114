"""Why does this network work?  Every claim measured on it and its control, in one folder that can be gone on with."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from convscope.errors import UsageError
from convscope.images import Images
from convscope.images import images as open_images
from convscope.images.concepts.concept import Source
from convscope.images.concepts.opened import sources_of
from convscope.network import Network
from convscope.study import folder as on_disk
from convscope.study.asked import begin, begun, described, labelled, question_of
from convscope.study.cards import chosen_units, make_cards
from convscope.study.claim import Claim
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
    cards: Sequence[str] = (),
    limit: int | None = None,
    seed: int = 0,
    batch_size: int = 32,
    workers: int | None = None,
    form: str | None = None,
    other: Network | None = None,
    concepts: Sequence[str | Source] = (),
    progress: Progress | None = None,
) -> Study:
    """Why does this network work?  Measures every claim (or `only` some) and writes a study folder; returns it.

    `images` is anything `convscope.images` opens. `layers` are names or patterns; by default the end of every chain of convolution,
    norm and activation. `cards` are units (`LAYER:UNIT`), or layers (six units of each), whose cards go into the report. `limit`
    takes a sample of the images, drawn by `seed`. `form` is a precision and memory format ("float32 channels_last", "bfloat16"); by
    default the fastest that changes no answer is found by trying. `other` is another network of the same classes, which is asked
    what optimised images show. `concepts` are what units are held against: "pixels" (colours, edges, textures found in the images),
    "classes", a folder of label maps, "coco:FILE", "voc:FOLDER" ..., or sources (convscope.images.concepts); by default "pixels",
    in the built-in world all that it drew; "none" for none. A study that was stopped is gone on with; one that is there is
    completed by the claims and cards it lacks, and by what another network says once one is given.

    Raises UsageError for a folder that holds another study, StudyLockedError while another process writes it, ImagesError where
    no image can be read, UnknownNameError for a claim or layer that is not there.
    """
    folder = Path(out)
    _check(seed, batch_size)
    _check_other(network, other)
    shown, mismatch = labelled(open_images(images, limit=limit, seed=seed), network)
    _check_apart(folder, shown)
    question = question_of(network, shown, layers, seed, mismatch, other, _sources(network, shown, concepts))
    claims, units = chosen_claims(only), chosen_units(network, cards)
    with on_disk.writing(folder):
        asked = described(question, limit=limit, batch_size=batch_size)
        manifest = begun(folder, asked) or begin(folder, asked, question, form)
        _check_form(manifest, form)
        missing = _missing(claims, manifest, asked, anew=bool(concepts))
        for name in ("other", "concepts"):
            if any(getattr(claim, f"asks_{name}") for claim in missing):
                manifest["settings"][name] = asked["settings"][name]
        if missing or not manifest["complete"]:
            measure(folder, manifest, question, missing, batch_size, workers, progress or _silent)
        on_disk.clear(folder, on_disk.SWEEPS)  # a process that was killed at its very end has left them
        made = make_cards(folder, manifest, question, units, progress or _silent)
        study = Study.open(folder)
        if missing or made or not (folder / on_disk.REPORT).exists():
            study.report()
        return study


def _sources(network: Network, images: Images, concepts: Sequence[str | Source]) -> tuple[Source, ...]:
    """Where concepts come from; nothing is found by default in images whose channels are no colours."""
    if not concepts and network.input_shape[0] not in (1, 3):
        return ()
    return sources_of(images, concepts)


def _missing(claims: Sequence[Claim], manifest: dict[str, Any], asked: dict[str, Any], *, anew: bool) -> list[Claim]:
    """The claims that a study lacks. Those about concepts are about the same ones: if one is missing, or others are given `anew`,
    all of them are.
    """
    missing = [claim for claim in claims if not _is_there(claim, manifest, asked)]
    other = manifest["settings"].get("concepts") != asked["settings"]["concepts"]
    if other and (anew or any(claim.asks_concepts for claim in missing)):
        about = (claim for claim in claims if claim.asks_concepts or claim.names_concepts)
        missing += [claim for claim in about if claim not in missing]
    return [claim for claim in claims if claim in missing]


def _is_there(claim: Claim, manifest: dict[str, Any], asked: dict[str, Any]) -> bool:
    """Whether a study holds the finding, of this version; and, if it asks another network, what that one said."""
    same = manifest["settings"].get("other") == asked["settings"]["other"] or not claim.asks_other
    return same and manifest["claims"].get(claim.key) == claim.version


def _check(seed: int, batch_size: int) -> None:
    if seed < 0 or batch_size < 1:
        found = f"seed {seed}, batch size {batch_size}."
        raise UsageError("A study was asked for.", found, "Seeds count from 0, batches from 1.")


def _check_other(network: Network, other: Network | None) -> None:
    """Raises UsageError for another network that is the same: what fools one fools the other."""
    if other is not None and other.fingerprint == network.fingerprint:
        raise UsageError(
            "Another network was to be asked what optimised images show.",
            "It is the same network.",
            "Give one with other weights.",
        )


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
