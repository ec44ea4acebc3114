"""Is a part that a layer knows found to be linked across images, and nothing else?"""

import numpy as np
import pytest
import torch
from small_networks import Pooled, network
from torch import nn

from convscope.errors import UsageError
from convscope.instruments.appearance.correspondence import correspondence

SIZE = (30, 41)
N, N_KINDS = 8, 6
SIDE = 5


class Kinds(nn.Module):
    """Units that each answer to one kind of patch, wherever it is; then a layer that knows nothing of kinds."""

    def __init__(self, patterns: torch.Tensor) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, len(patterns), SIDE)
        self.conv.weight.data = patterns[:, None].clone()
        self.conv.bias.data.fill_(-0.6 * float(patterns[0].square().sum()))
        self.mean = nn.Conv2d(1, 12, SIDE, stride=SIDE)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.conv(x).relu().amax((2, 3)), self.mean(x).relu().mean((2, 3))], 1)


def patterns() -> torch.Tensor:
    """Patches of signs, none like another."""
    return torch.randn(N_KINDS, SIDE, SIDE, generator=torch.Generator().manual_seed(2)).sign()


def scenes(*, same_place: bool = False) -> tuple[torch.Tensor, np.ndarray]:
    """Images with one patch of each kind, on places of a grid; and where the first kind is."""
    generator = np.random.default_rng(1)
    inputs, boxes = torch.zeros(N, 1, *SIZE), np.zeros((N, 4), int)
    grid = [(y, x) for y in range(1, 25, 7) for x in range(2, 36, 8)]
    for i in range(N):
        places = [grid[j] for j in generator.permutation(len(grid))[:N_KINDS]]
        for kind, (y, x) in enumerate(places):
            inputs[i, 0, y : y + SIDE, x : x + SIDE] = patterns()[kind]
        y, x = places[0]
        boxes[i] = y, x, y + SIDE, x + SIDE
    return inputs, boxes


def test_a_part_that_units_know_is_linked_and_a_random_piece_is_not() -> None:
    net = network(Kinds(patterns()), *SIZE, channels=1)
    inputs, boxes = scenes()
    layer = next(row.name for row in net.layers if row.kind == "reduce")
    (found,) = correspondence(net, inputs, boxes, [layer])
    assert found.part.value == 0  # covering it changes its own unit alone, in every image
    assert found.linked
    assert found.ratio.high < 1
    assert "links the part across images" in found.words
    generator = np.random.default_rng(7)
    elsewhere = np.array([[y, x, y + SIDE, x + SIDE] for y, x in generator.integers((0, 0), (25, 36), (N, 2))])
    (random,) = correspondence(net, inputs, elsewhere, [layer])
    assert not random.linked
    assert "not shown to link" in random.words


def test_distances_equal_those_counted_one_by_one() -> None:
    net = network(Kinds(patterns()), *SIZE, channels=1)
    inputs, boxes = scenes()
    (found,) = correspondence(net, inputs, boxes, ["conv"], n_draws=2, n_bootstrap=20)
    covered = inputs.clone()
    for i, (top, left, bottom, right) in enumerate(boxes):
        covered[i, :, top:bottom, left:right] = 0
    change = (net.run(inputs, ["conv"])["conv"] - net.run(covered, ["conv"])["conv"]).numpy()
    signs = np.where(np.abs(change) < 1e-4, 0, np.sign(change)).reshape(N, -1)
    pairs = [np.mean(signs[i] != signs[j]) for i in range(N) for j in range(N) if i != j]
    assert found.part.value == pytest.approx(np.mean(pairs))
    assert found.distances[2, 5] == pytest.approx(np.mean(signs[2] != signs[5]))
    assert found.changed == pytest.approx(np.mean(signs != 0))
    assert found.part.low <= found.part.value <= found.part.high
    assert found.ratio.value == pytest.approx(found.part.value / found.random.value)


def test_parts_at_one_place_are_not_linked_by_their_place_alone() -> None:
    """Images of noise: covering the same place of all changes the same neurons, which the paper's control takes for a link."""
    inputs = torch.randn(N, 1, *SIZE, generator=torch.Generator().manual_seed(3))
    net = network(Pooled(nn.Conv2d(1, 6, 5), nn.ReLU()), *SIZE, channels=1)
    at_the_border = np.tile([0, 33, 8, 41], (N, 1))
    for boxes in (np.tile([10, 14, 18, 22], (N, 1)), at_the_border):
        (found,) = correspondence(net, inputs, boxes, ["1"], n_draws=6)
        assert found.ratio.high < 1
        assert found.ratio_together.value == pytest.approx(1, abs=0.05)
        assert not found.linked


def test_masks_and_boxes_agree_and_pooled_asks_for_no_place() -> None:
    net = network(Kinds(patterns()), *SIZE, channels=1)
    inputs, boxes = scenes()
    masks = np.zeros((N, *SIZE), bool)
    for mask, (top, left, bottom, right) in zip(masks, boxes, strict=True):
        mask[top:bottom, left:right] = True
    one, two = (correspondence(net, inputs, parts, ["relu"], pooled=True)[0] for parts in (boxes, masks))
    assert one.part == two.part
    assert one.ratio == two.ratio
    assert one.part.value == 0
    (whole,) = correspondence(net, inputs, boxes, ["relu"], n_draws=2)
    assert whole.part.value > 0
    calls: list[tuple[int, int]] = []
    correspondence(net, inputs, boxes, ["relu"], n_draws=2, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1][0] == calls[-1][1]


def test_a_layer_that_nothing_reaches_says_nothing() -> None:
    module = Pooled(nn.Conv2d(1, 3, 3), nn.ReLU())
    with torch.no_grad():
        module[0].bias.fill_(-1000)
    inputs, boxes = scenes()
    (found,) = correspondence(network(module, *SIZE, channels=1), inputs, boxes, ["1"])
    assert found.linked is None
    assert "changes nothing" in found.words


def test_wrong_parts_are_told() -> None:
    net = network(Kinds(patterns()), *SIZE, channels=1)
    inputs, boxes = scenes()
    empty = boxes.copy()
    empty[4] = 3, 3, 3, 9
    for wrong, message in (
        (empty, "part of image 4 is empty"),
        (boxes[:3], r"shape \(3, 4\)"),
        (np.ones((N, *SIZE)), "the whole image"),
    ):
        with pytest.raises(UsageError, match=message):
            correspondence(net, inputs, wrong, ["relu"])
    with pytest.raises(UsageError, match="three images or more"):
        correspondence(net, inputs[:2], boxes[:2], ["relu"])
