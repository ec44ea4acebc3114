"""Are classes found by any of their names, and never by the wrong one?"""

import json

import numpy as np
import pytest

from convscope.errors import ImagesError, InputError, MissingExtraError, UnknownNameError, UsageError
from convscope.images import Classes, imagenet_classes

DOG = {"name": "dog", "wnid": "n00000002"}
ANIMALS = Classes(
    ("tench", "great white shark", "crane", "crane", "T-shirt/top"),
    ("n01440764", "n01484850", "n02012849", "n03126707", "n04370456"),
    (("tench", "Tinca tinca"), ("white shark", "man-eater"), ("crane bird",), ("crane machine",), ("sea hawk",)),
)


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("tench", 0),
        ("Great_White-Shark", 1),
        ("greatwhiteshark", 1),
        ("t shirt top", 4),
        ("TINCA tinca", 0),
        ("man eater", 1),
        ("crane bird", 2),
        ("n03126707", 3),
        ("n01440764_tench", 0),
        ("n03126707-crane", 3),
        ("0000_n01484850_great_white_shark", 1),
        ("n01484850-something else", 1),
        ("n09999999_tench", 0),
        ("002.great white shark", 1),
        ("3", 3),
        ("0003", 3),
        (2, 2),
        (np.int64(4), 4),
    ],
)
def test_found_by_any_spelling(name, index):
    assert ANIMALS.index_of(name) == index


def test_names_are_a_sequence():
    assert len(ANIMALS) == 5
    assert ANIMALS[1] == "great white shark"
    assert Classes.of(["a", "b"]) == Classes(("a", "b"))
    assert Classes.of(ANIMALS) is ANIMALS


@pytest.mark.parametrize(
    ("name", "words"),
    [("tensh", "'tench'"), ("sharks", "shark"), (5, "0 to 4"), ("17", "no class '17'"), (-1, "0 to 4")],
)
def test_unknown_names_say_what_is_near(name, words):
    with pytest.raises(UnknownNameError, match=words):
        ANIMALS.index_of(name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("crane", "stands for the classes 2 .* and 3"),
        ("n01440764_great_white_shark", "WordNet id says class 0 .* name says class 1"),
    ],
)
def test_contradictions_are_refused(name, words):
    with pytest.raises(ImagesError, match=words):
        ANIMALS.index_of(name)


def test_digits_as_names():
    assert Classes(tuple("0123456789")).index_of("7") == 7
    with pytest.raises(ImagesError, match=r"name says class 1 .* number says class 0"):
        Classes(("1", "0")).index_of("0")


def test_wrong_lengths_are_refused():
    with pytest.raises(UsageError, match="2 classes were named"):
        Classes(("a", "b"), ("n00000001",))
    with pytest.raises(UsageError, match="1 different WordNet ids"):
        Classes(("a", "b"), ("n00000001", "n00000001"))
    with pytest.raises(UsageError, match="lists of synonyms"):
        Classes(("a", "b"), synonyms=(("c",),))


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("cat\ngreat dane\n\n", ("cat", "great dane")),
        ('["cat", "dog"]', ("cat", "dog")),
        ('{"1": "dog", "0": "cat"}', ("cat", "dog")),
        (json.dumps({"0": {"name": "cat", "wnid": "n00000001", "lemmas": "true cat"}, "1": DOG}), ("cat", "dog")),
    ],
)
def test_files_of_names(tmp_path, content, names):
    (tmp_path / "names.txt").write_text(content, "utf-8-sig")
    classes = Classes.read(tmp_path / "names.txt")
    assert classes.names == names
    if "wnid" in content:
        assert classes.index_of("n00000002") == 1
        assert classes.index_of("true_cat") == 0


@pytest.mark.parametrize(
    ("content", "words"),
    [("", "no names"), ("[", "names.json"), ('{"0": "a", "2": "b"}', "not 0 to 1"), ('{"a": "b"}', "int")],
)
def test_unreadable_files_of_names(tmp_path, content, words):
    (tmp_path / "names.json").write_text(content)
    with pytest.raises(InputError, match=words):
        Classes.read(tmp_path / "names.json")
    with pytest.raises(InputError, match="No such file"):
        Classes.read(tmp_path / "absent.json")


def test_imagenet_classes_equal_timm():
    info = pytest.importorskip("timm.data").ImageNetInfo("imagenet-1k")
    classes = imagenet_classes()
    assert list(classes.wnids) == info.label_names()
    assert [", ".join(names) for names in classes.synonyms] == info.label_descriptions()
    assert len(set(classes.names)) == len(classes) == 1000
    assert all(classes.index_of(name) == index for index, name in enumerate(classes.names))
    assert all(classes.index_of(wnid) == index for index, wnid in enumerate(classes.wnids))
    with pytest.raises(ImagesError, match=r"134 .* and 517"):
        classes.index_of("crane")


def test_imagenet_classes_from_torchvision_alone(monkeypatch):
    models = pytest.importorskip("torchvision.models")
    monkeypatch.setattr("convscope.images.imagenet.find_spec", lambda name: None)
    classes = imagenet_classes.__wrapped__()
    assert classes.wnids is None
    assert classes[281] == models.ResNet18_Weights.IMAGENET1K_V1.meta["categories"][281]
    assert len(set(classes.names)) == 1000
    monkeypatch.setitem(__import__("sys").modules, "torchvision.models", None)
    with pytest.raises(MissingExtraError, match=r"convscope\[models\]"):
        imagenet_classes.__wrapped__()


@pytest.mark.data
def test_the_kept_label_files_agree_with_timm(data_dir):
    pytest.importorskip("timm")
    kept = Classes.read(data_dir / "labels" / "imagenet_classes.json")
    assert kept.wnids == imagenet_classes().wnids
    raw = json.loads((data_dir / "labels" / "imagenet_classes.json").read_text())
    assert kept[999] == raw["999"]["name"]
    cifar = Classes.read(data_dir / "labels" / "cifar10_classes.json")
    assert (len(cifar), cifar.index_of("Automobile")) == (10, 1)
