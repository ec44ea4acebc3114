"""Is the score of a pixel the mean drop of the windows over it, whatever is covered, with whatever, and as captum has it?"""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from captum.attr import Occlusion as CaptumOcclusion
from small_networks import Pooled, network, randomized, relative_error
from torch import nn

from convscope.errors import NetworkError, UnknownNameError, UsageError
from convscope.instruments.attribution.baseline import baseline_inputs
from convscope.instruments.attribution.occlusion import Occlusion
from convscope.network import Network, load
from convscope.network.torchvision_ops import import_torchvision

SIZE = (37, 52)  # y x
INPUTS = torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(0))

Score = Callable[[torch.Tensor, int], float]  # of an image, which is the i-th of the batch


def naive(inputs: torch.Tensor, fill: torch.Tensor, window: Any, stride: Any, score: Score) -> torch.Tensor:
    """Window by window, pixel by pixel."""
    y, x = inputs.shape[2:]
    total, count = torch.zeros(len(inputs), y, x), torch.zeros(y, x)
    top = 0
    while True:
        left = 0
        while True:
            part = slice(top, top + window[0]), slice(left, left + window[1])
            for i in range(len(inputs)):
                covered = inputs[i : i + 1].clone()
                covered[:, :, *part] = fill[i : i + 1, :, *part]
                total[i, *part] += score(inputs[i : i + 1], i) - score(covered, i)
            count[part] += 1
            if left + window[1] >= x:
                break
            left += stride[1]
        if top + window[0] >= y:
            break
        top += stride[0]
    return total / count


class _Linear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3 * SIZE[0] * SIZE[1], 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x.flatten(1))


class _Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.gate, self.last = nn.Conv2d(3, 8, 3, stride=2), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 3)
        self.fc = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x).relu()
        x = x * self.gate(x.mean((2, 3), keepdim=True)).sigmoid()
        return self.fc(self.last(x).relu().mean((2, 3)))


def _plain() -> nn.Module:
    parts = nn.Conv2d(3, 8, 5, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(8, 6, 3, padding=1)
    return Pooled(*parts, nn.ReLU(), nn.Conv2d(6, 5, 1))


def _averaged() -> nn.Module:
    return Pooled(nn.Conv2d(3, 8, 5, 2, 1), nn.BatchNorm2d(8), nn.AvgPool2d(3, 2, 1), nn.Conv2d(8, 4, 3, padding=1))


MODULES = {"linear": _Linear, "averaged": _averaged, "plain": _plain, "gated": _Gated}


@cache
def _read(name: str) -> Network:
    torch.manual_seed(0)
    return network(randomized(MODULES[name](), SIZE), *SIZE, fold=True)


@pytest.mark.parametrize("name", ["linear", "averaged"])
@pytest.mark.parametrize("fill", ["zero", "mean", "black", "white", "blur", "noise"])
def test_a_window_of_a_linear_network_drops_by_weights_times_what_is_covered(name: str, fill: str) -> None:
    net, leaf = _read(name), INPUTS.clone().requires_grad_()
    logits = net.module(leaf)
    (weights,) = torch.autograd.grad(logits[0, 2] + logits[1, 0], leaf)
    each = weights * (INPUTS - baseline_inputs(INPUTS, net.preprocess, fill, seed=3))
    expected = naive(each, torch.zeros_like(each), (9, 12), (5, 7), lambda left, i: float(left.double().sum()))
    found = Occlusion(window=(9, 12), stride=(5, 7), fill=fill, seed=3)(net, INPUTS, target=[2, 0])
    assert found.values.shape == (2, 1, *SIZE)
    assert relative_error(found.scores, expected) < 1e-4


def _torchvision(name: str, size: tuple[int, int]) -> tuple[nn.Module, Network]:
    torch.manual_seed(0)
    module = randomized(import_torchvision("torchvision.models").get_model(name, weights=None), size)
    return module, load(module, size=size, n_channels=3)


def _small(name: str, size: tuple[int, int]) -> tuple[nn.Module, Network]:
    return _read(name).module, _read(name)


@pytest.mark.parametrize(
    ("make", "name", "size", "window", "stride"),
    [
        (_small, "plain", SIZE, (9, 12), (5, 7)),
        (_small, "plain", SIZE, (8, 8), (8, 8)),
        (_small, "plain", SIZE, (37, 5), (37, 5)),
        (_small, "gated", SIZE, (16, 16), (8, 8)),
        (_small, "linear", SIZE, (11, 10), (3, 10)),
        (_torchvision, "squeezenet1_1", (75, 101), (16, 16), (13, 15)),
        (_torchvision, "resnet18", (67, 85), (24, 20), (16, 20)),
        (_torchvision, "mobilenet_v2", (64, 90), (23, 31), (20, 18)),
    ],
)
def test_equal_to_captum(make: Any, name: str, size: tuple[int, int], window: Any, stride: Any) -> None:
    module, net = make(name, size)
    inputs = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(4))
    for fill, baseline in (("zero", 0), ("mean", inputs.mean((2, 3), keepdim=True).expand_as(inputs))):
        theirs = CaptumOcclusion(module).attribute(
            inputs,
            (3, *window),
            (3, *stride),
            baselines=baseline,
            target=torch.tensor([3, 1]),
            perturbations_per_eval=16,
        )
        ours = Occlusion(window=window, stride=stride, fill=fill)(net, inputs, target=[3, 1])
        assert relative_error(ours.scores, theirs[:, 0]) < 1e-4
        assert relative_error(ours.scores, theirs[:, 2]) < 1e-4


