"""Is a neuron projected back as Zeiler and Fergus say, into what it sees; and does the check tell what drives it?"""

import numpy as np
import pytest
import torch
from small_networks import Pooled, network, randomized, relative_error
from torch import nn
from torch.nn import functional as F

import convscope as cs
from convscope.errors import NetworkError, UsageError
from convscope.instruments.appearance.covering import cover, occlusion_energy, top_pixels
from convscope.instruments.appearance.deconvnet_picture import project
from convscope.instruments.appearance.seen import Seen
from convscope.network.address import Address

SIZE = (27, 34)
IMAGES = torch.randn(3, 3, *SIZE, generator=torch.Generator().manual_seed(5))


class Fire(nn.Module):
    """Overlapping pools in ceil mode, two branches joined, strides, padding: what SqueezeNet is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.squeeze = nn.Conv2d(3, 6, 3, stride=2), nn.Conv2d(6, 4, 1)
        self.one, self.three = nn.Conv2d(4, 5, 1), nn.Conv2d(4, 5, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(self.conv(x).relu(), 3, 2, ceil_mode=True)
        x = self.squeeze(x).relu()
        x = torch.cat([self.one(x).relu(), self.three(x).relu()], 1)
        return F.max_pool2d(x, 3, 2, ceil_mode=True).mean((2, 3))


def explicit(module: Fire, x: torch.Tensor, unit: int, at: tuple[int, int], guided: bool) -> torch.Tensor:
    """Unpool by the switches, rectify, filter with the transposed filters: written out, operation by operation."""

    def rectify(signal: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
        return F.relu(signal) * (before > 0) if guided else F.relu(signal)

    def unpool(signal: torch.Tensor, switches: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        up = torch.zeros(shape).flatten(2)
        return up.scatter_add(2, switches.flatten(2), signal.flatten(2)).reshape(shape)  # windows overlap: sums

    def transposed(signal: torch.Tensor, conv: nn.Conv2d, like: torch.Tensor) -> torch.Tensor:
        down = F.conv_transpose2d(signal, conv.weight, stride=conv.stride, padding=conv.padding)
        missing = [a - b for a, b in zip(like.shape[2:], down.shape[2:], strict=True)]
        return F.pad(down, (0, missing[1], 0, missing[0]))

    with torch.no_grad():
        a = module.conv(x)
        p, switches1 = F.max_pool2d(a.relu(), 3, 2, ceil_mode=True, return_indices=True)
        s = module.squeeze(p)
        one, three = module.one(s.relu()), module.three(s.relu())
        joined = torch.cat([one, three], 1).relu()
        top, switches2 = F.max_pool2d(joined, 3, 2, ceil_mode=True, return_indices=True)
        signal = torch.zeros_like(top)
        signal[:, unit, at[0], at[1]] = top[:, unit, at[0], at[1]]
        signal = unpool(signal, switches2, joined.shape)
        from_one = transposed(rectify(signal[:, :5], one), module.one, s)
        from_three = transposed(rectify(signal[:, 5:], three), module.three, s)
        signal = transposed(rectify(from_one + from_three, s), module.squeeze, p)
        signal = rectify(unpool(signal, switches1, a.shape), a)
        return transposed(signal, module.conv, x)


@pytest.mark.parametrize("way", ["deconvnet", "guided"])
@pytest.mark.parametrize(("unit", "at"), [(0, (1, 2)), (7, (0, 0)), (9, (2, 3)), (6, (2, 1))])
def test_both_ways_equal_unpool_and_transpose(way: str, unit: int, at: tuple[int, int]) -> None:
    torch.manual_seed(1)
    module = Fire()
    net = network(module, *SIZE)
    pool = next(row.name for row in reversed(net.layers) if row.kind == "pool")
    found = project(net, IMAGES, pool, [unit] * 3, [at] * 3, way)
    expected = explicit(module, IMAGES, unit, at, way == "guided")
    on = [i for i, one in enumerate(found) if one.value > 0]
    assert on
    for i, one in enumerate(found):
        assert relative_error(torch.from_numpy(one.signal), expected[i]) < 1e-5 or i not in on
        assert one.inside_frac == pytest.approx(1, abs=1e-12) or i not in on
        (alone,) = project(net, IMAGES[i : i + 1], pool, [unit], [at], way)
        assert np.allclose(one.signal, alone.signal, atol=1e-6)


class Residual(nn.Module):
    """A padded, strided, dilated stem with its norm, ReLU6, a padded pool; then a block of depthwise form round a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = (
            nn.Conv2d(3, 6, 5, stride=(2, 1), padding=(3, 2), dilation=(2, 1), bias=False),
            nn.BatchNorm2d(6),
        )
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        self.deep, self.point, self.bn = nn.Conv2d(6, 6, 3, padding=1, groups=6), nn.Conv2d(6, 6, 1), nn.BatchNorm2d(6)
        self.mean, self.top = nn.AvgPool2d((2, 3), ceil_mode=False), nn.Conv2d(6, 4, 3, stride=2, padding=1, groups=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(F.relu6(self.norm(self.stem(x))))
        x = (x + self.bn(self.point(self.deep(x).relu()))).relu()
        return self.top(self.mean(x)).relu().mean((2, 3))


def explicit_residual(module: Residual, x: torch.Tensor, unit: int, at: tuple[int, int], guided: bool) -> torch.Tensor:
    """The same network written out: unpooling with torch's own max_unpool2d, norms as factors, sums of both branches."""

    def rectify(signal: torch.Tensor, before: torch.Tensor, ceiling: float = torch.inf) -> torch.Tensor:
        return F.relu(signal) * ((before > 0) & (before < ceiling)) if guided else F.relu(signal)

    def factor(norm: nn.BatchNorm2d) -> torch.Tensor:
        return (norm.weight / (norm.running_var + norm.eps).sqrt())[:, None, None]

    def transposed(signal: torch.Tensor, conv: nn.Conv2d, like: torch.Tensor) -> torch.Tensor:
        ends = zip(
            like.shape[2:], signal.shape[2:], conv.stride, conv.padding, conv.dilation, conv.kernel_size, strict=True
        )
        extra = [n - ((m - 1) * s - 2 * p + d * (k - 1) + 1) for n, m, s, p, d, k in ends]
        return F.conv_transpose2d(
            signal, conv.weight, None, conv.stride, conv.padding, extra, conv.groups, conv.dilation
        )

    with torch.no_grad():
        a = module.norm(module.stem(x))
        p, switches = F.max_pool2d(F.relu6(a), 3, 2, padding=1, return_indices=True)
        d = module.deep(p)
        joined = p + module.bn(module.point(d.relu()))
        h = module.mean(joined.relu())
        t = module.top(h)
        signal = torch.zeros_like(t)
        signal[:, unit, at[0], at[1]] = t[:, unit, at[0], at[1]].relu()
        signal = transposed(signal, module.top, h)
        high, wide = h.shape[2] * 2, h.shape[3] * 3
        spread = torch.zeros_like(joined)
        spread[:, :, :high, :wide] = signal.repeat_interleave(2, 2).repeat_interleave(3, 3) / 6
        signal = rectify(spread, joined)
        branch = transposed(signal * factor(module.bn), module.point, d)
        signal = signal + transposed(rectify(branch, d), module.deep, p)
        unpooled = torch.zeros_like(a).flatten(2)
        unpooled = unpooled.scatter_add(2, switches.flatten(2), signal.flatten(2)).reshape(a.shape)
        return transposed(rectify(unpooled, a, 6.0) * factor(module.norm), module.stem, x)


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("way", ["deconvnet", "guided"])
@pytest.mark.parametrize(("unit", "at"), [(0, (0, 0)), (1, (1, 2)), (3, (0, 1))])
def test_norms_skips_groups_and_strides_too(way: str, unit: int, at: tuple[int, int], fold: bool) -> None:
    torch.manual_seed(0)
    module = randomized(Residual(), SIZE)
    with torch.no_grad():
        module.top.bias += 5  # all are on
    net = network(module, *SIZE, fold=fold)
    layer = [row.name for row in net.layers if row.op == "relu"][-1]
    found = project(net, 3 * IMAGES, layer, [unit] * 3, [at] * 3, way)
    expected = explicit_residual(module, 3 * IMAGES, unit, at, way == "guided")
    for one, written_out in zip(found, expected, strict=True):
        assert one.value > 0
        assert one.signal.any()
        assert relative_error(torch.from_numpy(one.signal), written_out) < 1e-5
        assert one.inside_frac == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("way", ["deconvnet", "guided"])
def test_pools_that_do_not_overlap_equal_torchs_unpooling(way: str) -> None:
    """F.max_unpool2d is the switches as the paper has them."""
    module = randomized(
        Pooled(nn.Conv2d(3, 5, (3, 5), padding=1), nn.ReLU(), nn.MaxPool2d((2, 3)), nn.Conv2d(5, 3, 3), nn.ReLU()), SIZE
    )
    net = network(module, *SIZE)
    found = project(net, IMAGES, "4", [2] * 3, way=way)
    with torch.no_grad():
        a = module[0](IMAGES)
        p, switches = F.max_pool2d(a.relu(), (2, 3), return_indices=True)
        top = module[3](p).relu()
        for i, one in enumerate(found):
            signal = torch.zeros_like(top[i : i + 1])
            signal[(0, 2, *one.place.position)] = top[(i, 2, *one.place.position)]
            signal = F.max_unpool2d(
                F.conv_transpose2d(signal, module[3].weight), switches[i : i + 1], (2, 3), output_size=a.shape[2:]
            )
            signal = signal.relu() * (a[i : i + 1] > 0) if way == "guided" else signal.relu()
            expected = F.conv_transpose2d(signal, module[0].weight, padding=1)
            assert one.value > 0
            assert relative_error(torch.from_numpy(one.signal), expected[0]) < 1e-5


@pytest.mark.parametrize("unit", range(4))
def test_energy_lies_in_what_the_neuron_sees_everywhere(unit: int) -> None:
    module = randomized(Fire(), SIZE)
    net = network(module, *SIZE)
    layer = net.layers["squeeze"]
    places = [(y, x) for y in range(layer.shape[1]) for x in range(layer.shape[2])]
    for one in project(net, IMAGES[:1], "squeeze", [unit] * len(places), places):
        held = np.zeros(SIZE, bool)
        held[one.seen.slices] = True
        assert not one.energy[~held].any()
        assert one.crop.shape[1:] == one.seen.size


def test_without_a_position_it_is_the_peak_and_units_share_one_walk() -> None:
    module = randomized(Fire(), SIZE)
    net = network(module, *SIZE)
    maps = net.run(IMAGES[:1], ["three"])["three"][0]
    for unit, one in zip((4, 0, 2), project(net, IMAGES[:1], "three", (4, 0, 2)), strict=True):
        assert one.value == pytest.approx(float(maps[unit].max()))
        assert one.place.unit == unit
        y, x = one.place.position
        assert float(maps[unit, y, x]) == pytest.approx(one.value)


def test_what_is_off_or_below_zero_says_so() -> None:
    module = randomized(Pooled(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1)), SIZE)
    with torch.no_grad():
        module[0].bias[1] = -1000
    net = network(module, *SIZE)
    off, below = project(net, IMAGES[:1], "1", [1]) + project(net, IMAGES[:1], "0", [1])
    assert "off in this image" in off.notes[0]
    assert not off.signal.any()
    assert np.isnan(off.inside_frac)
    assert "below zero" in below.notes[0]
    checked = cover(net, IMAGES[:1], off.place, off.seen, off.energy)
    assert checked.words == "Not checked: the neuron is not above zero in this image."
    assert not checked.confirmed


