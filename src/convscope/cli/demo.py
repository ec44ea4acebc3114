"""`convscope demo`: the main job on what the package itself ships."""

import click

from convscope.cli.printing import console, stages


@click.command("demo")
@click.option("--images", "n_images", type=click.IntRange(50), default=1000, show_default=True, help="Scenes to draw.")
@click.option("--seed", type=int, default=1, show_default=True, help="Which scenes.")
@click.option("-o", "--out", default="demo", show_default=True, metavar="STUDY", help="The study folder.")
@click.option("--quiet", is_flag=True, help="No progress.")
def command(n_images: int, seed: int, out: str, quiet: bool) -> None:
    """Why does the built-in network work?  Every claim measured on fresh scenes of the built-in world; nothing is downloaded."""
    from convscope.cli.why import print_sheet
    from convscope.network import load
    from convscope.study import why

    screen = console()
    screen.print(
        f"The network that comes with convscope, on {n_images:,} scenes it has never seen, and the same architecture with "
        "weights that have learned nothing:\n",
        markup=False,
    )
    with stages(shown=not quiet) as progress:
        study = why(load("builtin:world"), f"builtin:world?n={n_images}&seed={seed}", out, progress=progress)
    print_sheet(study)
    screen.print(
        "\nOpen it in a browser. Now yours: convscope why timm:NAME --weights FILE photos/ -o study/", markup=False
    )
