"""Is relevance handed down as the rules say?  By hand, by naive loops, by zennit; and without biases all of it arrives."""

import copy
import warnings
from collections.abc import Callable

import pytest
import torch
from planted import planted_images, planted_network
from small_networks import Pooled, network, randomized, relative_error
from torch import nn
from torch.nn import functional as F

import convscope as cs
from convscope.errors import MissingRuleError, UnknownNameError, UsageError
from convscope.images.world import World
from convscope.instruments.attribution import LRP, InputXGradient
from convscope.instruments.attribution.lrp_table import COMPOSITES
from convscope.network import Network
from convscope.network.torchvision_ops import import_torchvision
from convscope.registry import lookup

EPS = 1e-6
Y, X = 5, 7


def _images(n: int = 2, y: int = 20, x: int = 28, channels: int = 3, seed: int = 1) -> torch.Tensor:
    return torch.randn(n, channels, y, x, generator=torch.Generator().manual_seed(seed))


def _drawn(module: nn.Module, seed: int = 0, *, bias: bool = True) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 3)
            if name.endswith("bias") and not bias:
                parameter.zero_()
    return module.eval()


def _total(values: torch.Tensor) -> torch.Tensor:
    return values.double().flatten(1).sum(1)


# Closed forms


@pytest.mark.parametrize("composite", ["zero", "epsilon"])
def test_on_a_linear_network_relevance_is_weight_times_input(composite: str) -> None:
    module = _drawn(nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(4 * 4 * 6, 5)))
    net, images = network(module), _images()
    leaf = torch.zeros_like(images, requires_grad=True)  # the network is affine: any point shows its weights
    module(leaf)[:, 2].sum().backward()
    found = LRP(composite)(net, images, target=2)
    assert relative_error(found.values, leaf.grad * images) < 1e-4
    assert float(found.error.max()) < 1e-4


def test_lrp_0_of_a_relu_network_is_input_times_gradient() -> None:
    module = _drawn(Pooled(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 6, 3, padding=1), nn.ReLU()))
    net, images = network(module), _images()
    expected = InputXGradient()(net, images, target=1).values
    assert relative_error(LRP("zero")(net, images, target=1).values, expected) < 1e-5


# Every rule, against loops that know only its equation


def _naive(rule: str, a: list[float], w: list[list[float]], bias: list[float], came: list[float]) -> list[float]:
    """R_j of one layer: `w[j][k]` from input j to value k."""
    passed = [0.0] * len(a)
    for k, relevance in enumerate(came):
        if relevance == 0:
            continue
        z = sum(a[j] * w[j][k] for j in range(len(a))) + bias[k]
        read = [w[j][k] != 0 for j in range(len(a))]
        plain, up, down = [], [], []
        for j in range(len(a)):
            each = a[j] * w[j][k]
            plain.append(each)
            up.append(max(each, 0.0))
            down.append(min(each, 0.0))

        def shared(parts: list[float], of_bias: float, amount: float) -> None:
            total = sum(parts) + of_bias
            if rule != "zero":
                total += EPS if total >= 0 else -EPS
            for j, part in enumerate(parts):
                passed[j] += part / total * amount

        if rule in ("zero", "epsilon"):
            shared(plain, bias[k], relevance)
        elif rule == "z_plus":
            shared(up, max(bias[k], 0.0), relevance)
        elif rule == "alpha_beta":
            shared(up, max(bias[k], 0.0), 2 * relevance)
            shared(down, min(bias[k], 0.0), -relevance)
        elif rule == "gamma":
            more, least = (up, max(bias[k], 0.0)) if z > 0 else (down, min(bias[k], 0.0))
            shared([p + 0.25 * m for p, m in zip(plain, more, strict=True)], bias[k] + 0.25 * least, relevance)
        elif rule == "flat":
            shared([float(one) for one in read], 0.0, relevance)
        elif rule == "box":
            low, high = -2.0, 2.5
            parts = [a[j] * w[j][k] - low * max(w[j][k], 0) - high * min(w[j][k], 0) for j in range(len(a))]
            shared(parts, 0.0, relevance)
    return passed


def _matrix(conv: Callable[[torch.Tensor], torch.Tensor], shape: tuple[int, ...]) -> list[list[float]]:
    """What each input adds to each value, from one unit impulse at a time."""
    n = torch.Size(shape).numel()
    return conv(torch.eye(n, dtype=torch.float64).reshape(n, *shape)).flatten(1).tolist()


RULES = {
    "zero": "zero",
    "epsilon": "epsilon",
    "z_plus": "z_plus",
    "alpha_beta": "alpha_beta",
    "gamma": "gamma",
    "flat": "flat",
    "epsilon_plus_flat": "flat",
    "epsilon_gamma_box": "box",
}


