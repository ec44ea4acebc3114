"""Does `convscope explain` print, write and end as promised, whatever is asked of it?"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from planted_answers import Corner, Counting, Refusing, Told, result

from convscope import registry
from convscope.answer import Advice
from convscope.answer.advice import Compared
from convscope.cli import main
from convscope.cli.explain import print_advice
from convscope.instruments.attribution.checks import Outcome
from convscope.intervals import Interval

NET = "tests_explain_net.py:build"
SIZE = ("--size", "33x57")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with networks in a file, and labelled photographs, one of them unreadable."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tests_explain_net.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "def parts(n):\n"
        "    torch.manual_seed(0)\n"
        "    return [nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, n)]\n"
        "def build():\n"
        "    return nn.Sequential(*parts(2)), {'classes': ('cat', 'dog')}\n"
        "def single():\n"
        "    return nn.Sequential(*parts(1))\n"
        "class Two(nn.Module):\n"
        "    def forward(self, x): return {'a': x.mean((2, 3)), 'b': x.amax((2, 3))}\n"
        "def two():\n"
        "    return Two()\n"
        "class NaN(nn.Module):\n"
        "    def forward(self, x): return x.mean((2, 3)) * float('nan')\n"
        "def nan():\n"
        "    return NaN()\n"
    )
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(2):
            Image.fromarray(rng.integers(0, 255, (40, 60, 3), np.uint8)).save(tmp_path / "photos" / name / f"{i}.png")
    (tmp_path / "photos" / "cat" / "empty [b].png").write_bytes(b"")
    return tmp_path


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Told:
    """Methods whose maps are planted, by name, and checks that come out as told: those of `corner` fail."""
    monkeypatch.setattr(Counting, "calls", [])
    monkeypatch.setattr(Counting, "stop_at", None)
    known = {**registry.items("method"), "corner": Corner, "refusing": Refusing, "counting": Counting}
    monkeypatch.setitem(registry._items, "method", known)
    told = Told({"Corner": (result("faithfulness", Outcome.FAILS),)})
    monkeypatch.setattr("convscope.answer.one.check_all", told)
    return told


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    with pytest.raises(SystemExit) as stopped:
        main(["explain", *args])
    out, err = capsys.readouterr()
    return int(stopped.value.code or 0), out, err


def test_help_imports_neither_torch_nor_rich() -> None:
    code = (
        "import sys\nfrom convscope.cli import main\n"
        "try:\n    main(['explain', '--help'])\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "heavy = {'torch', 'rich', 'numpy', 'PIL', 'timm'} & set(sys.modules)\nassert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "--method" in done.stdout


def test_it_prints_a_sentence_for_each_map(here: Path, capsys: pytest.CaptureFixture[str], planted: Told) -> None:
    code, out, err = run(
        capsys, NET, "photos", *SIZE, "-m", "corner", "-m", "gradient", "-m", "refusing", "--target", "dog"
    )
    assert code == 0, err
    assert out.count("It says ") == 4
    assert out.count("✗ fails") == 4
    assert out.count("✓ passes") == 4
    assert out.count("Explained: dog") + out.count("It says dog") >= 4
    assert out.count("Half of what speaks for dog lies in under 1 % of the image") == 4
    assert "it says the same for every class" in " ".join(out.split())
    assert out.count("no map") == 4
    assert "skipped 'cat/empty [b].png'" in err
    assert (
        list(here.iterdir()) == [here / "tests_explain_net.py", here / "photos"] or not (here / "explain.html").exists()
    )


def test_json_is_one_document(here: Path, capsys: pytest.CaptureFixture[str], planted: Told) -> None:
    code, out, _ = run(capsys, NET, "photos", *SIZE, "-m", "corner", "-m", "refusing", "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["schema"], found["version"]) == ("convscope.explain", 1)
    assert [one["image"] for one in found["answers"]] == ["cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"]
    assert found["skipped"][0]["id"] == "cat/empty [b].png"
    one = found["answers"][0]
    assert one["prediction"]["label_name"] == "cat"
    assert one["explanations"][0]["verdict"] == "distrusted"
    assert one["explanations"][0]["checks"][0]["outcome"] == "fails"
    assert one["refused"][0]["name"] == "refusing"
    code, out, _ = run(capsys, NET, "photos", *SIZE, "-m", "corner", "--json", "-o", "out")
    again = json.loads(out)
    assert [one["explanations"] for one in again["answers"]] == [one["explanations"] for one in found["answers"]]


def test_a_folder_is_filled_and_gone_on_with(here: Path, capsys: pytest.CaptureFixture[str], planted: Told) -> None:
    asked = (NET, "photos", *SIZE, "-m", "counting", "-o", "out")
    Counting.stop_at = 2
    code, out, err = run(capsys, *asked)
    assert code == 130
    assert "stopped after 2 of 5 images" in err
    assert out.count("It says ") == 2
    Counting.stop_at = None
    code, out, _ = run(capsys, *asked)
    assert code == 0
    assert len(Counting.calls) == 4
    assert str(Path("out") / "explain.html") in out
    assert len(list((here / "out" / "images").glob("*.png"))) == 4


def test_an_interrupt_without_a_folder_keeps_what_was_printed(
    here: Path, capsys: pytest.CaptureFixture[str], planted: Told
) -> None:
    Counting.stop_at = 1
    code, out, _ = run(capsys, NET, "photos", *SIZE, "-m", "counting", "--json")
    assert code == 130
    found = json.loads(out)
    assert (found["stopped"], len(found["answers"])) == (True, 1)


def test_a_page_or_a_picture_alone(here: Path, capsys: pytest.CaptureFixture[str], planted: Told) -> None:
    code, out, _ = run(capsys, NET, "photos/cat/0.png", *SIZE, "-m", "corner", "--html", "a.html", "--png", "a.png")
    assert code == 0
    assert "a.html" in out
    assert (here / "a.html").read_text().startswith("<!doctype html>")
    with Image.open(here / "a.png") as picture:
        assert picture.width > 600
    code, _, err = run(capsys, NET, "photos/cat/0.png", "photos/cat/1.png", *SIZE, "-m", "corner", "--png", "b.png")
    assert code == 2
    assert "A PNG shows one image" in err


def test_strict_ends_with_4_where_a_map_is_not_to_be_relied_on(
    here: Path, capsys: pytest.CaptureFixture[str], planted: Told
) -> None:
    assert run(capsys, NET, "photos/cat/0.png", *SIZE, "-m", "corner")[0] == 0
    assert run(capsys, NET, "photos/cat/0.png", *SIZE, "-m", "corner", "--strict")[0] == 4
    assert run(capsys, NET, "photos/cat/0.png", *SIZE, "-m", "gradient", "--strict")[0] == 0
    assert run(capsys, NET, "photos/cat/0.png", *SIZE, "-m", "refusing")[0] == 5


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        ([NET], 2, "Missing argument"),
        ([NET, "photos/cat/0.png", "-m", "gradcam"], 2, "Nearest: 'grad_cam'"),
        ([NET, "photos/cat/0.png", "-m", "grad_cam:layer=9"], 2, "no layer '9'"),
        (
            [NET, "photos/cat/0.png", "-m", "integrated_gradients:steps=3"],
            2,
            "no setting of integrated_gradients 'steps'",
        ),
        ([NET, "photos/cat/0.png", "--layer", "conv"], 2, "no layer 'conv'"),
        ([NET, "photos/cat/0.png", "--target", "2"], 2, "2 classes, 0 to 1"),
        ([NET, "photos/cat/0.png", "--target", "dogs"], 2, "Nearest: 'dog'"),
        ([NET, "photos/cat/0.png", "--target", "cat - cat"], 2, "the same class"),
        ([NET, "photos/cat/0.png", "--target", "0:9"], 2, "4 units"),
        ([NET, "photos/cat/0.png", "--check", "faith"], 2, "no check 'faith'"),
        ([NET, "photos/cat/0.png", "--masks", "none"], 3, "no such folder"),
        ([NET, "photos/cat/empty [b].png"], 3, "None of them could be"),
        ([NET, "nothing.png"], 3, "nothing.png"),
        ([NET, "photos", "-o", "photos/out"], 2, "lies in the folder of the images"),
        ([NET, "photos", "--compare", "-o", "out"], 2, "--compare takes"),
        (["tests_explain_net.py:two", "photos/cat/0.png"], 5, "--output"),
        (["tests_explain_net.py:nan", "photos/cat/0.png"], 5, "not finite"),
    ],
)
def test_exit_codes(here: Path, capsys: pytest.CaptureFixture[str], args: list[str], code: int, said: str) -> None:
    found, out, err = run(capsys, *args, *SIZE, *([] if "-m" in args else ["-m", "gradient"]), "--quiet")
    assert found == code, err
    assert said in err
    assert "Traceback" not in err
    assert out == ""


def test_targets_and_masks_from_the_command_line(here: Path, capsys: pytest.CaptureFixture[str], planted: Told) -> None:
    (here / "masks" / "cat").mkdir(parents=True)
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, 10:30] = 255
    Image.fromarray(mask).save(here / "masks" / "cat" / "0.png")
    code, out, err = run(capsys, NET, "photos", *SIZE, "-m", "gradient", "--target", "dog - cat", "--masks", "masks")
    assert code == 0, err
    assert out.count("Explained: dog rather than cat") == 4
    masks = [subject.mask for subject, _ in planted.asked]
    assert [mask is not None for mask in masks] == [True, False, False, False]
    code, out, _ = run(capsys, NET, "photos/cat/0.png", *SIZE, "-m", "gradient", "--target", "0:3@2,5")
    assert "Explained: 0:3@2,5" in out


def test_a_network_of_one_logit(here: Path, capsys: pytest.CaptureFixture[str], planted: Told) -> None:
    code, out, err = run(capsys, "tests_explain_net.py:single", "photos/cat/0.png", *SIZE, "-m", "gradient")
    assert code == 0, err
    assert "(sigmoid)" in out


def test_compare_measures_and_writes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = (NET, "photos", *SIZE, "-m", "grad_cam", "-m", "gradient", "--limit", "2", "--compare")
    code, out, err = run(capsys, *asked, "--html", "advice.html", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["schema"] == "convscope.advice"
    assert {row["name"].partition(":")[0] for row in found["rows"]} == {"grad_cam", "gradient"}
    assert '"advice":{' in (here / "advice.html").read_text()


def test_compare_prints_what_to_use(capsys: pytest.CaptureFixture[str]) -> None:
    gain = Interval(0.3, 0.2, 0.4)
    holds = {"class_dependence": 1.0, "weight_dependence": None}
    rows = (
        Compared("grad_cam", "Grad-CAM", "conv", 8, gain, gain, "centre", True, gain, holds, 2.5),
        Compared("lrp", "LRP", "input", 0, gain, gain, "", False, gain, {}, float("nan"), "no rule for 'frac' [in 3]"),
    )
    print_advice(Advice("Use Grad-CAM at 'conv' [here].", "grad_cam", rows, {"centre": gain}, ("mean", "blur"), 8, 0))
    out = capsys.readouterr().out
    assert "✓ Grad-CAM" in out
    assert "+0.20 to +0.40" in out
    assert "no rule for 'frac' [in 3]" in out
    assert "Use Grad-CAM at 'conv' [here]." in out
