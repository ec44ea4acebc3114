"""Does `convscope see` print, write and end as promised, whatever is asked of it?"""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convscope.cli import main

ASKED = ("--images", "builtin:world", "--limit", "12", "--steps", "6", "-n", "2", "--quiet")


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["see", *args])
    out, err = capsys.readouterr()
    code = ended.value.code
    return code if isinstance(code, int) else 0, out, err


def test_a_card_is_printed_and_saved(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "card.png"
    code, out, err = run(capsys, "builtin:world", "relu3:7", *ASKED, "--save", str(file))
    assert code == 0, err
    assert "relu3:7" in out
    assert "20 x 20 of 64 x 64 px" in out
    assert "Beyond the best natural image" in out
    assert out.strip().endswith(f"saved: {file}")
    with Image.open(file) as image:
        assert image.width == 1000


def test_one_document_on_stdout(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "card.html"
    code, out, err = run(capsys, "builtin:world", "relu3:7", *ASKED, "--json", "--save", str(file))
    assert code == 0
    assert str(file) in err
    found = json.loads(out)
    assert found["schema"] == "convscope.see"
    assert [one["address"] for one in found["sheets"]] == ["relu3:7"]
    assert found["sheets"][0]["numbers"]["patches"][0]["covered"] is not None
    assert "relu3:7" in file.read_text("ascii")


def test_what_is_said_of_repeating_repeats(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "builtin:world", "relu3:7", *ASKED, "--json")
    (first,) = json.loads(out)["sheets"]
    command = shlex.split(first["repeat"][0])
    assert command[:2] == ["convscope", "see"]
    _, out, _ = run(capsys, *command[2:], "--json", "--quiet")
    (second,) = json.loads(out)["sheets"]
    assert second == first


def test_a_folder_gets_a_picture_of_each_and_a_page(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = run(
        capsys, "builtin:world", "relu1", "relu3:7", "fish", *ASKED, "--units", "0,3", "--save", f"{tmp_path}/cards/"
    )
    assert code == 0, err
    names = sorted(path.name for path in (tmp_path / "cards").iterdir())
    assert names == ["fc2_2.png", "relu1.png", "relu3_7.png", "see.html"]
    assert "relu1:3" in out or "12 images" in out


def test_strict_tells_a_failed_check(capsys: pytest.CaptureFixture[str]) -> None:
    # six steps do not get beyond the best image
    assert run(capsys, "builtin:world", "relu4:5", *ASKED, "--strict")[0] == 4
    assert run(capsys, "builtin:world", "relu4:5", *ASKED)[0] == 0


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (("relu9",), 2, "relu5"),
        (("fihs",), 2, "'fish'"),
        (("relu3:64",), 2, "64 units"),
        (("relu1", "--units", "a"), 2, "3,17,40"),
        (("relu1", "--units", "99", "--steps", "0"), 2, "16 units"),
        (("relu1", "--save", "card.gif"), 2, ".png, .html or .json"),
        (("relu1", "relu2", "--save", "card.png"), 2, "2 were asked for"),
        (
            ("relu1", "--map-scale", "loud", "--images", "builtin:world", "--limit", "2", "--steps", "0"),
            2,
            "layer, unit",
        ),
        (("relu1", "--images", "no/such/folder"), 3, "no/such/folder"),
    ],
)
def test_wrong_use_is_told(capsys: pytest.CaptureFixture[str], args: tuple[str, ...], code: int, says: str) -> None:
    ended, _, err = run(capsys, "builtin:world", *args, "--quiet")
    assert ended == code
    assert says in err


def test_images_that_cannot_be_read_are_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(3):
        Image.fromarray(rng.integers(0, 255, (40, 50, 3), np.uint8)).save(tmp_path / f"{i}.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG nothing")
    code, out, err = run(capsys, "builtin:world", "relu1:3", "--images", str(tmp_path), "--steps", "0", "--quiet")
    assert code == 0, err
    assert "3 images" in out
    assert "broken.png" in out + err