@pytest.mark.parametrize("composite", RULES)
@pytest.mark.parametrize("groups", [1, 2])
def test_each_rule_of_a_convolution_is_its_equation(composite: str, groups: int) -> None:
    """The target is a unit's mean over positions, so the relevance that comes to the convolution is known."""
    conv = _drawn(nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 1), dilation=(1, 2), groups=groups), seed=3)
    settings = {"resize": None, "crop": (Y, X), "channels": 4, "mean": (2 / 4.5,) * 4, "std": (1 / 4.5,) * 4}
    net = cs.load(Pooled(conv), size=(Y, X), n_channels=4, preprocess=settings)
    images = _images(2, Y, X, 4)
    found = LRP(composite)(net, images, target="0:3")
    double = copy.deepcopy(conv).double()
    weights = _matrix(
        lambda x: F.conv2d(x, double.weight, None, conv.stride, conv.padding, conv.dilation, groups), (4, Y, X)
    )
    for image, values in zip(images, found.values, strict=True):
        out = double(image[None].double())[0]
        came = torch.zeros_like(out)
        came[3] = out[3] / out[3].numel()
        bias = double.bias[:, None, None].expand_as(out).flatten().tolist()
        a = image.double().flatten().tolist()
        expected = torch.tensor(_naive(RULES[composite], a, weights, bias, came.flatten().tolist()))
        assert relative_error(values.flatten(), expected) < 1e-4


@pytest.mark.parametrize("composite", ["zero", "z_plus", "alpha_beta", "gamma", "flat"])
def test_each_rule_of_a_dense_layer_is_its_equation(composite: str) -> None:
    dense = _drawn(nn.Linear(12, 4), seed=5)
    net, images = network(nn.Sequential(nn.Flatten(), dense), 2, 2), _images(2, 2, 2)
    found = LRP(composite)(net, images, target=1)
    for image, values in zip(images, found.values, strict=True):
        a = image.flatten().tolist()
        z = float(dense(image.flatten())[1].detach())
        expected = _naive(composite, a, dense.weight.T.tolist(), dense.bias.tolist(), [0.0, z, 0.0, 0.0])
        assert relative_error(values.flatten(), torch.tensor(expected)) < 1e-4


class _Body(nn.Module):
    """A function of the image as a network: its logits are read off at one position."""

    def __init__(self, body: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x).flatten(1)


def _of(body: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor, target: int = 0) -> torch.Tensor:
    net = network(_Body(body), *images.shape[2:], channels=images.shape[1])
    return LRP("zero")(net, images, target=target).values[0].flatten()


BODIES: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], list[float]]] = {
    # of the pixels 1, 2, 3, 4: what each is due, by hand
    "a sum shares in proportion": (lambda x: (3 * x)[..., :1] + x[..., 1:2], [3, 2, 0, 0]),
    "a difference shares with signs": (lambda x: x[..., 3:] - x[..., 2:3], [0, 0, -3, 4]),
    "a constant keeps its part": (lambda x: x[..., :1] + 9, [1, 0, 0, 0]),
    "a mean": (lambda x: x.mean(-1), [0.25, 0.5, 0.75, 1]),
    "the largest takes all": (lambda x: F.max_pool2d(x, (1, 4)), [0, 0, 0, 4]),
    "the largest of a dimension": (lambda x: x.amax(-1), [0, 0, 0, 4]),
    "the larger of two": (lambda x: torch.maximum(x[..., :1], x[..., 1:2]), [0, 2, 0, 0]),
    "joined, each its own": (lambda x: torch.cat([x[..., 2:], x[..., :2]], -1), [0, 0, 3, 0]),
    "an average pool": (lambda x: F.avg_pool2d(x, (1, 2)), [0.5, 1, 0, 0]),
    "a product of two values: half each": (lambda x: x[..., :1] * x[..., 1:2], [1, 1, 0, 0]),
    "a square": (lambda x: x[..., 1:2] * x[..., 1:2], [0, 4, 0, 0]),
    "a gate is held constant": (lambda x: x[..., :1] * x[..., 1:2].sigmoid(), [0.880797, 0, 0, 0]),
    "a gate written out": (lambda x: x[..., :1] * F.relu6(x[..., 1:2] + 3) / 6, [5 / 6, 0, 0, 0]),
    "a gate brought to shape": (
        lambda x: x[..., :2] * x[..., 1:2].sigmoid().expand_as(x[..., :2]),
        [0.880797, 0, 0, 0],
    ),
    "what is broadcast is a gate": (lambda x: x * x.mean(-1, keepdim=True), [2.5, 0, 0, 0]),
    "a constant factor": (lambda x: x[..., 2:3] * 7, [0, 0, 21, 0]),
    "a denominator is held constant": (lambda x: x[..., 3:] / x[..., 1:2], [0, 0, 0, 2]),
    "bilinear resampling": (lambda x: F.interpolate(x, size=(1, 2), mode="bilinear"), [0.5, 1, 0, 0]),
    "nearest resampling": (lambda x: F.interpolate(x, size=(1, 2), mode="nearest"), [1, 0, 0, 0]),
    "activations pass it unchanged": (lambda x: F.silu(F.gelu(F.hardswish(x[..., 2:3]))), [0, 0, 2.853316, 0]),
    "addcmul": (lambda x: torch.addcmul(x[..., :1], x[..., 1:2], x[..., 2:3], value=2), [1, 6, 6, 0]),
    "a product of matrices": (lambda x: x[..., :2] @ x[..., 2:].transpose(2, 3), [1.5, 4, 1.5, 4]),
}


