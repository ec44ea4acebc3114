"""Are class activation maps what their papers' equations say?  By hand, in closed form, by naive loops and by pytorch-grad-cam."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from peers_of_cam import as_grad_cam_shows, grad_cam
from planted import planted_images, planted_network
from small_networks import network, randomized, relative_error
from torch import nn
from torch.nn import functional as F

from convscope.errors import NetworkError, UsageError
from convscope.images.world import World
from convscope.instruments.attribution import AblationCAM, GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM, ScoreCAM
from convscope.instruments.attribution.cam import CAM
from convscope.instruments.attribution.method import places
from convscope.network import Network, load
from convscope.network.builtin import world_inputs
from convscope.network.network import MOST_PLANS, MOST_SIZES

FAMILY = (GradCAM(), GradCAMPlusPlus(), LayerCAM(), HiResCAM(), AblationCAM(), ScoreCAM())
IMAGES = torch.randn(3, 3, 20, 28, generator=torch.Generator().manual_seed(5))


class Head(nn.Module):
    """Maps, their mean, one dense layer: where CAM itself is defined."""

    def __init__(self, n_units: int = 6, n_classes: int = 4) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, n_units, 3, stride=2)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(n_units, n_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.relu(self.conv(x)).mean((2, 3)))


class Deep(nn.Module):
    """A residual block and a concatenation between the maps and the logits."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.conv1, self.conv2 = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 5, 3, stride=2)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.AdaptiveAvgPool2d((2, 3))
        self.fc = nn.Linear((8 + 8) * 6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = torch.cat([x, self.relu(self.conv1(x) + x)], 1)
        return self.fc(self.pool(x).flatten(1))


def head() -> Head:
    torch.manual_seed(1)
    return randomized(Head())  # type: ignore[return-value]


def deep() -> Deep:
    torch.manual_seed(1)
    return randomized(Deep())  # type: ignore[return-value]


# Closed forms: maps A, dense weights w; logit = mean over n positions of sum over units w A, and a bias.


def closed_forms(module: Head, target: int) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        maps, w = module.relu(module.conv(IMAGES)), module.fc.weight[target][None, :, None, None]
        n = maps.shape[2] * maps.shape[3]
        sums, means = maps.sum((2, 3), keepdim=True), maps.mean((2, 3), keepdim=True)
        return {
            "Grad-CAM": w / n * maps,
            "HiResCAM": w / n * maps,
            "LayerCAM": w.clamp(min=0) / n * maps,
            "Grad-CAM++": n / (2 + sums * w / n) * w.clamp(min=0) / n * maps,
            "Ablation-CAM": w * means * maps,
        }


@pytest.mark.parametrize("method", FAMILY[:5], ids=lambda method: method.title)
@pytest.mark.parametrize("target", [0, 3])
def test_below_a_mean_and_a_dense_layer_the_methods_have_closed_forms(method: CAM, target: int) -> None:
    module = head()
    found = method(network(module), IMAGES, target=target)
    assert found.layer == "relu"
    assert relative_error(found.values, closed_forms(module, target)[method.title]) < 1e-5


def test_hirescam_adds_up_to_the_logit_without_its_bias() -> None:
    module = head()
    for target in (1, [2, 0, 3], (1, 2)):
        found = HiResCAM()(network(module), IMAGES, target=target)
        assert found.error is not None
        assert float(found.error.max()) < 1e-5
    with torch.no_grad():
        unbiased = module(IMAGES)[:, 1] - module.fc.bias[1]
    total = HiResCAM()(network(module), IMAGES, target=1).values.sum((1, 2, 3))
    assert relative_error(total, unbiased) < 1e-5


def test_hirescam_promises_nothing_where_something_bends_above() -> None:
    assert HiResCAM()(network(deep()), IMAGES, layer="stem.2").promised is None


def test_a_network_of_two_units_by_hand() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2))
    with torch.no_grad():
        module[0].weight[:] = torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1)
        module[0].bias[:] = 0
        module[4].weight[:] = torch.tensor([[6.0, -3.0], [0.0, 1.0]])
        module[4].bias[:] = 10
    image = torch.tensor([[1.0, -2.0, 0.0], [4.0, 0.0, -1.0]])[None, None]
    first, second = image[0, 0].clamp(min=0), (-image[0, 0]).clamp(min=0)  # the two units; means 5/6 and 1/2
    net = network(module, 2, 3, channels=1)
    expected = {
        GradCAM(): first - 0.5 * second,
        HiResCAM(): first - 0.5 * second,
        LayerCAM(): first,
        GradCAMPlusPlus(): 6 / (2 + 5) * first,  # six positions, each with share 1 / (2 + 5 * 1)
        AblationCAM(): 5 * first - 1.5 * -second * -1,
    }
    for method, sums in expected.items():
        found = method(net, image, target=0, layer="1")
        torch.testing.assert_close(found.values.sum(1)[0], sums)
        torch.testing.assert_close(found.map[0], sums.clamp(min=0))
        torch.testing.assert_close(found.score, torch.tensor([10 + 5 - 1.5]))


