"""Are answers kept as they are made, gone on with after a stop, and done again only where something changed?"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image
from planted_answers import Corner, Counting, Refusing, Told, result

import convscope as cs
from convscope.answer import Answers
from convscope.errors import InputError, UsageError
from convscope.instruments.attribution.checks import Outcome


@pytest.fixture(autouse=True)
def fresh(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """No call counted, no interrupt planned; checks that come out as told."""
    monkeypatch.setattr(Counting, "calls", [])
    monkeypatch.setattr(Counting, "stop_at", None)
    told.of["Corner"] = (result("faithfulness", Outcome.FAILS), result("localisation", Outcome.NOT_RUN, value=None))


def explain(network: cs.Network, images: Any, out: Path, **given: Any) -> Answers:
    return cs.explain(network, images, **{"methods": [Counting(), "grad_cam"], **given}, out=out)


def files(out: Path) -> list[str]:
    return sorted(path.name for path in (out / "images").iterdir())


def test_each_image_has_its_files_and_all_have_a_page(network: cs.Network, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    answers = explain(network, photos, out, methods=[Corner(), "grad_cam", Refusing()])
    assert len(answers) == 4
    endings = [name.rpartition(".")[2] for name in files(out)]
    assert {ending: endings.count(ending) for ending in set(endings)} == {"json": 4, "png": 4, "safetensors": 4}
    assert (out / "explain.html").read_text().startswith("<!doctype html>")
    assert len(answers.skipped) == 2
    one = json.loads(next((out / "images").glob("*.json")).read_text())
    assert (one["schema"], one["version"]) == ("convscope.answer", 1)
    for picture in (out / "images").glob("*.png"):
        with Image.open(picture) as image:
            image.verify()


def test_what_is_read_again_is_what_was_found(network: cs.Network, photos: Path, tmp_path: Path) -> None:
    methods = [Corner(), "grad_cam", "integrated_gradients:n_steps=4", Refusing()]
    held = cs.explain(network, photos, methods)
    explain(network, photos, tmp_path / "out", methods=methods)
    read = Answers.open(tmp_path / "out")
    assert (read.ids, read.skipped, read.network, read.settings) == (
        held.ids,
        held.skipped,
        held.network,
        held.settings,
    )
    for before, after in zip(held, read, strict=True):
        assert before.as_dict() == after.as_dict()
        assert before.sentences == after.sentences
        np.testing.assert_array_equal(before.pixels, after.pixels)
        for one, other in zip(before.explanations, after.explanations, strict=True):
            assert one.checks == other.checks
            np.testing.assert_array_equal(one.scores, other.scores)
    assert read.html().replace(read.made, "") == held.html().replace(held.made, "")


def test_the_same_question_again_computes_nothing(network: cs.Network, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    explain(network, photos, out)
    assert len(Counting.calls) == 4
    made = {path: path.stat().st_mtime_ns for path in (out / "images").iterdir()}
    again = explain(network, photos, out)
    assert len(again) == len(Counting.calls) == 4
    assert made == {path: path.stat().st_mtime_ns for path in (out / "images").iterdir()}
    assert {one.id for one in again.skipped} == {"red/empty.png", "blue/text <b>.jpg"}


def test_only_what_changed_is_done_again(network: cs.Network, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    explain(network, photos, out)
    Image.fromarray(np.full((21, 34, 3), 99, np.uint8)).save(photos / "red" / "0.png")
    explain(network, photos, out)
    assert len(Counting.calls) == 5
    Image.fromarray(np.full((21, 34, 3), 98, np.uint8)).save(photos / "red" / "new.png")
    explain(network, photos, out)
    assert len(Counting.calls) == 6
    for name in ("blue/2.png", "green/1.png", "grey/3.png"):
        (photos / name).unlink()  # two are enough from here on
    for change in (
        {"methods": [Counting(size=5), "grad_cam"]},
        {"methods": [Counting(size=5), "grad_cam"], "target": "red"},
        {"seed": 1},
        {"target": ["red", "red", "red", "blue"]},  # one for each file, readable or not
        {"checks": False},
        {"masks": {"red/0.png": np.eye(21, 34)}, "checks": False},
    ):
        before = len(Counting.calls)
        explain(network, photos, out, **change)
        assert len(Counting.calls) == before + (1 if "masks" in change else 2), change
    explain(network, photos, out, target=["red", "green", "red", "green"])
    before = len(Counting.calls)
    explain(network, photos, out, target=["red", "green", "red", "blue"])
    assert len(Counting.calls) == before + 1  # a target of its own for each image


def test_an_interrupt_keeps_what_is_done_and_the_same_call_goes_on(
    network: cs.Network, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    Counting.stop_at = 2
    stopped = explain(network, photos, out)
    assert stopped.stopped
    assert len(stopped) == 2
    assert (out / "explain.html").exists()
    assert Answers.open(out).stopped
    Counting.stop_at = None
    done = explain(network, photos, out)
    assert not done.stopped
    assert len(done) == len(Counting.calls) == 4


def test_an_interrupt_in_memory_keeps_what_is_done(network: cs.Network, pixels: np.ndarray) -> None:
    Counting.stop_at = 2
    answers = cs.explain(network, pixels, Counting())
    assert (answers.stopped, answers.ids) == (True, ("00000", "00001"))
    Counting.calls.clear()
    Counting.stop_at = 0
    with pytest.raises(KeyboardInterrupt):
        cs.explain(network, pixels, Counting())


def test_half_written_answers_are_not_there(network: cs.Network, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    explain(network, photos, out)
    first, second, *_ = sorted((out / "images").glob("*.json"))
    first.unlink()
    second.write_text("{")
    explain(network, photos, out)
    assert len(Counting.calls) == 6
    next((out / "images").glob("*.safetensors")).write_bytes(b"damaged")
    with pytest.raises(InputError, match="is damaged or gone"):
        list(Answers.open(out))


def test_folders_that_are_not_for_answers_are_refused(network: cs.Network, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="lies in the folder of the images"):
        explain(network, photos, photos / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="That is a file"):
        explain(network, photos, tmp_path / "file")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("")
    with pytest.raises(UsageError, match="holds something else"):
        explain(network, photos, tmp_path / "other")
    with pytest.raises(InputError, match="no readable"):
        Answers.open(tmp_path / "other")
    explain(network, photos, tmp_path / "out")
    with FileLock(tmp_path / "out" / ".answers.lock"), pytest.raises(UsageError, match="Another process"):
        explain(network, photos, tmp_path / "out")


def test_file_names_are_ours(network: cs.Network, pixels: np.ndarray, tmp_path: Path) -> None:
    pictures = [cs.Picture(name, pixels[0]) for name in ("../../up.png", "a/b", "a b", 'x"<é>.png', "", "q" * 300)]
    out = tmp_path / "deep" / "out"
    answers = explain(network, pictures, out, methods=[Corner()])
    assert answers.ids == tuple(one.id for one in pictures)
    assert len(files(out)) == 18
    assert {path.name for path in tmp_path.iterdir()} == {"deep"}
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.") and len(name) < 80 for name in files(out))
    assert [one.id for one in Answers.open(out)] == list(answers.ids)


def test_answers_are_saved_as_the_name_says(network: cs.Network, pixels: np.ndarray, tmp_path: Path) -> None:
    two = cs.explain(network, pixels[:2], Corner())
    one = cs.explain(network, pixels[:1], Corner())
    assert json.loads(two.save(tmp_path / "a.json").read_text())["schema"] == "convscope.explain"
    assert two.save(tmp_path / "a.html").read_text() == two.html()
    with Image.open(one.save(tmp_path / "a.png")) as picture:
        assert picture.size == one.picture().size
    with pytest.raises(UsageError, match="A PNG shows one image"):
        two.save(tmp_path / "b.png")
    with pytest.raises(UsageError, match=r"none of .html"):
        two.save(tmp_path / "b.pdf")
