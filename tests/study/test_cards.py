"""Do cards come into a study whole, once, and with what the study knows; and does a stopped one go on to the same bytes?"""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted import DEAD, planted_images, planted_network
from test_study import Killed, Tokens, contents

import convscope as cs
from convscope.cli import main
from convscope.errors import InputError, UnknownNameError, UsageError
from convscope.see import Checked, Outcome, Section, Sheet, Tile, unit
from convscope.see.page import block
from convscope.study import folder as on_disk
from convscope.study.cards import chosen_units

N_IMAGES = 24
why = partial(cs.why, only=["weight_sharing"], form="float32")


class Counted:
    """Stands for the card of a unit: says what it was given, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.stops_at = ""

    def __call__(
        self, network: Any, what: Any, images: Any, settings: Any, other: Any, found: Any, progress: Any
    ) -> Sheet:
        self.asked.append(what.text)
        values = found.layers[what.layer].exemplars.values[what.unit]
        pixels = np.full((5, 7, 3), what.unit, np.uint8)
        tile = Tile((("patch", pixels),), f"{values[0]:.3f}", Outcome.PASSES, "Covering confirms it.")
        return Sheet(
            layer=what.layer, unit=what.unit, address=what.text, title=what.text, sentence=f"Seed {settings.seed}.",
            facts=(("layers", ", ".join(found.layers)),), sections=(Section("exemplars", "Exemplars", "Patches.", (tile,)),),
            checks=(Checked("Covering", Outcome.PASSES, "1 of 1."),), notes=(), network={"name": "n", "fingerprint": "f"},
            images={"source": images.source.name, "n": found.n_images}, settings={}, repeat=(),
            stopped=what.text == self.stops_at,
        )  # fmt: skip


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Counted:
    counted = Counted()
    monkeypatch.setattr(unit, "card", counted)
    return counted


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> cs.Study:
    """A study without cards. Not to be changed."""
    return why(planted_network(), planted_images(N_IMAGES), tmp_path_factory.mktemp("cards") / "study")


def copied(study: cs.Study, folder: Path) -> Path:
    for name, content in contents(study.folder).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((study.folder / name).read_bytes() or content)
    return folder


# Which units.


def test_units_are_chosen_by_name_or_spread_over_a_layer() -> None:
    net = planted_network()
    texts = [one.text for one in chosen_units(net, ["relu2:4", "relu1", "relu2:4", "relu1:0"])]
    assert texts == ["relu2:4", *(f"relu1:{i}" for i in (0, 5, 9, 14, 18, 23))]
    assert [one.text for one in chosen_units(net, ["fc"])] == ["fc:0", "fc:1", "fc:2", "fc:3"]
    assert [one.text for one in chosen_units(net, ["blue"])] == ["fc:2"]  # a class by its name


@pytest.mark.parametrize(
    ("wanted", "error", "words"),
    [
        ("relu9", UnknownNameError, "relu1"),
        ("relu9:3", UnknownNameError, "relu1"),
        ("relu1:24", UsageError, "24 units"),
        ("relu1:3@2,2", UsageError, "one neuron"),
        ("relu1:x", UsageError, "LAYER:UNIT"),
        ("input", UsageError, "the image itself"),
    ],
)
def test_what_has_no_card_is_refused_before_anything_starts(
    tmp_path: Path, wanted: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        why(planted_network(), planted_images(8), tmp_path / "s", cards=["relu1:2", wanted])
    assert not list(tmp_path.iterdir())


def test_tokens_without_a_place_have_no_cards() -> None:
    net = cs.load(Tokens().eval(), size=(16, 24))
    tokens = next(layer.name for layer in net.layers if len(layer.shape) == 2)
    with pytest.raises(UsageError, match="no maps"):
        chosen_units(net, [tokens])


# What is in them.


def test_a_card_says_what_the_study_found_and_what_a_sweep_would_find(
    finished: cs.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table of units serves as well as a sweep: the same card, pixel by pixel."""
    settings = partial(unit.Settings, n=3, n_steps=2)
    monkeypatch.setattr(unit, "Settings", settings)
    swept = []
    net, images = planted_network(), planted_images(N_IMAGES)
    dead = DEAD["relu2"][0]
    wanted = ["relu2:5", f"relu2:{dead}", "fc:1"]
    folder = copied(finished, tmp_path / "s")
    study = why(net, images, folder, cards=wanted[:2], progress=lambda *at: swept.append(at[0]))
    assert not [stage for stage in swept if stage.startswith("images")]
    study = why(net, images, folder, cards=wanted)  # fc was measured, what it reads was not
    for text in wanted:
        what, card = chosen_units(net, [text])[0], study.card(text)
        fresh = unit.card(net, what, images, settings(seed=0), None, None, lambda *_: None)
        again = json.loads(json.dumps(block(fresh)))
        for name in ("sections", "sentence", "checks", "notes", "images"):
            assert card[name] == again[name], (text, name)
    card = study.card("relu2:5")
    assert [section["key"] for section in card["sections"]] == ["weights", "exemplars", "where", "optimised"]
    row = next(row for row in study.units.rows() if (row["layer"], row["unit"]) == ("relu2", 5))
    patches = next(section for section in card["sections"] if section["key"] == "exemplars")
    for tile, value, id_ in zip(patches["tiles"], row["exemplar_values"], row["exemplar_ids"], strict=False):
        assert f"{value:.3g}" in tile["caption"]
        assert id_ in tile["words"]
    silent = study.card(f"relu2:{dead}")
    assert "none of 24 images" in silent["sentence"]
    assert "exemplars" not in [section["key"] for section in silent["sections"] if section["tiles"]]