# Naive loops over the module itself.


def with_maps(module: Deep, change: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor) -> torch.Tensor:
    handle = module.stem.register_forward_hook(lambda part, args, value: change(value))
    with torch.no_grad():
        logits = module(images)
    handle.remove()
    return logits


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("batch_size", [None, 1, 7])
def test_ablation_removes_each_unit_in_turn(batch_size: int | None, fold: bool) -> None:
    module = deep()
    targets = torch.tensor([1, 4, 0])
    found = AblationCAM(batch_size)(network(module, fold=fold), IMAGES, target=targets, layer="stem.2")
    with torch.no_grad():
        maps, logits = module.stem(IMAGES), module(IMAGES)
    for unit in range(8):

        def without(value: torch.Tensor, unit: int = unit) -> torch.Tensor:
            kept = torch.ones(8)
            kept[unit] = 0
            return value * kept[:, None, None]

        drop = (logits - with_maps(module, without, IMAGES))[range(3), targets]
        expected = drop[:, None, None] * maps[:, unit]
        assert float((found.values[:, unit] - expected).abs().max() / found.values.abs().max()) < 1e-5


@pytest.mark.parametrize("softmax", [True, False])
@pytest.mark.parametrize("batch_size", [None, 5])
def test_scorecam_shows_the_image_through_each_map(softmax: bool, batch_size: int | None) -> None:
    module = deep()
    found = ScoreCAM(softmax=softmax, batch_size=batch_size)(network(module), IMAGES, target=2, layer="pool")
    with torch.no_grad():
        stem = module.stem(IMAGES)
        maps = module.pool(torch.cat([stem, torch.relu(module.conv1(stem) + stem)], 1))
        for i in range(3):
            increase = []
            for unit in range(16):
                mask = F.interpolate(maps[i : i + 1, unit : unit + 1], size=(20, 28), mode="bilinear")
                mask = (mask - mask.min()) / (mask.max() - mask.min())
                increase.append(float(module(IMAGES[i : i + 1] * mask)[0, 2] - module(IMAGES[:1] * 0)[0, 2]))
            weights = torch.tensor(increase).softmax(0) if softmax else torch.tensor(increase)
            assert relative_error(found.values[i], weights[:, None, None] * maps[i]) < 1e-4


# The peer.


@pytest.mark.parametrize("name", ["GradCAM", "LayerCAM", "HiResCAM", "AblationCAM", "ScoreCAM"])
@pytest.mark.parametrize("place", ["stem", "relu"])
def test_equal_to_pytorch_grad_cam(name: str, place: str) -> None:
    methods = {"ScoreCAM": ScoreCAM(align_corners=True)}
    method = methods.get(name) or next(one for one in FAMILY if type(one).__name__ == name)
    module = deep()
    with torch.no_grad():
        module.fc.bias += 20  # grad-cam's Ablation-CAM divides by the score: where that is negative, it is upside down
    targets = [3, 0, 4]
    ours = method(network(module), IMAGES, target=targets, layer=place)
    theirs = grad_cam(name, module, getattr(module, place), IMAGES, targets)
    np.testing.assert_allclose(as_grad_cam_shows(ours), theirs, atol=1e-4)
    assert theirs.std((1, 2)).min() > 0.01, "maps that are empty prove nothing"


