"""Do the checks of a map say what is so?  Planted networks and planted methods, naive loops, numbers by hand."""

import gc
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch
from small_networks import network, randomized
from torch import nn

import convscope as cs
from convscope.errors import UnknownNameError, UsageError
from convscope.instruments.attribution import (
    LRP,
    AblationCAM,
    DeepLIFT,
    GradCAM,
    Gradient,
    InputXGradient,
    IntegratedGradients,
    Method,
    Occlusion,
    ScoreCAM,
    SmoothGrad,
)
from convscope.instruments.attribution.baseline import baseline_inputs
from convscope.instruments.attribution.checks import (
    ClassDependence,
    Completeness,
    Faithfulness,
    Localisation,
    Outcome,
    Repeatability,
    Result,
    Subject,
    WeightDependence,
    check_all,
    distrust,
    doubles,
    gains,
)
from convscope.instruments.attribution.checks import curves as curves_module
from convscope.instruments.attribution.checks.alike import correlation, rank_correlation
from convscope.instruments.attribution.checks.curves import FILLS, Grid, area, curves, hiding
from convscope.instruments.attribution.checks.doubles import redrawn
from convscope.instruments.attribution.checks.faithfulness import flips, pooled
from convscope.instruments.attribution.checks.localisation import localise
from convscope.instruments.attribution.checks.repeatability import moved
from convscope.instruments.attribution.checks.subject import probability
from convscope.instruments.attribution.checks.trivial import centre_prior, edge_map
from convscope.instruments.attribution.method import Question, Values
from convscope.walks.backward import Call

SIZE = (21, 34)  # y x: odd, not square
PATCHES = ((1, 2, 7, 10), (1, 24, 7, 32), (14, 2, 20, 10), (14, 24, 20, 32))  # y0 x0 y1 x1 of what each class reads
KEYS = ("completeness", "faithfulness", "class_dependence", "weight_dependence", "repeatability", "localisation")