@pytest.mark.parametrize("name", BODIES)
def test_what_has_no_weights_is_treated_as_the_table_says(name: str) -> None:
    body, expected = BODIES[name]
    images = torch.tensor([[[[1.0, 2.0, 3.0, 4.0]]]])
    torch.testing.assert_close(_of(body, images), torch.tensor(expected, dtype=torch.float32), rtol=1e-3, atol=1e-5)


def _norm_by_loops(
    x: torch.Tensor, groups: list[list[int]], scale: float, target: int, *, centre: bool = True
) -> list[float]:
    """Relevance of one normalised value: scale (x_t - mean) / deviation, the deviation a constant."""
    (group,) = [one for one in groups if target in one]
    mean = sum(float(x[i]) for i in group) / len(group) if centre else 0.0
    deviation = (sum((float(x[i]) - mean) ** 2 for i in group) / len(group) + 1e-5) ** 0.5
    passed = [0.0] * len(x)
    for i in group:
        slope = (i == target) - (1 / len(group) if centre else 0)
        passed[i] = float(x[i]) * slope * scale / deviation
    return passed


def test_norms_hold_their_deviation_constant() -> None:
    images = _images(1, 2, 3, 4)
    flat, target = images.flatten(), 7
    everything, by_unit = [list(range(24))], [list(range(6 * i, 6 * i + 6)) for i in range(4)]
    halves = [list(range(12)), list(range(12, 24))]
    cases = [
        (lambda x: F.layer_norm(x, (4, 2, 3), torch.full((4, 2, 3), 2.0)), everything, 2.0, True),
        (lambda x: F.group_norm(x, 2, torch.full((4,), 3.0)), halves, 3.0, True),
        (lambda x: F.instance_norm(x), by_unit, 1.0, True),
        (lambda x: F.rms_norm(x, (4, 2, 3), eps=1e-5), everything, 1.0, False),
    ]
    for body, groups, scale, centre in cases:
        expected = torch.tensor(_norm_by_loops(flat, groups, scale, target, centre=centre))
        torch.testing.assert_close(_of(body, images, target), expected, rtol=1e-4, atol=1e-5)


def test_the_weights_of_attention_are_held_constant() -> None:
    class Attention(nn.Module):
        def __init__(self, fused: bool) -> None:
            super().__init__()
            self.fused, self.qkv, self.head = fused, nn.Linear(3, 12, bias=False), nn.Linear(4, 5, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            query, key, value = self.qkv(x.flatten(2).transpose(1, 2)).chunk(3, -1)
            if self.fused:
                mixed = F.scaled_dot_product_attention(query, key, value)
            else:
                mixed = (query @ key.transpose(1, 2) / 2).softmax(-1) @ value
            return self.head(mixed.mean(1))

    module, images = _drawn(Attention(True)), _images(2, 3, 4)
    plain = Attention(False)
    plain.load_state_dict(module.state_dict())
    found = LRP("zero")(network(module, 3, 4), images, target=1)
    tokens = images.flatten(2).transpose(1, 2)
    query, key, _ = module.qkv(tokens).chunk(3, -1)
    weights = (query @ key.transpose(1, 2) / 2).softmax(-1).mean(1)  # of each token in the mean
    slope = module.head.weight[1] @ module.qkv.weight[8:]
    expected = (tokens * slope * weights[..., None]).detach()
    assert relative_error(found.values.flatten(2).transpose(1, 2), expected) < 1e-4
    other = LRP("zero")(network(plain, 3, 4), images, target=1)
    assert relative_error(other.values, found.values) < 1e-4
    assert any("attention" in note for note in found.notes)


# How a network is written


class _Relu(nn.Module):
    """One network, its rectification written in one way or another."""

    def __init__(self, relu: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.fc, self.relu = nn.Linear(8, 5), relu

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.conv1(x))
        return self.fc(self.relu(x + self.conv2(x)).mean((2, 3)))


RELUS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "in place": nn.ReLU(inplace=True),
    "functional": F.relu,
    "torch.relu_": torch.relu_,
    "clamp": lambda x: x.clamp(min=0),
    "clamp_min": lambda x: torch.clamp_min(x, 0.0),
    "threshold": lambda x: F.threshold(x, 0.0, 0.0),
    "leaky, slope 0": lambda x: F.leaky_relu(x, 0.0),
}