def test_grad_cam_plus_plus_is_that_of_the_peer_where_gradients_are_large() -> None:
    shares = {}
    for scale in (1e4, 1e-2):
        scaled = deep()
        with torch.no_grad():
            scaled.fc.weight *= scale
        ours = as_grad_cam_shows(GradCAMPlusPlus()(network(scaled), IMAGES, target=3, layer="stem"))
        theirs = grad_cam("GradCAMPlusPlus", scaled, scaled.stem, IMAGES, [3] * 3)
        shares[scale] = float(np.abs(ours - theirs).max())
    assert shares[1e4] < 1e-4
    assert shares[1e-2] > 0.01, "their 1e-6 outweighs the squares of small gradients"


def test_ablation_cam_of_a_negative_score_is_not_upside_down() -> None:
    module, shifted = deep(), deep()
    with torch.no_grad():
        shifted.fc.bias -= 50
    maps = [AblationCAM()(network(each), IMAGES, target=1, layer="stem").map for each in (module, shifted)]
    assert relative_error(*maps) < 1e-4, "a bias of the class changes no drop"
    theirs = [grad_cam("AblationCAM", each, each.stem, IMAGES, [1] * 3) for each in (module, shifted)]
    assert np.corrcoef(theirs[0].ravel(), theirs[1].ravel())[0, 1] < 0.5


# What they are asked for.


@pytest.mark.parametrize("method", FAMILY, ids=lambda method: method.title)
def test_a_batch_is_its_images_one_by_one(method: CAM) -> None:
    net = network(deep())
    together = method(net, IMAGES, target=[1, 4, 0], layer="stem.2")
    for i, target in enumerate([1, 4, 0]):
        single = method(net, IMAGES[i : i + 1], target=target, layer="stem.2")
        assert relative_error(together.values[i : i + 1], single.values) < 1e-4
        assert relative_error(together.score[i : i + 1], single.score) < 1e-5


@pytest.mark.parametrize(
    "method", [GradCAM(), HiResCAM(), AblationCAM(), ScoreCAM(softmax=False)], ids=lambda m: m.title
)
def test_a_contrast_is_a_difference(method: CAM) -> None:
    net = network(deep())
    both = method(net, IMAGES, target=(1, 3), layer="stem.2").values
    first, second = (method(net, IMAGES, target=each, layer="stem.2").values for each in (1, 3))
    assert relative_error(both, first - second) < 1e-4


@pytest.mark.parametrize("method", FAMILY, ids=lambda method: method.title)
@pytest.mark.parametrize("target", ["conv1:2", "conv1:2@3,7", "relu:0"])
def test_a_unit_or_a_neuron_below_the_logits(method: CAM, target: str) -> None:
    net = network(deep())
    found = method(net, IMAGES, target=target, layer="stem.2")
    layer, _, rest = target.partition(":")
    unit, _, position = rest.partition("@")
    maps = net.run(IMAGES, [layer])[layer][:, int(unit)]
    expected = maps[:, 3, 7] if position else maps.mean((1, 2))
    torch.testing.assert_close(found.score, expected)
    assert float(found.values.abs().max()) > 0
    if position and isinstance(method, HiResCAM):  # conv1 is affine in the maps, and reads 3 x 3 of them
        outside = found.values.clone()
        outside[:, :, 2:5, 6:9] = 0
        assert float(outside.abs().max()) == 0
        assert float(found.error.max()) < 1e-4  # type: ignore[union-attr]


# Where maps are small, empty or full.