class Patches(nn.Module):
    """Class c reads how red patch c is, beyond what blurring leaves of it, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("where", torch.stack([inside(patch).float() for patch in PATCHES]))
        self.logits = nn.Linear(len(PATCHES), len(PATCHES), bias=False)
        with torch.no_grad():
            self.logits.weight.copy_(30 * torch.eye(len(PATCHES)))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        red = torch.relu(inputs[:, :1] - 0.8) * self.where
        return self.logits(red.sum((2, 3)) / self.where.sum((1, 2)))


class Small(nn.Module):
    """Convolutions with ReLUs, of any use."""

    def __init__(self, n_classes: int = 10) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i, (before, after) in enumerate(((3, 12), (12, 16), (16, 16), (16, 24))):
            layers += [nn.Conv2d(before, after, 3, padding=1, stride=1 + i % 2), nn.BatchNorm2d(after), nn.ReLU()]
        self.features = nn.Sequential(*layers)
        self.logits = nn.Linear(24, n_classes)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.logits(self.features(inputs).mean((2, 3)))


def inside(box: tuple[int, int, int, int], size: tuple[int, int] = SIZE) -> torch.Tensor:
    mask = torch.zeros(size, dtype=torch.bool)
    mask[box[0] : box[2], box[1] : box[3]] = True
    return mask


def patch_image(which: int = 1, red: float = 1.0) -> torch.Tensor:
    """All patches red, one most of all; and noise, most of it in green, which no class reads.

    As red as this, blurring leaves most of the answer; at .75 it hides it, as the mean colour does.
    """
    image = 0.1 * torch.randn(1, 3, *SIZE, generator=torch.Generator().manual_seed(3))
    image[0, 1] *= 20
    for i, patch in enumerate(PATCHES):
        image[0, 0][inside(patch)] += 1.3 if i == which else 1.0
    image[0, 0] *= red
    return image


def noise_image(seed: int = 0, size: tuple[int, int] = SIZE) -> torch.Tensor:
    return torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(seed))


@dataclass(frozen=True)
class Oracle(Method):
    """Knows which patch each class reads."""

    title, paper = "Oracle", "none"

    def values(self, question: Question) -> Values:
        return Values(torch.stack([inside(PATCHES[c]).float()[None] for c in question.target.plus]))


@dataclass(frozen=True)
class Edges(Method):
    """Shows the edges of the image, whatever is asked of whatever network."""

    title, paper = "Edges", "none"

    def values(self, question: Question) -> Values:
        return Values(torch.stack([edge_map(one[None])[None] for one in question.inputs]))


@dataclass(frozen=True)
class Chance(Method):
    """Draws a map."""

    title, paper = "Chance", "none"

    seed: int = 0

    def values(self, question: Question) -> Values:
        generator = torch.Generator().manual_seed(self.seed)
        return Values(
            torch.rand(1, 1, *question.inputs.shape[2:], generator=generator).expand(len(question.inputs), -1, -1, -1)
        )


@dataclass(frozen=True)
class Untold(Method):
    """A gradient with noise that nobody is told of."""

    title, paper = "Untold", "none"

    def values(self, question: Question) -> Values:
        found, _ = question.back(question.maps)
        return Values(found + found.std() * torch.randn_like(found))


@dataclass(frozen=True)
class Guided(Method):
    """Guided backpropagation, for ReLUs."""

    title, paper = "Guided", "none"

    def values(self, question: Question) -> Values:
        def rule(call: Call, signal: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
            return call.gradient(signal.clamp(min=0))

        return Values(question.back(question.maps, lambda step: rule if step.op == "relu" else None)[0])


@dataclass(frozen=True)
class Promising(Method):
    """Promises twice what it gives."""

    title, paper = "Promising", "none"

    def values(self, question: Question) -> Values:
        found, _ = question.back(question.maps)
        return Values(found, 2 * found.double().flatten(1).sum(1))


@pytest.fixture(scope="module")
def patches() -> cs.Network:
    return network(Patches(), *SIZE)


@pytest.fixture(scope="module")
def small() -> cs.Network:
    torch.manual_seed(0)
    return network(randomized(Small(), SIZE), *SIZE, fold=True)


def result_of(subject: Subject, method: Method, key: str) -> Result:
    (result,) = check_all(subject, subject.explain(method), [key])
    return result


# curves


@pytest.mark.parametrize("fill", ["mean", "blur"])
@pytest.mark.parametrize("n_cells", [6, 500])
def test_curves_equal_a_naive_loop(small: cs.Network, fill: str, n_cells: int) -> None:
    image = noise_image(1)
    subject = Subject(small, image, target=3)
    scores = torch.randn(SIZE, generator=torch.Generator().manual_seed(2))
    grid, n_parts = Grid(*SIZE, n_cells), 5
    order = grid.order(scores, subject.generator("ties"))
    found = curves(subject, {"map": order}, grid, n_parts, fill)

    n_rows, n_columns = grid.shape
    cells: dict[int, list[tuple[int, int]]] = {}
    for y in range(SIZE[0]):
        for x in range(SIZE[1]):
            cells.setdefault(y * n_rows // SIZE[0] * n_columns + x * n_columns // SIZE[1], []).append((y, x))
    ranked = sorted(cells, key=lambda cell: -np.mean([float(scores[place]) for place in cells[cell]]))
    hidden = baseline_inputs(image, small.preprocess, fill)
    for way, start, added in (("insertion", hidden, image), ("deletion", image, hidden)):
        expected = []
        for part in range(n_parts + 1):
            shown = start.clone()
            for cell in ranked[: round(len(cells) * part / n_parts)]:
                for y, x in cells[cell]:
                    shown[0, :, y, x] = added[0, :, y, x]
            expected.append(float(small(shown).double().softmax(1)[0, 3]))
        assert found["map", way].numpy() == pytest.approx(expected, abs=1e-6)
        shares = [round(len(cells) * part / n_parts) / len(cells) for part in range(n_parts + 1)]
        by_hand = sum(
            (b - a) * (f + g) / 2 for a, b, f, g in zip(shares, shares[1:], expected, expected[1:], strict=False)
        )
        assert area(found["map", way], len(cells)) == pytest.approx(by_hand, abs=1e-6)


def test_cells_are_nearly_square_and_cover_the_image() -> None:
    grid = Grid(224, 336)
    assert grid.shape == (14, 21)
    assert torch.bincount(grid.cells.flatten()).tolist() == [256] * 294
    assert Grid(*SIZE).shape == (14, 23)
    assert Grid(*SIZE, 10**6).shape == SIZE
    assert torch.bincount(Grid(*SIZE).cells.flatten(), minlength=14 * 23).min() >= 1
    scores = torch.rand(SIZE)
    assert Grid(*SIZE, 10**6).means(scores).numpy() == pytest.approx(scores.flatten().numpy())


def test_equal_scores_are_ordered_at_random_and_repeatably() -> None:
    grid, scores = Grid(28, 28), torch.zeros(28, 28)
    scores[:2, :2] = 1
    orders = [grid.order(scores, torch.Generator().manual_seed(seed)).tolist() for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert all(order[0] == 0 and sorted(order) == list(range(196)) for order in orders)
    assert abs(np.corrcoef(orders[0], range(196))[0, 1]) < 0.3


def test_a_random_order_that_hides_is_one_that_shows_backwards(small: cs.Network) -> None:
    subject, grid, n_parts = Subject(small, noise_image(4)), Grid(*SIZE), 7
    order = torch.randperm(grid.n_cells, generator=torch.Generator().manual_seed(1))
    # points of a curve lie at whole numbers of cells: with this many, those from the other end are the same
    counts = curves_module.counts(grid.n_cells, n_parts)
    assert [grid.n_cells - n for n in counts[::-1]] == counts
    for fill in ("mean", "blur"):
        found = curves(subject, {"this": order, "backwards": order.flip(0)}, grid, n_parts, fill)
        assert found["this", "insertion"].flip(0).numpy() == pytest.approx(
            found["backwards", "deletion"].numpy(), abs=1e-6
        )


def test_what_curves_are_made_of(small: cs.Network) -> None:
    image = noise_image(5)
    logits = small(image).double()
    assert float(probability(small, logits, Subject(small, image, 4).target)) == pytest.approx(
        float(logits.softmax(1)[0, 4])
    )
    contrast = Subject(small, image, (4, 7))
    assert float(contrast.responses([image])) == pytest.approx(float((logits[0, 4] - logits[0, 7]).sigmoid()), abs=1e-6)
    assert float(Subject(small, image, "features.8:3").responses([image])) == pytest.approx(1)
    assert "response" in Subject(small, image, "features.8:3").scale
    said = network(nn.Sequential(Small(), nn.Softmax(1)).eval(), *SIZE)
    assert float(Subject(said, image, 2).responses([image])) == pytest.approx(float(said(image)[0, 2]), abs=1e-6)
    one = network(Small(1).eval(), *SIZE)
    assert float(Subject(one, image).responses([image])) == pytest.approx(float(one(image).sigmoid()), abs=1e-6)


# faithfulness


def test_the_oracle_of_a_planted_network_passes(patches: cs.Network) -> None:
    subject = Subject(patches, patch_image(red=0.75), mask=inside(PATCHES[1]))
    assert subject.target.plus == (1,)
    results = {result.check: result for result in check_all(subject, subject.explain(Oracle()))}
    faithful = results["faithfulness"]
    assert faithful.outcome == Outcome.PASSES
    assert faithful.interval is not None
    assert faithful.interval.low > 0
    assert "sooner than in random order" in faithful.words
    assert results["class_dependence"].outcome == Outcome.PASSES
    assert results["repeatability"].outcome == Outcome.PASSES
    assert results["repeatability"].figures["same"] == pytest.approx(1, abs=1e-12)
    assert results["localisation"].outcome == Outcome.PASSES
    assert results["localisation"].value == 1
    better = gains(subject, subject.explain(Oracle()))
    assert set(better) == {"mean", "blur"}
    for ways in better.values():
        assert all(gain > 0 for gain in ways["insertion"].values())
        assert all(gain > 0 for gain in ways["deletion"].values())


def test_the_gradient_times_the_image_passes_where_it_is_exact(patches: cs.Network) -> None:
    subject = Subject(patches, patch_image())
    results = check_all(subject, subject.explain(InputXGradient()))
    assert [r.check for r in results if r.outcome == Outcome.FAILS] == []
    assert distrust(results) == ""


def test_random_maps_fail(patches: cs.Network) -> None:
    subject = Subject(patches, patch_image())
    found = [result_of(subject, Chance(seed), "faithfulness") for seed in range(40)]
    passed = sum(result.outcome == Outcome.PASSES for result in found)
    assert passed <= 2  # an interval of 95 % leaves 2.5 % above
    failed = next(result for result in found if result.outcome == Outcome.FAILS and result.decides)
    assert "no better than a random order" in distrust([failed])
    assert "no sooner than chance allows" in failed.words


def test_the_trivial_map_that_does_better_is_named() -> None:
    class Middle(nn.Module):  # reads the middle alone
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            red = (inputs[:, 0] * centre_prior(*SIZE).pow(4)).mean((1, 2)).reshape(-1, 1) * 60 - 1.5
            return torch.cat([red, -red], 1)

    image = noise_image(6) * 0.1
    image[0, 0] += centre_prior(*SIZE).pow(4)
    subject = Subject(network(Middle(), *SIZE), image)

    @dataclass(frozen=True)
    class Beside(Method):
        title, paper = "Beside", "none"

        def values(self, question: Question) -> Values:
            return Values(torch.roll(centre_prior(*SIZE), 5, 1)[None, None])

    result = Faithfulness(n_orders=16)(subject, subject.explain(Beside()))
    assert result.outcome == Outcome.FAILS
    assert not result.decides  # it is better than a random order
    assert "a map that only knows the centre of the image does as well or better" in result.words
    assert distrust([result]) == ""


def test_flips_are_told() -> None:
    areas = {
        "mean": {
            "insertion": {"map": 0.5, "centre": 0.4, "edges": 0.2},
            "deletion": {"map": 0.2, "centre": 0.3, "edges": 0.4},
        },
        "blur": {
            "insertion": {"map": 0.5, "centre": 0.6, "edges": 0.5},
            "deletion": {"map": 0.2, "centre": 0.3, "edges": 0.4},
        },
    }
    (flip,) = flips(areas)
    assert flip["against"] == "centre"
    assert flip["below"] == ["blur", "insertion"]


def test_the_interval_of_random_orders_covers() -> None:
    rng = np.random.default_rng(0)
    hits, n = 0, 4000
    for _ in range(n):
        means = rng.normal(0, 5, 2)
        draws = rng.normal(means, 0.3, (5, 2))
        spread = pooled(draws[:4].T.tolist())
        hits += abs(draws[4, 0] - draws[:4, 0].mean()) <= spread["half_width"]
    assert hits / n == pytest.approx(0.95, abs=0.012)
    assert pooled([[1.0, 3.0], [2.0, 6.0]])["deviation"] == pytest.approx((10 / 2) ** 0.5)


def test_random_orders_are_not_above_the_interval_more_often_than_said(small: cs.Network) -> None:
    """The interval made of four orders, held against thirty others on a network with convolutions."""
    subject = Subject(small, noise_image(7))
    check, grid = Faithfulness(), Grid(*SIZE)
    spread = check.controls(subject, grid)
    generator = torch.Generator().manual_seed(9)
    others = {str(i): torch.randperm(grid.n_cells, generator=generator) for i in range(30)}
    found = curves(subject, others, grid, check.n_parts, "mean", ("insertion",))
    middle = area(spread["curves"]["mean"]["random", "insertion"], grid.n_cells)
    outside = [abs(area(curve, grid.n_cells) - middle) > spread["spread"]["half_width"] for curve in found.values()]
    assert sum(outside) <= 5


def test_what_methods_share_is_worked_out_once(patches: cs.Network, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    plain = Subject._answer

    def counted(self: Subject, images: torch.Tensor) -> torch.Tensor:
        seen.append(len(images))
        return plain(self, images)

    monkeypatch.setattr(Subject, "_answer", counted)
    subject = Subject(patches, patch_image())
    for expected in (1 + 2 + 16 + 32 + 32, 16, 16):  # image, fills, own, trivial, random orders; then own alone
        seen.clear()
        result_of(subject, Gradient() if expected > 16 else Chance(expected), "faithfulness")
        assert sum(seen) == expected


def test_thorough_curves_have_more_points(patches: cs.Network) -> None:
    subject = Subject(patches, patch_image(), thorough=True)
    figures = result_of(subject, Gradient(), "faithfulness").figures
    assert len(figures["shares"]) == 11
    assert figures["spread"]["draws"] == 8


# dependence on the class


def test_what_ignores_the_class_fails(small: cs.Network) -> None:
    subject = Subject(small, noise_image())
    edges, guided = (result_of(subject, method, "class_dependence") for method in (Edges(), Guided()))
    assert edges.outcome == guided.outcome == Outcome.FAILS
    assert edges.value == pytest.approx(1, abs=1e-6)
    assert guided.value is not None
    assert guided.value > 0.85
    assert "hardly depends on the class" in distrust([guided])
    for which in ("random_class", "least_likely"):
        assert {"target", "correlation", "rank_correlation"} <= guided.figures[which].keys()


@pytest.mark.parametrize("method", [Gradient(), GradCAM(), InputXGradient()], ids=lambda m: m.title)
def test_what_follows_the_class_passes(small: cs.Network, method: Method) -> None:
    result = result_of(Subject(small, noise_image()), method, "class_dependence")
    assert result.outcome == Outcome.PASSES
    assert result.value is not None
    assert result.value < 0.5


def test_the_other_classes_are_drawn_and_the_least_likely_is_told(small: cs.Network) -> None:
    subject = Subject(small, noise_image(), target=2)
    result = result_of(subject, Gradient(), "class_dependence")
    drawn = [result.figures[name] for name in ("random_class", "random_class_2", "random_class_3")]
    rest = [i for i in subject.logits[0].argsort().tolist() if i != 2]
    assert result.figures["least_likely"]["target"] == f"class {rest[0]}"
    assert len({one["target"] for one in drawn}) == 3
    assert result.value == sorted(one["correlation"] for one in drawn)[1]
    others = {
        result_of(Subject(small, noise_image(), 2, seed), Gradient(), "class_dependence").figures["random_class"][
            "target"
        ]
        for seed in range(8)
    }
    assert len(others) > 2
    assert "class 2" not in others
    own = Gradient()(small, noise_image(), 2).values.flatten()
    for one in (*drawn, result.figures["least_likely"]):
        other = Gradient()(small, noise_image(), int(one["target"].split()[1])).values.flatten()
        assert one["correlation"] == pytest.approx(float(torch.corrcoef(torch.stack([own, other]))[0, 1]), abs=1e-4)


@dataclass(frozen=True)
class Planned(Method):
    """Shows a planned map for each class: the given multiple of one map and the rest of another, nothing for some."""

    title, paper = "Planned", "none"

    alike: Callable[[int], float | None] = lambda c: 1.0

    def values(self, question: Question) -> Values:
        one, other = torch.randn(2, 1, *SIZE, generator=torch.Generator().manual_seed(0))
        wanted = [self.alike(c) for c in question.target.plus]
        return Values(
            torch.stack([0 * one if a is None else a * one + (1 - a * a) ** 0.5 * other for a in wanted]).float()
        )


def test_a_favourable_class_does_not_decide(small: cs.Network) -> None:
    """All but the least likely class get the same map."""
    subject = Subject(small, noise_image(), target=2)
    least = next(i for i in subject.logits[0].argsort().tolist() if i != 2)
    result = result_of(subject, Planned(lambda c: 0.0 if c == least else 1.0), "class_dependence")
    if f"class {least}" in [result.figures[name]["target"] for name in result.figures if name.startswith("random")]:
        raise AssertionError("another seed is wanted: the least likely class was drawn")
    assert result.outcome == Outcome.FAILS
    assert result.figures["least_likely"]["correlation"] < 0.2
    lean = ClassDependence(n_classes=1)(subject, subject.explain(Planned(lambda c: 0.0 if c == least else 1.0)))
    assert lean.outcome == Outcome.FAILS


def test_an_empty_map_of_another_class_proves_nothing(small: cs.Network) -> None:
    subject = Subject(small, noise_image(), target=2)
    nothing = result_of(subject, Planned(lambda c: 1.0 if c == 2 else None), "class_dependence")
    assert nothing.outcome == Outcome.NOT_RUN
    assert "of 9 other classes are empty" in nothing.words
    drawn = result_of(subject, Gradient(), "class_dependence").figures
    gone = [int(drawn[name]["target"].split()[1]) for name in ("random_class", "random_class_2")]
    result = result_of(subject, Planned(lambda c: None if c in gone else 1.0), "class_dependence")
    assert result.outcome == Outcome.FAILS  # the next classes are taken in their place
    assert result.figures["n_empty"] == 2
    assert result.figures["random_class"]["target"] == drawn["random_class_3"]["target"]
    assert "Of 2 more the map is empty" in result.words
    assert "random_class_3" in result.figures
    json.dumps(result.as_dict(), allow_nan=False)


def test_class_dependence_says_where_there_is_no_other_class(small: cs.Network, patches: cs.Network) -> None:
    unit = result_of(Subject(small, noise_image(), "features.8:3"), Gradient(), "class_dependence")
    assert unit.outcome == Outcome.NOT_RUN
    assert "a unit, not a class" in unit.words
    one = result_of(Subject(network(Small(1).eval(), *SIZE), noise_image()), Gradient(), "class_dependence")
    assert one.outcome == Outcome.NOT_RUN
    assert "one logit" in one.words
    contrast = result_of(Subject(patches, patch_image(), (1, 2)), Gradient(), "class_dependence")
    assert contrast.outcome == Outcome.PASSES
    assert contrast.figures["least_likely"]["target"] in ("class 0 rather than class 3", "class 3 rather than class 0")
    assert contrast.figures["random_class"]["target"] in ("class 0 rather than class 3", "class 3 rather than class 0")
    assert "random_class_2" not in contrast.figures
    few = network(Small(3).eval(), *SIZE)
    assert "too few" in result_of(Subject(few, noise_image(), (1, 2)), Gradient(), "class_dependence").words


# dependence on the weights


def test_what_ignores_the_weights_fails(small: cs.Network) -> None:
    subject = Subject(small, noise_image())
    edges = result_of(subject, Edges(), "weight_dependence")
    assert edges.outcome == Outcome.FAILS
    assert [stage["rank_correlation"] for stage in edges.figures["cascade"]] == pytest.approx([1, 1, 1])
    assert result_of(subject, Guided(), "weight_dependence").outcome == Outcome.FAILS
    assert "hardly depends on the weights" in distrust([edges])


def test_the_gradient_follows_the_weights(small: cs.Network) -> None:
    result = result_of(Subject(small, noise_image()), Gradient(), "weight_dependence")
    assert result.outcome == Outcome.PASSES
    assert [stage["n_layers"] for stage in result.figures["cascade"]] == [1, 2, 5]
    assert [stage["down_to"] for stage in result.figures["cascade"]] == ["logits", "features.9", "features.0"]


def test_redrawn_networks_forget_from_the_top_and_the_users_stays(small: cs.Network) -> None:
    before, image = small.fingerprint, noise_image()
    stages = redrawn(small, image, small.output, 0)
    own = small.graph.tensors
    changed = [
        {name for name in own if not torch.equal(own[name], stage.network.graph.tensors[name])} for stage in stages
    ]
    assert changed[0] == {"logits.weight", "logits.bias"}
    assert changed[0] < changed[1] < changed[2]
    assert changed[2] == {name for name in own if name in small.graph.learned}
    for lower, upper in zip(stages[1:], stages, strict=False):  # a lower stage keeps the draws of those above
        assert torch.equal(lower.network.graph.tensors["logits.weight"], upper.network.graph.tensors["logits.weight"])
    weight, drawn = own["features.3.weight"], stages[2].network.graph.tensors["features.3.weight"]
    assert float(drawn.std()) == pytest.approx(float(weight.std()), rel=0.05)
    assert float(drawn.mean()) == pytest.approx(float(weight.mean()), abs=0.05 * float(weight.std()))
    assert redrawn(small, image, small.output, 0) is stages
    assert not torch.equal(
        redrawn(small, image, small.output, 1)[0].network.graph.tensors["logits.weight"],
        stages[0].network.graph.tensors["logits.weight"],
    )
    assert small.fingerprint == before
    assert stages[0].network.own_logits(image) is None


def test_a_redrawn_network_computes_with_its_own_weights(small: cs.Network) -> None:
    """Folded weights of layers that were not drawn anew are used again; those of the others must not be."""
    image = noise_image()
    small(image)  # folds
    for stage in redrawn(small, image, small.output, 5):
        plain = stage.network.unfolded()
        assert torch.allclose(
            stage.network(image), plain(image), rtol=1e-4, atol=1e-4 * float(plain(image).abs().max())
        )


@dataclass(frozen=True)
class Vanishing(Method):
    """Shows edges; nothing for the first few networks that are not the user's."""

    title, paper = "Vanishing", "none"

    own: cs.Network | None = None
    live: tuple[int, ...] = ()  # which of the other networks get a map
    seen: list[cs.Network] = field(default_factory=list)

    def values(self, question: Question) -> Values:
        shown = torch.stack([edge_map(one[None])[None] for one in question.inputs])
        if question.network is not self.own:
            self.seen.append(question.network)
            if len(self.seen) - 1 not in self.live:
                shown = 0 * shown
        return Values(shown)