TARGETS: dict[Any, Callable[[Network, torch.Tensor, int], torch.Tensor]] = {
    (1, 3): lambda net, image, i: (net(image)[:, 1] - net(image)[:, 3])[0],
    "0:4": lambda net, image, i: net.run(image, ["0"])["0"][0, 4].mean(),
    "4:2@3,7": lambda net, image, i: net.run(image, ["4"])["4"][0, 2, 3, 7],
    None: lambda net, image, i: net(image)[0, net(INPUTS[i : i + 1]).argmax()],
}


@pytest.mark.parametrize("target", TARGETS)
def test_any_target(target: Any) -> None:
    net = _read("plain")
    with torch.no_grad():
        fill = baseline_inputs(INPUTS, net.preprocess, "blur")
        found = Occlusion(window=11, stride=9, fill="blur")(net, INPUTS, target=target)
        expected = naive(INPUTS, fill, (11, 11), (9, 9), lambda image, i: float(TARGETS[target](net, image, i)))
    assert relative_error(found.scores, expected) < 1e-4


@pytest.mark.parametrize("layer", ["2", "5"])  # 16 x 24 and 8 x 12 positions of 37 x 52 px
@pytest.mark.parametrize("fill", ["mean", "noise"])
def test_windows_of_a_layer(layer: str, fill: str) -> None:
    net = _read("plain")
    parts = list(net.module)
    below, above = nn.Sequential(*parts[: int(layer) + 1]), Pooled(*parts[int(layer) + 1 :])
    found = Occlusion(window=(9, 13), stride=(5, 8), fill=fill, seed=5, batch_size=16)(net, INPUTS, [1, 4], layer)
    window, stride = {"2": ((4, 6), (2, 4)), "5": ((2, 3), (1, 2))}[layer]
    with torch.no_grad():
        maps, shown = (below(x) for x in (INPUTS, baseline_inputs(INPUTS, net.preprocess, fill, seed=5)))
        expected = naive(maps, shown, window, stride, lambda changed, i: float(above(changed)[0, [1, 4][i]]))
    assert found.map.shape == maps[:, 0].shape
    assert relative_error(found.map, expected) < 1e-4
    assert found.scores.shape == (2, *SIZE)


@pytest.mark.parametrize("layer", [None, "2"])
def test_several_fills_give_the_mean_of_their_drops(layer: str | None) -> None:
    net, settings = _read("plain"), {"window": 12, "stride": 9, "seed": 1}
    each = [Occlusion(fill=fill, **settings)(net, INPUTS, 2, layer).map for fill in ("zero", "white", "noise")]
    found = Occlusion(fill=("zero", "white", "noise"), **settings)(net, INPUTS, 2, layer).map
    assert relative_error(found, torch.stack(each).mean(0)) < 1e-5


def test_an_image_does_not_depend_on_its_neighbours() -> None:
    net, occlusion = _read("plain"), Occlusion(window=9, stride=4, fill="noise")
    together = occlusion(net, INPUTS, [3, 1]).scores
    alone = torch.cat([occlusion(net, INPUTS[i : i + 1], [3, 1][i]).scores for i in (0, 1)])
    assert relative_error(together, alone) < 1e-5


def test_only_what_the_network_reads_is_found() -> None:
    """Planted: a class that is read from 6 x 8 px alone."""
    net, weight = _read("linear"), torch.zeros(3, *SIZE)
    weight[:, 14:20, 30:38] = 1
    module = _Linear()
    with torch.no_grad():
        module.fc.weight.zero_()
        module.fc.weight[1] = weight.flatten()
    net = network(module, *SIZE)
    scores = Occlusion(window=4, stride=2)(net, INPUTS.abs() + 0.1, target=1).scores
    assert (scores[:, 14:20, 30:38] > 0).all()
    seen = torch.zeros(SIZE, dtype=torch.bool)
    seen[11:23, 27:41] = True
    assert scores[:, ~seen].abs().max() < 1e-5 * scores.max()