def test_one_position() -> None:
    module = nn.Sequential(nn.Conv2d(3, 6, (20, 28)), nn.ReLU(), nn.Flatten(), nn.Linear(6, 4))
    net = network(randomized(module))
    for method in FAMILY[:5]:
        found = method(net, IMAGES, target=1, layer="1")
        assert found.values.shape == (3, 6, 1, 1)
        assert found.scores.shape == (3, 20, 28)
    with pytest.raises(UsageError, match="single position"):
        ScoreCAM()(net, IMAGES, target=1, layer="1")
    with pytest.raises(UsageError, match="no layer with positions"):
        GradCAM()(net, IMAGES, target=1)


def test_a_vector_has_one_position() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 18 * 26, 6), nn.ReLU(), nn.Linear(6, 3))
    net = network(randomized(module))
    with torch.no_grad():
        units = module[:4](IMAGES)
        expected = (units * module[4].weight[2])[:, :, None, None]
    for method in (GradCAM(), HiResCAM()):
        assert relative_error(method(net, IMAGES, target=2, layer="3").values, expected) < 1e-5
    assert (
        relative_error(AblationCAM()(net, IMAGES, target=2, layer="3").values, expected * units[:, :, None, None])
        < 1e-4
    )


def test_tokens_that_have_lost_their_place_are_refused() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.mix, self.fc = nn.Conv2d(3, 4, 4, stride=4), nn.Linear(35, 7), nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(self.mix(self.conv(x).flatten(2)).mean(2))

    net = network(randomized(Tokens()))
    for method in FAMILY:
        with pytest.raises(UsageError, match="no rows and columns"):
            method(net, IMAGES, target=1, layer="mix")


def test_dead_units_give_empty_maps() -> None:
    module = head()
    with torch.no_grad():
        module.conv.bias[:] = -1e3
    for method in FAMILY:
        found = method(network(module), IMAGES, target=1)
        assert bool((found.values == 0).all())
        assert bool(torch.isfinite(found.scores).all())


def test_some_dead_units_are_not_asked_about() -> None:
    """In the softmax of Score-CAM a unit that shows nothing counts as the empty image does."""
    module = head()
    with torch.no_grad():
        module.conv.bias[[1, 4]] = -1e3
    live = [0, 2, 3, 5]
    for method in FAMILY[:5]:
        values = method(network(module), IMAGES, target=2).values
        assert bool((values[:, [1, 4]] == 0).all())
        assert relative_error(values, closed_forms(module, 2)[method.title]) < 1e-5
    plain = ScoreCAM(softmax=False)(network(module), IMAGES, target=2).values[:, live]
    maps = network(module).run(IMAGES, ["relu"])["relu"][:, live]
    increase = (plain.sum((2, 3)) / maps.sum((2, 3))).double()
    shares = torch.cat([increase, torch.zeros(3, 2, dtype=torch.float64)], 1).softmax(1)[:, :4]
    found = ScoreCAM()(network(module), IMAGES, target=2).values[:, live]
    assert relative_error(found.double(), shares[:, :, None, None] * maps) < 1e-4


def test_units_that_saturate() -> None:
    module = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3))
    randomized(module)
    with torch.no_grad():
        module[0].bias[:3] = 1e3  # always 6
    net = network(module)
    drop = 6 * module[4].weight.detach()[1, :3]
    found = AblationCAM()(net, IMAGES, target=1, layer="1").values[:, :3]
    assert relative_error(found, (drop * 6)[None, :, None, None].expand_as(found)) < 1e-5
    for method in FAMILY:
        assert bool(torch.isfinite(method(net, IMAGES, target=1, layer="1").values).all())


def test_what_is_not_a_number_is_refused() -> None:
    net = network(deep())
    broken = IMAGES.clone()
    broken[1, 0, 3, 4] = torch.nan
    for method in FAMILY:
        with pytest.raises(NetworkError, match="not finite"):
            method(net, broken, target=1)


