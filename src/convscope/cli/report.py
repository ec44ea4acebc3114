"""`convscope report STUDY -o FILE.html`: a study as one self-contained file."""

import click


@click.command("report")
@click.argument("study")
@click.option("-o", "--out", metavar="FILE", help="Where to write it (default: report.html in the study).")
def command(study: str, out: str | None) -> None:
    """A study as one HTML file that needs nothing else: no network, no server. Whoever gets it can read it."""
    from convscope.study import Study

    path = Study.open(study).report(out)
    click.echo(str(path))
