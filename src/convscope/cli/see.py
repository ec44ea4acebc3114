"""`convscope see NET LAYER[:UNIT]...`: pictures of what a layer or unit looks for, each with its check."""

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convscope.cli.options import network_argument
from convscope.cli.printing import console, document, stages

if TYPE_CHECKING:
    from convscope.images import Images
    from convscope.network import Network
    from convscope.see import Sheet
    from convscope.see.dissected import Progress


@click.command("see")
@network_argument
@click.argument("places", nargs=-1, metavar="[LAYER[:UNIT[@y,x]]...]")
@click.option("--concept", "concept", multiple=True, metavar="NAME", help="The page of a concept; may be repeated.")
@click.option(
    "--concepts",
    "sources",
    multiple=True,
    metavar="SOURCE",
    help="Where concepts come from: pixels, world, a folder of label maps, voc:DIR, coco:FILE ... (default: pixels).",
)
@click.option("--images", metavar="IMAGES", help="Where patches come from: a folder, a file, builtin:world.")
@click.option("--save", metavar="FILE", help="FILE.png, .html or .json; or a folder (name/): a PNG each, and see.html.")
@click.option(
    "--units", help="Of a layer: which units get a row, as 3,17,40 (default: some, spread over their numbers)."
)
@click.option("-n", "--n", "n", type=click.IntRange(1), help="Patches of each unit.")
@click.option(
    "--steps", "n_steps", type=click.IntRange(0), help="Steps of gradient ascent; 0 for no optimised pictures."
)
@click.option(
    "--sort", type=click.Choice(["number", "response", "tuned"]), default="number", help="Order of a layer's maps."
)
@click.option("--map-scale", default="layer", help="Colours of a layer's maps end per layer, per unit, or at a number.")
@click.option("--mark", type=click.IntRange(0), default=5, help="How many of a layer's strongest maps are framed.")
@click.option(
    "--outline",
    type=click.Choice(["deconvnet", "guided", "occlusion"]),
    default="deconvnet",
    help="Whose energy is outlined in patches.",
)
@click.option("--other", metavar="NET", help="Another network, which should recognise the picture of a class.")
@click.option("--other-weights", metavar="FILE", help="Its weights.")
@click.option("--labels", help="'none', a CSV or JSON file, or a pattern of file names with a group (?P<label>...).")
@click.option("--limit", type=click.IntRange(1), help="At most this many images, drawn by --seed.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Starts, random pixels, samples.")
@click.option("--strict", is_flag=True, help="Exit with 4 if any check fails.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option("--quiet", is_flag=True, help="No progress.")
def command(
    network: "Network",
    places: tuple[str, ...],
    concept: tuple[str, ...],
    sources: tuple[str, ...],
    images: str | None,
    save: str | None,
    units: str | None,
    other: str | None,
    other_weights: str | None,
    map_scale: str,
    labels: str | None,
    limit: int | None,
    strict: bool,
    as_json: bool,
    quiet: bool,
    **settings: Any,
) -> None:
    """What does this look for?  For LAYER:UNIT its card: filter or connections, the strongest patches of the images with deconvnet
    pictures, where in images it answers, pictures optimised to drive it; each with its check. LAYER alone gives the sheet of a
    layer, LAYER:UNIT@y,x one neuron, the name of a class its logit. --concept NAME gives the page of a concept: which units detect
    it, where, what several together tell, and what of that is trivial.

    Stopped with Ctrl-C during the ascent, the pictures are kept as far as they have got, and no further place is looked at.
    """
    from convscope.images import images as open_images
    from convscope.network import load
    from convscope.see import sheets

    _check_asked(places, concept, images)
    _check_save(save, len(places) + len(concept))
    seed, shown = settings["seed"], None
    if images is not None:
        shown = open_images(images, labels=False if labels == "none" else labels, limit=limit, seed=seed)
    with stages(shown=not quiet) as progress:
        made = sheets(
            network,
            places,
            shown,
            other=None if other is None else load(other, weights=other_weights),
            units=_numbers(units),
            scale=_scale(map_scale),
            progress=progress,
            **settings,
        )
        pages = _concept_pages(network, concept, sources, shown, limit, seed, progress)
        found = list(_kept(chain(made, pages), save, as_json=as_json))
    if as_json:
        click.echo(document("see", {"sheets": [sheet.as_dict() for sheet in found]}))
    if save is not None:
        path = _saved(found, save) if _is_folder(save) else save
        click.echo(f"saved: {path}", err=as_json)
    elif not as_json:
        click.echo("pictures: give --save card.png or card.html", err=True)
    if found and found[-1].stopped:
        left = len(places) + len(concept) - len(found)
        click.echo(f"stopped; {left:,} place{'s' if left > 1 else ''} left out" if left else "stopped", err=True)
        raise SystemExit(130)
    if strict and any(sheet.failed for sheet in found):
        raise SystemExit(4)


def _concept_pages(
    network: "Network",
    concept: tuple[str, ...],
    sources: tuple[str, ...],
    shown: "Images | None",
    limit: int | None,
    seed: int,
    progress: "Progress",
) -> "Iterator[Sheet]":
    """The pages of concepts, all of one dissection."""
    from convscope.images.concepts.opened import sources_of
    from convscope.see import dissect
    from convscope.see.dissected import MOST_IMAGES, concept_of

    if not concept or shown is None:
        return
    known = sources_of(shown, sources)
    for name in concept if known else ():
        concept_of(name, known)  # what is misspelled is said before a long sweep
    found = dissect(network, shown, sources, limit=limit or MOST_IMAGES, seed=seed, progress=progress)
    for name in concept:
        yield found.sheet(name)


def _check_asked(places: tuple[str, ...], concept: tuple[str, ...], images: str | None) -> None:
    if not places and not concept:
        raise click.UsageError("Say what is to be seen: LAYER, LAYER:UNIT, a class, or --concept NAME.")
    if concept and images is None:
        raise click.UsageError("A concept is looked for in images: give --images (a folder, builtin:world).")


def _kept(made: "Iterator[Sheet]", save: str | None, *, as_json: bool) -> "Iterator[Sheet]":
    """Each sheet, saved as it is done, and then printed: whoever reads what is printed may stop reading."""
    done: list[Sheet] = []
    for sheet in made:
        done.append(sheet)
        if save is not None and _is_folder(save):
            Path(save).mkdir(parents=True, exist_ok=True)
            sheet.save(Path(save) / f"{_file_name(sheet.address)}.png")
        elif save is not None:
            _saved(done, save)
        if not as_json:
            print_sheet(sheet)
        yield sheet


def _saved(found: "list[Sheet]", save: str) -> Path:
    from convscope.see.page import page

    if Path(save).suffix == ".json" and len(found) > 1:
        text = document("see", {"sheets": [sheet.as_dict() for sheet in found]})
        Path(save).write_text(text + "\n", encoding="utf-8")
        return Path(save)
    if _is_folder(save) or (Path(save).suffix == ".html" and len(found) > 1):
        path = Path(save) / "see.html" if _is_folder(save) else Path(save)
        path.write_text(page(found), encoding="ascii")
        return path
    return found[0].save(save)


def print_sheet(sheet: "Sheet") -> None:
    """Prints a sheet: what it says, what is known, and the checks."""
    from rich.table import Table
    from rich.text import Text

    out = console()
    out.print(Text(sheet.title, style="bold"), soft_wrap=True)
    out.print(sheet.sentence, markup=False)
    facts = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for name, text in sheet.facts:
        facts.add_row(Text(name, style="dim"), Text(text))
    out.print(facts)
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for check in sheet.checks:
        mark, style = MARKS[str(check.outcome)]
        table.add_row(Text(f"{mark} {check.outcome}", style=style), Text(f"{check.title}. {check.words}"))
    out.print(table)
    for note in sheet.notes:
        out.print(note, markup=False, style="dim")
    out.print("")


MARKS = {"passes": ("✓", "green"), "care": ("!", "yellow"), "fails": ("✗", "red"), "not run": ("-", "dim")}


def _check_save(save: str | None, n: int) -> None:
    if save is None or _is_folder(save):
        return
    if Path(save).suffix not in (".png", ".html", ".json"):
        raise click.UsageError(f"--save {save}: give .png, .html or .json, or a folder that ends in '/'.")
    if n > 1 and Path(save).suffix == ".png":
        raise click.UsageError(f"--save {save} holds one sheet, and {n} were asked for: give FILE.html, or a folder.")
    parent = Path(save).parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.UsageError(f"--save {save}: '{parent}' cannot be made: {error.strerror}.") from error
    if not os.access(parent, os.W_OK):
        raise click.UsageError(f"--save {save}: nothing can be written to '{parent}'.")


def _is_folder(save: str) -> bool:
    return save.endswith("/") or Path(save).is_dir()


def _file_name(address: str) -> str:
    """An address as the name of a file."""
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in address)[:150]


def _numbers(units: str | None) -> tuple[int, ...] | None:
    if units is None:
        return None
    parts = [part.strip() for part in units.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() for part in parts):
        raise click.UsageError(f"--units {units}: write their numbers with commas between, as 3,17,40.")
    return tuple(int(part) for part in parts)


def _scale(scale: str) -> str | float:
    try:
        return float(scale)
    except ValueError:
        return scale