def test_a_network_that_answers_changed_images_with_nan_is_refused() -> None:
    class Unit(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = nn.Conv2d(3, 4, 3, bias=False), nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            maps = torch.relu(self.conv(x)).mean((2, 3))
            return self.fc(maps / maps.sum(1, keepdim=True))  # 0 / 0 for an empty image

    module = Unit()
    with torch.no_grad():
        module.conv.weight[1:] = -module.conv.weight[1:].abs()
        module.conv.weight[0] = module.conv.weight[0].abs()
    with pytest.raises(NetworkError, match="not finite"):
        AblationCAM()(network(module), torch.rand(1, 3, 20, 28), target=1, layer="relu")


def test_the_last_maps_are_the_place() -> None:
    assert GradCAM()(network(deep()), IMAGES).layer == "cat"
    assert GradCAM()(load("builtin:world"), torch.zeros(1, 3, 64, 64)).layer == "relu4"


def counted(n_units: int, n_classes: int) -> nn.Module:
    parts = [nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.Conv2d(8, n_units, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(n_units, n_classes)).eval()


def test_maps_are_not_those_of_classes_because_there_are_as_many() -> None:
    for n_classes in (9, 10, 11):
        net = network(counted(10, n_classes))
        assert GradCAM()(net, IMAGES).layer == "3"
        assert places(net) == ("3",)


def test_nothing_weighs_maps_of_classes() -> None:
    scores = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 5, 1), nn.ReLU())
    larger = nn.Sequential(nn.Upsample(scale_factor=2), nn.AvgPool2d((18, 26)))
    for head in (nn.AdaptiveAvgPool2d(1), nn.AdaptiveMaxPool2d(1), larger):
        net = network(nn.Sequential(scores, head, nn.Flatten()))
        assert GradCAM()(net, IMAGES).layer == "0.1"
        assert places(net) == ("0.1",)
    fewer = network(nn.Sequential(scores, nn.AdaptiveAvgPool2d(1), nn.Flatten(), Halves()))
    assert GradCAM()(fewer, IMAGES).layer == "0.1", "also where the maps are more than the classes"


