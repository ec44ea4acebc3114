"""Is on a sheet what was measured, for every kind of place and network, and nothing else?"""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import convscope as cs
from convscope.instruments.appearance.deconvnet_picture import project
from convscope.instruments.appearance.exemplars import exemplars
from convscope.instruments.appearance.families import measure_filters
from convscope.instruments.appearance.filters import connections, filters, weights_of
from convscope.see import Outcome, Section, Sheet, sheets
from convscope.see.swept import swept
from convscope.see.tuned import tuned_order
from convscope.sweep.engine import keys_of
from convscope.words import number

STEPS = 12


def section(sheet: Sheet, key: str) -> Section:
    found = sheet.section(key)
    assert found is not None, f"{sheet.address} has {[one.key for one in sheet.sections]}"
    return found


def test_a_card_answers_its_questions_in_order(made: dict[str, Sheet]) -> None:
    keys = {place: [one.key for one in sheet.sections] for place, sheet in made.items()}
    assert keys["relu1:3"] == ["filter", "exemplars", "where", "optimised"]
    assert keys["relu3:7"] == ["weights", "exemplars", "where", "optimised"]
    assert keys["fish"] == ["weights", "exemplars", "optimised"]  # a logit has no place in the image
    assert keys["relu4"] == ["maps", "unit 3", "unit 7"]
    assert "maps" in keys["relu1"]
    assert keys["relu1"][0] == "filters"


def test_patches_and_their_verdicts_are_those_of_the_instrument(
    net: cs.Network, world: cs.Images, made: dict[str, Sheet]
) -> None:
    (found,) = exemplars(net, world, "relu3", [7], 3)
    tiles = section(made["relu3:7"], "exemplars").tiles
    assert [tile.caption.split()[0] for tile in tiles] == [number(one.value) for one in found.patches]
    for tile, one in zip(tiles, found.patches, strict=True):
        assert one.covered is not None
        assert tile.words == f"{one.id}, response {number(one.value)}. {one.covered.words}"
        expected = Outcome.FAILS if not one.covered.confirmed else None
        assert (tile.outcome == Outcome.FAILS) == (expected == Outcome.FAILS)
        patch, deconvnet = (pixels for _, pixels in tile.pictures)
        assert deconvnet.shape[:2] == one.pixels.shape[:2]
        assert patch.shape[2] == 3


def test_the_map_of_a_card_is_the_network_s(net: cs.Network, world: cs.Images, made: dict[str, Sheet]) -> None:
    tile = section(made["relu3:7"], "where").tiles[0]
    id_ = tile.words.partition(":")[0]
    inputs = net.preprocess(next(picture for picture in world if picture.id == id_))
    values = net.run(inputs, ["relu3"])["relu3"][0, 7].numpy()
    drawn = dict(tile.pictures)["map"]
    assert drawn.shape[:2] == values.shape
    brightness = drawn.astype(float).sum(2)
    assert np.unravel_index(brightness.argmax(), values.shape) == np.unravel_index(values.argmax(), values.shape)
    assert tile.caption == f"0 to {number(values.max())}"
    assert f"{(values > 0).mean():.0%}" in tile.words


def test_a_filter_is_drawn_as_it_is(net: cs.Network, made: dict[str, Sheet]) -> None:
    ((_, drawn),) = section(made["relu1:3"], "filter").tiles[0].pictures
    values = filters(net, "relu1").values[3]
    share = (drawn.astype(float) - 127.5) / 127.5
    assert np.abs(share - np.moveaxis(values, 0, -1) / np.abs(values).max()).max() < 0.01