def test_an_empty_map_of_a_redrawn_network_proves_nothing(small: cs.Network) -> None:
    subject = Subject(small, noise_image())
    nothing = result_of(subject, Vanishing(small), "weight_dependence")
    assert nothing.outcome == Outcome.NOT_RUN
    assert "3 times" in nothing.words
    once = result_of(subject, Vanishing(small, (1, 2, 3)), "weight_dependence")
    assert once.outcome == Outcome.FAILS  # with the next seed it is the same map
    assert once.figures["n_empty"] == 1
    assert "drawn 2 times" in once.words
    later = result_of(subject, Vanishing(small, (0,)), "weight_dependence")
    assert later.outcome == Outcome.FAILS
    assert [stage["rank_correlation"] for stage in later.figures["cascade"]] == [pytest.approx(1), None, None]
    assert "with all layers the map vanished" in later.words
    json.dumps(later.as_dict(), allow_nan=False)


def test_few_redrawn_networks_are_kept_and_none_longer_than_the_network() -> None:
    net, image = network(Small().eval(), *SIZE), noise_image()
    for seed in range(doubles.MOST + 3):
        redrawn(net, image, net.output, seed)
    kept = doubles._redrawn[net]
    assert [key[-1] for key in kept] == [3, 4, 5, 6]
    assert all(stage.network.channels_last for stages in kept.values() for stage in stages)
    before = len(doubles._redrawn)
    del net, kept
    gc.collect()
    assert len(doubles._redrawn) < before