@pytest.mark.parametrize("style", RELUS)
@pytest.mark.parametrize("composite", ["epsilon_plus_flat", "gamma"])
def test_a_relu_is_a_relu_however_it_is_written(style: str, composite: str) -> None:
    images = _images()
    expected = LRP(composite)(network(_drawn(_Relu(nn.ReLU()))), images, target=1).values
    found = LRP(composite)(network(_drawn(_Relu(RELUS[style]))), images, target=1).values
    assert relative_error(found, expected) < 1e-5


def test_a_reused_layer_is_two_layers() -> None:
    class Twice(nn.Module):
        def __init__(self, shared: bool) -> None:
            super().__init__()
            self.first, self.again = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
            self.again.load_state_dict(self.first.state_dict())
            self.second = self.first if shared else self.again

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.second(F.relu(self.first(x))).relu().mean((2, 3))

    torch.manual_seed(0)
    module = Twice(shared=False)
    shared = Twice(shared=True)
    shared.load_state_dict(module.state_dict())
    found = [LRP()(network(one), _images(), target=1).values for one in (module, shared)]
    assert relative_error(found[1], found[0]) < 1e-6


@pytest.mark.parametrize("composite", sorted(COMPOSITES))
def test_a_batch_norm_is_one_with_its_convolution_whether_it_was_folded_or_not(composite: str) -> None:
    parts = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 3, padding=1), nn.BatchNorm2d(6)]
    net = network(randomized(Pooled(*parts, nn.ReLU())), fold=True)
    plain, images = net.unfolded(), _images()
    for layer in (None, "2", "3"):
        found, other = (LRP(composite)(one, images, target=[4, 1], layer=layer) for one in (net, plain))
        assert torch.equal(found.values, other.values)
        assert found.notes == other.notes
    assert plain.folded() is plain.folded(), "made once"
    assert net.folded() is net


def test_a_dense_layer_is_one_however_it_is_written() -> None:
    torch.manual_seed(0)
    conv, linear = nn.Conv2d(8, 6, (4, 6)), nn.Linear(8 * 4 * 6, 6)
    stem = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
    linear.load_state_dict({"weight": conv.weight.detach().flatten(1), "bias": conv.bias.detach()})
    head = nn.Linear(6, 3)
    as_conv = nn.Sequential(stem, conv, nn.ReLU(), nn.Flatten(), head)
    as_linear = nn.Sequential(stem, nn.Flatten(), linear, nn.ReLU(), head)
    found = [LRP()(network(one, 6, 8), _images(2, 6, 8), target=1).values for one in (as_conv, as_linear)]
    assert relative_error(found[0], found[1]) < 1e-5