def test_connections_are_drawn_in_the_order_of_their_strength(net: cs.Network, world: cs.Images) -> None:
    sheet = cs.see(net, "relu3:7", n_steps=0)
    tiles = section(sheet, "weights").tiles
    found = connections(weights_of(net, "relu3"), 7, 8)
    assert [tile.caption.split()[0] for tile in tiles] == [f"{one.source[0]}:{one.source[1]}" for one in found]
    top = max(float(np.abs(one.kernel).max()) for one in found)
    for tile, one in zip(tiles, found, strict=True):
        kernel = tile.pictures[0][1].astype(int)
        redder = kernel[..., 0] > kernel[..., 2]
        assert (redder == (one.kernel > 0))[np.abs(one.kernel) > 0.05 * top].all()
        assert f"sum {one.total:+.2g}" in tile.words


def test_the_picture_of_a_unit_below_is_its_strongest_patch(
    net: cs.Network, world: cs.Images, made: dict[str, Sheet]
) -> None:
    tile = section(made["relu3:7"], "weights").tiles[0]
    layer, _, unit = tile.caption.split()[0].partition(":")
    (below,) = exemplars(net, world, layer, [int(unit)], 1, check=False)
    assert np.array_equal(tile.pictures[1][1], below.patches[0].pixels)


def test_a_class_is_judged_by_this_network_and_by_the_other(net: cs.Network, world: cs.Images) -> None:
    inputs = torch.cat([net.preprocess(picture) for picture in world])
    other = net.fresh(0, inputs)
    sheet = cs.see(net, "fish", world, n=2, n_steps=60, other=other)
    by_title = {one.title: one for one in sheet.checks}
    assert by_title["Classified as its class"].outcome == Outcome.PASSES
    rank = sheet.numbers["optimised"]["other_rank"]
    expected = Outcome.PASSES if rank == 0 else Outcome.FAILS  # of ten classes, the first guess counts
    assert by_title["Recognised by another network"].outcome == expected
    assert sheet.unit == 2
    assert sheet.title == "fc2:2, class 'fish'"
    assert cs.see(net, 2, n_steps=0).address == cs.see(net, "fc2:2", n_steps=0).address == sheet.address


def test_a_neuron_is_looked_at_where_it_is(net: cs.Network, world: cs.Images) -> None:
    """In the images in which it answers most, whatever the unit does elsewhere."""
    sheet = cs.see(net, "relu3:7@2,11", world, n=3, n_steps=STEPS)
    found = sheet.numbers["patches"]
    values = {picture.id: float(net.run(net.preprocess(picture), ["relu3"])["relu3"][0, 7, 2, 11]) for picture in world}
    best = sorted(values, key=lambda id_: -values[id_])[:3]
    assert [one["id"] for one in found] == best
    assert [one["value"] for one in found] == pytest.approx([values[id_] for id_ in best], rel=1e-4)
    assert [one["position"] for one in found] == [[2, 11]] * 3
    assert sheet.numbers["optimised"]["natural"] == pytest.approx(values[best[0]], rel=1e-4)


def test_without_images_nothing_is_said_to_pass_that_needs_them(net: cs.Network) -> None:
    sheet = cs.see(net, "relu3:7", n_steps=STEPS)
    assert sheet.images is None
    assert sheet.section("exemplars") is None
    assert sheet.section("where") is None
    assert {one.outcome for one in sheet.checks if "natural" in one.title} == {Outcome.NOT_RUN}
    assert all(tile.outcome != Outcome.PASSES for tile in section(sheet, "optimised").tiles)
    assert any("No images were given" in note for note in sheet.notes)


def test_several_sheets_are_what_one_by_one_gives(net: cs.Network, world: cs.Images, made: dict[str, Sheet]) -> None:
    alone = cs.see(net, "relu3:7", world, n=3, n_steps=STEPS)
    assert alone.as_dict() == made["relu3:7"].as_dict()


def test_a_record_is_fit_for_json_and_for_the_page(made: dict[str, Sheet]) -> None:
    from convscope.see.page import block, page

    for sheet in made.values():
        told = json.loads(json.dumps(sheet.as_dict(), allow_nan=False))
        assert told["address"] == sheet.address
        assert len(told["checks"]) == len(sheet.checks)
        pictures = [one for part in block(sheet)["sections"] for tile in part["tiles"] for one in tile["pictures"]]
        assert pictures
        assert all(one["src"].startswith("data:image/") for one in pictures)
    document = page(list(made.values()))
    assert document.isascii()
    assert "http" not in document.replace("http-equiv", "").replace("http://www.w3.org", "")