def test_units_are_checked_from_their_own_layer_down(small: cs.Network) -> None:
    result = result_of(Subject(small, noise_image(), "features.5:3"), Gradient(), "weight_dependence")
    assert result.figures["cascade"][0]["down_to"] == "features.3"


# repeatability


def test_noise_that_nobody_is_told_of_is_found(small: cs.Network) -> None:
    torch.manual_seed(0)
    result = result_of(Subject(small, noise_image()), Untold(), "repeatability")
    assert result.outcome == Outcome.FAILS
    assert result.figures["same"] < 0.9
    assert "does not come out again" in distrust([result])


def test_seeds_and_shifts_are_reported(small: cs.Network) -> None:
    subject = Subject(small, noise_image())
    smooth = result_of(subject, SmoothGrad(n_samples=4), "repeatability")
    assert smooth.figures["same"] == pytest.approx(1, abs=1e-6)
    assert 0 < smooth.figures["seeds"] < 0.999
    by_hand = SmoothGrad(n_samples=4, seed=1)(small, noise_image(), subject.target).scores[0]
    own = subject.explain(SmoothGrad(n_samples=4)).scores[0]
    assert smooth.figures["seeds"] == pytest.approx(
        float(torch.corrcoef(torch.stack([own.flatten(), by_hand.flatten()]))[0, 1]), abs=1e-4
    )
    edges = result_of(subject, Edges(), "repeatability")
    assert edges.figures["shift"] > 0.97  # only the border differs
    assert "seeds" not in edges.figures


