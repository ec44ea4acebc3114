"""What a study says of concepts: the four claims, their controls, the pages, and what happens when other concepts are given."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import convscope as cs
from convscope.cli.see import command as see_command
from convscope.errors import UnknownNameError, UsageError
from convscope.finding import Verdict
from convscope.images.concepts.world_masks import WorldMasks
from convscope.see.dissected import Dissected
from convscope.study.chapters import read_chapters
from convscope.study.claim import Measured
from convscope.study.detected import held

CLAIMS = ("unit_detectors", "unit_axes", "concept_level", "distributed_concepts")
N = 300


@pytest.fixture(scope="module")
def world() -> cs.Images:
    return cs.images(f"builtin:world?n={N}")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, world: cs.Images) -> cs.Study:
    folder = tmp_path_factory.mktemp("concepts") / "study"
    return cs.why(cs.load("builtin:world"), world, folder, only=CLAIMS, form="float32")


@pytest.fixture(scope="module")
def dissected(world: cs.Images) -> Dissected:
    return cs.dissect(cs.load("builtin:world"), world)


def test_the_builtin_networks_concepts_grow_with_depth_and_are_spread(study: cs.Study) -> None:
    level, spread = study.findings["concept_level"], study.findings["distributed_concepts"]
    assert level.verdict == Verdict.SUPPORTED
    assert level.controls[0].value.value < 0.1
    assert spread.verdict == Verdict.SUPPORTED
    assert spread.value.value >= 0.75
    assert spread.controls[0].value.value <= 0.05  # wrong labels


def test_units_detect_more_than_each_control(study: cs.Study) -> None:
    found = study.findings["unit_detectors"]
    controls = {control.name: control.value.value for control in found.controls}
    assert controls.keys() == {"fresh weights", "random directions", "wrong labels"}
    assert controls["wrong labels"] <= 0.005
    assert all(found.value.value > value for value in controls.values())
    assert found.beyond.low > 0
    assert found.beyond.value == pytest.approx(found.value.value - max(controls.values()), abs=1e-9)


def test_the_unit_axis_is_special_beyond_fresh_weights(study: cs.Study) -> None:
    found = study.findings["unit_axes"]
    assert found.value.low > 0
    assert found.beyond.value > 0
    assert abs(found.controls[0].value.value) < 0.05


@pytest.mark.parametrize("name", ["wheel", "eye", "hair"])
def test_wheel_eye_and_hair_are_found_where_they_are(dissected: Dissected, name: str) -> None:
    sheet = dissected.sheet(name)
    best, several = sheet.numbers["best_unit"], sheet.numbers["several_units"]
    concept = dissected.number_of(name)
    single = dissected.trained.single
    assert single is not None
    assert best["detects"]
    assert best["iou"] > max(single.prior[concept], 3 * single.everywhere[concept])
    assert several["iou"] > best["iou"]
    assert [check.outcome for check in sheet.checks] == ["passes"] * 6
    (section,) = sheet.sections
    assert len(section.tiles) >= 3
    assert section.tiles[0].pictures[0][0] == "the concept"


def test_where_a_unit_is_on_is_drawn_as_it_was_counted(dissected: Dissected, world: cs.Images) -> None:
    """The overlap over all pixels of the measuring images, from the drawing's own values, is that of the counts."""
    from convscope.instruments.concepts.counting import place_of
    from convscope.see.concept import best_unit
    from convscope.sweep.engine import keys_of
    from convscope.sweep.gauges.pixels import values_at

    concept = dissected.number_of("wheel")
    best, network, labels = best_unit(dissected, concept), dissected.network, dissected.labels
    assert labels.pixels is not None
    keys, joint, either = keys_of(world), 0, 0
    for index in np.flatnonzero(labels.pixels.labelled.half[keys] == 1):
        mask = WorldMasks().masks(world.picture(int(index)), network.preprocess, network.preprocess(world[int(index)]))
        maps = network.run(network.preprocess(world[int(index)]), [best.layer])[best.layer]
        rows = np.arange(64)[None]
        on = values_at(maps, rows, rows, place_of(network, labels.pixels, best.layer))[0, best.unit] > best.threshold
        there = mask.values[[str(c) for c in WorldMasks().concepts].index("part: wheel")].ravel()
        joint, either = joint + (on.numpy() & there).sum(), either + (on.numpy() | there).sum()
    assert joint / either == pytest.approx(best.iou, abs=0.03)  # 64 pixels of 4,096 were counted


