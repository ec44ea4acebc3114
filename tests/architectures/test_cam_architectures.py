"""Are class activation maps those of pytorch-grad-cam and captum, on the architectures people use, at any block?

In float64 where gradients are compared: in float32 a unit within rounding of 0 has the gradient of either side by chance. Images
are not square.
"""

from functools import cache

import numpy as np
import pytest
import torch
from peers_of_cam import as_grad_cam_shows, grad_cam
from small_networks import out_of_place, randomized, relative_error
from torch import nn

from convscope.instruments.attribution import AblationCAM, GradCAM, HiResCAM, LayerCAM, ScoreCAM
from convscope.instruments.attribution.cam import CAM
from convscope.network import Network, load
from convscope.network.torchvision_ops import import_torchvision

SIZE = (64, 96)  # y x
PLACES = {
    "resnet18": ("layer4", "layer2.1", "layer1.0.conv1"),
    "squeezenet1_1": ("features.12", "features.5", "features.0"),
    "densenet121": ("features.denseblock4", "features.denseblock2.denselayer3"),
    "mobilenet_v2": ("features.18", "features.7", "features.14.conv.1"),
    "vgg": ("features.20", "features.3"),
}
CASES = [(name, place) for name, places in PLACES.items() for place in places]
SEEN = torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(2))


@cache
def case(name: str, dtype: torch.dtype = torch.float32) -> tuple[nn.Module, Network, torch.Tensor]:
    module = out_of_place(built(name)).to(dtype)  # the peers read what in-place ReLUs have written over
    return module, load(module, size=SIZE), SEEN.to(dtype)


def built(name: str) -> nn.Module:
    models = import_torchvision("torchvision.models")
    torch.manual_seed(0)
    if name == "vgg":  # VGG-11 with a smaller head
        module = models.vgg11(weights=None, init_weights=False)
        module.avgpool, module.classifier = nn.AdaptiveAvgPool2d((2, 2)), nn.Sequential(nn.Linear(2048, 20), nn.ReLU())
        module.classifier.append(nn.Linear(20, 10))
    else:
        module = models.get_model(name, weights=None, num_classes=10)
    return randomized(module, SIZE)


@pytest.mark.parametrize(("name", "place"), CASES)
def test_equal_to_both_peers(name: str, place: str) -> None:
    from captum.attr import LayerGradCam

    module, network, inputs = case(name, torch.float64)
    part, targets = module.get_submodule(place), [3, 7]
    theirs = LayerGradCam(module, part).attribute(inputs, target=targets).detach()
    ours = GradCAM()(network, inputs, target=targets, layer=place)
    assert relative_error(ours.values.sum(1, keepdim=True).double(), theirs) < 1e-4
    full = 0
    for method in (GradCAM(), LayerCAM(), HiResCAM()):
        ours = method(network, inputs, target=targets, layer=place)
        shown = grad_cam(type(method).__name__, module, part, inputs, targets)
        np.testing.assert_allclose(as_grad_cam_shows(ours), shown, atol=1e-4)
        full += int((shown.std((1, 2)) > 0.01).sum())
    assert full >= 3, "maps that are empty prove nothing"


@pytest.mark.parametrize(
    ("method", "name", "place"),
    [
        (AblationCAM(), "squeezenet1_1", "features.10.squeeze_activation"),
        (ScoreCAM(align_corners=True), "squeezenet1_1", "features.10.squeeze_activation"),
        (ScoreCAM(align_corners=True), "resnet18", "layer1"),
    ],
    ids=lambda value: getattr(value, "title", value),
)
def test_units_shown_and_removed_equal_pytorch_grad_cam(method: CAM, name: str, place: str) -> None:
    """At layers after a ReLU, whose smallest value is 0: elsewhere grad-cam puts -1e7 where the paper removes a unit."""
    module, network, inputs = case(name)
    with torch.no_grad():
        targets = module(inputs).argmax(1).tolist()  # their logits are positive
    ours = method(network, inputs, layer=place)
    theirs = grad_cam(type(method).__name__, module, module.get_submodule(place), inputs, targets)
    np.testing.assert_allclose(as_grad_cam_shows(ours), theirs, atol=1e-4)


def test_a_convolution_whose_relu_writes_over_it() -> None:
    """pytorch-grad-cam keeps the memory, not the values: it weights what the in-place ReLU left there."""
    module = built("squeezenet1_1").double()
    inputs = SEEN.double()
    ours = as_grad_cam_shows(GradCAM()(load(module, size=SIZE), inputs, target=[3, 7], layer="features.0"))
    twin = out_of_place(module)
    right, wrong = (
        grad_cam("GradCAM", each, each.get_submodule("features.0"), inputs, [3, 7]) for each in (twin, module)
    )
    np.testing.assert_allclose(ours, right, atol=1e-4)
    assert np.abs(ours - wrong).max() > 0.1


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "mobilenet_v2", "vgg"])
def test_every_layer_with_maps_is_a_place(name: str) -> None:
    _, network, inputs = case(name)
    rows = [row for row in network.layers if row.map_shape is not None]
    for row in rows[:: max(1, len(rows) // 4)]:
        for target in ((1, 2), f"{rows[-1].name}:1", f"{rows[-1].name}:1@0,0"):
            found = GradCAM()(network, inputs[:1], target=target, layer=row.name)
            assert found.map.shape[1:] == row.map_shape
            assert found.scores.shape == (1, *SIZE)
            assert bool(torch.isfinite(found.scores).all())


def test_an_image_of_another_size() -> None:
    module, network, _ = case("resnet18", torch.float64)
    inputs = torch.randn(1, 3, 80, 72, generator=torch.Generator().manual_seed(4)).double()
    ours = GradCAM()(network, inputs, target=1, layer="layer3")
    theirs = grad_cam("GradCAM", module, module.get_submodule("layer3"), inputs, [1])
    np.testing.assert_allclose(as_grad_cam_shows(ours), theirs, atol=1e-4)
