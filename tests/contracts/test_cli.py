"""Does the command line answer at once, print one document, and end with the code that was promised?"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convscope.cli import main
from convscope.cli.app import COMMANDS

NET = "tests_cli_net.py:build"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a network in a file, and labelled photographs, two of them unreadable."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tests_cli_net.py").write_text(
        "import torch\n"
        "class Odd(torch.nn.Module):\n"
        "    def forward(self, x): return torch.frac(x) * 2\n"
        "def build(odd=False):\n"
        "    torch.manual_seed(0)\n"
        "    parts = [torch.nn.Conv2d(3, 4, 3, stride=2), torch.nn.BatchNorm2d(4), torch.nn.ReLU()]\n"
        "    parts += [Odd()] if odd else []\n"
        "    parts += [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, 2)]\n"
        "    return torch.nn.Sequential(*parts), {'classes': ('cat', 'dog')}\n"
        "def branching():\n"
        "    class Decider(torch.nn.Module):\n"
        "        def forward(self, x): return x.mean((2, 3)) if x.sum() > 0 else -x.mean((2, 3))\n"
        "    return Decider()\n"
    )
    for name, level in (("cat", 40), ("dog", 200)):
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        for i in range(3):
            Image.fromarray(np.full((30, 40 + i, 3), level + i, np.uint8)).save(folder / f"{i}.png")
    (tmp_path / "photos" / "cat" / "empty <script>.png").write_bytes(b"")
    (tmp_path / "photos" / "dog" / "text.jpg").write_text("not an image")
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    with pytest.raises(SystemExit) as stopped:
        main(list(args))
    out, err = capsys.readouterr()
    return int(stopped.value.code or 0), out, err


@pytest.mark.parametrize(
    "args", [["--help"], ["--version"], ["layers", "--help"], ["check", "--help"], ["demo", "--help"]]
)
def test_help_imports_neither_torch_nor_rich(args: list[str]) -> None:
    code = (
        "import sys\nfrom convscope.cli import main\n"
        f"try:\n    main({args!r})\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "heavy = {'torch', 'rich', 'numpy', 'PIL', 'timm'} & set(sys.modules)\nassert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "convscope" in done.stdout


def test_every_command_is_there_and_says_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--help")
    assert code == 0
    for name in COMMANDS:
        assert name in out
        assert run(capsys, name, "--help")[0] == 0


def test_layers_prints_the_table(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "layers", NET, "--size", "33x57")
    assert code == 0
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line[:1].isdigit()}
    assert list(rows) == ["0", "1", "2", "3", "5"]
    assert rows["0"][1:6] == ["conv2d", "4", "x", "16", "x"]
    assert "5 layers, 130 parameters" in out
    assert "was run" in err


def test_layers_as_json_is_one_document(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "layers", NET, "--size", "33x57", "--kind", "conv", "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["schema"], found["version"]) == ("convscope.layers", 1)
    (row,) = found["layers"]
    assert row["shape"] == [4, 16, 28]
    assert row["receptive_field"] == {
        "global": False,
        "size_px": [3.0, 3.0],
        "stride_px": [2.0, 2.0],
        "offset_px": [1.5, 1.5],
    }
    assert row["macs"] == 16 * 28 * 4 * 27


def test_check_measures_accuracy_and_names_what_it_could_not_read(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, "check", NET, "photos", "--size", "33x57", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["graph_difference"] <= 1e-5
    assert found["accuracy"]["n"] == 6
    assert found["accuracy"]["top1"]["low"] < found["accuracy"]["top1"]["value"] < found["accuracy"]["top1"]["high"]
    assert {skip["id"] for skip in found["skipped"]} == {"cat/empty <script>.png", "dog/text.jpg"}
    code, out, _ = run(capsys, "check", NET, "photos", "--size", "33x57")
    assert code == 0
    assert "empty <script>.png" in out
    assert "equals the model within" in out


def test_check_says_which_walk_lacks_a_rule(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "check", NET + "?odd=true", "--size", "33x57")
    assert code == 0
    assert "no rule for 'frac' in 3.frac" in out
    assert run(capsys, "layers", NET + "?odd=true", "--size", "33x57")[0] == 0


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["nonsense"], 2, "no command"),
        (["chek", NET], 2, "'check'"),
        (["layers"], 2, "Missing argument"),
        (["layers", NET, "--size", "ten"], 2, "not a size"),
        (["layers", NET, "--mean", "a,b"], 2, "not numbers"),
        (["layers", NET, "--kind", "wood"], 2, "no layer is of kind wood"),
        (["layers", "tim:x"], 2, "Nearest: 'timm'"),
        (["layers", "none.py:build"], 3, "no such file"),
        (["layers", NET, "--weights", "none.safetensors"], 3, "no such file"),
        (["check", NET, "no-folder"], 3, "no-folder"),
        (["check", NET, "empty"], 3, "empty"),
        (["layers", "tests_cli_net.py:branching"], 5, "Decider"),
        (["layers", NET, "--input-channels", "5"], 5, "5x224x224"),
        (["layers", NET, "--size", "1"], 5, "1x1"),
    ],
)
def test_exit_codes(here: Path, capsys: pytest.CaptureFixture[str], args: list[str], code: int, said: str) -> None:
    (here / "empty").mkdir()
    found, out, err = run(capsys, *args)
    assert found == code, err
    assert said in err
    assert "Traceback" not in err
    assert out == ""


def test_errors_as_json_are_one_document(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "layers", "none.py:build", "--json")
    assert code == 3
    found = json.loads(out)
    assert found["error"]["code"] == "InputError"
    assert found["error"]["hint"]


def test_strict_ends_with_4_when_something_is_wrong(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "check", NET, "--size", "33", "--strict")[0] == 0
    code, out, err = run(capsys, "check", "timm:lcnet_035", "--size", "64", "--strict")
    assert code == 4
    assert "random" in out
    assert "random" in err


def test_no_color_is_kept(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, colored in (("FORCE_COLOR", True), ("NO_COLOR", False)):  # the second beside the first
        monkeypatch.setenv(name, "1")
        _, out, err = run(capsys, "check", "timm:lcnet_035", "--size", "64")
        assert ("\x1b[1;31m" in out) is colored, err