def test_vectors_grey_and_four_channels() -> None:
    for n_channels in (1, 4):
        module = nn.Sequential(nn.Conv2d(n_channels, 5, 3), nn.ReLU(), nn.MaxPool2d(3), nn.Flatten(), nn.Linear(400, 4))
        net = network(randomized(module, SIZE, n_channels), *SIZE, channels=n_channels)
        inputs = torch.randn(2, n_channels, *SIZE)
        one, two = project(net, inputs, "4", [3, 0])
        assert one.signal.shape == (n_channels, *SIZE)
        assert one.place.position is None
        assert two.seen.size == (26, 32)  # the pool leaves out the last row and columns
        (first,) = project(net, inputs[:1], "1", [2])
        assert cover(net, inputs[:1], first.place, first.seen, first.energy).ran


class Tokens(nn.Module):
    """Patches as tokens, and one beside them: they have no place any more."""

    def __init__(self) -> None:
        super().__init__()
        self.patch, self.own, self.mix = (
            nn.Conv2d(3, 6, 3, stride=3),
            nn.Parameter(torch.randn(1, 1, 6)),
            nn.Linear(6, 5),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        return self.mix(torch.cat([self.own.expand(x.shape[0], -1, -1), x], 1)).mean(1)


def test_wrong_use_is_told() -> None:
    net, tokens = network(randomized(Fire(), SIZE), *SIZE), network(randomized(Tokens(), (9, 15)), 9, 15)
    tokens_layer = next(row.name for row in tokens.layers if len(row.shape) == 2)
    for message, ask in {
        "Use deconvnet, guided": lambda: project(net, IMAGES, "three", [1], way="gradient"),
        "It has 5 units": lambda: project(net, IMAGES[:1], "three", [5]),
        r"Its maps are 6 x 8": lambda: project(net, IMAGES[:1], "three", [1], [(6, 0)]),
        "3 images and": lambda: project(net, IMAGES, "three", [1, 2]),
        "It is the image itself": lambda: project(net, IMAGES[:1], "input", [1]),
        "16 tokens have lost their place": lambda: project(tokens, IMAGES[:1, :, :9, :15], tokens_layer, [1]),
    }.items():
        with pytest.raises(UsageError, match=message):
            ask()
    with pytest.raises(NetworkError, match="nan"):
        project(net, IMAGES[:1] * float("nan"), "three", [1])


# The check


class Reads(nn.Module):
    """A unit that sums given pixels of a field of 11 x 11, and nothing else."""

    def __init__(self, mask: np.ndarray) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 11, bias=False)
        self.conv.weight.data = torch.from_numpy(mask).float().expand(2, 3, 11, 11).clone()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x).relu().mean((2, 3))