def test_a_sheet_is_drawn(made: dict[str, Sheet]) -> None:
    for sheet in made.values():
        image = sheet.picture()
        assert image.width == 1000
        assert image.height > 400
        assert len(set(np.asarray(image).reshape(-1, 3)[::101].tolist().__str__())) > 8


def test_a_layer_s_maps_can_be_sorted_scaled_and_marked(net: cs.Network, world: cs.Images) -> None:
    def maps(**settings: Any) -> str:
        return section(cs.see(net, "relu1", world, n_steps=0, units=[0], **settings), "maps").words

    assert "Sorted by number" in maps()
    assert "Sorted by response" in maps(sort="response")
    assert "what they are tuned to" in maps(sort="tuned")
    assert maps(mark=2).count(",") < maps(mark=7).count(",")
    assert "each unit's own largest" in maps(scale="unit")
    assert "≥ 0.5" in maps(scale=0.5)
    with pytest.raises(cs.UsageError, match="filters over the image only"):
        cs.see(net, "relu3", n_steps=0, sort="tuned")
    with pytest.raises(cs.UsageError, match="sorted by 'beauty'"):
        cs.see(net, "relu1", world, n_steps=0, sort="beauty")


def test_ctrl_c_keeps_what_is_there(net: cs.Network, world: cs.Images) -> None:
    def stop(stage: str, done: int, total: int) -> None:
        if stage == "optimised pictures" and done >= 3:
            raise KeyboardInterrupt

    sheet = cs.see(net, "relu3:7", world, n=2, n_steps=STEPS, progress=stop)
    assert any("stopped" in note for note in sheet.notes)
    assert len(section(sheet, "optimised").tiles) == 1
    assert section(sheet, "exemplars").tiles


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("relu3:64", "64 units"),
        ("relu3:7@16,0", "16 x 16"),
        ("nowhere", "no layer or class 'nowhere'"),
        ("fihs", "'fish'"),
        ("input", "image itself"),
        (10, "10 classes"),
    ],
)
def test_what_is_not_there_is_refused(net: cs.Network, place: str | int, says: str) -> None:
    with pytest.raises(cs.ConvscopeError, match=says):
        cs.see(net, place)


@pytest.mark.parametrize("settings", [{"n": 0}, {"n_steps": -1}, {"seed": -1}, {"units": [16]}, {"scale": "loud"}])
def test_settings_that_cannot_be_are_refused(net: cs.Network, world: cs.Images, settings: dict[str, Any]) -> None:
    with pytest.raises(cs.UsageError):
        list(sheets(net, ["relu1"], world, **{"n_steps": 0, **settings}))


def small(n_channels: int, n_units: int = 5) -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(n_channels, n_units, 3, stride=2),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(n_units, 3),
    )
    with torch.no_grad():
        net[0].bias[0] = -100  # unit 0 is dead
    return net.eval()


def pictures(n_channels: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (6, 19, 31, n_channels), np.uint8)


@pytest.mark.parametrize("n_channels", [1, 2, 3, 4])
def test_a_dead_unit_and_any_number_of_channels(n_channels: int) -> None:
    net = cs.load(small(n_channels), size=(19, 31), n_channels=n_channels)
    dead, alive = sheets(net, ["1:0", "1:1"], pictures(n_channels), n=2, n_steps=STEPS)
    assert "is dead" in dead.sentence
    assert dead.section("exemplars") is None
    assert "Nothing that was tried turns it on." in dead.sentence
    assert any(one.outcome == Outcome.FAILS for one in dead.checks)
    assert section(alive, "exemplars").tiles
    assert alive.picture().height > 300
    layer = cs.see(net, "1", pictures(n_channels), n=1, n_steps=2)
    assert [len(one.tiles) for one in layer.sections if one.key in ("unit 0", "unit 1")] == [1, 2]
    told = " ".join(alive.notes)
    assert ("input channels" in told) == (n_channels in (2, 4))