def test_a_map_that_vanishes_does_not_come_out_again(small: cs.Network) -> None:
    @dataclass(frozen=True)
    class Once(Method):
        title, paper = "Once", "none"

        first: list[int] = field(default_factory=list)

        def values(self, question: Question) -> Values:
            self.first.append(1)
            return Values(question.maps if len(self.first) == 1 else 0 * question.maps)

    result = result_of(Subject(small, noise_image()), Once(), "repeatability")
    assert result.outcome == Outcome.FAILS
    assert result.figures["same"] == 0


def test_the_image_moves_by_one_pixel_to_the_right() -> None:
    image = torch.arange(12.0).reshape(1, 1, 3, 4)
    assert moved(image)[0, 0].tolist() == [[0, 0, 1, 2], [4, 4, 5, 6], [8, 8, 9, 10]]


def test_a_neuron_is_not_moved(small: cs.Network) -> None:
    result = result_of(Subject(small, noise_image(), "features.6:3@2,3"), Gradient(), "repeatability")
    assert "shift" not in result.figures
    assert result.outcome == Outcome.PASSES


# localisation


def test_localisation_by_hand() -> None:
    scores = torch.tensor([[4.0, 1.0, -3.0], [2.0, 0.0, 3.0]])
    mask = torch.tensor([[True, False, False], [True, True, False]])
    assert localise(scores, mask) == {"pointing": 1.0, "mass": pytest.approx(6 / 10), "rank": pytest.approx(2 / 3)}
    ties = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    found = localise(ties, torch.tensor([[True, False, False], [True, False, False]]))
    assert found == {"pointing": pytest.approx(1 / 3), "mass": pytest.approx(1 / 3), "rank": pytest.approx(1 / 3)}


