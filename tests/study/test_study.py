"""Does a study survive being killed, refuse what is not its own, do only what is missing, and say what it could not read?"""

import json
import re
import shutil
import signal
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from planted import planted_images, planted_network

import convscope as cs
from convscope.cli import main
from convscope.cli.why import CLAIMS
from convscope.errors import InputError, UnknownNameError, UsageError
from convscope.registry import items
from convscope.study import folder as on_disk
from convscope.sweep import engine


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a study, with the time it was made left out."""
    found = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }
    return {name: re.sub(rb"20\d\d-\d\d-\d\dT[\d:]+\+00:00", b"", content) for name, content in found.items()}


def test_killed_at_twenty_moments_and_gone_on_with_it_ends_in_the_same_bytes(tmp_path: Path) -> None:
    script = Path(__file__).with_name("killed.py")
    done = subprocess.run([sys.executable, script, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ended = [line.split() for line in done.stdout.splitlines()]
    killed = [name for name, _, code in ended if int(code) == -signal.SIGKILL]
    assert len([name for name in killed if name != "again"]) >= 18, "one or two may end just before their moment"
    assert killed.count("again") >= 2
    assert {code for _, moment, code in ended if moment == "0"} == {"0"}, done.stderr
    whole = contents(tmp_path / "whole")
    assert {"manifest.json", "findings.json", "units.parquet", "curves.parquet", "report.html"} <= whole.keys()
    for name in {name for name, _, _ in ended}:
        found = contents(tmp_path / name)
        assert found.keys() == whole.keys(), name
        assert [part for part in whole if found[part] != whole[part]] == [], name


def test_a_sweep_that_is_gone_on_with_starts_where_it_was_stopped(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(engine, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    stopped_at = 30
    seen: list[int] = []

    def stop(stage: str, done: int, total: int) -> None:
        if done >= stopped_at and stage.startswith("images"):
            raise KeyboardInterrupt

    net, images = planted_network(), planted_images(60)
    with pytest.raises(KeyboardInterrupt):
        cs.why(net, images, tmp_path / "s", batch_size=10, form="float32", progress=stop)
    with pytest.raises(InputError, match="not finished"):
        cs.Study.open(tmp_path / "s")
    cs.why(net, images, tmp_path / "s", batch_size=10, progress=lambda stage, done, total: seen.append(done))
    assert seen[0] == stopped_at + 10


def test_the_second_of_two_processes_says_so_and_stops(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    command = ["why", "builtin:world", "builtin:world?n=20", "-o", str(folder), "--only", "weight_sharing"]
    with on_disk.writing(folder):
        second = subprocess.run(
            [sys.executable, "-m", "convscope", *command], capture_output=True, text=True, check=False
        )
    assert second.returncode == 2
    assert "Another process is writing it" in second.stderr
    assert [path.name for path in folder.iterdir()] == [".lock"]
    with on_disk.writing(folder):
        pass  # the lock ends with its holder


def test_a_second_run_does_only_what_is_missing(tmp_path: Path) -> None:
    net, images = planted_network(), planted_images(40)
    stages: list[str] = []

    def note(stage: str, done: int, total: int) -> None:
        stages.append(stage)

    first = cs.why(net, images, tmp_path / "s", only=["weight_sharing"], form="float32", progress=note)
    assert [finding.claim for finding in first.findings] == ["weight_sharing"]
    assert not any(stage.startswith("the same through fresh weights") for stage in stages)
    before = first.units.rows()
    stages.clear()
    both = cs.why(net, images, tmp_path / "s", only=["alive_units"], progress=note)
    assert [finding.claim for finding in both.findings] == ["alive_units", "weight_sharing"]
    assert "exemplars cut out" not in stages
    assert "the same through fresh weights, 3 of 3" in stages
    assert [{k: row[k] for k in before[0]} for row in both.units.rows()] == before
    cs.why(net, images, tmp_path / "s", progress=note)
    at_once = cs.why(net, images, tmp_path / "once", form="float32")
    assert contents(tmp_path / "s")["findings.json"] == contents(tmp_path / "once")["findings.json"]
    stages.clear()
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "s").rglob("*")}
    again = cs.why(net, images, tmp_path / "s", progress=note)
    assert not stages
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "s").rglob("*")} == written
    assert str(again.findings) == str(at_once.findings)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 1}, "another seed"),
        ({"layers": ["relu1"]}, "other layers"),
        ({"images": planted_images(41)}, "other images"),
        ({"batch_size": 7}, "another batch size"),
    ],
)
def test_a_folder_holds_one_study(planted_study: cs.Study, change: dict, words: str) -> None:
    settings = {"images": planted_images(), **change}
    before = contents(planted_study.folder)
    with pytest.raises(UsageError, match=words):
        cs.why(planted_network(), settings.pop("images"), planted_study.folder, **settings)
    assert contents(planted_study.folder) == before


def test_another_network_is_refused(planted_study: cs.Study) -> None:
    with pytest.raises(UsageError, match="another network"):
        cs.why(planted_network().swap("relu1", "identity"), planted_images(), planted_study.folder)


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match="other things"):
        cs.why(planted_network(), planted_images(8), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(UsageError, match="is a file"):
        cs.why(planted_network(), planted_images(8), tmp_path / "thesis.tex")


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        ('{"schema": "convscope.study", "version": 99}', "Install a newer convscope"),
        ('{"schema": "else"}', "not that of a study"),
        ("{", "cannot be"),
        ('{"schema": "convscope.study", "version": 1, "complete": true}', "lacks made"),
    ],
)
def test_a_study_that_cannot_be_opened(tmp_path: Path, manifest: str, words: str) -> None:
    (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(InputError, match=words):
        cs.Study.open(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        cs.Study.open(tmp_path / "nowhere")


def test_claims_and_layers_that_are_not_there_name_the_nearest(tmp_path: Path) -> None:
    net, images = planted_network(), planted_images(8)
    with pytest.raises(UnknownNameError, match="accuracy"):
        cs.why(net, images, tmp_path / "a", only=["acuracy"])
    with pytest.raises(UnknownNameError, match="relu1"):
        cs.why(net, images, tmp_path / "b", layers=["relu9"])
    with pytest.raises(UnknownNameError):
        cs.why(net, images, tmp_path / "c", layers=["block*"])
    assert not list(tmp_path.iterdir()), "nothing is left behind"


def test_layers_can_be_chosen_by_name_and_pattern(tmp_path: Path) -> None:
    study = cs.why(planted_network(), planted_images(12), tmp_path / "s", layers=["conv*", "pool"], form="float32")
    assert study.manifest["settings"]["layers"] == ["conv1", "conv2", "pool"]
    assert set(study.units["layer"]) == {"conv1", "conv2", "pool"}


def test_tables_are_what_the_network_answered(planted_study: cs.Study) -> None:
    net, images = planted_network(), planted_images()
    inputs = net.preprocess([images[i] for i in range(len(images))])
    maps = net.run(inputs, ["relu1", "relu2", "fc"])
    rows = {(row["layer"], row["unit"]): row for row in planted_study.units.rows()}
    for layer, values in maps.items():
        flat = values.detach().flatten(2) if values.dim() == 4 else values.detach()[..., None]
        for unit in range(flat.shape[1]):
            row = rows[layer, unit]
            peaks = flat[:, unit].amax(1)
            best = sorted(range(len(images)), key=lambda i: (-float(peaks[i]), images.ids[i]))[:9]
            assert row["mean"] == pytest.approx(float(flat[:, unit].double().mean()), rel=1e-5, abs=1e-7)
            assert row["std"] == pytest.approx(float(flat[:, unit].double().std(correction=0)), rel=1e-4, abs=1e-6)
            assert row["exemplar_values"] == pytest.approx([float(peaks[i]) for i in best], rel=1e-5, abs=1e-6)
            if len({float(peaks[i]) for i in best}) == 9 and layer == "relu1":
                assert row["exemplar_ids"] == [images.ids[i] for i in best]


def test_tables_as_pandas_polars_and_arrow(planted_study: cs.Study) -> None:
    units = planted_study.units
    assert len(units.to_pandas()) == len(units.to_polars()) == units.to_arrow().num_rows == 44
    assert list(units.to_pandas()["layer"].unique()) == ["relu1", "relu2", "fc"]
    assert planted_study.findings.table().to_pandas()["claim"].tolist()[0] == "accuracy"
    assert set(planted_study.manifest["columns"]) == set(units.columns)
    curves = planted_study.curves.to_pandas()
    quantiles = curves[(curves.kind == "quantile") & (curves.layer == "relu1") & (curves.unit == 3)]
    assert (quantiles.sort_values("x").y.diff().dropna() >= 0).all()
    assert {"alive_units: dead", "alive_units: dead, fresh"} <= set(curves.kind)
    with pytest.raises(UnknownNameError, match="selectivity"):
        units["selectivty"]


def test_exemplars_are_cut_to_what_the_unit_sees(planted_study: cs.Study) -> None:
    from convscope.study.sprites import CELL_PX

    sheet = np.asarray(Image.open(planted_study.folder / "sprites" / planted_study.manifest["sprites"]["relu1"]))
    assert sheet.shape == (24 * CELL_PX, 5 * CELL_PX, 3)
    net, images = planted_network(), planted_images()
    row = next(row for row in planted_study.units.rows() if (row["layer"], row["unit"]) == ("relu1", 6))
    y, x = row["exemplar_y"][0], row["exemplar_x"][0]
    seen = images[row["exemplar_ids"][0]].pixels[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
    shown = sheet[6 * CELL_PX : 7 * CELL_PX, :CELL_PX].astype(float)
    side = CELL_PX // 3
    middle = shown[side + 5 : 2 * side - 5, side + 5 : 2 * side - 5].mean((0, 1))
    assert seen.shape[:2] == (3, 3)
    np.testing.assert_allclose(middle, seen[1, 1], atol=25)  # WebP is not exact
    assert net.layers["relu1"].receptive_field.size_px == (3, 3)


# ------------------------------------------------------------------------------------------------ files of all kinds


def huge_png(side: int) -> bytes:
    """A PNG of side x side pixels, one bit each."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")

    header = side.to_bytes(4, "big") * 2 + bytes([1, 0, 0, 0, 0])
    rows = zlib.compress(bytes((side + 7) // 8 + 1) * side, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


NAMES = ("with space.png", "with 'quotes\".png", "new\nline.png", "<script>alert(1)</script>.png", "ünïcödé ✓.png")


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder of 150 images, 2 % of them damaged, with odd names, a huge one, an empty one and a loop of links."""
    folder = tmp_path / "photos"
    images = planted_images(150)
    for index, picture in enumerate(images):
        name = NAMES[index] if index < len(NAMES) else f"{index:03d}.png"
        path = folder / images.label_names[picture.label] / name.replace("/", "_")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture.pixels).save(path)
    for name in ("a", "b", "<img src=x onerror=alert(1)>"):
        (folder / "red" / f"{name}.png").write_bytes((folder / "red" / "008.png").read_bytes()[:60])
    (folder / "blue" / "huge.png").write_bytes(huge_png(30_000))
    (folder / "grey" / "empty.jpg").write_bytes(b"")
    (folder / "grey" / "round").symlink_to(folder, target_is_directory=True)
    return folder


def test_bad_files_are_named_and_the_rest_is_measured(
    hostile: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = cs.why(planted_network(), hostile, tmp_path / "s", form="float32")
    images = study.manifest["images"]
    assert images["n"] == 150
    reasons = {skip["id"]: skip["reason"] for skip in images["skipped"]}
    assert set(reasons) == {
        "red/a.png",
        "red/b.png",
        "red/<img src=x onerror=alert(1)>.png",
        "blue/huge.png",
        "grey/empty.jpg",
        "grey/round",
    }
    assert "30000 x 30000" in reasons["blue/huge.png"]
    page = (study.folder / "report.html").read_text()
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "onerror=alert(1)" in page  # it is there, as text
    known = {name for row in study.units.rows() for name in row["exemplar_ids"]}
    assert any(name.endswith("<script>alert(1)<_script>.png") for name in known)
    assert all(re.fullmatch(r"\d{3}\.webp", path.name) for path in (study.folder / "sprites").iterdir())


def test_nothing_readable_is_an_error_and_leaves_no_study(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    with pytest.raises(InputError, match="None of them could be"):
        cs.why(planted_network(), tmp_path / "photos", tmp_path / "s")
    with pytest.raises(InputError):
        cs.Study.open(tmp_path / "s")


def test_infinite_values_are_named_by_layer_and_image(tmp_path: Path) -> None:

    net = planted_network()
    broken = net.swap("relu2", lambda x: torch.where(x > x.flatten(1).median(), torch.inf, x.relu()))
    study = cs.why(broken, planted_images(20), tmp_path / "s", layers=["relu2", "fc"], form="float32")
    (row, *_) = study.manifest["not_finite"]
    assert row["layer"] == "relu2"
    assert row["n_images"] == 20
    json.loads((study.folder / "manifest.json").read_text(), parse_constant=pytest.fail)
    json.loads((study.folder / "findings.json").read_text(), parse_constant=pytest.fail)


# ------------------------------------------------------------------------------------------------------ command line


def test_help_names_every_claim() -> None:
    assert set(CLAIMS) == set(items("claim"))


def test_why_and_report_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "s")
    args = ["why", "builtin:world", "builtin:world?n=40", "-o", out, "--format", "float32", "--only", "weight_sharing"]
    with pytest.raises(SystemExit) as stopped:
        main([*args, "--json"])
    assert not stopped.value.code
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "convscope.why"
    assert [finding["verdict"] for finding in found["findings"]] == ["supported"]
    with pytest.raises(SystemExit):
        main(args)
    sheet = capsys.readouterr().out
    assert "Weight sharing saves parameters" in sheet
    assert "✓ supported" in sheet
    assert "report.html" in sheet
    with pytest.raises(SystemExit) as stopped:
        main(["report", out, "-o", str(tmp_path / "one.html")])
    assert not stopped.value.code
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "s" / "report.html").read_bytes()
    with pytest.raises(SystemExit) as stopped:
        main(["report", str(tmp_path / "nowhere")])
    assert stopped.value.code == 3


# -------------------------------------------------------------------------------------- stopped, damaged, out of place


class Killed(BaseException):
    """What stands for a kill in the same process: nothing catches it."""


def test_stopped_before_any_write_or_removal_and_gone_on_with_it_ends_the_same(tmp_path: Path, monkeypatch) -> None:
    net, images = planted_network(), planted_images(16)
    moments = {"left": 0}

    def stopping(function):
        def stopped(*args, **kwargs):
            moments["left"] -= 1
            if moments["left"] == 0:
                raise Killed
            return function(*args, **kwargs)

        return stopped

    for name in ("write_bytes", "clear"):
        monkeypatch.setattr(on_disk, name, stopping(getattr(on_disk, name)))

    def twice(folder: Path) -> None:
        """A study, and one more claim for it."""
        cs.why(net, images, folder, only=["weight_sharing"], form="float32")
        cs.why(net, images, folder, only=["accuracy"])

    twice(tmp_path / "whole")
    n_moments, whole = -moments["left"], contents(tmp_path / "whole")
    assert n_moments > 15
    for moment in range(1, n_moments + 1):
        folder = tmp_path / f"{moment}"
        moments["left"] = moment
        with pytest.raises(Killed):
            twice(folder)
        twice(folder)
        assert contents(folder) == whole, moment


DAMAGE = {
    "manifest.json": ('{"schema": "convscope.study", "version": 1, "complete": true}', "[]", "null"),
    "findings.json": ("[{}]", '{"a": 1}', "7"),
    "layers.json": ("{}", "[1]"),
    "units.parquet": ("x", None),
    "curves.parquet": ("PAR1", None),
    "sprites/000.webp": (None,),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> cs.Study:
    """A study of which copies are damaged."""
    folder = tmp_path_factory.mktemp("sound") / "s"
    return cs.why(planted_network(), planted_images(12), folder, only=["weight_sharing"], form="float32")


@pytest.mark.parametrize(("name", "content"), [(name, content) for name, parts in DAMAGE.items() for content in parts])
def test_a_damaged_study_is_refused_in_words(sound: cs.Study, tmp_path: Path, name: str, content: str | None) -> None:
    net, images = planted_network(), planted_images(12)
    folder = shutil.copytree(sound.folder, tmp_path / "s")
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content)

    def use() -> None:
        study = cs.Study.open(folder)
        assert len(study.findings) == 1
        assert len(study.curves)
        study.report()
        cs.why(net, images, folder, only=["accuracy"])

    with pytest.raises(InputError, match=r"cannot be|not that of a study"):
        use()


def test_a_disk_that_takes_no_more_is_said_and_what_is_there_stays(tmp_path: Path, monkeypatch) -> None:
    net, images = planted_network(), planted_images(12)

    def full(path: Path, content: bytes) -> None:
        if path.suffix == ".webp":
            raise OSError(28, "No space left on device", str(path))
        written(path, content)

    written = on_disk.write_bytes
    monkeypatch.setattr(on_disk, "write_bytes", full)
    with pytest.raises(InputError, match="No space left on device"):
        cs.why(net, images, tmp_path / "s", form="float32")
    monkeypatch.undo()
    assert len(cs.why(net, images, tmp_path / "s").findings) == len(items("claim"))
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="Not a directory"):
        cs.why(net, images, tmp_path / "file" / "s")


def test_places_that_would_do_harm_are_refused(hostile: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="folder of the images"):
        cs.why(planted_network(), hostile, hostile / "study")
    (tmp_path / "own" / "sweeps").mkdir(parents=True)
    (tmp_path / "own" / "sweeps" / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match="other things"):
        cs.why(planted_network(), planted_images(8), tmp_path / "own")
    assert (tmp_path / "own" / "sweeps" / "thesis.tex").exists()
    study = cs.why(planted_network(), planted_images(8), tmp_path / "s", only=["weight_sharing"], form="float32")
    for path in ("", tmp_path):
        with pytest.raises(UsageError, match="is no file"):
            study.report(path)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"layers": ["flatten"]}, "no units with maps|no layer"),
        ({"layers": ["input"]}, "no units with maps"),
        ({"seed": -1}, "0"),
    ],
)
def test_what_cannot_be_measured_is_refused(tmp_path: Path, settings: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        cs.why(planted_network(), planted_images(8), tmp_path / "s", **settings)


def test_another_format_than_the_studys_is_refused(planted_study: cs.Study) -> None:
    with pytest.raises(UsageError, match="It was begun in float32"):
        cs.why(planted_network(), planted_images(), planted_study.folder, form="bfloat16")


class Tokens(torch.nn.Module):
    """Patches as tokens without a place, as in a vision transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = torch.nn.Conv2d(3, 8, 4, stride=4)
        self.cls, self.mix, self.head = (
            torch.nn.Parameter(torch.zeros(1, 1, 8)),
            torch.nn.Linear(8, 8),
            torch.nn.Linear(8, 4),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls.expand(x.shape[0], -1, -1), tokens], 1)
        return self.head(self.mix(tokens).relu()[:, 0])


def test_tokens_without_a_place_are_left_out(tmp_path: Path) -> None:
    settings = {"resize": None, "crop": (16, 24), "mean": (0.0,) * 3, "std": (1.0,) * 3}
    net = cs.load(Tokens().eval(), size=(16, 24), preprocess=settings)
    study = cs.why(net, planted_images(12), tmp_path / "s", form="float32")
    measured = study.manifest["settings"]["layers"]
    assert "patches" in measured
    assert all(len(net.layers[layer].shape) in (1, 3) for layer in measured)
    tokens = next(layer.name for layer in net.layers if len(layer.shape) == 2)
    with pytest.raises(UsageError, match="no units with maps"):
        cs.why(net, planted_images(12), tmp_path / "t", layers=[tokens])


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_images_of_any_number_of_channels(tmp_path: Path, channels: int) -> None:
    module = torch.nn.Sequential(
        torch.nn.Conv2d(channels, 6, 3), torch.nn.BatchNorm2d(6), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1)
    )
    net = cs.load(torch.nn.Sequential(*module, torch.nn.Flatten()).eval(), size=(15, 22), n_channels=channels)
    pixels = np.random.default_rng(0).integers(0, 256, (9, 15, 22, channels), np.uint8)
    study = cs.why(net, cs.images(pixels), tmp_path / "s", form="float32")
    assert len(study.findings) == len(items("claim"))