def planted(mask: np.ndarray) -> tuple[cs.Network, torch.Tensor]:
    """The unit and a flat image, which nothing but another colour covers."""
    net = network(Reads(mask), *SIZE)
    return net, torch.ones(1, 3, *SIZE)


def test_covering_counts_what_it_should() -> None:
    """A response that is a sum of pixels falls by exactly the share of them that is covered."""
    mask = np.zeros((11, 11))
    mask[1:4, 2:6] = 1
    net, ones = planted(mask)
    (found,) = project(net, ones, "relu", [1], [(3, 7)])
    checked = cover(net, ones, found.place, found.seen, found.energy, n_draws=5, fill="zero")
    assert checked.n_px == 12
    assert checked.top == pytest.approx(1)
    assert checked.centre == pytest.approx((mask * found.seen.nearest(12)).sum() / 12)
    assert checked.confirmed
    assert checked.beyond_centre
    assert checked.random < 0.4
    assert 0 <= min(checked.random_each) <= checked.random <= max(checked.random_each) <= 1
    assert checked.shifted == pytest.approx(np.mean(checked.shifted_each))
    assert checked.words.startswith("Confirmed: with the 9.9 % of the pixels")
    wrong = np.zeros(SIZE)
    wrong[found.seen.rows.stop - 2, found.seen.slices[1]] = 1
    refuted = cover(net, ones, found.place, found.seen, wrong, fill="zero")
    assert refuted.top == pytest.approx(0)
    assert not refuted.confirmed
    assert refuted.words.startswith("Not confirmed")