def test_masks_and_boxes(patches: cs.Network) -> None:
    image = patch_image()

    def checked(**where: Any) -> Result:
        subject = Subject(patches, image, **where)
        return Localisation()(subject, subject.explain(Oracle()))

    found, same = checked(boxes=[PATCHES[1]]), checked(mask=inside(PATCHES[1]).numpy())
    assert found.figures == same.figures
    assert found.figures["chance"] == pytest.approx(48 / (21 * 34))
    assert found.outcome == Outcome.PASSES
    beside = checked(boxes=[PATCHES[2]])
    assert beside.outcome == Outcome.FAILS
    assert beside.value == 0
    assert not beside.decides
    assert checked().outcome == Outcome.NOT_RUN
    for wrong in (torch.zeros(5, 5, dtype=torch.bool), torch.zeros(SIZE, dtype=torch.bool)):
        with pytest.raises(UsageError, match="mask"):
            Subject(patches, image, mask=wrong)


# completeness


def test_completeness(small: cs.Network) -> None:
    subject = Subject(small, noise_image())
    integrated = result_of(subject, IntegratedGradients(n_steps=128), "completeness")
    assert integrated.outcome == Outcome.PASSES
    wrong = result_of(subject, Promising(), "completeness")
    assert wrong.outcome == Outcome.FAILS
    assert wrong.value is not None
    assert 0.01 < wrong.value <= 0.5
    assert "does not add up" in distrust([wrong])
    silent = result_of(subject, Gradient(), "completeness")
    assert silent.outcome == Outcome.NOT_RUN
    assert "does not promise" in silent.words
    assert Completeness(bar=1e-12)(subject, subject.explain(IntegratedGradients(n_steps=2))).outcome == Outcome.FAILS


class Biased(nn.Module):
    """A convolution and a dense layer; a share of the score is due to the bias of the last one."""

    def __init__(self, weight: float, bias: float) -> None:
        super().__init__()
        self.maps = nn.Conv2d(3, 4, 3, bias=False)
        self.logits = nn.Linear(4, 2)
        with torch.no_grad():
            self.maps.weight.copy_(torch.rand(4, 3, 3, 3, generator=torch.Generator().manual_seed(0)))
            self.logits.weight.fill_(weight)
            self.logits.bias.fill_(bias)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.logits(torch.relu(self.maps(inputs)).mean((2, 3)))


