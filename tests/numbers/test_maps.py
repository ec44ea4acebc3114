"""Does a mosaic show every value where it says it does, in the order, scale and with the marks that were asked for?"""

import numpy as np
import pytest
import torch
from small_networks import network, randomized
from torch import nn

from convscope.drawing.palettes import DIVERGING, SEQUENTIAL, colors
from convscope.errors import UsageError
from convscope.instruments.appearance.maps import Maps, maps_of
from convscope.instruments.appearance.mosaic import Mosaic, mosaic
from convscope.instruments.appearance.mosaic_drawing import MARK, MIDDLE, N_LEVELS, ODD


def normal(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(3).standard_normal(shape).astype(np.float32)


def levels(shown: Mosaic, unit: int) -> np.ndarray:
    top, left, bottom, right = shown.box(unit)
    return np.asarray(shown.image)[top:bottom, left:right]


def plain_levels(values: np.ndarray, top: float, signed: bool) -> np.ndarray:
    """One value at a time, rounded."""
    found = np.empty(values.shape, int)
    for at, value in np.ndenumerate(values):
        share = np.clip(value / top if top else 0, -1 if signed else 0, 1)
        found[at] = round(MIDDLE + MIDDLE * share) if signed else round((N_LEVELS - 1) * share)
    return found


@pytest.mark.parametrize("shape", [(7, 9, 5), (30, 28, 26), (300, 1, 1), (5, 1, 12), (2, 110, 90)])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("scale", ["layer", "unit", 1.5])
def test_every_value_is_where_it_belongs(shape: tuple[int, int, int], signed: bool, scale: str | float) -> None:
    values = normal(shape)
    values = values if signed else np.maximum(values, 0)
    maps = Maps("layer", values)
    shown = mosaic(maps, "response", scale, marked=0)
    tops = maps.tops(scale)
    for unit in {0, 1, shape[0] - 1}:
        tile = levels(shown, unit)
        assert tile.shape == tuple(side * shown.zoom for side in shape[1:])
        assert (tile.reshape(shape[1], shown.zoom, shape[2], shown.zoom).std((1, 3)) == 0).all()
        expected = plain_levels(values[unit], float(tops[unit]), signed)
        assert np.abs(tile[:: shown.zoom, :: shown.zoom] - expected).max() <= 1  # where float32 rounds otherwise
        top, left, bottom, right = shown.box(unit)
        assert shown.unit_at(top, left) == unit
        assert shown.unit_at(bottom - 1, right - 1) == unit
        assert shown.unit_at(top - 1, left) is None


def test_zero_is_neutral_and_colours_are_those_of_the_tables() -> None:
    shown = mosaic(Maps("layer", np.array([[[-2.0, 0, 2]]], np.float32)), legend=False)
    rgb = np.asarray(shown.image.convert("RGB"))[1, 1 :: shown.zoom][:3]
    expected = colors(DIVERGING, N_LEVELS)[[0, MIDDLE, N_LEVELS - 1]]
    assert np.abs(rgb - expected).max() <= 1
    flat = mosaic(Maps("layer", np.array([[[0.0, 2]]], np.float32)), legend=False)
    rgb = np.asarray(flat.image.convert("RGB"))[1, 1 :: flat.zoom][:2]
    assert np.abs(rgb - colors(SEQUENTIAL, N_LEVELS)[[0, -1]]).max() <= 1


def test_orders_marks_and_the_strongest() -> None:
    values = np.zeros((6, 3, 4), np.float32)
    values[[1, 4, 5], 2, 1] = 3, 9, 6
    maps = Maps("layer", values)
    assert maps.order("response").tolist() == [4, 5, 1, 0, 2, 3]
    assert maps.order([5, 0]).tolist() == [5, 0]
    assert maps.strongest(5) == (4, 5, 1)
    assert maps.strongest(1, usual=np.array([1, 1, 1, 1, 9, 1.0])) == (5,)
    assert maps.off == (0, 2, 3)
    assert maps.peak(4) == (2, 1)
    shown = mosaic(maps, "response", marked=2)
    image = np.asarray(shown.image)
    assert shown.marked == (4, 5)
    for unit in range(6):
        top, left, _, right = shown.box(unit)
        assert (image[top - 1, left - 1 : right] == MARK).all() == (unit in (4, 5))
    assert "3 are off in this image" in shown.words
    for wrong in ([1, 1], [6], [-1]):
        with pytest.raises(UsageError, match="each unit at most once"):
            maps.order(wrong)
    with pytest.raises(UsageError, match="number, response"):
        maps.order("size")
    with pytest.raises(UsageError, match="above zero"):
        mosaic(maps, scale=0.0)
    with pytest.raises(UsageError, match="layer, unit"):
        mosaic(maps, scale="image")


def test_the_legend_has_numbers() -> None:
    values = np.abs(normal((100, 4, 4)))
    values[3] *= 100
    maps = Maps("layer", values)
    assert mosaic(maps).legend[1].startswith("≥ ")
    assert mosaic(maps, scale=2000.0).legend == ("0", "2e+03")
    low, high = maps.sizes.min(), maps.sizes.max()
    assert mosaic(maps, scale="unit").legend[1] == f"each unit's own largest ({low:.3g} to {high:.3g})"
    assert len(mosaic(Maps("layer", -values)).legend) == 3
    assert mosaic(Maps("layer", values * 0)).legend == ("0", "0 everywhere")


def test_large_maps_of_many_units_keep_their_peaks() -> None:
    values = np.zeros((400, 120, 131), np.float32)
    values[7, 100, 120], values[9, 119, 130] = 5, -7
    shown = mosaic(Maps("layer", values), scale=7.0)
    assert shown.pooled > 1
    assert max(shown.image.size) < 2600
    assert levels(shown, 7).max() == MIDDLE + round(MIDDLE * 5 / 7)
    assert levels(shown, 9).min() == 0
    assert f"largest of {shown.pooled} x {shown.pooled}" in shown.words


def test_values_that_are_not_finite_are_seen_and_named() -> None:
    values = np.abs(normal((5, 3, 3)))
    values[2, 1, 1], values[4, 0, 0] = np.nan, np.inf
    maps = Maps("layer", values)
    assert maps.not_finite == (2, 4)
    shown = mosaic(maps, "response", marked=1)
    assert levels(shown, 2)[shown.zoom, shown.zoom] == ODD
    assert levels(shown, 4)[0, 0] == ODD
    assert "Not finite (pink): 2, 4." in shown.words
    assert shown.marked[0] not in (2, 4)


def test_maps_of_a_network_maps_vectors_and_wrong_use() -> None:
    module = randomized(
        nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 4))
    )
    net = network(module)
    inputs = torch.randn(1, 3, 20, 28)
    assert np.allclose(maps_of(net, inputs, "1").values, module[:2](inputs)[0].detach(), atol=1e-5)
    assert maps_of(net, inputs, "4").size == (1, 1)
    assert maps_of(net, inputs, "4").n_units == 4
    assert mosaic(maps_of(net, inputs, "4")).image.size[0] > 100
    with pytest.raises(UsageError, match="one by one"):
        maps_of(net, inputs.repeat(2, 1, 1, 1), "1")


def test_two_thousand_units_of_one_neuron() -> None:
    values = normal((2000, 1, 1))
    shown = mosaic(Maps("fc", values), "response", marked=3)
    order = np.argsort(-values[:, 0, 0], kind="stable")
    assert shown.units.tolist() == order.tolist()
    assert shown.marked == tuple(order[:3])
    assert max(shown.image.size) < 1200