@pytest.mark.parametrize("n", [11, 60])
def test_draws_of_held_concepts_scatter_as_a_bootstrap_does(n: int, world: cs.Images) -> None:
    """Of a mean, for which both can be had."""
    measured = Measured(cs.load("builtin:world"), world, ())
    values = np.random.default_rng(n).normal(size=n)
    drawn = held(measured, n, 4000)
    assert (drawn.sum(axis=1) == (n + 1) // 2).all()
    scatter = np.std([values[row].mean() for row in drawn])
    again = values[np.random.default_rng(1).integers(0, n, (4000, n))].mean(axis=1)
    assert scatter == pytest.approx(again.std(), rel=0.12)


def test_every_concept_and_layer_has_a_page(study: cs.Study) -> None:
    concepts, layers = read_chapters(study.folder, study.manifest)
    assert len(concepts["rows"]) == len(WorldMasks().concepts) == len(concepts["pages"])
    assert {row["page"] for row in concepts["rows"]} == {page["address"] for page in concepts["pages"]}
    assert [row["page"] for row in layers["rows"]] == list(study.manifest["settings"]["layers"])
    wheel = next(page for page in concepts["pages"] if page["address"] == "part: wheel")
    assert {one["title"] for one in wheel["checks"]} >= {
        "Beyond wrong labels",
        "Beyond the mean mask",
        "Beyond fresh weights",
    }
    assert "part: wheel" in (study.folder / "report.html").read_text("ascii")


def test_units_are_named_in_the_table(study: cs.Study) -> None:
    units = study.units
    named = units["concept"] != None  # noqa: E711  # an array of objects
    assert 0 < named.sum() < len(units)
    assert np.isfinite(units["concept_iou"].astype(float)[named]).all()
    assert (units["concept_iou"].astype(float)[named] > units["concept_chance"].astype(float)[named]).all()


def test_without_masks_nothing_is_claimed_and_other_concepts_are_measured_anew(
    tmp_path: Path, world: cs.Images
) -> None:
    network, few = cs.load("builtin:world"), world[list(range(60))]
    study = cs.why(network, few, tmp_path / "s", only=CLAIMS, concepts=["none"], form="float32")
    assert {finding.verdict for finding in study.findings} == {Verdict.UNDECIDED}
    assert all("--concepts" in finding.reason for finding in study.findings)
    study = cs.why(network, few, tmp_path / "s", only=CLAIMS, concepts=["colour", "brightness"], form="float32")
    assert np.isfinite(study.findings["unit_detectors"].value.value)
    level = study.findings["concept_level"]
    assert level.verdict == Verdict.UNDECIDED
    assert "it takes 2 of each" in level.reason
    made = study.folder.joinpath("findings.json").stat().st_mtime_ns
    cs.why(network, few, tmp_path / "s", only=CLAIMS, form="float32")  # nothing is said of concepts: all is there
    assert study.folder.joinpath("findings.json").stat().st_mtime_ns == made


def test_a_concept_that_is_not_there_names_the_nearest(dissected: Dissected) -> None:
    with pytest.raises(UnknownNameError, match="wheel"):
        dissected.sheet("wheels")
    with pytest.raises(UnknownNameError):
        dissected.layer("relu9")
    with pytest.raises(UsageError, match="None were given"):
        cs.dissect(dissected.network, dissected.labels.images, ["none"])


def test_a_concept_on_the_command_line(tmp_path: Path) -> None:
    ask = ["builtin:world", "--concept", "wheel", "--images", "builtin:world", "--limit", "80", "--quiet", "--json"]
    found = CliRunner().invoke(see_command, [*ask, "--save", str(tmp_path / "wheel.png")])
    assert found.exit_code == 0, found.output
    (sheet,) = json.loads(found.stdout)["sheets"]
    assert sheet["address"] == "part: wheel"
    assert (tmp_path / "wheel.png").stat().st_size > 10_000
    refused = CliRunner().invoke(see_command, ["builtin:world", "--concept", "wheel"])
    assert refused.exit_code == 2
    assert "--images" in refused.output
