"""Does every source give a network that is right, and a clear word when it cannot?"""

import json
import os
import pickle
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

import convscope as cs
from convscope.errors import (
    ExportError,
    InputError,
    InputShapeError,
    MissingExtraError,
    NetworkError,
    UnknownNameError,
    UsageError,
    WeightsError,
)
from convscope.network import sources


class Small(nn.Module):
    """A classifier of 5 classes for images of any size."""

    def __init__(self, n_channels: int = 3, width: int = 4) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_channels, width, 3, stride=2, padding=1)
        self.bn1 = nn.BatchNorm2d(width)
        self.fc = nn.Linear(width, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(F.relu(self.bn1(self.conv1(x))).mean((2, 3)))


@pytest.fixture
def small() -> Small:
    torch.manual_seed(0)
    return Small().eval()


def same_logits(network: cs.Network, module: nn.Module, shape: tuple[int, ...] = (3, 41, 57)) -> None:
    inputs = torch.randn(2, *shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(network(inputs), module(inputs), rtol=1e-5, atol=1e-5)


# --- timm and torchvision ---------------------------------------------------------------------------------------------


def test_timm_takes_options_and_brings_its_preprocessing_and_classes() -> None:
    net = cs.load("timm:mobilenetv2_050?pad_type=same", size=(64, 96))
    assert net.layers["conv_stem"].shape == (16, 32, 48)
    assert "conv_stem.pad" in net.graph.by_name
    assert net.preprocess.interpolation == "bicubic"
    assert net.preprocess.crop == (64, 96)
    assert net.classes is not None
    assert net.classes.index_of("n01440764") == 0
    assert net.weights == "random"


def test_timm_architecture_that_does_not_exist_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="resnet18"):
        cs.load("timm:resnet81")


def test_timm_options_that_do_not_exist() -> None:
    with pytest.raises(UsageError, match="options"):
        cs.load("timm:resnet18?blocks_of_gold=3")


def test_torchvision_brings_its_preprocessing_and_classes() -> None:
    net = cs.load("torchvision:squeezenet1_1", size=64)
    assert net.preprocess.mean == (0.485, 0.456, 0.406)
    assert net.classes is not None
    assert len(net.classes) == net.n_classes == 1000
    assert cs.load("torchvision:squeezenet1_1?num_classes=7", size=64).classes is None


def test_torchvision_architecture_that_does_not_exist_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="squeezenet1_1"):
        cs.load("torchvision:squeezenet11")


def test_a_missing_extra_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)  # what an import of a package that is not there meets
    with pytest.raises(MissingExtraError, match=r"convscope\[models\]"):
        cs.load("timm:resnet18")


def test_weights_that_cannot_be_downloaded_say_what_was_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("torch.hub.load_state_dict_from_url", _offline)
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", _offline)
    with pytest.raises(InputError, match=r"weights of timm's resnet18[\s\S]*--weights FILE"):
        cs.load("timm:resnet18", weights="hub")


def _offline(*args: object, **kwargs: object) -> None:
    raise OSError("the network is unreachable")


# --- transformers -----------------------------------------------------------------------------------------------------


@pytest.fixture
def hf_folder(tmp_path: Path) -> Path:
    transformers = pytest.importorskip("transformers")
    config = transformers.ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16],
        depths=[1, 1],
        layer_type="basic",
        id2label={0: "cat", 1: "dog", 2: "bus"},
    )
    model = transformers.ResNetForImageClassification(config)
    model.save_pretrained(tmp_path, safe_serialization=True)
    recipe = {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 64}, "crop_pct": 0.875}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(recipe))
    return tmp_path


def test_transformers_folder(hf_folder: Path) -> None:
    transformers = pytest.importorskip("transformers")
    net = cs.load(f"hf:{hf_folder}")
    model = transformers.ResNetForImageClassification.from_pretrained(hf_folder).eval()
    inputs = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(net(inputs), model(inputs).logits, rtol=1e-5, atol=1e-5)
    assert net.classes is not None
    assert net.classes.names == ("cat", "dog", "bus")
    assert net.input_shape == (3, 64, 64)
    assert net.layers[0].name == "resnet.embedder.embedder.convolution"


