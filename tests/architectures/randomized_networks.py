"""The architectures people use, with weights that test something."""

from functools import lru_cache

import torch
from small_networks import randomized

from convscope.network import Network, load
from convscope.network.origin import Request
from convscope.network.spec import Spec
from convscope.registry import lookup


@lru_cache(maxsize=2)  # exporting takes most of the time; conftest.py puts tests of an architecture beside one another
def randomized_network(spec: str, size: tuple[int, int] | None) -> Network:
    """A network of images of a size (y x), or of its own. Not to be changed."""
    parsed = Spec.parse(spec)
    torch.manual_seed(0)
    origin = lookup("source", parsed.source)(Request(parsed))
    size = size or origin.input_shape[1:]
    return load(randomized(origin.model, size), size=size, n_channels=3)
