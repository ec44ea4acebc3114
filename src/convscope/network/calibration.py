"""Which images do fresh weights take their statistics from?  A sample of those that are shown to the network."""

import torch
import torch.nn.functional as F

from convscope.images import Images
from convscope.network.network import Network

N_CALIBRATION = 64


def calibrated_fresh(network: Network, images: Images, seed: int, draw: int) -> Network:
    """The same architecture with weights that have learned nothing, `draw` of those of a seed (see Network.fresh)."""
    return network.fresh(draw, _inputs(network, images, seed))


def _inputs(network: Network, images: Images, seed: int) -> torch.Tensor:
    """A sample of the images, all of the size the network was read at: others are resized."""
    found = []
    for batch in images.limited(N_CALIBRATION, seed).stream(network.preprocess.prepare_one):
        size = network.input_shape[1:]
        right = batch.inputs.shape[2:] == size
        found.append(batch.inputs if right else F.interpolate(batch.inputs, size=size, mode="bilinear"))
    return torch.cat(found)
