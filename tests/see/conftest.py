"""The built-in network, its world, and one card of each kind, made once."""

import pytest

import convscope as cs
from convscope.see import Sheet, sheets

STEPS = 12  # of gradient ascent: these tests look at what is on a sheet, not at how far an ascent gets


@pytest.fixture(scope="session")
def world() -> cs.Images:
    return cs.images("builtin:world", limit=24)


@pytest.fixture(scope="session")
def net() -> cs.Network:
    return cs.load("builtin:world")


@pytest.fixture(scope="session")
def made(net: cs.Network, world: cs.Images) -> dict[str, Sheet]:
    """Sheets by what was asked for: a first-layer unit, a deeper one, a class, a layer of each."""
    places = ["relu1:3", "relu3:7", "fish", "relu1", "relu4"]
    return dict(zip(places, sheets(net, places, world, n=3, n_steps=STEPS, units=[3, 7]), strict=True))