def test_transformers_hub_that_cannot_be_reached_says_what_was_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        InputError, match=r"config\.json, preprocessor_config\.json and model\.safetensors of nobody/nothing"
    ):
        cs.load("hf:nobody/nothing-at-all")


def test_transformers_folder_that_is_not_there() -> None:
    with pytest.raises(InputError, match="no such folder"):
        cs.load("hf:./not-here")


# --- files, programs, modules -----------------------------------------------------------------------------------------


def test_a_function_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import torch\n"
        "def build(width=3):\n"
        "    net = torch.nn.Sequential(torch.nn.Conv2d(1, width, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())\n"
        "    return net, {'preprocess': {'channels': 'L', 'mean': (0.1,), 'std': (0.3,), 'crop': (28, 20)}}\n"
        "def wrong():\n    return 3\n"
        "def broken():\n    raise RuntimeError('no')\n"
    )
    net = cs.load(f"{file}:build?width=6")
    assert net.input_shape == (1, 28, 20)
    assert net.n_classes == 6
    assert "was run" in net.notes[0]
    with pytest.raises(UnknownNameError, match="build"):
        cs.load(f"{file}:biuld")
    with pytest.raises(UsageError, match=r"torch\.nn\.Module"):
        cs.load(f"{file}:wrong")
    with pytest.raises(InputError, match="no such file"):
        cs.load(f"{tmp_path / 'other.py'}:build")
    (tmp_path / "bad.py").write_text("import nothing_of_this_name\n")
    with pytest.raises(InputError, match="nothing_of_this_name"):
        cs.load(f"{tmp_path / 'bad.py'}:build")


def test_an_exported_program(tmp_path: Path, small: Small) -> None:
    path = tmp_path / "small.pt2"
    program = torch.export.export(small, (torch.zeros(2, 3, 41, 57),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    torch.export.save(program, path)
    net = cs.load(path)
    same_logits(net, small)
    assert [layer.name for layer in net.layers] == ["conv1", "bn1", "relu", "mean", "fc"]
    assert "assumed" in net.notes[0]
    with pytest.raises(InputShapeError, match="exported for 41 x 57 only"):
        net(torch.zeros(1, 3, 42, 57))


def test_an_exported_program_of_any_size(tmp_path: Path, small: Small) -> None:
    path = tmp_path / "small.pt2"
    sizes = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    torch.export.save(torch.export.export(small, (torch.zeros(2, 3, 41, 57),), dynamic_shapes=(sizes,)), path)
    net = cs.load(path)
    same_logits(net, small, (3, 41, 57))
    same_logits(net, small, (3, 38, 91))
    assert net.run(torch.zeros(1, 3, 38, 91), ["conv1"])["conv1"].shape == (1, 4, 19, 46)


def test_a_live_module_and_a_snapshot_of_it(small: Small) -> None:
    net = cs.load(small, size=(41, 57))
    same_logits(net, small)
    before = net.fingerprint
    with torch.no_grad():
        small.fc.weight.add_(1)
    assert cs.load(small, size=(41, 57)).fingerprint != before == net.fingerprint


def test_one_channel_and_four_channels() -> None:
    for n, channels in ((1, "L"), (4, 4)):
        net = cs.load(Small(n), size=(33, 47))
        assert net.input_shape == (n, 33, 47)
        assert net.preprocess.channels == channels
        assert net.module is not None
        same_logits(net, net.module, (n, 33, 47))


def test_equal_weights_have_equal_fingerprints(small: Small) -> None:
    assert cs.load(small, size=32).fingerprint == cs.load(small, size=32).fingerprint
    torch.manual_seed(7)
    assert cs.load(Small(), size=32).fingerprint != cs.load(small, size=32).fingerprint


# --- what is not a network --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tim:resnet18", "'timm'"),
        ("resnet18", "names no source"),
        ("weights.safetensors", "do not say which architecture"),
        ("mine.py", "which of its functions"),
        ("timm:", "No name follows"),
        ("timm:resnet18?oops", "cannot be read"),
        ("builtin:wrld", "'world'"),
    ],
)
def test_specs_that_name_nothing(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        cs.load(text)


def test_something_that_is_no_network_at_all() -> None:
    with pytest.raises(UsageError, match="A list was given"):
        cs.load([1, 2])  # type: ignore[arg-type]


def test_files_that_are_no_exported_programs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        cs.load(tmp_path / "none.pt2")
    (tmp_path / "text.pt2").write_text("hello")
    with pytest.raises(InputError, match="not an exported program"):
        cs.load(tmp_path / "text.pt2")


class Segmenter(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 7, 3, padding=1))


class TwoHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = Small()
        self.other = nn.Conv2d(3, 2, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.other(x).mean((2, 3)), self.body(x)


class Branching(nn.Module):
    """Decides by the values of its input; cannot be exported."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(Decider())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x).mean((2, 3))


class Decider(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.sum() > 0:
            return x
        return -x


def test_a_model_that_is_no_image_classifier() -> None:
    with pytest.raises(NetworkError, match=r"batch x 7 x 32 x 48"):
        cs.load(Segmenter(), size=(32, 48))
    with pytest.raises(NetworkError):
        cs.load(nn.Embedding(10, 4))


def test_several_outputs_must_be_chosen_from() -> None:
    with pytest.raises(NetworkError, match="output1"):
        cs.load(TwoHeads(), size=32)
    assert cs.load(TwoHeads(), size=32, output="output1").n_classes == 5
    with pytest.raises(UsageError, match="output0, output1"):
        cs.load(TwoHeads(), size=32, output="logits")


def test_what_cannot_be_exported_names_the_module_and_the_line() -> None:
    with pytest.raises(ExportError, match=r"module 'inner\.0' \(Decider\), test_sources\.py:\d+"):
        cs.load(Branching(), size=(24, 32))


def test_inputs_a_network_cannot_take(small: Small) -> None:
    net = cs.load(small, size=(24, 32))
    with pytest.raises(InputShapeError, match="5 channels; the network takes 3"):
        net(torch.zeros(1, 5, 24, 32))
    with pytest.raises(InputShapeError, match=r"torch\.uint8"):
        net(torch.zeros(1, 3, 24, 32, dtype=torch.uint8))
    with pytest.raises(InputShapeError, match="batch channel y x"):
        net(torch.zeros(3, 24, 32))
    with pytest.raises(InputShapeError, match="It refuses"):
        cs.load(nn.Sequential(nn.Conv2d(3, 4, 9), nn.Flatten(), nn.Linear(4 * 24 * 24, 3)), size=8)
    with pytest.raises(InputShapeError, match="5x224x224"):
        cs.load(small, n_channels=5)


def test_names_that_are_not_in_the_network(small: Small) -> None:
    net = cs.load(small, size=(24, 32))
    with pytest.raises(UnknownNameError, match="'conv1'"):
        net.run(torch.zeros(1, 3, 24, 32), ["conv_1"])
    with pytest.raises(UsageError, match="has 4 units"):
        net.address("conv1:4")
    with pytest.raises(UsageError, match="12 x 16"):
        net.address("conv1:3@12,0")
    with pytest.raises(UsageError, match="LAYER:UNIT@y,x"):
        net.address("conv1:x")
    assert str(net.address("conv1:3@11,15")) == "conv1:3@11,15"


# --- weights ----------------------------------------------------------------------------------------------------------


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


@pytest.fixture
def small_file(tmp_path: Path) -> Path:
    file = tmp_path / "nets.py"
    file.write_text(
        f"import sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\nfrom test_sources import Small\n"
        "def small(width=4):\n    return Small(width=width)\n"
    )
    return file


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": {f"module.{name}": value for name, value in state.items()}},
        lambda state: {"state_dict": {f"model.module.{name}": value for name, value in state.items()}},
        lambda state: {f"_orig_mod.{name}": value for name, value in state.items()},
    ],
)
def test_the_usual_wrappings_of_a_checkpoint(tmp_path: Path, small: Small, small_file: Path, wrap) -> None:
    path = saved(tmp_path / "w.pt", wrap(small.state_dict()))
    same_logits(cs.load(f"{small_file}:small", weights=path, size=(41, 57)), small)


def test_safetensors(tmp_path: Path, small: Small, small_file: Path) -> None:
    save_file({f"module.{name}": value for name, value in small.state_dict().items()}, tmp_path / "w.safetensors")
    net = cs.load(f"{small_file}:small", weights=tmp_path / "w.safetensors", size=(41, 57))
    same_logits(net, small)
    assert net.weights == "w.safetensors"


def test_weights_of_another_network_are_listed_and_refused(tmp_path: Path, small_file: Path) -> None:
    state = Small(width=6).state_dict() | {"extra.weight": torch.zeros(2)}
    del state["fc.bias"]
    path = saved(tmp_path / "w.pt", state)
    with pytest.raises(WeightsError) as caught:
        cs.load(f"{small_file}:small", weights=path, size=32)
    text = str(caught.value)
    assert "1 missing:\n    fc.bias" in text
    assert "1 not expected:\n    extra.weight" in text
    assert "conv1.weight: (6, 3, 3, 3) in the file, (4, 3, 3, 3) in the network" in text
    net = cs.load(f"{small_file}:small", weights=path, size=32, partial=True)
    assert any("fc.bias" in note for note in net.notes)


class Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.marker),)


def test_a_pickle_that_wants_to_run_code_is_refused_and_not_run(tmp_path: Path, small_file: Path) -> None:
    marker = tmp_path / "ran"
    saved(tmp_path / "evil.pt", {"state_dict": Bomb(marker)})
    (tmp_path / "raw.pt").write_bytes(pickle.dumps(Bomb(marker)))
    for name in ("evil.pt", "raw.pt"):
        with pytest.raises(WeightsError, match=r"nothing in it was run[\s\S]*convert"):
            cs.load(f"{small_file}:small", weights=tmp_path / name, size=32)
    assert not marker.exists()


@pytest.mark.parametrize("protocol", [None, 0, 1, 2, 4])
def test_a_program_with_a_pickle_inside_is_refused_and_not_run(
    tmp_path: Path, small: Small, protocol: int | None
) -> None:
    import io
    import zipfile

    program = torch.export.export(small, (torch.zeros(2, 3, 41, 57),))
    good, evil, marker = tmp_path / "good.pt2", tmp_path / "evil.pt2", tmp_path / "ran"
    torch.export.save(program, good)
    bomb = io.BytesIO()
    if protocol is None:
        torch.save(Bomb(marker), bomb)
    else:
        pickle.dump(Bomb(marker), bomb, protocol=protocol)
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(evil, "w") as target:
        names = source.namelist()
        assert any("sample_inputs" in name or "constants" in name for name in names), names
        for name in names:
            replaced = "sample_inputs" in name and name.endswith(".pt")
            target.writestr(name, bomb.getvalue() if replaced else source.read(name))
    with pytest.raises(WeightsError, match="nothing in it was run"):
        cs.load(evil)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "cannot be read"), (b"not a checkpoint", "cannot be read|nothing in it was run"), (None, "no such file")],
)
def test_weights_that_are_damaged_or_not_there(
    tmp_path: Path, small_file: Path, content: bytes | None, said: str
) -> None:
    for name in ("w.pt", "w.safetensors"):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(WeightsError, match=said):
            cs.load(f"{small_file}:small", weights=tmp_path / name, size=32)


def test_a_checkpoint_without_tensors(tmp_path: Path, small_file: Path) -> None:
    path = saved(tmp_path / "w.pt", {"epoch": 3, "lr": 0.1})
    with pytest.raises(WeightsError, match="'epoch', 'lr'"):
        cs.load(f"{small_file}:small", weights=path, size=32)


def test_class_names_are_counted(small: Small) -> None:
    with pytest.raises(UsageError, match="has 5 classes"):
        cs.load(small, size=32, classes=["a", "b"])
    net = cs.load(small, size=32, classes=["a", "b", "c", "d", "e"])
    assert net.classes is not None
    assert net.classes.index_of("c") == 2


def test_every_source_of_ours_is_registered() -> None:
    from convscope.registry import items

    assert set(items("source")) >= set(sources.__all__)
