"""`convscope explain NET IMAGE...`: why this prediction, and can that be trusted?"""

from typing import TYPE_CHECKING, Any

import click

from convscope.cli.options import network_argument
from convscope.cli.printing import console, document, stages

if TYPE_CHECKING:
    from convscope.answer import Advice, Answer, Explaining
    from convscope.network import Network


@click.command("explain")
@network_argument
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option(
    "-m",
    "--method",
    "methods",
    multiple=True,
    metavar="NAME[:SETTING=VALUE,...]",
    help="A method, with settings where wanted (occlusion:window=32,stride=8); may be repeated. Default: one of each kind.",
)
@click.option(
    "--layer", metavar="NAME", help="Where scores live (default: as the method has it; also METHOD:layer=NAME)."
)
@click.option(
    "--target",
    metavar="WHAT",
    help="A class by index or name, 'A - B' for one rather than another, LAYER:UNIT or LAYER:UNIT@y,x.",
)
@click.option(
    "-o",
    "--out",
    metavar="FOLDER",
    help="Keep it: PNG and JSON for each image, and explain.html. Goes on where it was.",
)
@click.option("--html", metavar="FILE", help="Write the page to this file only.")
@click.option("--png", metavar="FILE", help="Write the picture of a single image to this file only.")
@click.option("--masks", metavar="FOLDER", help="Masks of what should matter, named like the images.")
@click.option("--labels", help="'none', a CSV or JSON file, or a pattern of file names with a group (?P<label>...).")
@click.option("--limit", type=click.IntRange(1), help="At most this many images, drawn by --seed.")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Random orders, shuffled weights, samples."
)
@click.option("--checks/--no-checks", default=True, help="Check every map (default: yes).")
@click.option("--check", "only", multiple=True, metavar="NAME", help="Only this check; may be repeated.")
@click.option("--compare", is_flag=True, help="Which method and layer to use here: all are measured on these images.")
@click.option("--strict", is_flag=True, help="Exit with 4 if any map is not to be relied on.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option("--quiet", is_flag=True, help="No progress.")
def command(
    network: "Network",
    images: tuple[str, ...],
    methods: tuple[str, ...],
    layer: str | None,
    target: str | None,
    out: str | None,
    html: str | None,
    png: str | None,
    masks: str | None,
    labels: str | None,
    limit: int | None,
    seed: int,
    checks: bool,
    only: tuple[str, ...],
    compare: bool,
    strict: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Why does the network say this, and can the explanation be trusted?  For each IMAGE (a file, or a folder of them) the
    prediction with its margin, a map by each method, and the checks of every map, a sentence each.

    With -o FOLDER each image's results are written as they are done; stopped with Ctrl-C, the same command goes on. A map whose
    checks fail is shown greyed, with the reason.
    """
    from convscope.answer import explaining
    from convscope.answer.asked import target_in

    asked: dict[str, Any] = {
        "methods": methods or None,
        "layer": layer,
        "target": target_in(network, target),
        "seed": seed,
        "masks": masks,
        "checks": only or checks,
        "labels": False if labels == "none" else labels,
        "limit": limit,
    }
    shown = images[0] if len(images) == 1 else list(images)
    if compare:
        if out is not None or png is not None or only or masks:
            raise click.UsageError(
                "--compare takes --html and --json; -o, --png, --check and --masks are for explaining."
            )
        _compare(network, shown, asked, as_json=as_json, quiet=quiet, html=html)
        return
    with stages(shown=not quiet) as progress:
        what = explaining(network, shown, progress=progress, **asked)
        if out is not None or html is not None or png is not None:
            found = _kept(what, out, html, png, as_json=as_json)
        else:
            found = _streamed(what, as_json=as_json)
    _end(what, found, strict=strict)


class _Tally:
    """What is remembered of answers that are printed and let go."""

    def __init__(self) -> None:
        self.n_answers = self.n_maps = self.n_distrusted = 0
        self.refused: dict[str, str] = {}
        self.stopped = False

    def add(self, answer: "Answer") -> None:
        self.n_answers += 1
        self.n_maps += len(answer.explanations)
        self.n_distrusted += sum(one.verdict == "distrusted" for one in answer.explanations)
        self.refused |= {one.title: one.reason for one in answer.refused}


def _streamed(what: "Explaining", *, as_json: bool) -> _Tally:
    """Each answer printed as it is there."""
    from convscope.answer.answers import head

    tally, documents = _Tally(), []
    try:
        for answer in what:
            tally.add(answer)
            documents.append(answer.as_dict()) if as_json else print_answer(answer)
    except KeyboardInterrupt:
        tally.stopped = True
    if as_json:
        skipped = [{"id": one.id, "reason": one.reason} for one in what.skipped]
        body = {**head(what.network, what.settings), "stopped": tally.stopped, "skipped": skipped, "answers": documents}
        click.echo(document("explain", body))
    return tally


def _kept(what: "Explaining", out: str | None, html: str | None, png: str | None, *, as_json: bool) -> _Tally:
    """Answers in a folder, or in memory until a page or a picture of them is written."""
    from convscope.answer.explain import collected, written
    from convscope.answer.folder import Folder

    answers = collected(what) if out is None else written(what, Folder.at(out))
    tally = _Tally()
    tally.stopped = answers.stopped
    for answer in answers:
        tally.add(answer)
        if not as_json:
            print_answer(answer)
    for path in filter(None, (html, png)):
        click.echo(str(answers.save(path)), err=as_json)
    if as_json:
        click.echo(document("explain", answers.as_dict()))
    elif out is not None:
        console().print(f"\npage: {Folder.at(out).page}", markup=False, soft_wrap=True)
    return tally


def _end(what: "Explaining", found: _Tally, *, strict: bool) -> None:
    """What was left out, on stderr; and the exit code."""
    for skip in what.skipped[:MOST_NAMED]:
        click.echo(f"skipped {skip.id!r}: {skip.reason}", err=True)
    if len(what.skipped) > MOST_NAMED:
        click.echo(f"and {len(what.skipped) - MOST_NAMED} more images skipped", err=True)
    if found.stopped:
        click.echo(f"stopped after {found.n_answers:,} of {len(what):,} images", err=True)
        raise SystemExit(130)
    if found.n_answers and not found.n_maps:
        raise SystemExit(5)  # every method was refused, as was printed
    if strict and found.n_distrusted:
        raise SystemExit(4)


def print_answer(answer: "Answer") -> None:
    """Prints one image: the prediction, then a line a map."""
    from rich.table import Table
    from rich.text import Text

    out = console()
    out.print(Text(answer.id, style="bold"), soft_wrap=True)
    out.print(answer.prediction.sentence, markup=False)
    if answer.about != answer.prediction.best.name:
        out.print(f"Explained: {answer.about}", markup=False)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("method", overflow="fold")
    table.add_column("checks", overflow="fold")
    table.add_column("what the map says", overflow="fold", ratio=1)
    for one in answer.explanations:
        verdict = Text(f"{MARKS[one.verdict]} {WORDS[one.verdict]}", style=STYLES[one.verdict])
        table.add_row(Text(f"{one.title}\n{one.name}" if ":" in one.name else one.title), verdict, Text(one.sentence))
    for refused in answer.refused:
        table.add_row(Text(refused.title), Text("no map", style="dim"), Text(refused.reason))
    out.print(table)
    out.print("")


MARKS = {"trusted": "✓", "limited": "!", "distrusted": "✗", "unchecked": "?"}
WORDS = {"trusted": "passes", "limited": "with care", "distrusted": "fails", "unchecked": "unchecked"}
STYLES = {"trusted": "green", "limited": "yellow", "distrusted": "red", "unchecked": "dim"}
MOST_NAMED = 10


def _compare(
    network: "Network", images: Any, asked: dict[str, Any], *, as_json: bool, quiet: bool, html: str | None
) -> None:
    """Every method measured on these images, and which to use."""
    from pathlib import Path

    from convscope.answer.advice import CHECKS
    from convscope.answer.answers import Answers
    from convscope.answer.asked import asked_methods
    from convscope.answer.compare import N_IMAGES, compare
    from convscope.answer.given import opened
    from convscope.answer.one import Settings
    from convscope.answer.page import page

    shown = opened(images, network)
    layers = asked["layer"].split(",") if asked["layer"] else ()
    limit, seed, target = asked["limit"] or N_IMAGES, asked["seed"], asked["target"]
    with stages(shown=not quiet) as progress:
        found = compare(
            network, shown, asked["methods"], layers, target=target, limit=limit, seed=seed, progress=progress
        )
    if html is not None:
        methods = asked_methods(network, [row.name for row in found.rows])
        answers = Answers.of(network, Settings(methods, target, seed, ("faithfulness", *CHECKS)), ())
        Path(html).write_text(page(answers, found.as_dict()), encoding="ascii")
        click.echo(html, err=as_json)
    if as_json:
        click.echo(document("advice", found.as_dict()))
    else:
        print_advice(found)
    for id, reason in found.skipped[:MOST_NAMED]:
        click.echo(f"skipped {id!r}: {reason}", err=True)


def print_advice(found: "Advice") -> None:
    """Prints which method to use, and what was measured."""
    from rich.table import Table
    from rich.text import Text

    from convscope.answer.advice import COLUMNS, cells

    out = console()
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for i, name in enumerate(COLUMNS):
        table.add_column(name, justify="left" if i < 2 else "right", overflow="fold")
    for row in found.rows:
        mark = "✓ " if row.name == found.best else "  "
        first, *rest = cells(row)
        table.add_row(Text(mark + first), *map(Text, rest))
    out.print(table)
    out.print("\n" + found.recommendation, markup=False)