def test_a_linear_map_of_each_position_is_a_convolution() -> None:
    class ByPosition(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.mix = nn.Conv2d(3, 8, 3), nn.Linear(8, 6)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.mix(self.stem(x).relu().permute(0, 2, 3, 1)).relu().mean((1, 2))

    module = ByPosition().eval()
    conv = nn.Conv2d(8, 6, 1)
    conv.load_state_dict({"weight": module.mix.weight.detach()[..., None, None], "bias": module.mix.bias.detach()})
    twin = Pooled(module.stem, nn.ReLU(), conv, nn.ReLU())
    found = [LRP()(network(one), _images(), target=1).values for one in (module, twin)]
    assert relative_error(found[0], found[1]) < 1e-5


@pytest.mark.parametrize("composite", ["epsilon_plus_flat", "epsilon_gamma_box", "zero"])
def test_normalising_inside_the_network_changes_nothing(composite: str) -> None:
    """With pixels 0 to 1 and a norm in the network, or normalised images: relevance is the same."""
    mean, std = torch.tensor([0.5, 0.4, 0.3]).reshape(3, 1, 1), torch.tensor([0.2, 0.3, 0.4]).reshape(3, 1, 1)
    body = _drawn(Pooled(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 5, 3), nn.ReLU()))

    class Inside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = body

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.body((x - mean) / std)

    pixels = torch.rand(2, 3, 20, 28, generator=torch.Generator().manual_seed(2))
    outside = {"crop": (20, 28), "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)}
    plain = LRP(composite)(cs.load(body, size=(20, 28), preprocess=outside), (pixels - mean) / std, target=1)
    inside = LRP(composite)(
        cs.load(Inside().eval(), size=(20, 28), preprocess={"crop": (20, 28), "mean": (0.0,) * 3, "std": (1.0,) * 3}),
        pixels,
        target=1,
    )
    assert relative_error(inside.values, plain.values) < 1e-4


def test_padding_by_hand_is_padding_for_the_flat_rule() -> None:
    torch.manual_seed(0)
    own, bare = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(3, 8, 3)
    bare.load_state_dict(own.state_dict())
    padded = Pooled(nn.ZeroPad2d(1), bare, nn.ReLU())
    found = [LRP()(network(one), _images(), target=1).values for one in (padded, Pooled(own, nn.ReLU()))]
    assert relative_error(found[0], found[1]) < 1e-5


def test_a_swish_written_out_is_an_activation() -> None:
    def written(x: torch.Tensor) -> torch.Tensor:
        return x * x.sigmoid()

    def hard(x: torch.Tensor) -> torch.Tensor:
        return x * F.relu6(x + 3) / 6

    for own, by_hand in ((F.silu, written), (F.hardswish, hard)):
        found = [LRP()(network(_drawn(_Relu(one))), _images(), target=1).values for one in (own, by_hand)]
        assert relative_error(found[1], found[0]) < 1e-4


# Biases, targets, places


@pytest.fixture(scope="module")
def resnet18() -> Network:
    torch.manual_seed(0)
    module = import_torchvision("torchvision.models").get_model("resnet18", weights=None)
    return cs.load(randomized(module, (48, 64)), size=(48, 64))


def test_what_biases_keep_is_what_their_part_is_due() -> None:
    """One unit, z = a w + b, then a sum: b / z of the relevance stays with the bias, and the account says so."""
    conv = nn.Conv2d(1, 1, 1)
    with torch.no_grad():
        conv.weight.fill_(2.0)
        conv.bias.fill_(3.0)
    images = torch.tensor([[[[1.0, 4.0]]], [[[2.0, 0.5]]]])
    for composite in ("zero", "epsilon", "z_plus", "gamma"):
        found = LRP(composite)(network(Pooled(conv), 1, 2, channels=1), images, target="0:0@0,0")
        torch.testing.assert_close(found.score, torch.tensor([5.0, 7.0]))
        kept = {"gamma": 3 / 1.0}.get(composite, 3.0)
        torch.testing.assert_close(found.promised, (found.score - kept).double(), rtol=1e-5, atol=0)
        assert float(found.error.max()) < 1e-5
    assert any("Biases" in note and "42.9% to 60.0%" in note for note in found.notes)


@pytest.mark.parametrize(
    "composite", ["zero", "epsilon", "gamma", "epsilon_plus", "epsilon_plus_flat", "epsilon_gamma_box"]
)
def test_values_and_what_biases_keep_add_up_to_the_score(composite: str, resnet18: Network) -> None:
    found = LRP(composite)(resnet18, _images(2, 48, 64), target=5)
    assert float(found.error.max()) < 1e-4
    assert float((found.promised - found.score).abs().min()) > 1e-2, "its biases keep something"


def test_relevance_that_no_contribution_can_take_on_is_told() -> None:
    """A unit below zero with positive inputs has nothing that z+ could pass its relevance to."""
    conv = nn.Conv2d(1, 1, 1, bias=False)
    nn.init.constant_(conv.weight, -2.0)
    net = network(Pooled(conv), 1, 2, channels=1)
    found = LRP("z_plus")(net, torch.ones(1, 1, 1, 2), target="0:0@0,0")
    assert float(found.values.abs().max()) == 0
    assert float(found.error) == pytest.approx(1)
    assert any("100.0%" in note for note in found.notes)


def test_a_contrast_is_the_difference_of_its_classes() -> None:
    net, images = network(_drawn(_Relu(nn.ReLU()))), _images()
    for composite in ("epsilon_plus_flat", "epsilon"):
        first, second, both = (LRP(composite)(net, images, target=target) for target in (1, 2, (1, 2)))
        assert relative_error(both.values, first.values - second.values) < 1e-4
        torch.testing.assert_close(both.score, first.score - second.score)


def test_targets_may_be_units_and_neurons_and_places_any_layer() -> None:
    net, images = network(_drawn(_Relu(nn.ReLU()), bias=False)), _images()
    for target in ("conv2:3", "conv2:3@4,7", "add:2", 3, "relu:1@0,0"):
        found = LRP("zero")(net, images, target=target)
        assert found.values.shape == images.shape
        torch.testing.assert_close(found.promised, found.score.double(), rtol=1e-4, atol=1e-6)
        assert float(found.error.max()) < 1e-4, target
    whole = LRP("epsilon_plus")(net, images, target=3)
    for layer in ("relu", "add", "relu#2", "fc"):  # everything passes these
        at = LRP("epsilon_plus")(net, images, target=3, layer=layer)
        assert relative_error(_total(at.values), _total(whole.values)) < 1e-3, layer
    part = LRP("epsilon_plus")(net, images, target=3, layer="conv2")  # past this one flows the residual branch
    maps = net.run(images, ["add", "conv2"])
    at_sum = LRP("epsilon_plus")(net, images, target=3, layer="add").values
    assert relative_error(part.values, at_sum * maps["conv2"] / maps["add"]) < 1e-3
    assert float(part.error.max()) < 1e-4


@pytest.mark.parametrize("composite", COMPOSITES)
def test_a_batch_gives_what_its_images_give(composite: str) -> None:
    module = randomized(Pooled(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 5, 3)))
    net, images = network(module, fold=True), _images(3)
    together = LRP(composite)(net, images, target=[0, 2, 4])
    for i, target in enumerate((0, 2, 4)):
        alone = LRP(composite)(net, images[i : i + 1], target=target)
        assert relative_error(together.values[i], alone.values[0]) < 1e-4
        torch.testing.assert_close(together.promised[i], alone.promised[0], rtol=1e-4, atol=1e-5)