def test_the_report_holds_the_cards_and_keeps_them(finished: cs.Study, tmp_path: Path, made: Counted) -> None:
    net, images = planted_network(), planted_images(N_IMAGES)
    study = why(net, images, copied(finished, tmp_path / "s"), cards=["relu1:2", "relu2:1"])
    assert [entry["address"] for entry in study.manifest["cards"]] == ["relu1:2", "relu2:1"]
    assert 'data-block="card/1"' in (study.folder / "report.html").read_text()
    both = cs.why(net, images, study.folder, only=["accuracy"])
    assert both.manifest["cards"] == study.manifest["cards"]
    assert 'data-block="card/1"' in (study.folder / "report.html").read_text()
    assert study.card("relu2:1")["sentence"] == "Seed 0."
    with pytest.raises(UnknownNameError, match="relu1:2"):
        study.card("relu1:3")
    assert "card/0" not in (finished.folder / "report.html").read_text()


# Once, and no sweep that can be avoided.


def test_more_cards_of_a_finished_study_sweep_only_what_was_not_measured(
    finished: cs.Study, tmp_path: Path, made: Counted
) -> None:
    net, images = planted_network(), planted_images(N_IMAGES)
    folder, stages = copied(finished, tmp_path / "s"), []
    ask = partial(why, net, images, folder, progress=lambda stage, done, total: stages.append(stage))
    ask(cards=["relu2:1", "relu1:2"])
    assert set(stages) == {"unit cards"}
    stages.clear()
    ask(cards=["relu1:2", "conv2:4", "fc:1"])  # conv2 and what fc reads were not measured
    assert set(stages) == {"images through the layers that the cards need", "unit cards"}
    assert made.asked == ["relu2:1", "relu1:2", "conv2:4", "fc:1"]
    stages.clear()
    written = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    ask(cards=["fc:1", "relu2:1"])
    ask()
    assert not stages
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == written
    ((_, layers),) = cs.Study.open(folder).card("fc:1")["facts"]
    assert sorted(layers.split(", ")) == ["conv2", "fc", "pool", "relu1"]  # all that the two new cards need


# Stopped, damaged.


