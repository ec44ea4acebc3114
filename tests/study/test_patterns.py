"""Does the claim about preferred patterns ask somebody else, and is it supported only where pictures mean something to him?"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from planted import CLASSES, planted_images, planted_network

import convscope as cs
from convscope.cli import main
from convscope.errors import UsageError
from convscope.finding import Finding, Verdict
from convscope.instruments.appearance.drive import Drive
from convscope.intervals import difference, share, share_of_groups
from convscope.study import observers, patterns
from convscope.study.asked import question_of
from convscope.study.claim import Measured
from convscope.study.claims import PreferredPatterns
from convscope.study.observers import OtherNetwork, known_classes, other_network, witness
from convscope.study.patterns import KINDS, OBSERVER
from convscope.sweep.gauges import Directions
from convscope.sweep.response import Response

CLAIM = "preferred_patterns"

# -------------------------------------------------------------------------------------------------- how it is judged


def judged(*counts: int, n: int = 16, exceeds: bool = True, natural: tuple[int, int] = (70, 100)) -> Finding:
    """The finding if of n classes so many pictures were recognised: optimised, raw ascent, fresh weights, random directions."""
    who = {"what": OBSERVER, "name": "a friend", "n_right": natural[0], "n": natural[1], "n_classes": n, "n_top": 5}
    who["enough"] = natural[0] > 10
    times, passes = dict.fromkeys(KINDS, 2.0 if exceeds else 0.5), dict.fromkeys(KINDS, exceeds)
    units = [{"what": "unit", "layer": "relu1", "unit": i, "times": times, "passes": passes} for i in range(12)]
    filled = dict(zip(KINDS, (*counts, *[0] * (4 - len(counts))), strict=True))
    ranks = {kind: [4 if i < count else 5 for i in range(n)] for kind, count in filled.items()}
    pictures = [{"what": "classes", "classes": list(range(n)), "picture": 0, "ranks": ranks, "n_top": 5}]
    nameless = replace(planted_network(), classes=None)
    rows = [who, *units, *(pictures if who["enough"] else [])]
    return PreferredPatterns().find(Measured(nameless, planted_images(8), (), rows={CLAIM: rows}))


@pytest.mark.parametrize(
    ("counts", "n", "verdict"),
    [
        ((12, 0), 16, Verdict.SUPPORTED),
        ((12, 12), 16, Verdict.UNDECIDED),  # raw ascent's are recognised as often
        ((12, 1, 12), 16, Verdict.UNDECIDED),  # or those of fresh weights
        ((12, 1, 1, 12), 16, Verdict.UNDECIDED),
        ((100, 1, 100), 200, Verdict.NOT_SUPPORTED),
        ((2, 0), 16, Verdict.UNDECIDED),
        ((0, 0), 64, Verdict.NOT_SUPPORTED),  # nobody recognises any
    ],
)
def test_the_strongest_control_decides(counts: tuple[int, ...], n: int, verdict: Verdict) -> None:
    finding = judged(*counts, n=n)
    assert finding.verdict == verdict
    assert finding.value.value == pytest.approx(counts[0] / n)
    strongest = max(range(1, 4), key=lambda i: (*counts, 0, 0)[i])
    assert finding.controls[0].value.value == max((*counts, 0, 0)[1:4]) / n
    if max(counts[1:]) > 1:
        assert finding.controls[0].name == list(KINDS.values())[strongest]


def test_pictures_that_drive_no_unit_beyond_natural_images_are_no_patterns() -> None:
    assert judged(16, 0, exceeds=False).verdict == Verdict.NOT_SUPPORTED
    assert judged(0, 0, exceeds=False, natural=(1, 100)).verdict == Verdict.NOT_SUPPORTED


def test_an_observer_that_knows_no_natural_image_is_not_asked() -> None:
    finding = judged(16, 0, natural=(1, 100))
    assert finding.verdict == Verdict.UNDECIDED
    assert "--other" in finding.reason
    assert np.isnan(finding.value.value)


def test_few_classes_leave_it_open() -> None:
    finding = judged(5, 0, n=5)
    assert finding.verdict == Verdict.UNDECIDED
    assert "it takes 6" in finding.reason


def test_several_pictures_of_a_class_count_as_what_they_tell_of_classes() -> None:
    """Of 8 classes, 4 pictures each, where classes differ, the interval holds the share of all classes 19 times of 20."""
    rng = np.random.default_rng(0)
    held = held_alone = 0
    for _ in range(1000):
        of_class = rng.beta(0.6, 0.6, 8)
        hits = rng.random((8, 4)) < of_class[:, None]
        own, alone = share_of_groups(hits), share(int(hits.sum()), hits.size)
        assert own.value == pytest.approx(alone.value)
        held += own.low <= 0.5 <= own.high
        held_alone += alone.low <= 0.5 <= alone.high
    assert held >= 940
    assert held_alone < 850
    one_each = rng.random((40, 1)) < 0.3
    assert share_of_groups(one_each) == share(int(one_each.sum()), 40)
    assert share_of_groups(np.ones((7, 3), bool)) == share(7, 7)
    assert not share_of_groups(np.zeros((7, 3), bool)).high < share(0, 7).high


def test_a_study_with_several_pictures_of_few_classes_counts_classes() -> None:
    rows = {kind: [0 if kind == "trained" else 5] * 8 for kind in KINDS}
    pictures = [
        {"what": "classes", "classes": list(range(8)), "picture": i, "ranks": rows, "n_top": 1} for i in range(3)
    ]
    who = {"what": OBSERVER, "name": "a friend", "n_right": 70, "n": 100, "n_classes": 10, "n_top": 1, "enough": True}
    nameless = replace(planted_network(), classes=None)
    finding = PreferredPatterns().find(
        Measured(nameless, planted_images(8), (), rows={CLAIM: [who, *pictures]}),
    )
    assert finding.value == share(8, 8)
    assert finding.resampled == "classes"
    told = {control.name: control.what for control in finding.controls}
    assert "Chance is 20% for whoever tells the raised from the lowered" in told[KINDS["direction"]]
    assert all(("Chance" in what) == (name == KINDS["direction"]) for name, what in told.items())


def test_the_difference_of_two_shares_is_that_of_newcombe() -> None:
    """His table II: 56/70 against 48/80 is .2, .0524 to .3339; 10/10 against 0/10 is 1, .6075 to 1."""
    first, second = difference(share(56, 70), share(48, 80)), difference(share(10, 10), share(0, 10))
    np.testing.assert_allclose((first.value, first.low, first.high), (0.2, 0.0524, 0.3339), atol=5e-5)
    np.testing.assert_allclose((second.value, second.low, second.high), (1, 0.6075, 1), atol=5e-5)


# ------------------------------------------------------------------------------------------------------ who is asked


def question(images: cs.Images, other: cs.Network | None = None, net: cs.Network | None = None) -> Measured:
    net = net or planted_network()
    named = images.match(CLASSES) if (images.labels >= 0).any() else images
    asked = question_of(net, named, (), 0, "" if (images.labels >= 0).any() else "no labels", other)
    return Measured(**vars(asked))


def fresh(net: cs.Network, which: str) -> cs.Network:
    images = planted_images(16)
    return net.fresh(int(which[-1]), net.preprocess([images[i] for i in range(16)]))


def test_a_witness_tells_classes_it_was_shown_and_none_where_labels_mean_nothing() -> None:
    net, images = planted_network(), planted_images(200)
    found = witness(question(images), lambda which: fresh(net, which))
    assert found is not None
    assert found.known.tolist() == [0, 1, 2, 3]
    assert found.natural[1] == 60
    assert observers.recognises_images(*found.natural, 4)
    flat = torch.full((4, 3, 21, 34), 0.5)
    flat[:, :, 5:14, 8:25] = torch.tensor(np.eye(4, 3, dtype=np.float32))[:, :, None, None]  # red, green, blue, black
    assert found.ranks(flat, [0, 1, 2, 3]).count(0) >= 3
    assert sorted(found.ranks(flat[:1].expand(4, -1, -1, -1), [0, 1, 2, 3])) == [0, 1, 2, 3]
    labels = np.random.default_rng(0).permutation(images.labels)
    names = [CLASSES[label] for label in labels]
    shuffled = witness(question(cs.images(images, labels=names)), lambda which: fresh(net, which))
    assert shuffled is not None
    assert not observers.recognises_images(*shuffled.natural, 4)


def test_classes_with_few_images_are_not_known() -> None:
    images = planted_images(40).match(CLASSES)
    images = images[np.flatnonzero(images.labels != 2)]
    few = images[np.concatenate([np.flatnonzero(images.labels == 0)[:4], np.flatnonzero(images.labels > 0)])]
    assert known_classes(question(few)).tolist() == [1, 3]
    assert witness(question(planted_images(12)), lambda which: planted_network()) is None
    unlabelled = cs.images(np.stack([picture.pixels for picture in planted_images(12)]))
    assert not len(known_classes(question(unlabelled)))


def test_another_network_is_asked_by_the_names_of_classes() -> None:
    net = planted_network()
    moved = replace(net, classes=cs.Classes.of(("grey", "blue", "violet", "red")))  # its logits mean other things
    found = other_network(question(planted_images(40), moved), moved)
    assert isinstance(found, OtherNetwork)
    assert found.known.tolist() == [0, 2, 3]
    assert found.there.tolist() == [3, 1, 0]
    pixels = torch.rand(5, 3, 21, 34)
    ranks = found.ranks(pixels, [0, 2, 3, 0, 2])
    logits = net(net.preprocess.normalize(pixels)).detach()
    shared = logits[:, [0, 1, 3]]  # what it makes of violet does not count: the network has no such class
    assert ranks == [int((row > whole[i]).sum()) for row, whole, i in zip(shared, logits, [3, 1, 0, 3, 1], strict=True)]
    assert max(ranks) < len(found.known)
    assert found.natural[1] == 30, "images of green, which it does not know, are not shown to it"
    same = replace(net, classes=None)
    assert len(known_classes(question(planted_images(8), same))) == 4, "without names, equally many classes"


def test_a_name_that_two_classes_have_is_not_known() -> None:
    net = planted_network()
    for own, there, known in (
        (("crane", "crane", "owl", "rail"), ("owl", "crane", "tern", "rail"), [(2, 0), (3, 3)]),
        (("owl", "crane", "tern", "rail"), ("crane", "crane", "owl", "rail"), [(0, 2), (3, 3)]),
        (("a", "a", "a", "a"), ("a", "b", "c", "d"), []),
    ):
        networks = [replace(net, classes=cs.Classes.of(names)) for names in (own, there)]
        found = observers.known_there(*networks)
        assert list(zip(*(indices.tolist() for indices in found), strict=True)) == known


def test_without_labels_it_is_asked_whether_it_agrees_on_natural_images() -> None:
    unlabelled = cs.images(np.stack([picture.pixels for picture in planted_images(24)]))
    found = other_network(question(unlabelled, planted_network()), planted_network())
    assert found is not None
    assert found.natural == (24, 24)


def test_pictures_of_another_size_are_resized_for_it() -> None:
    found = other_network(question(planted_images(8), planted_network()), planted_network())
    assert found is not None
    small = torch.rand(2, 3, 11, 17)
    resized = torch.nn.functional.interpolate(small, (21, 34), mode="bilinear", antialias=True)
    assert found.ranks(small, [0, 1]) == found.ranks(resized, [0, 1])


def test_peaks_along_directions_are_those_of_the_weighted_sums() -> None:
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(13, 5, 7, 11, generator=generator)
    weights = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    parts = [np.arange(0, 6), np.arange(6, 13)]
    whole, one, two = (Directions(weights=weights, k=2) for _ in range(3))
    whole.update(Response("layer", maps, np.arange(13)))
    for gauge, part in ((two, parts[1]), (one, parts[0])):
        gauge.update(Response("layer", maps[part], part))
    two.merge(one)
    restored = Directions(weights=weights, k=2)
    restored.restore(two.state())
    for direction in range(3):
        sums = sum(float(weights[direction, u]) * maps[:, u] for u in range(5))
        order = sums.flatten(1).amax(1).argsort(descending=True)[:2]
        for found in (whole.result(), two.result(), restored.result()):
            assert found.keys[direction].tolist() == order.tolist()
            np.testing.assert_allclose(found.values[direction], sums.flatten(1).amax(1)[order], rtol=1e-5)
            at = sums[order[0], found.y[direction, 0], found.x[direction, 0]]
            assert float(at) == pytest.approx(float(found.values[direction, 0]), rel=1e-5)


# ------------------------------------------------------------------------------------------------------- whole studies


@pytest.fixture
def _enough(monkeypatch: pytest.MonkeyPatch, as_it_is: None) -> None:
    """As many classes as for everyone, but fewer units and steps."""
    monkeypatch.setattr(PreferredPatterns, "n_sampled", 6)
    for name, n_steps in (("OF_UNITS", 40), ("OF_CLASSES", 40), ("RAW_ASCENT", 40)):
        monkeypatch.setattr(patterns, name, replace(getattr(patterns, name), n_steps=n_steps))


@pytest.mark.usefixtures("_enough")
def test_the_builtin_network_prefers_patterns_that_a_witness_recognises(tmp_path: Path) -> None:
    scenes = cs.images("builtin:world?n=1000&seed=1")
    study = cs.why(cs.load("builtin:world"), scenes, tmp_path / "s", only=[CLAIM], form="float32")
    finding = study.findings[CLAIM]
    # Ten classes: beyond chance, and by how much; whether by ten points for sure hangs on a picture or two.
    assert finding.verdict in (Verdict.SUPPORTED, Verdict.UNDECIDED), finding.summary
    assert finding.beyond.low > 0
    assert finding.beyond.value > 0.3
    assert finding.value.value > 0.4
    assert {control.name for control in finding.controls} == {"raw ascent", "fresh weights", "random directions"}
    assert "a witness" in finding.evidence[0]["title"]
    assert {f"{CLAIM}: optimised", f"{CLAIM}: raw ascent"} <= set(study.curves["kind"])
    assert study.manifest["settings"]["other"] is None


@pytest.mark.usefixtures("_enough")
def test_one_that_has_learned_nothing_does_not(tmp_path: Path, scenes: cs.Images, monkeypatch) -> None:
    monkeypatch.setattr(PreferredPatterns, "n_sampled", 1)
    net = cs.load("builtin:world")
    nothing = net.fresh(7, net.preprocess([scenes[i] for i in range(32)]))
    finding = cs.why(nothing, scenes, tmp_path / "s", only=[CLAIM], form="float32").findings[CLAIM]
    assert finding.verdict != Verdict.SUPPORTED
    assert finding.value.value < 0.4


def test_too_few_images_leave_it_open(tmp_path: Path) -> None:
    finding = cs.why(planted_network(), planted_images(8), tmp_path / "s", only=[CLAIM], form="float32").findings[0]
    assert finding.verdict == Verdict.UNDECIDED
    assert "--other" in finding.reason
    assert "driven beyond the best of 8 images" in finding.summary


def test_another_network_belongs_to_the_study(tmp_path: Path) -> None:
    net, images = planted_network(), planted_images(16)
    other, third = fresh(net, "3"), fresh(net, "4")
    stages: list[str] = []

    def why(folder: str, beside: cs.Network | None, **settings: object) -> cs.Study:
        stages.clear()
        return cs.why(
            net, images, tmp_path / folder, form="float32", other=beside,
            progress=lambda stage, done, total: stages.append(stage), **settings,  # type: ignore[arg-type]
        )  # fmt: skip

    both = [CLAIM, "weight_sharing"]
    alone = why("s", None, only=both)
    assert alone.manifest["settings"]["other"] is None
    beside = why("s", other, only=both)
    assert beside.manifest["settings"]["other"] == {"name": other.name, "fingerprint": other.fingerprint}
    assert PreferredPatterns.doing in stages
    once = why("once", other, only=both)
    assert (beside.folder / "findings.json").read_bytes() == (once.folder / "findings.json").read_bytes()
    why("s", other, only=both)
    assert not stages, "all is there"
    for wrong, words in ((None, "now none is given"), (third, "not to this one")):
        with pytest.raises(UsageError, match=words):
            why("s", wrong, only=both)
    with pytest.raises(UsageError, match="the same network"):
        why("own", net)
    assert not (tmp_path / "own").exists()


def test_another_network_is_named_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["-o", str(tmp_path / "s"), "--only", CLAIM]
    with pytest.raises(SystemExit) as stopped:
        main(["why", "builtin:world", "builtin:world?n=20", *out, "--other", "builtin:world"])
    assert stopped.value.code == 2
    assert "It is the same network" in capsys.readouterr().err


def test_stopped_within_a_picture_it_is_gone_on_with(tmp_path: Path, monkeypatch) -> None:
    net, images = planted_network(), planted_images(24)
    calls, own = {"n": 0, "stop": 50}, Drive.gradient

    def gradient(self: Drive, *args: object, **settings: object) -> object:
        calls["n"] += 1
        if calls["n"] == calls["stop"]:
            raise KeyboardInterrupt
        return own(self, *args, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(Drive, "gradient", gradient)
    with pytest.raises(KeyboardInterrupt):
        cs.why(net, images, tmp_path / "s", only=[CLAIM], form="float32")
    (rows,) = (tmp_path / "s" / "sweeps").glob(f"{CLAIM}-*.jsonl")
    kept = rows.read_text().splitlines()
    assert len(kept) >= 2, "the observer, and a unit"
    stopped = calls["n"]
    gone_on = cs.why(net, images, tmp_path / "s", only=[CLAIM])
    after, calls["n"], calls["stop"] = calls["n"] - stopped, 0, -1
    whole = cs.why(net, images, tmp_path / "whole", only=[CLAIM], form="float32")
    assert after < calls["n"], "what was done is not done again"
    assert (gone_on.folder / "findings.json").read_bytes() == (whole.folder / "findings.json").read_bytes()
