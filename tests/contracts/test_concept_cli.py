"""Is it said what of labels could not be used, and what would work, before anything long is done?"""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from convscope.cli.see import command as see_command
from convscope.cli.why import command as why_command
from convscope.errors import ConvscopeError, ImagesError, InputError, UnknownNameError, UsageError
from convscope.images.concepts import open_concepts

N = 12


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """Images of two colours, and masks of where the one is; one mask is small, one belongs to no image, one label has no name."""
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for number in range(N):
        labels = (rng.random((4, 6)) < 0.4).astype(np.uint8)
        labels[0, 0] = 2 if number == 3 else 0
        colours = np.array([[40, 60, 200], [220, 30, 30], [0, 0, 0]], np.uint8)
        Image.fromarray(np.kron(colours[labels], np.ones((12, 12, 1), np.uint8))).save(
            tmp_path / f"images/{number:02}.png"
        )
        Image.fromarray(np.kron(labels, np.ones((12, 12), np.uint8))).save(tmp_path / f"masks/{number:02}.png")
    Image.new("L", (5, 5)).save(tmp_path / "masks/00.png")
    Image.new("L", (72, 48)).save(tmp_path / "masks/nobody.png")
    (tmp_path / "masks/classes.json").write_text(json.dumps({"0": "sea <b>", "1": "spot"}), "utf-8")
    return tmp_path


def see(folder: Path, *asked: str) -> Result:
    options = ["--images", str(folder / "images"), "--quiet", *asked]
    return CliRunner().invoke(see_command, ["builtin:world", *options])


def test_pages_say_what_could_not_be_used(scenes: Path) -> None:
    ended = see(scenes, "--concept", "spot", "--concepts", str(scenes / "masks"), "--json")
    assert ended.exit_code == 0, ended.output
    notes = " ".join(json.loads(ended.stdout)["sheets"][0]["notes"])
    assert "'00.png': The mask is 5 x 5 pixels; the image is 48 x 72." in notes
    assert "'03.png': label 2 has no name" in notes
    assert "'nobody.png': no image looked at has its name" in notes


def test_a_study_says_what_could_not_be_used(scenes: Path) -> None:
    study = scenes / "study"
    asked = ["builtin:world", str(scenes / "images"), "-o", str(study), "--concepts", str(scenes / "masks"), "--quiet"]
    ended = CliRunner().invoke(why_command, [*asked, "--only", "unit_detectors"])
    assert ended.exit_code == 0, ended.output
    assert "The mask is 5 x 5 pixels" in ended.output
    assert any("nobody.png" in line for line in json.loads((study / "manifest.json").read_text())["labels_not_used"])
    words = json.loads((study / "chapters/concepts.json").read_text("utf-8"))["words"]
    assert "The mask is 5 x 5 pixels; the image is 48 x 72." in words


def test_a_misspelled_concept_is_said_before_the_sweep(scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convscope.see.dissect", None)  # not to be called
    ended = see(scenes, "--concept", "spto", "--concepts", str(scenes / "masks"))
    assert isinstance(ended.exception, UnknownNameError)
    assert "'spot'" in ended.exception.would_work


def test_examples_by_name_have_a_page(scenes: Path) -> None:
    for name, half in (("red", range(6)), ("blue", range(6, N))):
        (scenes / "examples" / name).mkdir(parents=True)
        for number in half:
            (scenes / f"images/{number:02}.png").rename(scenes / f"examples/{name}/{number:02}.png")
    examples = scenes / "examples"
    asked = ["--images", str(examples), "--concept", "red", "--concepts", f"examples:{examples}", "--quiet", "--json"]
    ended = CliRunner().invoke(see_command, ["builtin:world", *asked])
    assert ended.exit_code == 0, ended.output
    (sheet,) = json.loads(ended.stdout)["sheets"]
    assert sheet["address"] == "example: red"
    assert [one["title"] for one in sheet["checks"]] == [
        "Beyond wrong labels",
        "Beyond the share of images",
        "Beyond fresh weights",
    ]


def test_one_image_is_too_few(scenes: Path) -> None:
    for number in range(2, N):
        (scenes / f"images/{number:02}.png").unlink()
    (scenes / "images/00.png").unlink()
    ended = see(scenes, "--concept", "spot", "--concepts", str(scenes / "masks"))
    assert isinstance(ended.exception, ImagesError)
    assert ended.exception.found.startswith("1 image was read, which leaves a half empty.")


def test_a_concept_that_is_everywhere_gets_no_best_unit(scenes: Path) -> None:
    for number in range(1, N):
        Image.new("L", (72, 48), 1).save(scenes / f"masks/{number:02}.png")
    ended = see(scenes, "--concept", "spot", "--concepts", str(scenes / "masks"))
    assert ended.exit_code == 0, ended.output
    assert "100 %" in ended.output
    assert ended.output.count("It is everywhere in all of them") == 1
    assert "best unit" not in ended.output


@pytest.mark.parametrize(
    ("spec", "kind", "found"),
    [
        ("pixel", UnknownNameError, "There is no source of concepts 'pixel'."),
        ("no/such/masks", InputError, "There is no such folder or file."),
        ("no_such.json", InputError, "There is no such folder or file."),
        ("text:a wheel", UsageError, "It gives no texts for the model."),
    ],
)
def test_a_source_that_is_none(spec: str, kind: type[ConvscopeError], found: str) -> None:
    with pytest.raises(kind) as raised:
        open_concepts(spec)
    assert raised.value.found.startswith(found)
