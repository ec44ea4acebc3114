"""`convscope demo`: the main job on what the package itself ships."""

import click

from convscope.cli.printing import console, progress


@click.command("demo")
@click.option("--images", "n_images", type=click.IntRange(10), default=1000, show_default=True, help="Scenes to draw.")
@click.option("--seed", type=int, default=1, show_default=True, help="Which scenes.")
@click.option("--quiet", is_flag=True, help="No progress.")
def command(n_images: int, seed: int, quiet: bool) -> None:
    """The built-in network, looked at on fresh scenes of the built-in world; nothing is downloaded."""
    from convscope.cli.check import report
    from convscope.cli.layers import print_table
    from convscope.images import images as open_images
    from convscope.network import load
    from convscope.network.check import check

    network = load("builtin:world")
    out = console()
    out.print("The network that comes with convscope, layer by layer:\n", markup=False)
    print_table(network, tuple(network.layers))
    out.print(f"\nThe same network on {n_images:,} scenes it has never seen:\n", markup=False)
    scenes = open_images(f"builtin:world?n={n_images}&seed={seed}")
    with progress("scenes", shown=not quiet) as update:
        report(check(network, scenes, progress=update))
    out.print(
        "\nNow yours: convscope check timm:NAME --weights FILE photos/   (convscope check --help tells the rest)",
        markup=False,
    )