class Halves(nn.Module):
    """Classes of two maps each, without a weight."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :4].reshape(-1, 2, 2).amax(2)


def test_the_last_maps_are_those_of_the_image_at_hand() -> None:
    module = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(6, 7, 3, stride=4, padding=1))
    net = network(nn.Sequential(*module, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(7, 4)).eval())
    assert GradCAM()(net, IMAGES).layer == "3"
    assert GradCAM()(net, IMAGES[:, :, :8, :7]).layer == "1", "the last maps of a small image have a single position"


class Attended(nn.Module):
    """The maps are weighed by what they say themselves: a product, though written as a convolution or a dense layer."""

    def __init__(self, written: str) -> None:
        super().__init__()
        self.written, self.conv, self.fc = written, nn.Conv2d(3, 6, 3, stride=2), nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = self.conv(x).relu()
        if self.written == "conv2d":
            return self.fc(F.conv2d(maps, maps.mean((0, 2, 3))[:, None, None, None], groups=6).mean((2, 3)))
        means = maps.mean((2, 3))
        if self.written == "linear":
            return self.fc(F.linear(means, self.fc.weight.mean(0).diag() + means.mean(0).diag()))
        return self.fc(torch.addmm(means, means, means.mean(0).diag()))


@pytest.mark.parametrize("written", ["conv2d", "linear", "addmm"])
def test_hirescam_promises_nothing_where_weights_are_computed_from_the_maps(written: str) -> None:
    torch.manual_seed(0)
    net = network(Attended(written))
    found = HiResCAM()(net, IMAGES[:1], target=1, layer="relu")
    assert found.promised is None
    total = found.values.double().sum()
    without = net.onward("relu", IMAGES[:1])
    empty = without(torch.zeros_like(without.maps))[0, 1]
    assert abs(float(total - (found.score[0] - empty))) > 0.01 * abs(float(found.score[0] - empty)), "nor could it"


def weights_in(*networks: Network) -> int:
    """Bytes of all weights that these networks hold, each counted once."""
    folded = [net.onward("input", torch.zeros(1, *net.input_shape)).above.graph for net in networks]
    held = [tensor for graph in (*folded, *(net.graph for net in networks)) for tensor in graph.tensors.values()]
    return sum({tensor.data_ptr(): tensor.numel() * tensor.element_size() for tensor in held}.values())


def test_images_of_many_sizes_share_the_weights() -> None:
    net = network(randomized(counted(64, 64)), fold=True)
    quick = {size: net.quick_for(torch.zeros(1, 3, *size)) for size in ((20, 28), (21, 28), (22, 30), (23, 30))}
    for size, twin in quick.items():
        assert twin.input_shape[1:] == size
        assert twin is net.quick_for(torch.zeros(1, 3, *size)), "made once"
    assert weights_in(*quick.values()) == weights_in(net)
    sizes = [net.at(*size) for size in quick]
    assert weights_in(*sizes) == weights_in(net)
    for y in range(12, 12 + MOST_SIZES + 5):
        method, image = GradCAM(), torch.randn(1, 3, y, 20)
        assert relative_error(method(net, image, target=1).values, method(net.at(y, 20), image, target=1).values) < 1e-5
    for kept in (net._kept, net.quick_for(IMAGES)._kept):
        assert len(kept.sizes) == MOST_SIZES
    for unit in range(MOST_PLANS + 3):
        net.onward("1", IMAGES[:, :, :, : 20 + unit % 4], ("2", "3", "6")[unit % 3])
        net.run(IMAGES, [("0", "1", "2", "3")[i] for i in range(4) if (unit + 1) >> i & 1])
    assert len(net._kept.above) <= MOST_PLANS
    assert len(net._kept.plans) <= MOST_PLANS


class Resized(nn.Module):
    """A constant that depends on the size of the image, though its shape does not."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 6, 3), nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.conv(x).relu().mean((2, 3)) * torch.tensor([x.shape[2] / 10.0]))


def test_a_constant_of_the_size_is_not_shared() -> None:
    module = Resized().eval()
    net = network(module)
    for y in (20, 15, 25):
        image = IMAGES[:1, :, :15] if y == 15 else F.interpolate(IMAGES[:1], (y, 28))
        with torch.no_grad():
            assert relative_error(net(image), module(image)) < 1e-5
            assert relative_error(net.quick_for(image)(image), module(image)) < 1e-5


def test_progress_reaches_its_end() -> None:
    seen: list[tuple[int, int]] = []
    for method in (AblationCAM(batch_size=6), ScoreCAM(batch_size=6)):
        seen.clear()
        method(
            network(deep()), IMAGES, target=1, layer="stem.2", progress=lambda done, total: seen.append((done, total))
        )
        assert [done for done, _ in seen] == [2, 4, 6, 8]
        assert {total for _, total in seen} == {8}


# Planted truth.


def mass(found: Any, where: np.ndarray) -> np.ndarray:
    """The share of positive scores that lies where the truth is, in parts of what a flat map has there; for each image."""
    scores = found.scores.clamp(min=0).double().numpy()
    share = (scores * where).sum((1, 2)) / np.maximum(scores.sum((1, 2)), 1e-30)
    return share / where.mean((1, 2))


class Red(nn.Module):
    """Reads redness alone: unit 2 of its maps; the others answer to brightness, to no avail."""

    def __init__(self) -> None:
        super().__init__()
        self.color, self.relu = nn.Conv2d(3, 5, 1), nn.ReLU()
        self.down, self.relu2, self.fc = nn.Conv2d(5, 5, 2, stride=2, groups=5), nn.ReLU(), nn.Linear(5, 2)
        with torch.no_grad():
            self.color.weight[:] = 1.0
            self.color.weight[2, :, 0, 0] = torch.tensor([2.0, -1.0, -1.0])
            self.color.bias[:] = 0
            self.down.weight[:], self.down.bias[:] = 0.25, 0
            self.fc.weight[:] = torch.tensor([[0.0, 0, 900, 0, 0], [1, 1, 0, 1, 1]])
            self.fc.bias[:] = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.relu2(self.down(self.relu(self.color(x)))).mean((2, 3)))