def test_a_map_that_accounts_for_nothing_of_the_score_fails_in_plain_words() -> None:
    image = noise_image().abs()
    for weight, bias, share in ((1e-7, 3.0, 0), (1e-3, 1.0, 4), (1.0, 1.0, 98), (1.0, 0.0, 100)):
        subject = Subject(network(Biased(weight, bias).eval(), *SIZE), image, 0)
        attribution = subject.explain(LRP("epsilon"))
        result = result_of(subject, LRP("epsilon"), "completeness")
        assert attribution.promised is not None
        assert result.figures["share"] == pytest.approx(1 - bias / float(attribution.score), abs=1e-6)
        assert result.value is not None
        assert result.value < 1e-6  # of the score, however little is promised
        assert f"accounts for {share} % of the score" in result.words
        assert (result.outcome == Outcome.FAILS) == (share < 5)
        assert ("the biases keep the rest" in result.words) == (share < 100)
        if share < 5:
            assert distrust([result]) == f"accounts for {share} % of the score: the biases keep the rest"
    for method in (DeepLIFT(), IntegratedGradients(n_steps=4)):  # what they promise is a difference
        subject = Subject(network(Biased(1e-7, 3.0).eval(), *SIZE), image, 0)
        result = result_of(subject, method, "completeness")
        assert result.outcome == Outcome.PASSES
        assert "That is 0 % of the score (3)" in result.words


def test_the_error_is_a_part_of_what_is_promised_or_of_the_score(small: cs.Network) -> None:
    attribution = Promising()(small, torch.cat([noise_image(), noise_image(1)]))
    assert attribution.promised is not None
    assert attribution.error is not None
    for i in range(2):
        total, promised = float(attribution.values[i].double().sum()), float(attribution.promised[i])
        score = float(attribution.score[i])
        by_hand = abs(total - promised) / max(abs(promised), abs(score))
        assert float(attribution.error[i]) == pytest.approx(by_hand, rel=1e-5)
    small_score = replace(attribution, score=0 * attribution.score)
    assert small_score.error is not None
    assert small_score.error.tolist() == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_bar_is_as_wide_as_the_precision_and_says_so(small: cs.Network, dtype: torch.dtype) -> None:
    net, image = small.to(dtype=dtype), noise_image()
    subject = Subject(net, image)
    result = result_of(subject, DeepLIFT(), "completeness")
    assert result.outcome == Outcome.PASSES
    assert result.figures["bar"] == pytest.approx(max(1e-3, 4 * torch.finfo(dtype).eps))
    assert f"computes in {str(dtype)[6:]}, whose precision" in result.words
    assert result_of(subject, Promising(), "completeness").outcome == Outcome.FAILS
    assert result_of(Subject(small, image), DeepLIFT(), "completeness").figures["bar"] == 1e-3
    assert "precision" not in result_of(Subject(small, image), DeepLIFT(), "completeness").words


# all of them


@pytest.mark.parametrize("method", [GradCAM(), Gradient(), SmoothGrad(n_samples=3), Edges()], ids=lambda m: m.title)
@pytest.mark.parametrize("target", [None, 3, (3, 5), "features.8:3"], ids=str)
def test_every_check_answers_in_words_and_json(small: cs.Network, method: Method, target: Any) -> None:
    layer = "features.5" if isinstance(method, GradCAM) else None
    subject = Subject(small, noise_image(), target, mask=inside(PATCHES[0]))
    steps: list[tuple[int, int]] = []
    results = check_all(
        subject, subject.explain(method, layer), progress=lambda done, total: steps.append((done, total))
    )
    assert {result.check for result in results} == set(KEYS)
    assert steps == [(i + 1, 6) for i in range(6)]
    for result in results:
        read = json.loads(json.dumps(result.as_dict(), allow_nan=False))
        assert read["outcome"] in ("passes", "fails", "not run")
        assert result.words.endswith(".")
        assert result.outcome == Outcome.NOT_RUN or result.bar
        assert bool(result.fault) == (result.outcome == Outcome.FAILS and result.decides)


def test_the_same_seed_gives_the_same_results(small: cs.Network) -> None:
    subjects = [Subject(small, noise_image(), seed=seed) for seed in (0, 0, 1)]
    first, again, other = ([r.as_dict() for r in check_all(one, one.explain(GradCAM()))] for one in subjects)
    assert first == again
    assert first != other


def test_an_empty_map_is_not_judged_by_itself(patches: cs.Network) -> None:
    @dataclass(frozen=True)
    class Nothing(Method):
        title, paper = "Nothing", "none"

        def values(self, question: Question) -> Values:
            return Values(torch.zeros_like(question.maps))

    subject = Subject(patches, patch_image())
    results = {r.check: r for r in check_all(subject, subject.explain(Nothing()))}
    for key in ("class_dependence", "weight_dependence", "repeatability"):
        assert results[key].outcome == Outcome.NOT_RUN
        assert "the same everywhere" in results[key].words
    assert results["faithfulness"].outcome == Outcome.FAILS


def test_a_fill_that_hides_nothing_does_not_count(small: cs.Network, patches: cs.Network) -> None:
    faint = result_of(Subject(small, 0.01 * noise_image()), Gradient(), "faithfulness")
    assert faint.outcome == Outcome.NOT_RUN
    assert "the response stays" in faint.words
    subject = Subject(small, 0.01 * noise_image())
    none = gains(subject, subject.explain(Gradient()))  # all are given: there is no place it hangs on
    assert set(none) == {"mean", "blur"}
    assert all(abs(gain) < 0.02 for ways in none.values() for by in ways.values() for gain in by.values())