def test_a_disc_in_the_middle_that_does_as_much_is_told() -> None:
    y, x = np.mgrid[:11, :11] - 5.0
    net, ones = planted(np.hypot(y, x) < 2)
    (found,) = project(net, ones, "relu", [0], [(8, 8)])
    checked = cover(net, ones, found.place, found.seen, found.energy, fill="zero")
    assert checked.confirmed
    assert checked.centre_passes
    assert "But a disc in the middle" in checked.words


def test_a_unit_that_needs_everything_alike_is_not_confirmed() -> None:
    net, ones = planted(np.ones((11, 11)))
    (found,) = project(net, ones, "relu", [0], [(0, 0)])
    checked = cover(net, ones, found.place, found.seen, found.energy, fill="zero")
    assert checked.top == pytest.approx(checked.random, abs=1e-5)
    assert not checked.confirmed


def test_drops_equal_those_of_images_covered_one_by_one() -> None:
    net = network(randomized(Fire(), SIZE), *SIZE)
    (found,) = project(net, IMAGES[:1], "cat", [7])
    checked = cover(net, IMAGES[:1], found.place, found.seen, found.energy, fill="mean")
    mask = np.zeros(SIZE, bool)
    mask[found.seen.slices] = top_pixels(found.energy[found.seen.slices], checked.n_px)
    covered = torch.where(torch.from_numpy(mask), IMAGES[:1].mean((2, 3), keepdim=True), IMAGES[:1])
    y, x = found.place.position
    value = float(net.run(covered, ["cat"])["cat"][0, 7, y, x])
    assert checked.top == pytest.approx(1 - value / found.value, abs=1e-4)
    again = cover(net, IMAGES[:1], found.place, found.seen, found.energy, fill="mean")
    assert again == checked
    assert (
        cover(net, IMAGES[:1], found.place, found.seen, found.energy, seed=1, fill="mean").random_each
        != checked.random_each
    )


