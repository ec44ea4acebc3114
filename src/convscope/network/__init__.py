"""A model becomes a Network: where it comes from, its weights, its layers by name, its values.

load.py         `load`: a spec, a module or an exported program becomes a Network
network.py      Network: logits, values of layers, parts of the graph, swapped operations
layers.py       the table of layers; address.py: a layer, unit or neuron by name
sources/        timm, torchvision, hf, FILE.pt2, FILE.py:FUNCTION, builtin (spec.py, origin.py, downloads.py)
checkpoint.py   weights, read safely and matched by name
"""

from convscope.network.address import Address as Address
from convscope.network.layers import Layer as Layer
from convscope.network.layers import Layers as Layers
from convscope.network.load import load as load
from convscope.network.network import Network as Network