@pytest.mark.parametrize("make", [lambda: small(3, 2000)])
def test_a_layer_of_2000_units(make: Callable[[], nn.Module]) -> None:
    net = cs.load(make(), size=(19, 31))
    sheet = cs.see(net, "1", pictures(3), n=2, n_steps=2)
    assert "12 of 2,000 units are shown" in sheet.sentence
    assert "2,000 units" in section(sheet, "maps").words
    assert sheet.picture().height > 1000
    assert cs.see(net, "1:1999", pictures(3), n=1, n_steps=2).unit == 1999


def test_a_unit_of_one_value_an_image() -> None:
    net = cs.load(small(3), size=(19, 31))
    vector, point = sheets(net, ["4:1", "2:1"], pictures(3), n=2, n_steps=STEPS)
    assert vector.section("where") is None
    assert ("maps", "one value for each image") in vector.facts
    assert point.section("where") is None  # a map of one neuron says nothing of where
    assert point.section("filter") is not None  # that of the layer that is pooled


def test_deeper_units_are_sorted_by_their_deconvnet_pictures(net: cs.Network, world: cs.Images) -> None:
    """Neighbours in that order are alike more often than neighbours by number: their families come in runs."""
    found = swept(net, world, ["relu2"], 1)
    order = tuned_order(net, "relu2", found, lambda done, total: None)
    assert sorted(order) == list(range(32))
    table, index_of, family = found.layers["relu2"].exemplars, np.argsort(keys_of(world)), {}
    for unit in order:
        inputs = net.preprocess(world[int(index_of[table.keys[unit, 0]])])
        (one,) = project(net, inputs, "relu2", [unit])
        (measured,) = measure_filters(one.crop[None])
        family[unit] = measured.family
    runs = 1 + sum(family[a] != family[b] for a, b in itertools.pairwise(order))
    assert runs == len(set(family.values())) < 16
    sheet = cs.see(net, "relu2", world, n_steps=0, units=[0], sort="tuned")
    assert "tuned to" in section(sheet, "maps").words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *[(0, "0"), (6.8, "6.80"), (27.44, "27.4"), (161.2, "161"), (999.7, "1,000"), (1481, "1,481"), (-4.5, "-4.50")],
        *[(0.00312, "0.00312"), (3e-5, "3.00e-05"), (2e8, "2.00e+08"), (float("nan"), "nan")],
    ],
)
def test_numbers_in_sentences(value: float, text: str) -> None:
    assert number(value) == text


def test_a_unit_of_a_concatenation_is_that_of_its_branch() -> None:
    net = cs.load(Branches().eval(), size=(21, 27))
    left, right = sheets(net, ["cat:2", "cat:5"], pictures(3), n=2, n_steps=3)
    assert ("sees", "1 x 1 of 21 x 27 px, every 1 px") in left.facts
    assert ("sees", "5 x 5 of 21 x 27 px, every 1 px") in right.facts
    assert (right.layer, right.unit, right.address) == ("wide", 2, "cat:5")
    assert "unit 2 of 'wide'" in right.notes[0]