def test_of_two_classes_a_half_is_chance(patches: cs.Network) -> None:
    class Red(nn.Module):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            red = (inputs[:, 0] * inside(PATCHES[1])).mean((1, 2)).reshape(-1, 1) * 30
            return torch.cat([red, -red], 1)

    image = 0.1 * noise_image(8)
    image[0, 0][inside(PATCHES[1])] = 1.0
    two = Subject(network(Red(), *SIZE), image)
    assert float(two.responses([0 * image])) == pytest.approx(0.5)
    assert "mean" in hiding(two)
    assert [Subject(patches, image, asked).chance for asked in (1, (1, 2))] == [0.25, 0.5]


def test_a_fill_that_leaves_half_is_told_and_left_out(patches: cs.Network) -> None:
    image = patch_image()
    subject = Subject(patches, image)
    one = result_of(subject, Oracle(), "faithfulness")
    left = {fill: float(subject.responses([baseline_inputs(image, patches.preprocess, fill)])) for fill in FILLS}
    assert left["mean"] < 0.5 < left["blur"]
    assert one.outcome == Outcome.PASSES
    assert one.figures["hiding"] == ["mean"]
    assert "The blur fill says nothing here" in one.words
    assert set(gains(subject, subject.explain(Oracle()))) == {"mean"}
    json.dumps(gains(subject, subject.explain(Oracle())), allow_nan=False)


def test_dear_methods_are_repeated_only_if_asked(small: cs.Network) -> None:
    @dataclass(frozen=True)
    class Dear(Gradient):
        def values(self, question: Question) -> Values:
            question.took(4997 * len(question.inputs))
            return super().values(question)

    attribution = Subject(small, noise_image()).explain(Dear())
    assert attribution.passes == 5000
    for thorough, outcome in ((False, Outcome.NOT_RUN), (True, Outcome.PASSES)):
        subject = Subject(small, noise_image(), thorough=thorough)
        results = [check(subject, attribution) for check in (ClassDependence(), WeightDependence(), Repeatability())]
        assert [result.outcome for result in results] == [outcome] * 3
        assert thorough or "5000 passes" in results[0].words
    lean = IntegratedGradients(n_steps=8)
    subject = Subject(small, noise_image())
    figures = result_of(subject, lean, "class_dependence").figures
    assert "random_class" in figures
    assert not {"random_class_2", "least_likely"} & figures.keys()
    assert len(result_of(subject, lean, "weight_dependence").figures["cascade"]) == 1


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (Gradient(), 3),
        (SmoothGrad(n_samples=5), 15),
        (SmoothGrad(n_samples=5, squared=True), 15),
        (IntegratedGradients(n_steps=7), 2 + 21),
        (LRP(), 3),
        (DeepLIFT(), 7),
    ],
    ids=lambda value: getattr(value, "title", None),
)
def test_passes_are_those_that_were_taken(small: cs.Network, method: Method, expected: float) -> None:
    for n_images in (1, 2):
        assert method(small, noise_image().expand(n_images, -1, -1, -1)).passes == expected


def test_passes_follow_what_a_call_really_did(small: cs.Network) -> None:
    image = noise_image()
    plain, exact = IntegratedGradients(n_steps=1), IntegratedGradients(n_steps=1, error=1e-2)
    few, many = plain(small, image), exact(small, image)
    doubled = [2 + 3 * (2 ** (n + 1) - 1) for n in range(13)]  # 1 + 2 + 4 + ... steps
    assert few.passes == 5
    assert many.passes in doubled[1:]
    n_units = 24
    assert n_units <= ScoreCAM()(small, image).passes <= n_units + 2
    assert AblationCAM()(small, image).passes < n_units / 4  # only what lies above the layer
    windows = Occlusion(window=7, stride=7)(small, image).passes
    assert 1 < windows <= 15


def test_wrong_questions(small: cs.Network, patches: cs.Network) -> None:
    subject = Subject(small, noise_image())
    with pytest.raises(UnknownNameError, match="faithfulness"):
        check_all(subject, subject.explain(Gradient()), ["faithfullness"])
    with pytest.raises(UsageError, match="another image"):
        check_all(subject, Gradient()(small, noise_image(1)))
    with pytest.raises(UsageError, match="explains class"):
        check_all(subject, Gradient()(small, noise_image(), (subject.target.plus[0] + 1) % 10))
    with pytest.raises(UsageError, match="2 images"):
        Subject(small, torch.cat([noise_image()] * 2))
    with pytest.raises(UsageError):
        Subject(small, noise_image(), target=99)


def test_correlations() -> None:
    a, b = torch.tensor([1.0, 2.0, 3.0, 10.0]), torch.tensor([1.0, 3.0, 2.0, 4.0])
    assert correlation(a, b) == pytest.approx(np.corrcoef(a, b)[0, 1])
    assert rank_correlation(a, b) == pytest.approx(0.8)
    assert rank_correlation(torch.tensor([1.0, 1.0, 2.0]), torch.tensor([1.0, 2.0, 3.0])) == pytest.approx(0.8660254)
    assert np.isnan(correlation(a, torch.ones(4)))
    assert np.isnan(rank_correlation(torch.ones(4), b))


def test_trivial_maps() -> None:
    prior = centre_prior(*SIZE)
    assert prior.shape == SIZE
    assert divmod(int(prior.argmax()), SIZE[1])[0] == 10
    assert torch.allclose(prior, prior.flip(0))
    assert torch.allclose(prior, prior.flip(1))
    ramp = torch.arange(6.0).expand(1, 3, 5, 6)
    assert edge_map(ramp)[1:-1, 1:-1].numpy() == pytest.approx(np.ones((3, 4)))
