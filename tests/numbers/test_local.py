"""Is what the local walk says of a changed image what the network says of it, and are windows as wide as the change, no wider?"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from math import inf, nan
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_networks import Pooled, network, randomized, relative_error
from torch import nn
from torch.nn import functional as F

from convscope.errors import UsageError
from convscope.graph.graph import INPUT, Graph, Param, Ref, Step
from convscope.graph.layout import Layout, plain
from convscope.network import Network, load
from convscope.walks.local import LocalWalk, local_graph, local_walk
from convscope.walks.local_batches import batches, classes
from convscope.walks.window import at, inside, union

ATEN = torch.ops.aten
IMAGE = torch.randn(1, 3, 40, 56, generator=torch.Generator().manual_seed(3))


def filled(image: torch.Tensor, tops: Any, patches: torch.Tensor) -> torch.Tensor:
    """The image with each patch pasted in, pixel by pixel where it lies inside; `n channel y x`."""
    images = image.repeat(len(tops), 1, 1, 1)
    for i, (top, left) in enumerate(tops):
        patch = patches[i if len(patches) > 1 else 0]
        for y in range(max(0, top), min(image.shape[2], top + patch.shape[1])):
            for x in range(max(0, left), min(image.shape[3], left + patch.shape[2])):
                images[i, :, y, x] = patch[:, y - top, x - left]
    return images


# Window arithmetic, against looking at every output.


def _looked_at(out: int, kernel: int, stride: int, before: int, dilation: int) -> set[int]:
    return {out * stride - before + dilation * j for j in range(kernel)}


@given(
    st.integers(1, 5), st.integers(1, 4), st.integers(-2, 3), st.integers(1, 3), st.integers(1, 30), st.data()
)  # kernel, stride, padding, dilation, number of outputs
def test_windows_are_where_the_outputs_change(
    kernel: int, stride: int, before: int, dilation: int, n_out: int, data: st.DataObject
) -> None:
    size = max(1, (n_out - 1) * stride + dilation * (kernel - 1) + 1 - before)
    extent = data.draw(st.integers(1, size))
    starts = np.array(data.draw(st.lists(st.integers(0, size - extent), min_size=1, max_size=4)))
    out = at(starts, extent, size).reached(kernel, stride, before, dilation, n_out)
    needed = out.needed(kernel, stride, dilation)
    assert 1 <= out.extent <= n_out
    assert (out.starts >= 0).all()
    assert (out.starts + out.extent <= n_out).all()
    for i, start in enumerate(starts):
        changed = set(range(start, start + extent))
        reached = [o for o in range(n_out) if changed & _looked_at(o, kernel, stride, before, dilation)]
        held = range(out.starts[i], out.starts[i] + out.extent)
        assert set(reached) <= set(range(out.first[i], out.last[i] + 1)) <= set(held)
        if dilation == 1 and reached:
            assert (out.first[i], out.last[i]) == (reached[0], reached[-1])
        looked_at = set().union(*(_looked_at(o, kernel, stride, before, dilation) for o in held))
        assert min(looked_at) == needed.starts[i] - before
        assert max(looked_at) == needed.starts[i] - before + needed.extent - 1
    assert out.extent == (out.last - out.first + 1).max(), "no wider than the widest"


def test_a_union_holds_its_parts_and_stays_inside() -> None:
    both = union([inside(np.array([0, 8]), np.array([2, 9]), 10), inside(np.array([1, 6]), np.array([4, 7]), 10)])
    assert both.first.tolist() == [0, 6]
    assert both.last.tolist() == [4, 9]
    assert both.extent == 5
    assert both.starts.tolist() == [0, 5], "moved inside the map"


# Operations one by one, in graphs of one step.


def one_step(
    function: Any, *args: Any, tensors: dict[str, torch.Tensor] | None = None, image: torch.Tensor = IMAGE
) -> tuple[Graph, torch.Tensor]:
    """A graph of one operation, and what it says of the image."""
    tensors = tensors or {}
    value = function(image, *(tensors[a.name] if isinstance(a, Param) else a for a in args))
    step = Step(
        name="only",
        op=function._schema.name.split("::")[1].replace("constant_pad_nd", "pad"),
        function=function,
        args=(Ref(INPUT), *args),
        kwargs={},
        shape=(None, *value.shape[1:]),
        layout=(plain(13, *value.shape[1:]),),
    )
    input_layout: Layout = plain(13, *image.shape[1:])
    shape = (image.shape[1], image.shape[2], image.shape[3])
    return Graph((step,), tensors, shape, {"logits": "only"}, input_layout=input_layout), value


def assert_exact(graph: Graph, tops: list[tuple[int, int]], patches: torch.Tensor, *, local: bool = True) -> None:
    walk = local_walk(local_graph(graph, "only"), IMAGE)
    (step,) = graph.steps
    images = filled(IMAGE, tops, patches)
    args = [graph.tensors[a.name] if isinstance(a, Param) else a for a in step.args[1:]]
    expected = step.function(images, *args)
    torch.testing.assert_close(walk(tops, patches), expected, rtol=1e-4, atol=1e-5)
    assert (walk.reach.local == ("only",)) == local, str(walk.reach)


tops_of = st.lists(st.tuples(st.integers(-8, 44), st.integers(-8, 60)), min_size=1, max_size=4)
extents = st.tuples(st.integers(1, 12), st.integers(1, 12))
some = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def noise(n: int, extent: tuple[int, int], seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 3, *extent, generator=torch.Generator().manual_seed(seed))


@some
@given(tops_of, extents, st.data())
def test_convolutions(tops: list[tuple[int, int]], extent: tuple[int, int], data: st.DataObject) -> None:
    two = st.tuples(st.integers(1, 4), st.integers(1, 4))
    kernel, stride, dilation = (
        data.draw(two),
        data.draw(two),
        data.draw(st.tuples(st.integers(1, 2), st.integers(1, 3))),
    )
    groups = data.draw(st.sampled_from([1, 3]))
    weight = torch.randn(6, 3 // groups, *kernel, generator=torch.Generator().manual_seed(1))
    tensors = {"weight": weight, "bias": torch.arange(6.0)}
    settings_ = Param("weight"), Param("bias"), list(stride)
    if stride == (1, 1) and data.draw(st.booleans()):
        padding: Any = data.draw(st.sampled_from(["same", "valid"]))
        function = ATEN.conv2d.padding
    else:
        padding, function = list(data.draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))), ATEN.conv2d.default
    graph, _ = one_step(function, *settings_, padding, list(dilation), groups, tensors=tensors)
    assert_exact(graph, tops, noise(len(tops), extent))


@some
@given(tops_of, extents, st.data())
def test_pools(tops: list[tuple[int, int]], extent: tuple[int, int], data: st.DataObject) -> None:
    kernel = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    stride = data.draw(st.one_of(st.just([]), st.tuples(st.integers(1, 4), st.integers(1, 4)).map(list)))
    padding = [data.draw(st.integers(0, size // 2)) for size in kernel]
    ceil = data.draw(st.booleans())
    if data.draw(st.booleans()):
        dilation = data.draw(st.tuples(st.integers(1, 2), st.integers(1, 2)).map(list))
        graph, _ = one_step(ATEN.max_pool2d.default, list(kernel), stride, padding, dilation, ceil)
    else:
        divisor = data.draw(st.sampled_from([None, None, 3]))
        graph, _ = one_step(
            ATEN.avg_pool2d.default, list(kernel), stride, padding, ceil, data.draw(st.booleans()), divisor
        )
    assert_exact(graph, tops, noise(len(tops), extent))


@some
@given(tops_of, extents, st.lists(st.integers(-3, 4), min_size=4, max_size=4), st.sampled_from([0, -1.5]))
def test_padding_and_cutting(
    tops: list[tuple[int, int]], extent: tuple[int, int], sides: list[int], value: float
) -> None:
    graph, _ = one_step(ATEN.constant_pad_nd.default, sides, value)
    assert_exact(graph, tops, noise(len(tops), extent))


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (ATEN.slice.Tensor, (2, 3, 31, 2)),
        (ATEN.slice.Tensor, (3, -20, 2**63 - 1, 3)),
        (ATEN.slice.Tensor, (1, 1, 3)),
        (ATEN.constant_pad_nd.default, ([0, 0, 2, 1, 1, 1], 0.5)),  # also units
        (ATEN.upsample_nearest2d.default, ([80, 168],)),
        (ATEN.adaptive_avg_pool2d.default, ([10, 28],)),
        (ATEN.adaptive_avg_pool2d.default, ([40, 56],)),
        (ATEN.softmax.int, (1,)),
        (ATEN.mean.dim, ([1], True)),
        (ATEN.flip.default, ([1],)),
        (ATEN.hardtanh.default, (-0.5, 0.5)),
    ],
)
def test_other_operations_that_stay_local(function: Any, args: tuple[Any, ...]) -> None:
    graph, _ = one_step(function, *args)
    tops = [(-3, 50), (0, 0), (36, 20), (17, 9), (18, 23)]
    assert_exact(graph, tops, noise(5, (9, 7)))


@pytest.mark.parametrize(
    ("function", "args", "why"),
    [
        (ATEN.softmax.int, (3,), "mixes positions"),
        (ATEN.flip.default, ([2],), "mixes positions"),
        (ATEN.adaptive_avg_pool2d.default, ([7, 5],), "unequal"),
        (ATEN.upsample_nearest2d.default, ([50, 60],), "unequally"),
        (ATEN.cumsum.default, (2,), "no local rule"),
    ],
)
def test_other_operations_are_done_on_whole_maps_and_it_is_said(function: Any, args: tuple[Any, ...], why: str) -> None:
    graph, _ = one_step(function, *args)
    assert_exact(graph, [(-3, 50), (17, 9)], noise(2, (9, 7)), local=False)
    assert why in local_walk(local_graph(graph, "only"), IMAGE).reach.why


def test_a_function_that_was_put_there_may_do_anything() -> None:
    graph, _ = one_step(ATEN.relu.default)
    step = replace(graph.steps[0], function=lambda value: value.flip(2))
    graph = replace(graph, steps=(step,))
    walk = local_walk(local_graph(graph, "only"), IMAGE)
    assert walk.reach.whole_from == "only"
    patches = noise(1, (5, 5))
    assert torch.equal(walk([(3, 4)], patches), filled(IMAGE, [(3, 4)], patches).flip(2))


# Whole networks.


class _Mixed(nn.Module):
    """Much of what networks are made of, local up to the mean: a shuffle, a dense block, a channels-last branch, pools."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8)
        self.grouped, self.pool = (
            nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=2),
            nn.MaxPool2d(3, 2, ceil_mode=True),
        )
        self.grow, self.norm_last = nn.Conv2d(16, 4, 3, padding=1), nn.LayerNorm(20)
        self.widen, self.narrow = nn.Linear(20, 12), nn.Linear(12, 20)
        self.place = nn.Parameter(torch.randn(1, 20, 10, 14))
        self.fc = nn.Linear(20, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.norm(self.stem(x)))
        y = self.grouped(x)
        y = y.reshape(y.shape[0], 2, 4, *y.shape[2:]).transpose(1, 2).reshape(y.shape)
        one, two = y.chunk(2, 1)
        x = torch.cat([x, one, F.silu(two)], 1)
        x = self.pool(x)
        x = torch.cat([x, self.grow(F.pad(x, (1, 0, 0, 1)))[:, :, 1:, :-1]], 1)
        y = self.narrow(F.gelu(self.widen(self.norm_last(x.permute(0, 2, 3, 1)))))
        x = x + y.permute(0, 3, 1, 2) + self.place
        x = x + F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        return self.fc(x.mean((2, 3)))