class Branches(nn.Module):
    """Two convolutions of different size, side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.narrow, self.wide, self.head = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 4, 5, padding=2), nn.Linear(7, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.cat([self.narrow(x), self.wide(x)], 1).amax((2, 3)))


def test_a_stopped_run_says_so_and_goes_no_further(net: cs.Network, world: cs.Images) -> None:
    def stop(stage: str, done: int, total: int) -> None:
        if stage == "optimised pictures" and done >= 2:
            raise KeyboardInterrupt

    (layer,) = sheets(net, ["relu3", "relu2"], world, n=1, n_steps=STEPS, units=[5, 9], progress=stop)
    assert layer.stopped
    assert layer.as_dict()["stopped"] is True
    assert any("stopped" in note for note in layer.notes)


def test_pictures_stand_under_their_own_unit_after_a_stop() -> None:
    """Units of a concatenation are made branch by branch: what is there is no prefix of what was asked for."""
    net = cs.load(Branches().eval(), size=(21, 27))
    whole = cs.see(net, "cat", n_steps=4, units=[0, 4, 1, 5])

    def stop(stage: str, done: int, total: int) -> None:
        if done >= total // 2:
            raise KeyboardInterrupt

    part = cs.see(net, "cat", n_steps=4, units=[0, 4, 1, 5], progress=stop)
    assert part.stopped
    assert 1 <= len(part.sections) < 4
    for one in part.sections:
        assert one.tiles[0].caption == section(whole, one.key).tiles[0].caption


def test_odd_places_and_images(tmp_path: Path) -> None:
    """A peak in a corner, a neuron that sees padding only, one place asked twice, an unreadable file beside a neuron."""
    module = nn.Sequential(
        nn.Conv2d(3, 2, 3, stride=2, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2)
    )
    net = cs.load(module.eval(), size=(224, 226))
    photos = np.random.default_rng(0).integers(0, 255, (3, 224, 226, 3), np.uint8)
    for place in ("1:0@0,0", "1:1@111,112"):
        cs.see(net, place, photos, n=2, n_steps=0).picture()
    padded = nn.Sequential(
        nn.Conv2d(3, 2, 1, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2)
    )
    with torch.no_grad():
        padded[0].weight.fill_(-1)
        padded[0].bias.fill_(5)
    net = cs.load(padded.eval(), size=(19, 31))
    first, layer = sheets(net, ["1:0", "1:0", "1"], pictures(3), n=2, n_steps=0)
    assert first.unit == 0
    assert layer.picture().height > 100
    for i, image in enumerate(pictures(3)[:3]):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    (tmp_path / "0a.png").write_bytes(b"nothing")
    seen = cs.see(cs.load(small(3).eval(), size=(19, 31)), "1:1@2,2", tmp_path, n=5, n_steps=0)
    assert len(seen.numbers["patches"]) <= 3
    assert any("could not be read" in note for note in seen.notes)


@pytest.mark.parametrize(
    ("place", "settings", "says"),
    [
        (["relu3:7"], {}, "convscope.see.sheets"),
        ("relu3:7", {"mark": -1}, "mark"),
        ("relu1", {"scale": "loud"}, "layer, unit"),
        ("relu3:7", {"seed": 2**40}, "seed"),
    ],
)
def test_what_makes_no_sense_is_refused(net: cs.Network, place: Any, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(cs.UsageError, match=says):
        cs.see(net, place, n_steps=0, **settings)


def test_another_network_must_be_another_and_have_something_to_recognise(net: cs.Network, world: cs.Images) -> None:
    with pytest.raises(cs.UsageError, match="the same network"):
        cs.see(net, "fish", other=net, n_steps=0)
    other = net.fresh(0, net.preprocess(world[0]))
    with pytest.raises(cs.UsageError, match="No class is asked for"):
        cs.see(net, "relu3:7", other=other, n_steps=0)
    assert cs.see(net, "FISH", n_steps=0).unit == cs.see(net, np.int64(2), n_steps=0).unit == 2


def test_what_is_said_of_repeating_holds_every_setting(net: cs.Network, world: cs.Images) -> None:
    asked = {"n": 2, "n_steps": 3, "units": (3, 5), "sort": "response", "scale": 0.5, "mark": 2, "outline": "guided"}
    sheet = cs.see(net, "relu2", world, seed=4, **asked)  # type: ignore[arg-type]
    again = eval(sheet.repeat[1], {"cs": cs, "net": net, "images": world})
    assert again.as_dict() == sheet.as_dict()
    assert "--units 3,5" in sheet.repeat[0]
    assert "--images 'builtin:world?n=1000&seed=1' --limit 24" in sheet.repeat[0]
    assert "--map-scale 0.5" in sheet.repeat[0]
