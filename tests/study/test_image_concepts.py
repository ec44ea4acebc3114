"""What a study and its pages say of concepts of whole images: the index, checks against what is trivial, beside masks or alone."""

import json
from pathlib import Path

import numpy as np
import pytest
from planted import CLASSES, FOR_BLUE, planted_images, planted_network

import convscope as cs
from convscope.errors import UnknownNameError, UsageError
from convscope.see.dissected import Dissected
from convscope.see.image_concept import best_ranking
from convscope.study.chapters import read_chapters

BLUE = sorted(CLASSES).index("blue")  # its number as a label, and as a concept


@pytest.fixture(scope="module")
def dissected() -> Dissected:
    return cs.dissect(planted_network(), planted_images(80), ["classes", "colour"])


def test_the_unit_for_blue_is_the_best_for_the_class_blue(dissected: Dissected) -> None:
    sheet = dissected.sheet("class: blue")
    layer, unit = FOR_BLUE
    best = sheet.numbers["best_unit"]
    assert best["layer"] == layer  # others of the layer know it as well on the half that chooses
    assert best["precision"] > 0.9
    assert best["ranks"]
    assert sheet.numbers["best_unit"]["share"] == pytest.approx(0.25)
    assert [(check.title, str(check.outcome)) for check in sheet.checks[:2]] == [
        ("Beyond wrong labels", "passes"),
        ("Beyond the share of images", "passes"),
    ]
    assert f"The best unit, {layer}:{best['unit']}, chosen on one half" in sheet.sentence
    assert dict(sheet.facts)["in images"] == "10 of the half that chooses, 10 of the half that measures"
    curve, table = sheet.evidence
    assert {one["name"] for one in curve["series"]} == {"best unit", "best unit, fresh weights", "the share of images"}
    assert curve["series"][0]["values"][curve["x"].index(layer)] == best["precision"]
    assert [f"{layer}:{unit}", "1.00", "1.00", "4.0 x"] in [row[:4] for row in table["rows"]]
    assert table["rows"][0][0] == f"{layer}:{best['unit']}"
    assert len(table["rows"]) <= sheet.numbers["n_units"]
    sheet.picture()
    assert "class: blue" in sheet.html()


def test_fresh_weights_are_chosen_and_measured_alike(dissected: Dissected) -> None:
    (fresh,) = dissected.fresh
    own = best_ranking(dissected, BLUE, fresh)
    chosen = {layer: one.chosen[:, BLUE] for layer, one in fresh.of_images.items()}
    layer = max(chosen, key=lambda name: float(chosen[name].max()))
    unit = int(chosen[layer].argmax())
    assert (own.layer, own.unit) == (layer, unit)
    assert own.precision == float(fresh.of_images[layer].measured[unit, BLUE])
    check = dissected.sheet("class: blue").checks[2]
    assert check.title == "Beyond fresh weights"
    assert f"has {own.precision:.3f}" in check.words
    assert (check.outcome == "passes") == (own.precision < best_ranking(dissected, BLUE).precision)


def test_a_concept_of_two_kinds_is_asked_for_by_its_kind(dissected: Dissected) -> None:
    with pytest.raises(UsageError, match="'class: blue'"):
        dissected.sheet("blue")
    assert dissected.sheet("colour: blue").sections
    with pytest.raises(UnknownNameError, match="blue"):
        dissected.sheet("bleu")
    with pytest.raises(UsageError, match="nowhere in them"):
        dissected.number_of("class: blue")


def test_a_study_has_pages_of_concepts_of_whole_images(tmp_path: Path) -> None:
    study = cs.why(
        planted_network(),
        planted_images(48),
        tmp_path / "s",
        only=["unit_detectors"],
        concepts=["classes", "colour"],
        form="float32",
    )
    concepts, layers = read_chapters(study.folder, study.manifest)
    names = [f"class: {name}" for name in sorted(CLASSES)]
    rows = {row["page"]: dict(zip(concepts["columns"], row["cells"], strict=True)) for row in concepts["rows"]}
    assert sorted(list(rows)[-4:]) == names  # after those with masks
    own = rows["class: blue"]
    assert own["best unit"].startswith(f"{FOR_BLUE[0]}:")
    assert (own["images"], own["share of images"]) == (12, 0.25)
    assert own["times its share"] == pytest.approx(own["average precision"] / 0.25, abs=0.05)
    assert own["IoU"] is None
    assert rows["colour: red"]["IoU"] is not None
    assert "Concepts of whole images" in concepts["words"]
    assert "exactly .5 %" in concepts["words"]
    page = next(page for page in concepts["pages"] if page["address"] == "class: blue")
    assert page["links"][0]["to"] == {"card": own["best unit"]}
    assert layers["columns"][-1] == "that rank images"
    assert "class: blue" in (study.folder / "report.html").read_text("ascii")


def test_a_study_of_nothing_but_whole_images_has_their_columns_only(tmp_path: Path) -> None:
    shown = planted_images(48)
    study = cs.why(
        planted_network(), shown, tmp_path / "s", only=["unit_detectors"], concepts=["classes"], form="float32"
    )
    concepts, layers = read_chapters(study.folder, study.manifest)
    assert concepts["columns"] == [
        *("concept", "images", "share of images", "detectors", "best unit"),
        *("average precision", "times its share", "fresh weights, precision"),
    ]
    assert len(concepts["rows"]) == len(concepts["pages"]) == len(CLASSES)
    assert layers["columns"] == ["layer", "units", "that rank images"]
    assert "IoU" not in concepts["words"]
    assert json.loads((study.folder / "manifest.json").read_text("utf-8"))["settings"]["concepts"][0]["n"] == 4
    assert study.findings["unit_detectors"].reason.startswith("No concepts with masks")


def test_a_class_with_one_image_says_why_it_has_no_figures(dissected: Dissected) -> None:
    shown = planted_images(40)
    keep = np.flatnonzero((shown.labels != BLUE) | (np.arange(40) == CLASSES.index("blue")))
    found = cs.dissect(planted_network(), shown[keep], ["classes"], n_fresh=0)
    sheet = found.sheet("blue")
    assert sheet.sentence.startswith("It cannot be measured. It is in 1 image")
    assert sheet.checks == sheet.evidence == ()


def test_layers_without_maps_have_pages_for_concepts_of_whole_images_alone(tmp_path: Path) -> None:
    shown, network = planted_images(48), planted_network()
    study = cs.why(
        network,
        shown,
        tmp_path / "s",
        layers=["fc"],
        only=["unit_detectors"],
        concepts=["classes", "colour"],
        form="float32",
    )
    concepts, layers = read_chapters(study.folder, study.manifest)
    assert len(concepts["rows"]) == len(concepts["pages"]) == len(CLASSES)
    assert [row["page"] for row in layers["rows"]] == ["fc"]
    assert study.findings["unit_detectors"].reason == "No measured layer has maps."
    found = cs.dissect(network, shown, ["colour"], layers=["fc"], n_fresh=0)
    with pytest.raises(UsageError, match="No layer has maps: fc"):
        found.sheet("red")