def test_what_is_computed_on_whole_maps_is_said() -> None:
    (note,) = Occlusion(window=12, stride=12)(_read("gated"), INPUTS, 0).notes
    assert "whole maps from 'mul' on" in note
    assert not Occlusion(window=12, stride=12)(_read("plain"), INPUTS, 0).notes


@pytest.mark.parametrize("layer", [None, "2"])
def test_precisions(layer: str | None) -> None:
    net, settings = _read("plain"), {"window": 9, "stride": 5}
    own = Occlusion(**settings)(net, INPUTS, 0, layer)
    double = Occlusion(precision="float64", **settings)(net, INPUTS, 0, layer)
    low = Occlusion(precision="bfloat16", **settings)(net, INPUTS, 0, layer)
    assert relative_error(own.map, double.map) < 1e-4
    assert relative_error(low.map, double.map) > 1e-4
    assert float(torch.corrcoef(torch.stack([low.map.flatten(), double.map.flatten()]))[0, 1]) > 0.95
    assert not double.notes
    assert "bfloat16" in low.notes[0]


@pytest.mark.parametrize(("layer", "fill"), [(None, ("mean", "noise")), ("2", "mean")])
def test_progress_is_told(layer: str | None, fill: Any) -> None:
    seen: list[tuple[int, int]] = []
    method = Occlusion(window=12, stride=8, fill=fill)
    method(_read("plain"), INPUTS, 0, layer, progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]


def test_a_window_larger_than_the_image_covers_all_of_it() -> None:
    net = _read("plain")
    found = Occlusion(window=80, stride=80)(net, INPUTS, 1)
    with torch.no_grad():
        drop = net(INPUTS)[:, 1] - net(torch.zeros_like(INPUTS))[:, 1]
    torch.testing.assert_close(found.scores, drop[:, None, None].expand(2, *SIZE), rtol=1e-4, atol=1e-5)


def test_wrong_settings_are_refused() -> None:
    for settings in ({"window": 4, "stride": 5}, {"window": (8, 2), "stride": 4}, {"stride": 0}):
        with pytest.raises(UsageError, match="stride at most the window"):
            Occlusion(**settings)
    with pytest.raises(UsageError, match="bfloat16"):
        Occlusion(precision="half")
    with pytest.raises(UnknownNameError, match="blur"):
        Occlusion(fill="blurr")(_read("plain"), INPUTS, 0)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"fill": ()}, "fill is"),
        ({"fill": []}, "fill is"),
        ({"fill": (1, 2)}, "fill is"),
        ({"window": "a"}, "window is 'a'"),
        ({"window": 3.5}, "window is 3.5"),
        ({"window": (8, 8, 8)}, "window is"),
        ({"window": (8, "8")}, "window is"),
        ({"stride": None}, "stride is None"),
    ],
    ids=str,
)
def test_settings_that_say_nothing_are_refused(settings: Any, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        Occlusion(**settings)


def test_another_precision_is_made_once() -> None:
    net = network(_Gated(), *SIZE)
    method = Occlusion(window=20, stride=20, precision="float64")
    method(net, INPUTS, target=1)
    (twin,) = net._kept.twins.values()
    assert (twin.dtype, net.dtype) == (torch.float64, torch.float32)
    method(net, INPUTS, target=1, layer="stem")
    assert net.quick_for(INPUTS, torch.float64) is twin
    assert len(net._kept.twins) == 1


def test_local_walks_of_many_sizes_share_the_weights() -> None:
    net = network(_Gated(), *SIZE)
    walks = [net.local(torch.zeros(1, 3, 37, x)) for x in (52, 50, 48)]
    held = {t.data_ptr() for walk in walks for t in walk.graph.plain.tensors.values()}
    assert len(held) == len(net.graph.tensors)


def test_scores_that_are_not_finite_are_refused() -> None:
    class Root(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean((2, 3)).sqrt()

    inputs = torch.full((1, 3, *SIZE), 0.5)
    inputs[:, :, :9] = -0.2
    inputs[:, :, 30:] = 2.0
    with pytest.raises(NetworkError, match="not finite"):
        Occlusion(window=(30, 52), stride=(7, 52), fill="zero")(network(Root(), *SIZE), inputs, 0)