def test_every_setting_matters_and_wrong_ones_are_refused() -> None:
    net, images = network(_drawn(_Relu(nn.ReLU()))), _images()

    def values(**settings: object) -> torch.Tensor:
        return LRP(**settings)(net, images, target=1).values  # type: ignore[arg-type]

    several = [values(composite=name) for name in COMPOSITES if name != "zero"]
    for i, one in enumerate(several):
        assert all(relative_error(one, other) > 1e-3 for other in several[:i])
    for settings in ({"epsilon": 0.3}, {"stabilizer": 0.3}):
        assert relative_error(values(**settings), values()) > 1e-3
    assert relative_error(values(composite="gamma", gamma=1.0), values(composite="gamma")) > 1e-3
    assert relative_error(values(composite="alpha_beta", alpha=1.0), values(composite="alpha_beta")) > 1e-3
    assert relative_error(values(composite="alpha_beta", alpha=1.0), values(composite="z_plus")) < 1e-5
    with pytest.raises(UnknownNameError, match="epsilon_plus_flat"):
        LRP("epsilon_plus_flt")
    for wrong in ({"epsilon": -1.0}, {"gamma": -0.1}, {"alpha": 0.5}):
        with pytest.raises(UsageError):
            LRP(**wrong)


def test_it_is_registered_and_its_table_is_in_words() -> None:
    assert lookup("method", "lrp") is LRP
    for name in COMPOSITES:
        treatments = LRP(name).treatments
        assert {"conv2d", "linear", "relu", "add", "mul", "layer_norm", "max_pool2d", "cat"} <= set(treatments)
        assert all(treatment.words for treatment in treatments.values())


def test_what_has_no_rule_is_refused_by_name() -> None:
    class Odd(nn.Module):
        def __init__(self, body: Callable[[torch.Tensor], torch.Tensor]) -> None:
            super().__init__()
            self.conv, self.fc, self.body = nn.Conv2d(3, 4, 3), nn.Linear(4, 2), body

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(self.body(self.conv(x)).mean((2, 3)))

    for body, words in (
        (lambda x: x.exp(), "exp in 'exp'"),
        (lambda x: torch.sort(x, -1).values, "sort"),
        (lambda x: 1 / (1 + x.abs()), "in 'reciprocal'|in 'div'"),
    ):
        net = network(Odd(body))
        with pytest.raises(MissingRuleError, match=words):
            LRP()(net, _images())
        assert LRP.refuses(net.graph)
    gated = network(Odd(lambda x: x * x.exp().mean((2, 3), keepdim=True).sigmoid()))
    LRP()(gated, _images())  # what only a gate depends on needs no rule
    assert not LRP.refuses(gated.graph)


# Peers


def _zennit(
    module: nn.Module, composite: object, images: torch.Tensor, target: int, start: object = None
) -> torch.Tensor:
    """zennit's relevance; the norms it has merged are kept from dividing by sqrt(1 + eps) once more, as it leaves them to."""
    with composite.context(copy.deepcopy(module)) as hooked:  # type: ignore[attr-defined]
        for part in hooked.modules():
            if isinstance(part, nn.BatchNorm2d) and composite.canonizers:  # type: ignore[attr-defined]
                part.eps = 0.0
        leaf = images.clone().requires_grad_()
        logits = hooked(leaf)
        chosen = torch.zeros_like(logits)
        chosen[:, target] = 1
        came = chosen * (logits.detach() if start is None else start)
        return torch.autograd.grad(logits, leaf, came)[0]


