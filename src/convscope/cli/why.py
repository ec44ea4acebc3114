"""`convscope why NET IMAGES -o STUDY`: every claim measured, the sheet printed, the report written."""

from math import isnan
from typing import TYPE_CHECKING, Any

import click

from convscope.cli.options import network_argument
from convscope.cli.printing import console, document, stages

if TYPE_CHECKING:
    from convscope.finding import Finding
    from convscope.intervals import Interval
    from convscope.network import Network
    from convscope.study import Study


CLAIMS = (
    "accuracy",
    "alive_units",
    "class_selectivity",
    "concept_level",
    "deconvnet_pictures",
    "dense_readout",
    "distributed_concepts",
    "preferred_patterns",
    "why_these_predictions",
    "weight_sharing",
    "unit_axes",
    "unit_detectors",
)  # ours; named here so that --help imports nothing


@click.command("why")
@network_argument
@click.argument("images")
@click.option("-o", "--out", required=True, metavar="STUDY", help="The study folder: a new one, or one to go on with.")
@click.option("--labels", help="'none', a CSV or JSON file, or a pattern of file names with a group (?P<label>...).")
@click.option("--only", multiple=True, metavar="CLAIM", help=f"Only this claim ({', '.join(CLAIMS)}); may be repeated.")
@click.option("--layers", multiple=True, metavar="NAME", help="Measure these layers (names, or patterns as layer3.*).")
@click.option(
    "--cards", multiple=True, metavar="LAYER[:UNIT]", help="Put the unit's card into the report (of a layer: 6 units)."
)
@click.option("--limit", type=click.IntRange(1), help="At most this many images, drawn by --seed.")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Samples, shuffled labels, fresh weights."
)
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True)
@click.option("--workers", type=click.IntRange(1), help="Threads that decode images (default: one a core).")
@click.option(
    "--format", "form", help="Precision and memory format, as 'float32 channels_last' (default: found by trying)."
)
@click.option(
    "--other", metavar="NET", help="Another network of the same classes: it is asked what optimised images show."
)
@click.option("--other-weights", metavar="FILE", help="Its weights, as --weights.")
@click.option(
    "--concepts",
    multiple=True,
    metavar="SOURCE",
    help="What units are held against: pixels, classes, world, a folder of label maps, voc:DIR, coco:FILE, pascal_part:DIR, "
    "examples:DIR, text:DIR=WORDS, none; may be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option("--quiet", is_flag=True, help="No progress.")
def command(
    network: "Network",
    images: str,
    out: str,
    labels: str | None,
    only: tuple[str, ...],
    layers: tuple[str, ...],
    cards: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    limit: int | None,
    seed: int,
    other: str | None,
    other_weights: str | None,
    **settings: Any,
) -> None:
    """Why does this network work?  IMAGES (a folder, .npz or IDX file, builtin:world) go through the network once and once through
    the same architecture with fresh weights; every claim gets a value, an interval, a control and a verdict.

    STUDY then holds findings, tables, exemplars and report.html. Stopped with Ctrl-C, or killed, the same command goes on; run
    again, it does only what is missing.
    """
    from convscope.images import images as open_images
    from convscope.network import load
    from convscope.study import why

    beside = load(other, weights=other_weights) if other else None
    shown = open_images(images, labels=False if labels == "none" else labels, limit=limit, seed=seed)
    try:
        with stages(shown=not quiet) as progress:
            study = why(
                network,
                shown,
                out,
                only=only,
                layers=_split(layers),
                cards=_split(cards),
                limit=limit,
                seed=seed,
                other=beside,
                progress=progress,
                **settings,
            )
    except KeyboardInterrupt:
        click.echo("stopped; the same command goes on from here", err=True)
        raise SystemExit(130) from None
    if as_json:
        click.echo(document("why", _body(study)))
    else:
        print_sheet(study)


def _body(study: "Study") -> dict[str, Any]:
    """What `--json` prints: the manifest and the findings."""
    manifest = {name: value for name, value in study.manifest.items() if name not in ("schema", "version")}
    return {"folder": str(study.folder), **manifest, "findings": [finding.as_dict() for finding in study.findings]}


def _decided(finding: "Finding") -> str:
    """What decided, where it is not the value less its control."""
    if not finding.deciding or isnan(finding.beyond.value):
        return ""
    beyond = finding.beyond
    return (
        f"What decides, {finding.deciding}: {beyond.value:.2f} ({beyond.low:.2f} to {beyond.high:.2f}), at least "
        f"{finding.least:g} is asked."
    )


def _split(names: tuple[str, ...]) -> list[str]:
    return [name for part in names for name in part.split(",") if name]


def print_sheet(study: "Study") -> None:
    """Prints the sheet: every claim with its value, its controls and its verdict; and where the report is."""
    from rich.table import Table
    from rich.text import Text

    out = console()
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 1, 0))
    table.add_column("claim", overflow="fold", ratio=3)
    table.add_column("value", overflow="fold", ratio=2)
    table.add_column("control", overflow="fold", ratio=3)
    table.add_column("verdict", no_wrap=True)
    for finding in study.findings:
        controls = "\n".join(f"{control.name} {shown(control.value, finding)}" for control in finding.controls)
        verdict = Text(f"{MARKS[finding.verdict]} {finding.verdict}", style=STYLES[finding.verdict])
        table.add_row(Text(finding.statement), Text(shown(finding.value, finding)), Text(controls), verdict)
    out.print(table)
    for finding in study.findings:
        out.print(
            " ".join(filter(None, (f"{finding.statement}:", finding.summary, _decided(finding), finding.reason))),
            markup=False,
        )
    _print_skipped(study)
    out.print(f"\nreport: {study.folder / 'report.html'}", markup=False, soft_wrap=True)


MARKS = {"supported": "✓", "not supported": "✗", "undecided": "?"}
STYLES = {"supported": "green", "not supported": "red", "undecided": "yellow"}
MOST_NAMED = 10


def _print_skipped(study: "Study") -> None:
    skipped = study.manifest["images"]["skipped"]
    out = console()
    if skipped:
        out.print(f"\n{len(skipped)} file{'s' if len(skipped) != 1 else ''} could not be shown:", markup=False)
        for skip in skipped[:MOST_NAMED]:
            out.print(f"  {skip['id']!r}: {skip['reason']}", markup=False)
        if len(skipped) > MOST_NAMED:
            out.print(f"  and {len(skipped) - MOST_NAMED} more (the report names all)", markup=False)
    labels = study.manifest.get("labels_not_used", [])
    if labels:
        out.print("\nof the labels of concepts:", markup=False)
        for line in labels[:MOST_NAMED]:
            out.print(f"  {line}", markup=False)
    for row in study.manifest["not_finite"]:
        out.print(
            f"NaN or infinite values in {row['layer']} for {row['n_images']} images, left out there", markup=False
        )


def shown(value: "Interval", finding: "Finding") -> str:
    """A value of a finding with its interval, as text: 61.1 % (57.7 to 64.4); without one, where it was counted."""
    if isnan(value.value):
        return "not measured"
    factor, digits, mark = {"fraction": (100, 1, " %"), "ratio": (1, 1, " times")}.get(finding.unit, (1, 2, ""))
    middle, low, high = (f"{factor * bound:,.{digits}f}" for bound in (value.value, value.low, value.high))
    return f"{middle}{mark} ({low} to {high})" if finding.resampled else f"{middle}{mark}"