def test_what_covers_by_default_is_the_image_blurred_until_no_shape_is_left() -> None:
    """A Gaussian of a twelfth of the shorter side, borders repeated, written out as one sum for each pixel."""
    net = network(randomized(Fire(), SIZE), *SIZE)
    (found,) = project(net, IMAGES[:1], "three", [2], [(3, 4)])
    checked = cover(net, IMAGES[:1], found.place, found.seen, found.energy)
    mask = torch.zeros(SIZE, dtype=torch.bool)
    mask[found.seen.slices] = torch.from_numpy(top_pixels(found.energy[found.seen.slices], checked.n_px))
    reach, sd = 9, SIZE[0] / 12
    weight = torch.exp(-(torch.arange(-reach, reach + 1.0) ** 2) / (2 * sd**2))
    kernel = torch.outer(weight, weight) / weight.sum() ** 2
    padded = F.pad(IMAGES[:1], (reach,) * 4, mode="replicate")
    covered = IMAGES[:1].clone()
    for y, x in mask.nonzero().tolist():
        window = padded[:, :, y : y + 2 * reach + 1, x : x + 2 * reach + 1]
        covered[:, :, y, x] = (window * kernel).sum((2, 3))
    y, x = found.place.position
    value = float(net.run(covered, ["three"])["three"][0, 2, y, x])
    assert checked.top == pytest.approx(1 - value / found.value, abs=1e-3)
    assert abs(checked.top) > 0.05


class Ceiling(nn.Module):
    """A sum of pixels that ends in a ReLU6, far below which the sum may lie; then the same with a hardtanh."""

    def __init__(self, form: nn.Module) -> None:
        super().__init__()
        self.conv, self.form = nn.Conv2d(3, 2, 11, bias=False), form
        self.conv.weight.data = torch.full((2, 3, 11, 11), 1.0)
        self.conv.weight.data[:, :, 3:5, 2:8] = 8.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.form(self.conv(x)).mean((2, 3))