class _Block(nn.Module):
    """A block of a small residual network; the sum is a module, for zennit to see it."""

    def __init__(self, n_before: int, n: int, stride: int) -> None:
        super().__init__()
        from zennit.layer import Sum

        self.conv1, self.bn1 = nn.Conv2d(n_before, n, 3, stride, 1, bias=False), nn.BatchNorm2d(n)
        self.conv2, self.bn2 = nn.Conv2d(n, n, 3, 1, 1, bias=False), nn.BatchNorm2d(n)
        self.relu1, self.relu2, self.sum = nn.ReLU(), nn.ReLU(), Sum()
        self.stride, self.more = stride, n - n_before

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        after = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        if self.more:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.more // 2, self.more // 2))
        return self.relu2(self.sum(torch.stack([x, after], dim=-1)))


def _resnet_20() -> nn.Module:
    widths = [(16, 16, 1)] * 3 + [(16, 32, 2)] + [(32, 32, 1)] * 2 + [(32, 64, 2)] + [(64, 64, 1)] * 2
    stem = (nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
    return nn.Sequential(
        *stem, *(_Block(*width) for width in widths), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)
    )


def _vgg_small() -> nn.Module:
    def block(n_before: int, n: int) -> tuple[nn.Module, ...]:
        return nn.Conv2d(n_before, n, 3, padding=1), nn.BatchNorm2d(n), nn.ReLU(inplace=True), nn.MaxPool2d(2)

    body = (*block(3, 16), *block(16, 24), *block(24, 32), nn.AdaptiveAvgPool2d((3, 4)), nn.Flatten())
    return nn.Sequential(*body, nn.Linear(32 * 12, 64), nn.ReLU(), nn.Dropout(), nn.Linear(64, 10))


PEERS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "vgg": (_vgg_small, "SequentialMergeBatchNorm"),
    "resnet18": (
        lambda: import_torchvision("torchvision.models").get_model("resnet18", weights=None),
        "ResNetCanonizer",
    ),
    "resnet20": (_resnet_20, "SequentialMergeBatchNorm"),
    "squeezenet1_1": (lambda: import_torchvision("torchvision.models").get_model("squeezenet1_1", weights=None), ""),
}


@pytest.mark.parametrize("name", PEERS)
def test_composites_equal_those_of_zennit(name: str) -> None:
    import_torchvision("torchvision.models")
    from zennit import canonizers, composites
    from zennit import torchvision as for_torchvision

    build, canonizer = PEERS[name]
    torch.manual_seed(0)
    module, images = randomized(build(), (48, 64)), _images(2, 48, 64)
    net = cs.load(module, size=(48, 64))
    kinds = {**vars(canonizers), **vars(for_torchvision)}
    made = {"canonizers": [kinds[canonizer]()] if canonizer else []}
    low, high = (net.preprocess.normalize(torch.full_like(images, level)) for level in (0.0, 1.0))
    for ours, theirs in (
        (LRP("epsilon_plus"), composites.EpsilonPlus(**made)),
        (LRP("epsilon_plus_flat"), composites.EpsilonPlusFlat(**made)),
        (LRP("epsilon_plus_flat", epsilon=0.05), composites.EpsilonPlusFlat(epsilon=0.05, **made)),
        (LRP("epsilon_alpha_beta"), composites.EpsilonAlpha2Beta1(**made)),
        (LRP("epsilon_alpha_beta_flat"), composites.EpsilonAlpha2Beta1Flat(**made)),
        (LRP("epsilon_gamma_box"), composites.EpsilonGammaBox(low=low, high=high, **made)),
    ):
        expected = _zennit(module, theirs, images, 3)
        assert relative_error(ours(net, images, target=3).values, expected) < 1e-4, ours.composite


def _without_biases(module: nn.Module) -> nn.Module:
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.zero_()
    return module


