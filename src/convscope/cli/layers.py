"""`convscope layers NET`: the network as a table."""

from typing import TYPE_CHECKING

import click

from convscope.cli.options import network_argument
from convscope.cli.printing import console, document

if TYPE_CHECKING:
    from convscope.network import Layer, Network


@click.command("layers")
@network_argument
@click.option("--kind", multiple=True, help="Only layers of this family (conv, activation, pool ...); may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(network: "Network", kind: tuple[str, ...], as_json: bool) -> None:
    """The network as a table: name, operation, shape, receptive field, stride, parameters, MACs, and what each layer reads.

    Sizes are in pixels of the input; the receptive field is `global` where every neuron sees the whole image.
    """
    layers = network.layers
    rows = layers.of_kind(*kind) if kind else tuple(layers)
    if kind and not rows:
        known = sorted({row.kind for row in layers})
        raise click.BadParameter(
            f"no layer is of kind {', '.join(kind)}; there are: {', '.join(known)}", param_hint="--kind"
        )
    if as_json:
        body = {
            "network": network.name,
            "weights": network.weights,
            "input_shape": list(network.input_shape),
            "parameters": layers.total.n_parameters,
            "macs": layers.total.n_macs,
            "layers": [row.as_dict() for row in rows],
        }
        click.echo(document("layers", body))
        return
    print_table(network, rows)


def print_table(network: "Network", rows: "tuple[Layer, ...]") -> None:
    """Prints rows of the table, and the totals of the network under them."""
    from rich.table import Table

    from convscope.network.layers import HEADER, cells, count

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in HEADER:
        right = name in ("parameters", "MACs", "stride", "field px", "unit y x")
        table.add_column(name, justify="right" if right else "left", no_wrap=name != "reads", overflow="fold")
    for row in rows:
        table.add_row(*(cell.replace("[", "\\[") for cell in cells(row)))
    out = console()
    out.print(table)
    total, (channels, y, x) = network.layers.total, network.input_shape
    out.print(
        f"\n{network.name}: {len(network.layers)} layers, {count(total.n_parameters)} parameters, {count(total.n_macs)} MACs "
        f"for an image of {channels} x {y} x {x}",
        markup=False,
    )
