"""Does every neuron see exactly the pixels the receptive-field walk says?

The other derivation: with all weights positive and no biases nothing cancels, every rectifier is open and nothing comes from
nothing. Light one row (or column) of a black image: a neuron sees that row exactly if its value is not zero. Where units are
weighed by what the whole image shows (squeeze, attention), the pixels with a gradient tell. Maxima become means.
"""

from collections.abc import Callable, Iterator

import pytest
import torch
from small_networks import Pooled, network
from torch import nn
from torch.nn import functional as F

from convscope.network import Network, load
from convscope.network.torchvision_ops import import_torchvision


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """All is small here, threads would wait for one another longer than they compute; whether a value is zero stays the same."""
    n = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n)


def positive(module: nn.Module) -> nn.Module:
    """All weights positive, each sum about a mean, and no biases."""
    generator = torch.Generator().manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.running_mean.zero_()
            part.running_var.fill_(1)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
            else:
                fan_in = max(parameter[0].numel(), 1) if parameter.dim() > 1 else 1
                parameter.copy_((0.5 + torch.rand(parameter.shape, generator=generator)) / fan_in)
    return module.eval()


def narrowed(module: nn.Module, by: int) -> nn.Module:
    """The same network with a part of its units: fields do not depend on how many there are."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            if part.groups > 1:
                part.groups //= by
            part.in_channels = part.in_channels // by if part.in_channels > 3 else part.in_channels
            part.out_channels //= by
            shape = part.out_channels, part.in_channels // part.groups, *part.kernel_size
            part.weight = nn.Parameter(torch.empty(shape))
            part.bias = nn.Parameter(torch.empty(part.out_channels)) if part.bias is not None else None
        elif isinstance(part, nn.BatchNorm2d):
            part.__init__(part.num_features // by)  # type: ignore[misc]
        elif isinstance(part, nn.Linear):
            part.weight = nn.Parameter(torch.empty(part.out_features, part.in_features // by))
    return module


Places = list[tuple[int, int, tuple[slice, slice]]]


def seen(net: Network, layers: list[str]) -> dict[str, Places]:
    """For the corners and the middle of each layer's map: the box round the pixels with a gradient."""
    generator = torch.Generator().manual_seed(1)
    images = 0.5 + torch.rand(1, *net.input_shape, dtype=torch.float64, generator=generator)
    images = images.repeat(5, 1, 1, 1).requires_grad_()  # a copy for each place, so that one backward pass serves all
    maps = net.to(dtype=torch.float64)._compute(images, layers)
    found = {}
    for name in layers:
        shown = net.graph[name].layout[0].to_map(maps[name])
        height, width = shown.shape[2:]
        places = [(0, 0), (height - 1, width - 1), (height // 2, width // 2), (0, width - 1), (height - 1, width // 3)]
        value = sum(shown[i, :, y, x].sum() for i, (y, x) in enumerate(places))
        (gradient,) = torch.autograd.grad(value, images, retain_graph=True)
        touched = gradient.abs().sum(1) > 0
        found[name] = [
            (y, x, (_extent(touched[i].any(1)), _extent(touched[i].any(0)))) for i, (y, x) in enumerate(places)
        ]
    return found


def _extent(touched: torch.Tensor) -> slice:
    where = touched.nonzero().flatten()
    return slice(int(where[0]), int(where[-1]) + 1) if len(where) else slice(0, 0)


def without_maxima(net: Network) -> Network:
    return net.swap("max_pool2d", "average") if any(layer.op == "max_pool2d" for layer in net.layers) else net


def reached(net: Network, layers: list[str], *, rows: bool) -> dict[str, torch.Tensor]:
    """For each layer, whether light in a row (or column) of the image reaches a position of its map: `row y x`."""
    channels, height, width = net.input_shape
    n = height if rows else width
    found: dict[str, list[torch.Tensor]] = {name: [] for name in layers}
    with torch.no_grad():
        for lit in torch.arange(n).split(32):
            images = torch.zeros(len(lit), channels, height, width, dtype=torch.float64)
            for image, place in zip(images, lit, strict=True):
                image[(slice(None), place) if rows else (slice(None), slice(None), place)] = 1
            for name, value in net._compute(images, layers).items():
                found[name].append((net.graph[name].layout[0].to_map(value) != 0).any(1))
    return {name: torch.cat(parts) for name, parts in found.items()}


def assert_fields_are_what_light_reaches(net: Network) -> None:
    """At every position of every layer."""
    layers = [layer.name for layer in net.layers if layer.map_shape]
    assert layers
    assert net.layers.without_field == ()
    linear = without_maxima(net).to(dtype=torch.float64)
    for rows in (True, False):
        for name, lit in reached(linear, layers, rows=rows).items():
            field = net.layers[name].receptive_field
            assert field is not None
            if rows:
                spans = [field.region(y, 0)[0] for y in range(lit.shape[1])]
            else:
                spans, lit = [field.region(0, x)[1] for x in range(lit.shape[2])], lit.mT
            assert torch.equal(_extents(lit), _bounds(spans, lit.shape[2])), f"{name}, {'rows' if rows else 'columns'}"


def _extents(lit: torch.Tensor) -> torch.Tensor:
    """The first place that reaches each position and the one after the last, both 0 if none does: `position other 2`."""
    first, after = lit.int().argmax(0), len(lit) - lit.flip(0).int().argmax(0)
    return torch.stack([first, after], -1) * lit.any(0)[..., None]


def _bounds(spans: list[slice], n: int) -> torch.Tensor:
    return torch.tensor([(span.start, span.stop) for span in spans])[:, None].expand(-1, n, 2)


def _torchvision(name: str, **options: object) -> nn.Module:
    return import_torchvision("torchvision.models").get_model(name, weights=None, **options)


def _timm(name: str, **options: object) -> nn.Module:
    return import_torchvision("timm").create_model(name, **options)


class _Block(nn.Module):
    """A residual block of a CIFAR network, its shortcut without parameters (He 2016, option A)."""

    def __init__(self, n_before: int, n_units: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_before, n_units, 3, stride=stride, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(n_units), nn.BatchNorm2d(n_units)
        self.conv2 = nn.Conv2d(n_units, n_units, 3, padding=1, bias=False)
        self.stride, self.more = stride, n_units - n_before

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.stride > 1:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.more // 2, self.more // 2))
        out += x
        return F.relu(out)


def cifar_resnet() -> nn.Module:
    return Pooled(
        nn.Conv2d(3, 8, 3, padding=1), _Block(8, 8, 1), _Block(8, 16, 2), _Block(16, 16, 1), _Block(16, 32, 2)
    )


class _Padded(nn.Module):
    """Borders that differ on every side, and one of each kind of padding."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, (3, 5), stride=2), nn.Conv2d(4, 4, 3, stride=(1, 2), padding="valid")
        self.reflect = nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect")
        self.replicate = nn.Conv2d(4, 4, 3, padding=1, padding_mode="replicate")
        self.circular = nn.Conv2d(4, 4, 3, padding=(0, 1), padding_mode="circular")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv1(F.pad(x, (0, 3, 2, 1)))
        x = self.conv2(F.pad(x, (1, 0, -1, 2)))
        return (self.reflect(x) + self.replicate(x)).mean((2, 3))


def dilated() -> nn.Module:
    return Pooled(
        nn.Conv2d(3, 4, 3, padding=2, dilation=2),
        nn.ReLU(),
        nn.Conv2d(4, 4, (3, 2), padding=(3, 1), dilation=(3, 2), stride=(2, 1)),
        nn.AvgPool2d(2, ceil_mode=True),
        nn.Conv2d(4, 4, 3, padding="same", dilation=4),
    )


def ceilings() -> nn.Module:
    return Pooled(
        nn.MaxPool2d(3, stride=2, ceil_mode=True),
        nn.Conv2d(3, 4, 2),
        nn.AvgPool2d((2, 3), stride=(2, 2), padding=(1, 1), ceil_mode=True, count_include_pad=False),
        nn.MaxPool2d(2, ceil_mode=True),
    )


def resampled() -> nn.Module:
    return Pooled(
        nn.Conv2d(3, 4, 3, stride=2, padding=1),
        nn.Upsample(scale_factor=2, mode="nearest"),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.AdaptiveAvgPool2d((5, 7)),
        nn.ConvTranspose2d(4, 4, 3, stride=2, padding=1, output_padding=1),
        nn.Upsample(size=(13, 17), mode="bilinear", align_corners=False),
        nn.PixelUnshuffle(1),
        nn.Conv2d(4, 4, 3, stride=2, groups=2),
        nn.PixelShuffle(2),
    )


class _Branches(nn.Module):
    """Branches of unequal reach, joined along units and along rows; a shift; a mirrored branch."""

    def __init__(self) -> None:
        super().__init__()
        self.small, self.wide = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, (1, 7), padding=(0, 3))
        self.high = nn.Conv2d(3, 4, (5, 1), padding=(2, 0))
        self.join, self.last = nn.Conv2d(12, 4, 1), nn.Conv2d(4, 4, 3, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.join(torch.cat([self.small(x), self.wide(x), self.high(x)], 1)) * 2
        x = x + torch.roll(x, (1, -2), (2, 3)) * 1.5
        top, bottom = x[:, :, :6], x[:, :, 6:]
        x = torch.cat([bottom, top], 2).flip(3) * 0.5
        return self.last(x).mean((2, 3))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int]]] = {
    "resnet18": (lambda: narrowed(_torchvision("resnet18"), 16), (101, 131)),
    "densenet121": (lambda: narrowed(_torchvision("densenet121"), 8), (69, 101)),
    "googlenet": (lambda: narrowed(_torchvision("googlenet", aux_logits=False, init_weights=False), 8), (73, 97)),
    "inception_v3": (lambda: narrowed(_torchvision("inception_v3", init_weights=False), 16), (107, 133)),
    "hrnet": (lambda: narrowed(_timm("hrnet_w18_small"), 2), (64, 96)),
    "shufflenet": (lambda: narrowed(_torchvision("shufflenet_v2_x0_5"), 4), (67, 99)),
    "same padding": (lambda: narrowed(_timm("mobilenetv1_100", pad_type="same"), 16), (65, 99)),
    "cifar resnet": (cifar_resnet, (33, 27)),
    "padded": (_Padded, (21, 33)),
    "dilated": (dilated, (41, 53)),
    "ceilings": (ceilings, (24, 32)),
    "resampled": (resampled, (19, 26)),
    "branches": (_Branches, (15, 22)),
}


DEEP = ("densenet121", "googlenet", "inception_v3", "hrnet")


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] if n in DEEP else []) for n in NETWORKS])
def test_fields_of_every_layer_are_what_light_reaches(name: str) -> None:
    build, size = NETWORKS[name]
    assert_fields_are_what_light_reaches(network(positive(build()), *size))


@pytest.mark.parametrize(
    ("name", "size"), [("seresnet18", (65, 97)), ("efficientnet_b0", (64, 97)), ("mobilenet_v3", (67, 99))]
)
def test_a_squeeze_makes_everything_above_it_global(name: str, size: tuple[int, int]) -> None:
    module = _torchvision("mobilenet_v3_small") if name == "mobilenet_v3" else _timm(name)
    net = network(positive(module), *size)
    squeeze = next(i for i, layer in enumerate(net.layers) if layer.op in ("mean", "adaptive_avg_pool2d"))
    layers = [layer.name for layer in net.layers[: squeeze + 16] if layer.map_shape]
    whole = slice(0, size[0]), slice(0, size[1])
    kinds = set()
    for layer, places in seen(without_maxima(net), layers).items():
        is_global = net.layers[layer].receptive_field.is_global
        assert is_global == all(box == whole for _, _, box in places), layer
        kinds.add(is_global)
    assert kinds == {True, False}
    last = [layer for layer in net.layers if layer.map_shape][-1]
    assert last.receptive_field.is_global


class _Attention(nn.Module):
    """A convolution, attention over its tokens written by hand or fused, and a convolution over the result."""

    def __init__(self, fused: bool, reduced: int) -> None:
        super().__init__()
        self.conv, self.after = nn.Conv2d(3, 8, 3, stride=4), nn.Conv2d(8, 4, 1)
        self.reduce = nn.Conv2d(8, 8, reduced, stride=reduced)
        self.query, self.key, self.value = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.fused = fused

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        tokens, few = (maps.flatten(2).transpose(1, 2) for maps in (x, self.reduce(x)))
        query, key, value = (_heads(each) for each in (self.query(tokens), self.key(few), self.value(few)))
        if self.fused:
            mixed = F.scaled_dot_product_attention(query, key, value)
        else:
            mixed = (query @ key.transpose(-1, -2)).softmax(-1) @ value
        maps = mixed.transpose(1, 2).flatten(2).transpose(1, 2).reshape(x.shape)
        return self.after(maps).mean((2, 3))


def _heads(tokens: torch.Tensor) -> torch.Tensor:
    return tokens.unflatten(2, (2, 4)).transpose(1, 2)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("reduced", [1, 2])
def test_attention_makes_everything_above_it_global(fused: bool, reduced: int) -> None:
    net = network(positive(_Attention(fused, reduced)), 19, 27)
    assert not net.layers["conv"].receptive_field.is_global
    assert not net.layers["query"].receptive_field.is_global
    assert net.layers.without_field == ()
    assert net.layers["after"].receptive_field.is_global
    for layer, places in seen(net, ["conv", "query", "after"]).items():
        for y, x, box in places:
            assert net.layers[layer].receptive_field.region(y, x) == box, layer


@pytest.mark.slow
def test_coatnet_is_global_once_it_attends() -> None:
    net = load(positive(_timm("coatnet_nano_rw_224")), size=(224, 224))
    mixing = next(i for i, layer in enumerate(net.layers) if layer.op in ("mean", "adaptive_avg_pool2d"))
    attention = next(i for i, layer in enumerate(net.layers) if layer.kind == "attention")
    assert mixing < attention, "the first blocks weigh their units by what the whole image shows"
    assert not any(layer.receptive_field.is_global for layer in net.layers[:mixing])
    assert all(
        layer.receptive_field.is_global for layer in net.layers[attention:] if layer.kind in ("conv", "linear", "norm")
    )
    assert net.layers.without_field == ()


# size, stride and offset (centre of the first neuron's field), each (y, x), worked out by hand
BY_HAND: dict[str, tuple[list[nn.Module], tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "3x3": ([nn.Conv2d(3, 2, 3)], (3, 3), (1, 1), (1.5, 1.5)),
    "3x3 padded": ([nn.Conv2d(3, 2, 3, padding=1)], (3, 3), (1, 1), (0.5, 0.5)),
    "3x3 stride 2 padded": ([nn.Conv2d(3, 2, 3, stride=2, padding=1)], (3, 3), (2, 2), (0.5, 0.5)),
    # a field of 7 that starts at -3, then one of 3 with stride 2 that starts one step (2 px) before
    "stem": (
        [nn.Conv2d(3, 2, 7, stride=2, padding=3), nn.MaxPool2d(3, stride=2, padding=1)],
        (11, 11),
        (4, 4),
        (0.5, 0.5),
    ),
    "patches": ([nn.Conv2d(3, 2, 4, stride=4)], (4, 4), (4, 4), (2, 2)),
    "two patches": ([nn.Conv2d(3, 2, 4, stride=4), nn.Conv2d(2, 2, 2, stride=2)], (8, 8), (8, 8), (4, 4)),
    "dilated": ([nn.Conv2d(3, 2, 3, dilation=(2, 3), padding=(2, 0))], (5, 7), (1, 1), (0.5, 3.5)),
    "unequal": (
        [nn.Conv2d(3, 2, (3, 5), stride=(2, 1), padding=(0, 2)), nn.AvgPool2d((2, 3), stride=(1, 3))],
        (5, 7),
        (2, 3),
        (2.5, 1.5),
    ),
    "even kernel": ([nn.Conv2d(3, 2, 2, padding=1)], (2, 2), (1, 1), (0, 0)),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_size_stride_and_offset_are_those_worked_out_by_hand(name: str) -> None:
    parts, size, stride, offset = BY_HAND[name]
    net = network(Pooled(*parts), 33, 45)
    field = net.layers[str(len(parts) - 1)].receptive_field
    assert (field.size_px, field.stride_px, field.offset_px) == (size, stride, offset)


def test_size_stride_and_offset_agree_with_the_regions_away_from_the_borders() -> None:
    net = network(cifar_resnet(), 65, 77)
    for layer in net.layers:
        if layer.map_shape:
            field, (height, width) = layer.receptive_field, layer.map_shape
            rows, columns = field.region(height // 2, width // 2)
            assert (rows.stop - rows.start, columns.stop - columns.start) == field.size_px
            assert (rows.start + rows.stop) / 2 == field.offset_px[0] + height // 2 * field.stride_px[0]
            assert (columns.start + columns.stop) / 2 == field.offset_px[1] + width // 2 * field.stride_px[1]