@pytest.mark.parametrize("form", [nn.ReLU6(), nn.Hardtanh(0, 6)])
@pytest.mark.parametrize("way", ["deconvnet", "guided"])
def test_a_neuron_at_its_ceiling_is_followed_below_it(form: nn.Module, way: str) -> None:
    net = network(Ceiling(form), *SIZE)
    ones = torch.ones(1, 3, *SIZE)
    (found,) = project(net, ones, "form", [1], [(2, 5)], way)
    assert found.value == 6
    assert np.array_equal(found.crop, 6 * net.module.conv.weight[1].detach().numpy())
    checked = cover(net, ones, found.place, found.seen, found.energy, fill="zero")
    total = 3 * (8 * 12 + 109)
    assert checked.value == pytest.approx(total)
    assert checked.top == pytest.approx(3 * 8 * 12 / total)
    assert checked.confirmed
    dark, energy = ones.clone(), found.energy.copy()
    dark[:, :, 4, 9] = -9
    energy[4, 9] = 0  # all is covered but a pixel that holds the sum far below zero
    most = cover(net, dark, found.place, found.seen, energy, share=1.0, fill="zero")
    assert most.n_px == 120
    assert most.top == 1  # it does not fall below zero
    everything = cover(net, ones, found.place, found.seen, found.energy, share=1.0, fill="zero")
    assert everything.words == "Not checked: there is nothing else to cover."
    low = ones.clone()
    low[:, 1] = -9
    below = Address("form", 1, (2, 5))
    assert not cover(net, low, below, found.seen, found.energy).ran


def test_a_picture_in_which_nothing_arrives_says_so() -> None:
    """All weights of the unit are below zero: its signal is held back by the first rectifier below."""
    module = randomized(Pooled(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3), nn.ReLU()), SIZE)
    with torch.no_grad():
        module[2].weight[1].abs_().neg_()
        module[2].bias[1] = 100
    net = network(module, *SIZE)
    (found,) = project(net, IMAGES[:1], "3", [1])
    assert found.value > 0
    assert not found.signal.any()
    assert "Nothing of the neuron arrives" in found.notes[0]
    checked = cover(net, IMAGES[:1], found.place, found.seen, found.energy)
    assert checked.words == "Not checked: the picture marks nothing."


def test_occlusion_finds_the_pixels_that_are_needed() -> None:
    mask = np.zeros((11, 11))
    mask[2:4, 6:10] = 1
    net, ones = planted(mask)
    (found,) = project(net, ones, "relu", [0], [(5, 6)])
    energy = occlusion_energy(net, ones, found.place, found.seen, fill="zero")
    assert energy.shape == SIZE
    assert not energy[: found.seen.rows.start].any()
    crop = energy[found.seen.slices]
    assert crop[mask > 0].min() > crop[mask == 0].mean() * 3


def test_the_middle_of_a_field_at_the_border_is_the_neurons() -> None:
    net = network(Reads(np.ones((11, 11))), *SIZE)
    region = Seen(net, IMAGES).from_neuron("relu", (2, 3))
    assert region.middle == (7.5, 8.5)
    disc = region.nearest(5)
    assert disc[5, 5]
    assert disc.sum() == 5
    padded = network(Pooled(nn.Conv2d(3, 2, 7, padding=3), nn.ReLU()), *SIZE)
    region = Seen(padded, IMAGES).from_neuron("1", (0, 0))
    assert region.size == (4, 4)
    assert region.nearest(1)[0, 0]


def test_an_operation_without_a_rule_is_refused() -> None:
    class Signs(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.sign(x).mean((2, 3))

    with pytest.raises(NetworkError, match="sign in 'sign'"):
        project(network(Signs(), *SIZE), IMAGES[:1], "sign", [1])