def test_without_biases_a_resnet_hands_on_all_relevance_where_peers_do_not() -> None:
    """The sums of a residual network: zennit without a canonizer doubles relevance at each of eight, captum does worse."""
    models = import_torchvision("torchvision.models")
    from captum import attr
    from zennit.composites import EpsilonPlus

    module = _without_biases(randomized(models.get_model("resnet18", weights=None), (48, 64)))
    images = _images(1, 48, 64)
    for composite in ("zero", "epsilon", "epsilon_plus", "epsilon_plus_flat"):
        found = LRP(composite)(cs.load(module, size=(48, 64)), images, target=3)
        assert float(_total(found.values) / found.score) == pytest.approx(1, abs=1e-4)
        torch.testing.assert_close(found.promised, found.score.double(), rtol=1e-5, atol=0)
    assert float(_zennit(module, EpsilonPlus(), images, 3, start=1.0).sum()) == pytest.approx(256, rel=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        captum = attr.LRP(copy.deepcopy(module)).attribute(images, target=3)
    assert abs(float(captum.detach().sum())) > 1e6


def test_without_biases_a_densenet_hands_on_all_relevance_where_zennit_does_not() -> None:
    models = import_torchvision("torchvision.models")
    from zennit.composites import EpsilonPlus

    torch.manual_seed(0)
    module = models.densenet.DenseNet(growth_rate=8, block_config=(3, 4, 3), num_init_features=16, num_classes=10)
    module = _without_biases(randomized(module, (48, 64)))
    images = _images(1, 48, 64)
    for composite in ("zero", "epsilon_plus"):
        found = LRP(composite)(cs.load(module, size=(48, 64)), images, target=3)
        assert float(_total(found.values) / found.score) == pytest.approx(1, abs=1e-4)
    assert abs(float(_zennit(module, EpsilonPlus(), images, 3, start=1.0).sum()) - 1) > 0.05


# Planted truth


def _mass(found: torch.Tensor, mask: torch.Tensor) -> float:
    """Positive relevance inside a mask, over the mask's share of the image (chance), mean over images."""
    positive = found.clamp(min=0)
    inside = (positive * mask).flatten(1).sum(1) / positive.flatten(1).sum(1)
    return float((inside / mask.double().flatten(1).mean(1)).mean())


def test_it_finds_the_coloured_patch_that_the_class_depends_on() -> None:
    net = planted_network()
    images = planted_images(40)
    blue = [i for i, label in enumerate(images.labels) if images.label_names[label] == "blue"]
    inputs = net.preprocess([images[i] for i in blue])
    coloured = (inputs.amax(1) - inputs.amin(1)) > 0.2
    for composite in ("epsilon_plus", "epsilon_plus_flat", "epsilon_alpha_beta"):
        found = LRP(composite)(net, inputs, target="relu1:6")
        assert _mass(found.scores, coloured) > 2


def test_it_finds_the_one_patch_a_network_reads() -> None:
    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = nn.Conv2d(3, 6, 3, padding=1), nn.Linear(6 * 4 * 6, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(self.conv(x).relu()[:, :, 5:9, 11:17].flatten(1))

    net, images = network(_drawn(Reads())), _images()
    mask = torch.zeros(2, 20, 28)
    mask[:, 4:10, 10:18] = 1
    for composite in COMPOSITES:
        found = LRP(composite)(net, images, target=1)
        assert float((found.values * (1 - mask[:, None])).abs().max()) == 0, composite
        assert float(found.values.abs().max()) > 0


def test_it_finds_the_two_units_a_class_is_read_from() -> None:
    module = _drawn(Pooled(nn.Conv2d(3, 12, 3), nn.ReLU()))
    head = nn.Linear(12, 2, bias=False)
    nn.init.zeros_(head.weight)
    with torch.no_grad():
        head.weight[1, [2, 9]] = torch.tensor([1.0, 2.0])
    net, images = network(nn.Sequential(module, head)), _images()
    found = LRP()(net, images, target=1, layer="0.1").values.flatten(2).sum(2)
    expected = torch.zeros_like(found)
    means = net.run(images, ["0.1"])["0.1"].flatten(2).mean(2)
    expected[:, 2], expected[:, 9] = means[:, 2], 2 * means[:, 9]
    assert relative_error(found, expected) < 1e-4


def test_in_the_built_in_world_it_finds_the_thing_that_is_named() -> None:
    net = cs.load("builtin:world")
    scenes = World().scenes(40, seed=5)
    inputs = net.preprocess(scenes.images)
    masks = torch.from_numpy(scenes.maps["object"] > 0)
    for composite in ("epsilon_plus", "epsilon_plus_flat", "epsilon_alpha_beta", "gamma"):
        assert _mass(LRP(composite)(net, inputs).scores, masks) > 2, composite


@pytest.mark.parametrize("composite", ["epsilon_plus_flat", "epsilon_gamma_box", "epsilon_alpha_beta"])
def test_lower_precisions_are_computed_as_they_are(composite: str) -> None:
    net, inputs = cs.load("builtin:world"), torch.rand(2, 3, 64, 64)
    full = LRP(composite)(net, inputs).values
    low = LRP(composite)(net.to(dtype=torch.bfloat16), inputs, target=net(inputs).argmax(1)).values
    assert torch.corrcoef(torch.stack([full.flatten(), low.flatten()]))[0, 1] > 0.9
