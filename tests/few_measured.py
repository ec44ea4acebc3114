"""Studies that measure few units and images one by one, for tests that are not about what is measured."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module

import pytest

from convscope.study import patterns, readout
from convscope.study.claims import DeconvnetPictures, PreferredPatterns, WhyThesePredictions

dissecting = import_module("convscope.instruments.concepts.dissect")  # its package has a function of that name
FEW = (
    (dissecting, "PIXELS", 8_000),
    (WhyThesePredictions, "n_sampled", 8),
    (readout, "MOST_IMAGES", 120),
    (readout, "FEWEST_IMAGES", 60),
    (DeconvnetPictures, "n_sampled", 6),
    (PreferredPatterns, "n_sampled", 3),
    (PreferredPatterns, "n_classes", 2),
    (patterns, "OF_UNITS", replace(patterns.OF_UNITS, n_steps=6)),
    (patterns, "OF_CLASSES", replace(patterns.OF_CLASSES, n_steps=6)),
    (patterns, "RAW_ASCENT", replace(patterns.RAW_ASCENT, n_steps=6)),
)
AS_IT_IS = [(where, name, getattr(where, name)) for where, name, _ in FEW]


@contextmanager
def few_measured() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for where, name, value in FEW:
            patch.setattr(where, name, value)
        yield
