"""Cards of units of real networks: some drawn by rule, to be looked at; and those that docs/see.md shows.

    OMP_WAIT_POLICY=PASSIVE python tools/unit_cards.py DATA OUT [--network NAME] [--docs]

DATA is the folder of real networks and images. Without --docs: fifteen units a network, evenly spaced over the measured layers,
numbers drawn at random, and one class; patches come from the 800 photographs; a PNG and a JSON file each, and a line of what
the checks say. With --docs: the cards of docs/see.md as WebP, their patches from photographs that may be shown.
"""

from pathlib import Path

import click
import numpy as np
from side_by_side import CASES

import convscope as cs
from convscope.network import Network
from convscope.network.chosen_layers import chosen_layers
from convscope.see import Sheet, sheets

N_UNITS = 15
CLASS = {"squeezenet1_1": 340, "mobilenetv2": 360}  # zebra, otter
OTHER = {"squeezenet1_1": "mobilenetv2", "mobilenetv2": "squeezenet1_1"}
# The files of DATA/images/probe whose licences allow it: see the README there.
MAY_BE_SHOWN = (
    *("cat_chelsea.png", "portrait_astronaut.png", "coffee.png", "texture_brick.png", "texture_grass.png"),
    *("texture_gravel.png", "cat_and_dog_both.png", "dogs.png", "cat.jpg", "fish_bike.jpg", "eagle.jpg"),
    *("dog_bicycle_truck.jpg", "person_dog_horse.jpg", "texture_embark_1.jpg", "texture_embark_2.jpg"),
)
SHOWN = {  # picked, as docs/see.md says
    "squeezenet1_1": (
        *("features.1:54", "features.4.expand3x3_activation:17", "features.6.expand3x3_activation:17"),
        *("features.10.expand1x1_activation:156", "features.12.expand1x1_activation:128", "zebra"),
    ),
    "mobilenetv2": ("blocks.3.0.bn3:2", "blocks.3.3.bn2.act:6"),
}


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--network", "names", multiple=True, default=tuple(OTHER), type=click.Choice(list(OTHER)))
@click.option("--docs", is_flag=True, help="The cards of docs/see.md.")
def main(data: Path, out: Path, names: tuple[str, ...], *, docs: bool) -> None:
    """Makes the cards, each written as it is done."""
    out.mkdir(parents=True, exist_ok=True)
    for name in names:
        network, other = (_load(data, one) for one in (name, OTHER[name]))
        if docs:
            photos = cs.images([data / "images" / "probe" / file for file in MAY_BE_SHOWN])
            places: tuple[str | int, ...] = SHOWN[name]
        else:
            photos, places = cs.images(data / "images" / "imagenet1k_sample"), _drawn(network, CLASS[name])
        has_class = any(isinstance(place, int) or ":" not in place for place in places)
        for sheet in sheets(network, places, photos, other=other if has_class else None):
            _write(sheet, out / f"{name}_{sheet.address.replace(':', '_')}", docs=docs)


def _load(data: Path, name: str) -> Network:
    case = CASES[name]
    return cs.load(case.spec, weights=data / "weights" / f"{case.weights}.safetensors", **case.options)


def _drawn(network: Network, target: int) -> tuple[str | int, ...]:
    """Units evenly spaced over the measured layers, and one class."""
    layers, rng = chosen_layers(network), np.random.default_rng(0)
    at = np.linspace(0, len(layers) - 1, N_UNITS - 1).round().astype(int)
    return *(f"{layers[i]}:{rng.integers(network.layers[layers[i]].n_units)}" for i in at), target


def _write(sheet: Sheet, path: Path, *, docs: bool) -> None:
    if docs:
        sheet.picture().save(path.with_name(f"{path.name}.webp"), quality=82, method=6)
    else:
        sheet.save(path.with_name(f"{path.name}.png"))
        sheet.save(path.with_name(f"{path.name}.json"))
    print(sheet.title, "|", " | ".join(f"{one.outcome}: {one.title}" for one in sheet.checks), flush=True)


if __name__ == "__main__":
    main()