def test_stopped_before_any_write_or_removal_and_gone_on_with_it_ends_the_same(
    finished: cs.Study, tmp_path: Path, made: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, images = planted_network(), planted_images(N_IMAGES)
    moments = {"left": 0}

    def stopping(function: Any) -> Any:
        def stopped(*args: Any, **kwargs: Any) -> Any:
            moments["left"] -= 1
            if moments["left"] == 0:
                raise Killed
            return function(*args, **kwargs)

        return stopped

    for name in ("write_bytes", "clear"):
        monkeypatch.setattr(on_disk, name, stopping(getattr(on_disk, name)))

    def twice(folder: Path) -> None:
        """Two cards, and two more."""
        why(net, images, folder, cards=["relu1:2", "relu2:1"])
        why(net, images, folder, cards=["conv2:1", "fc:0"])

    twice(copied(finished, tmp_path / "whole"))
    n_moments, whole = -moments["left"], contents(tmp_path / "whole")
    assert n_moments >= 10
    assert {name for name in whole if name.startswith("cards/")} == {f"cards/00{i}.json" for i in range(4)}
    for moment in range(1, n_moments + 1):
        folder = copied(finished, tmp_path / f"{moment}")
        moments["left"] = moment
        with pytest.raises(Killed):
            twice(folder)
        twice(folder)
        assert contents(folder) == whole, moment


def test_an_ascent_that_was_stopped_is_no_card_and_the_others_are_kept(
    finished: cs.Study, tmp_path: Path, made: Counted
) -> None:
    net, images = planted_network(), planted_images(N_IMAGES)
    folder = copied(finished, tmp_path / "s")
    made.stops_at = "relu1:4"
    wanted = ["relu1:2", "relu1:4", "relu1:6"]
    with pytest.raises(KeyboardInterrupt):
        why(net, images, folder, cards=wanted)
    assert [path.name for path in (folder / "cards").iterdir()] == ["000.json"]
    made.stops_at = ""
    why(net, images, folder, cards=wanted)
    assert made.asked == ["relu1:2", "relu1:4", "relu1:4", "relu1:6"]


def test_other_cards_than_those_of_a_stopped_process_leave_nothing_of_it(
    finished: cs.Study, tmp_path: Path, made: Counted
) -> None:
    net, images = planted_network(), planted_images(N_IMAGES)
    folder = copied(finished, tmp_path / "s")
    made.stops_at = "relu1:6"
    with pytest.raises(KeyboardInterrupt):
        why(net, images, folder, cards=["relu1:2", "relu1:4", "relu1:6"])
    (folder / "cards" / "001.json.new").write_text("{")
    why(net, images, folder, cards=["relu2:1"])
    assert [path.name for path in (folder / "cards").iterdir()] == ["000.json"]
    assert cs.Study.open(folder).card("relu2:1")["unit"] == 1


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"address": "relu1:2"}', None])
def test_a_damaged_card_is_named_and_one_of_a_stopped_process_is_made_anew(
    finished: cs.Study, tmp_path: Path, made: Counted, content: str | None
) -> None:
    net, images = planted_network(), planted_images(N_IMAGES)
    folder = copied(finished, tmp_path / "s")
    made.stops_at = "relu1:4"
    with pytest.raises(KeyboardInterrupt):
        why(net, images, folder, cards=["relu1:2", "relu1:4"])
    damaged = folder / "cards" / "000.json"
    damaged.unlink() if content is None else damaged.write_text(content)
    made.stops_at = ""
    study = why(net, images, folder, cards=["relu1:2", "relu1:4"])
    assert study.card("relu1:2")["title"] == "relu1:2"
    damaged.unlink() if content is None else damaged.write_text(content)
    with pytest.raises(InputError, match=r"000\.json"):
        study.report()


# The command line.


def test_cards_on_the_command_line(tmp_path: Path, made: Counted, capsys: pytest.CaptureFixture[str]) -> None:
    args = [
        "why",
        "builtin:world",
        "builtin:world?n=20",
        "-o",
        str(tmp_path / "s"),
        "--only",
        "weight_sharing",
        "--format",
        "float32",
    ]
    with pytest.raises(SystemExit) as stopped:
        main([*args, "--cards", "relu1:3,relu2:0", "--cards", "fc2:1", "--json"])
    assert not stopped.value.code
    found = json.loads(capsys.readouterr().out)
    assert found["cards"] == [
        {"address": address, "file": f"00{i}.json"} for i, address in enumerate(("relu1:3", "relu2:0", "fc2:1"))
    ]
    with pytest.raises(SystemExit) as stopped:
        main([*args, "--cards", "relu7"])
    assert stopped.value.code == 2
    assert "Nearest: 'relu5'" in capsys.readouterr().err