class _Gated(nn.Module):
    """Squeeze and excitation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.squeeze = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.AdaptiveAvgPool2d(1)
        self.gate, self.last = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 3, padding=1)
        self.fc = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.stem(x))
        x = x * self.gate(self.squeeze(x)).sigmoid()
        return self.fc(F.relu(self.last(x)).mean((2, 3)))


class _Tokens(nn.Module):
    """Patches become tokens, with a class token before them, and all look at all."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.token = nn.Conv2d(3, 8, 8, stride=8), nn.Parameter(torch.randn(1, 1, 8))
        self.attention, self.fc = nn.Linear(8, 24), nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1)
        q, k, v = self.attention(x).chunk(3, -1)
        return self.fc((x + F.scaled_dot_product_attention(q, k, v))[:, 0])


class _Flat(nn.Module):
    """A dense layer over all positions, and one input of the sum that does not change."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.fc = nn.Conv2d(3, 4, 3, stride=4, bias=False), nn.Linear(4 * 10 * 14, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(F.leaky_relu(self.stem(x), 0.1).flatten(1))


MODULES: dict[str, Callable[[], nn.Module]] = {"mixed": _Mixed, "gated": _Gated, "tokens": _Tokens, "flat": _Flat}


@cache
def _read(name: str) -> Network:
    torch.manual_seed(0)
    return network(randomized(MODULES[name](), (40, 56)), 40, 56, fold=True)


def walk_of(net: Network, image: torch.Tensor = IMAGE) -> LocalWalk:
    return net.local(image)


def logits_of(net: Network, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return net(images)


ALL = [(y, x) for y in range(-6, 40, 7) for x in range(-6, 56, 9)]


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("extent", [(1, 1), (8, 5), (13, 30), (64, 64)])
def test_logits_are_those_of_the_changed_image(name: str, extent: tuple[int, int]) -> None:
    net = _read(name)
    walk, patches = walk_of(net), noise(len(ALL), extent)
    expected = logits_of(net, filled(IMAGE, ALL, patches))
    assert relative_error(walk(ALL, patches), expected) < 1e-4
    one = torch.full((1, 3, *extent), 0.3)
    assert relative_error(walk(ALL, one), logits_of(net, filled(IMAGE, ALL, one))) < 1e-4


def test_the_small_networks_say_how_local_they_are() -> None:
    reach = {name: walk_of(_read(name)).reach for name in MODULES}
    assert reach["mixed"].whole_from is None
    assert reach["gated"].whole_from == "mul"
    assert reach["gated"].local == ("stem", "relu") or len(reach["gated"].local) == 1  # joined where the processor can
    assert "'sigmoid', which depends on every position" in str(reach["gated"])
    assert reach["tokens"].whole_from == "flatten"
    assert "rows and columns are not kept apart" in str(reach["tokens"])
    assert reach["flat"].whole_from == "flatten"


def test_many_positions_in_several_classes() -> None:
    net = _read("mixed")
    tops = [(y, x) for y in range(-4, 38, 3) for x in range(-4, 54, 3)]
    walk, patches = net.local(IMAGE), noise(len(tops), (7, 7))
    found = list(walk.each(tops, patches))
    assert len(found) > 4
    assert sorted(np.concatenate([chosen for chosen, _ in found]).tolist()) == list(range(len(tops)))
    expected = logits_of(net, filled(IMAGE, tops, patches))
    assert relative_error(walk(tops, patches), expected) < 1e-4
    for chosen, values in found:
        assert relative_error(values, expected[chosen]) < 1e-4


def test_an_exported_program_of_any_size() -> None:
    """Its steps hold sizes that follow the image, and the batch."""
    torch.manual_seed(0)
    dynamic = torch.export.Dim.DYNAMIC
    sizes = ({0: dynamic, 2: dynamic, 3: dynamic},)

    class Module(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.last = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(12, 5, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = F.relu(self.stem(x))
            y = F.max_pool2d(x, 2)
            y = F.interpolate(y, size=(x.shape[2], x.shape[3]), mode="nearest")[:, :4]
            x = torch.cat([x.reshape(x.shape[0], 2, 4, x.shape[2], x.shape[3]).transpose(1, 2).flatten(1, 2), y], 1)
            return self.last(x[:, :, 1 : x.shape[2] - 1]).mean((2, 3))

    net = load(torch.export.export(Module().eval(), (torch.zeros(3, 3, 20, 28),), dynamic_shapes=sizes))
    assert net.graph.any_size
    tops, patches = ALL, noise(len(ALL), (8, 5))
    walk = net.local(IMAGE)
    assert relative_error(walk(tops, patches), logits_of(net, filled(IMAGE, tops, patches))) < 1e-4
    assert walk.reach.whole_from is None, str(walk.reach)


@pytest.mark.parametrize("layer", ["0", "1", "2", "3"])
def test_one_change_leaves_the_unchanged_image_as_it_was(layer: str) -> None:
    """Asked about a single window, of a layer or of what needs whole maps (a roll), what is kept is not written over."""

    class Rolled(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.roll(3, 2)

    net = network(randomized(Pooled(nn.Conv2d(3, 4, 3), nn.ReLU(), Rolled(), nn.Conv2d(4, 2, 1))), 20, 28)
    step = {"2": next(each.name for each in net.graph if each.op == "roll")}.get(layer, layer)
    image = IMAGE[:, :, :20, :28]
    walk = net.local(image, step)
    before = walk.value.clone()
    for top in ((2, 3), (11, 20)):
        patch = torch.randn(1, 3, 4, 5)
        expected = net.run(filled(image, [top], patch), [step])[step]
        assert relative_error(walk(np.array([top]), patch), expected) < 1e-5
    assert torch.equal(walk.value, before)


def test_an_answer_does_not_depend_on_its_batch_or_the_order() -> None:
    net = _read("mixed")
    walk, patches = walk_of(net), noise(len(ALL), (8, 8))
    together = walk(ALL, patches)
    order = torch.randperm(len(ALL), generator=torch.Generator().manual_seed(5))
    shuffled = walk([ALL[i] for i in order], patches[order])
    assert relative_error(shuffled, together[order]) < 1e-5
    alone = torch.cat([walk([top], patches[i : i + 1]) for i, top in enumerate(ALL)])
    assert relative_error(alone, together) < 1e-5
    assert torch.equal(walk(ALL, patches), together), "nothing kept was written over"


def test_a_patch_that_changes_nothing_and_a_window_outside_leave_the_logits() -> None:
    net = _read("mixed")
    walk, expected = walk_of(net), logits_of(net, IMAGE)
    assert relative_error(walk([(7, 9)], IMAGE[:, :, 7:15, 9:17]), expected) < 1e-5
    assert relative_error(walk([(-20, 3), (3, 99)], noise(2, (8, 8))), expected.expand(2, -1)) < 1e-5
    assert walk(np.zeros((0, 2)), noise(1, (8, 8))).shape == (0, 5)


@pytest.mark.parametrize("name", ["mixed", "gated", "flat"])
@pytest.mark.parametrize("value", [nan, inf])
def test_what_is_not_a_number_is_not_lost(name: str, value: float) -> None:
    net = _read(name)
    broken = IMAGE.clone()
    broken[0, 1, 20, 20] = value
    tops, patches = [(16, 16), (0, 0), (30, 40)], noise(3, (8, 8))
    found = walk_of(net, broken)(tops, patches)
    expected = logits_of(net, filled(broken, tops, patches))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5, equal_nan=True)
    assert torch.isfinite(found[0]).all(), "the first patch covers it"
    patches[2, 0, 1, 1] = value
    found = walk_of(net)(tops, patches)
    expected = logits_of(net, filled(IMAGE, tops, patches))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5, equal_nan=True)
    assert torch.isfinite(found[:2]).all()


def test_other_precisions() -> None:
    net, patches = _read("mixed"), noise(len(ALL), (8, 8))
    expected = logits_of(net.to(dtype=torch.float64), filled(IMAGE, ALL, patches).double())
    found = walk_of(net.to(dtype=torch.float64), IMAGE.double())(ALL, patches)
    assert found.dtype == torch.float32
    assert relative_error(found, expected) < 1e-6
    low = walk_of(net.to(dtype=torch.bfloat16), IMAGE.bfloat16())(ALL, patches)
    assert relative_error(low, expected) < 0.1


def test_a_layer_that_is_asked_for_is_whole() -> None:
    net, patches = _read("mixed"), noise(3, (8, 8))
    tops = [(0, 0), (20, 30), (36, 50)]
    for layer in ("grow", "norm_last", "pool"):
        walk = net.local(IMAGE, layer)
        expected = net.run(filled(IMAGE, tops, patches), [layer])[layer]
        torch.testing.assert_close(walk(tops, patches), expected, rtol=1e-4, atol=1e-5)


def test_less_is_computed() -> None:
    walk = walk_of(network(Pooled(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1)), 40, 56))
    local, full = walk.work([(16, 16)], (4, 4))
    assert full == 40 * 56 * 9 * (3 * 8 + 8 * 8)
    assert local == pytest.approx(9 * (6 * 6 * 3 * 8 + 8 * 8 * 8 * 8))
    assert walk.work([(0, 0)], (4, 4))[0] == pytest.approx(9 * (5 * 5 * 3 * 8 + 6 * 6 * 8 * 8))


def test_wrong_questions_are_refused() -> None:
    net = _read("mixed")
    walk = walk_of(net)
    for patches in (noise(3, (4, 4)), noise(2, (4, 4))[:, :2], noise(2, (4, 4))[0]):
        with pytest.raises(UsageError, match="patch"):
            walk([(0, 0), (1, 1)], patches)
    with pytest.raises(UsageError, match="one image"):
        walk_of(net, IMAGE.repeat(2, 1, 1, 1))


# Batches.


def test_positions_alike_are_in_one_class() -> None:
    widths = np.array([[0.1, 0.2], [0.1, 0.2], [0.5, 0.9], [0.1, 0.21], [0.5, 0.8]])
    found = classes(widths, np.array([1.0, 1.0]), 2)
    assert found[0] == found[1] == found[3] != found[2] == found[4]
    assert len(set(classes(widths, np.array([1.0, 1.0]), 9))) == 4


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=200), st.integers(1, 70))
def test_every_position_is_in_one_batch(pairs: list[tuple[int, int]], most: int) -> None:
    tops = np.array(pairs)
    found = list(batches(tops, tops[:, 0], tops[:, 1], most))
    assert sorted(np.concatenate(found).tolist()) == list(range(len(pairs)))
    assert all(1 <= len(batch) <= most for batch in found)