@pytest.mark.parametrize("method", FAMILY, ids=lambda method: method.title)
def test_one_red_part_of_a_grey_scene_is_found(method: CAM) -> None:
    scenes = World(size=(48, 80)).scenes(6, seed=11, label="bus", occluder_count=0)
    wheels = scenes.mask("part", "wheel")
    images = torch.from_numpy(scenes.images.mean(3, keepdims=True).repeat(3, axis=3) / 255)
    images[torch.from_numpy(wheels)] = torch.tensor([1.0, 0.1, 0.1], dtype=images.dtype)
    found = method(load(Red().eval(), size=(48, 80)), images.permute(0, 3, 1, 2).float(), target=0)
    assert mass(found, wheels).min() > 5
    if not isinstance(method, ScoreCAM):  # there brighter units too show some red
        assert bool((found.values[:, [0, 1, 3, 4]] == 0).all()), "the class is read from one unit"


def test_the_unit_for_blue_has_the_map_of_blue() -> None:
    images = planted_images(12)
    net = planted_network()
    blue = [i for i in range(12) if i % 4 == 2]
    inputs = torch.cat([net.preprocess(images[i]) for i in blue])
    patch = (inputs[:, 2] > inputs[:, :2].sum(1) + 0.2).numpy()
    for method in (GradCAM(), LayerCAM(), HiResCAM(), AblationCAM()):
        assert mass(method(net, inputs, target="relu1:6", layer="input"), patch).min() > 1
        found = method(net, inputs, target="relu1:6", layer="relu1")
        assert mass(found, patch).min() > 0.99 / patch.mean((1, 2)).max()


def test_a_class_that_reads_two_units() -> None:
    module = Head(n_units=8)
    with torch.no_grad():
        module.fc.weight[1] = torch.tensor([0, 0, 1.5, 0, 0, -2.0, 0, 0])
    net = network(module)
    for method in (GradCAM(), HiResCAM(), AblationCAM()):
        by_unit = method(net, IMAGES, target=1).values.abs().sum((2, 3))
        assert bool((by_unit[:, [2, 5]] > 0).all())
        assert float(by_unit[:, [0, 1, 3, 4, 6, 7]].max() / by_unit.max()) < 1e-5


def test_a_network_that_reads_one_patch() -> None:
    """Through a dense layer that sees positions: there a weight for a whole unit is wrong, and a weight for each position right."""
    module = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 20 * 28, 2))
    where = torch.zeros(20, 28)
    where[4:9, 10:17] = 1
    with torch.no_grad():
        module[3].weight *= where.expand(6, 20, 28).flatten()
    net = network(module)
    inside = where[None].expand(3, 20, 28).numpy()
    for method in (HiResCAM(), LayerCAM()):
        assert mass(method(net, IMAGES, target=1, layer="1"), inside).min() > 0.999 / inside.mean()
    assert mass(GradCAM()(net, IMAGES, target=1, layer="1"), inside).max() < 2, (
        "known to fail (Draelos and Carin, section 4)"
    )


@pytest.mark.parametrize("method", [GradCAM(), LayerCAM(), HiResCAM()], ids=lambda method: method.title)
def test_the_object_of_a_scene_is_found(method: CAM) -> None:
    scenes = World(scale_frac=(0.45, 0.55), occluder_count=(0, 0)).scenes(40, seed=9)
    net, inputs = load("builtin:world"), world_inputs(scenes.images)
    right = np.flatnonzero(net(inputs).argmax(1).numpy() == scenes.labels)
    assert len(right) > 25
    lift = mass(method(net, inputs[right], layer="relu3"), (scenes.maps["object"] > 0)[right])
    assert np.median(lift) > 2
