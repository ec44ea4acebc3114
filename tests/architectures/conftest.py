"""Tests of one architecture stand together, whatever file they are in: what it is exported for at one size is looked at by all."""

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = [i for i, item in enumerate(items) if Path(__file__).parent in item.path.parents]
    first: dict[object, int] = {}
    for i in places:
        first.setdefault(architecture(items[i]), i)
    together = sorted((items[i] for i in places), key=lambda item: first[architecture(item)])
    for i, item in zip(places, together, strict=True):
        items[i] = item


def architecture(item: pytest.Item) -> object:
    """Its spec; of a test that is about no single one, the test itself."""
    call = getattr(item, "callspec", None)
    return call.params.get("spec", item) if call else item
