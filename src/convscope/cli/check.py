"""`convscope check NET [IMAGES]`: the preflight."""

from typing import TYPE_CHECKING

import click

from convscope.cli.options import network_argument
from convscope.cli.printing import console, document, progress

if TYPE_CHECKING:
    from convscope.intervals import Interval
    from convscope.network import Network
    from convscope.network.check import Check


@click.command("check")
@network_argument
@click.argument("images", required=False)
@click.option("--labels", help="'none', a CSV or JSON file, or a pattern of file names with a group (?P<label>...).")
@click.option("--limit", type=click.IntRange(1), help="At most this many images, drawn by --seed.")
@click.option("--seed", type=int, default=0, show_default=True, help="Which images are drawn.")
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True)
@click.option("--strict", is_flag=True, help="Exit with 4 if anything speaks against going on.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option("--quiet", is_flag=True, help="No progress.")
def command(
    network: "Network",
    images: str | None,
    labels: str | None,
    limit: int | None,
    seed: int,
    batch_size: int,
    strict: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Preflight: does the network export, does its graph compute what the model computes, which walks lack a rule for which
    operation, how fast is it in which format; and on IMAGES (a folder, .npz or IDX file): how accurate, what could not be read?
    """
    from convscope.images import images as open_images
    from convscope.network.check import check

    if images is None and (labels or limit):
        raise click.UsageError("--labels and --limit are about IMAGES, which were not given.")
    known = False if labels == "none" else labels
    shown = None if images is None else open_images(images, labels=known, limit=limit, seed=seed)
    with progress("images", shown=not quiet) as update:
        found = check(network, shown, batch_size=batch_size, progress=update)
    if as_json:
        click.echo(document("check", found.as_dict()))
    else:
        report(found)
    if strict and found.problems:
        raise SystemExit(4)


def report(found: "Check") -> None:
    """Prints what the preflight found, one line each."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in _lines(found):
        table.add_row(name, text.replace("[", "\\["))
    out = console()
    out.print(table)
    for problem in found.problems:
        out.print("problem: " + problem, style="bold red", markup=False)


def _lines(found: "Check") -> list[tuple[str, str]]:
    from convscope.network.layers import count

    net = found.network
    total, (channels, y, x) = net.layers.total, net.input_shape
    lines = [
        ("network", f"{net.name}, weights: {net.weights}"),
        (
            "reads",
            f"images of {channels} x {y} x {x}, {net.n_classes} classes{'' if net.classes else ' without names'}",
        ),
        ("size", f"{len(net.layers)} layers, {count(total.n_parameters)} parameters, {count(total.n_macs)} MACs"),
        ("graph", _graph(found)),
        ("rules", _rules(found)),
    ]
    for i, trial in enumerate(found.trials):
        note = ", fastest" if i == 0 else ""
        lines.append(
            (
                "speed" if i == 0 else "",
                f"{trial.name}: {trial.images_per_s:,.1f} images/s, logits within {trial.logit_difference:.1e}{note}",
            )
        )
    if found.accuracy:
        lines.append(
            ("top-1", f"{_percent(found.accuracy.top1)} of {found.accuracy.n_labelled:,} ({found.label_source})")
        )
        if found.accuracy.top5:
            lines.append(("top-5", _percent(found.accuracy.top5)))
    elif found.n_images:
        lines.append(("accuracy", "not measured: the images carry no labels this network knows"))
    if found.images_per_s:
        lines.append(("images", f"{found.n_images:,} read and computed at {found.images_per_s:,.1f} images/s"))
    if found.skipped:
        lines.append(("unreadable", f"{len(found.skipped)} files"))
        lines += [("", f"{skip.id!r}: {skip.reason}") for skip in found.skipped[:20]]
        if len(found.skipped) > 20:
            lines.append(("", f"and {len(found.skipped) - 20} more (--json lists all)"))
    return lines


def _graph(found: "Check") -> str:
    folded = f"folded within {found.folded_difference:.1e}"
    if found.graph_difference is None:
        return f"read from an exported program; {folded}"
    return f"equals the model within {found.graph_difference:.1e}; {folded}"


def _rules(found: "Check") -> str:
    if not found.missing_rules:
        return "every walk knows every operation"
    shown = [f"{rule.walk}: no rule for '{rule.op}' in {rule.layer}" for rule in found.missing_rules[:6]]
    more = len(found.missing_rules) - len(shown)
    return "\n".join(shown) + (f"\nand {more} more" if more else "") + "\nvalues, folding and all other walks work"


def _percent(interval: "Interval") -> str:
    value, low, high = (100 * bound for bound in (interval.value, interval.low, interval.high))
    return f"{value:.1f} % (95 % interval {low:.1f} to {high:.1f})"
