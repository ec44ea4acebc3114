"""Which images, under which ids, of which class?  Every source, in the same words."""

import csv
import gzip
import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from convscope.errors import ImagesError, InputError, UnknownNameError, UsageError
from convscope.images import Classes, Decode, Images, Picture, Preprocess, imagenet_classes, images
from convscope.images.sample import sample

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (12, 9, 14, 3), np.uint8)
PLAIN = Preprocess()


def save(folder: Path, *names: str, like: np.ndarray = PIXELS) -> Path:
    """Image files of these names; the n-th holds the n-th pixels."""
    for n, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(like[n % len(like)]).save(folder / name, "PNG")
    return folder


# --- folders ----------------------------------------------------------------------------------------------------------


def test_flat_folder(tmp_path):
    found = images(save(tmp_path, "b.png", "a b.png", "c.jpg"))
    assert found.ids == ("a b.png", "b.png", "c.jpg")
    assert len(found) == 3
    assert (found.label_source, found.label_names, found.labels.tolist()) == ("none", None, [-1, -1, -1])
    picture = found[1]
    assert isinstance(picture, Picture)
    assert (picture.id, picture.label, picture.shape) == ("b.png", None, (9, 14))
    assert picture.pixels.dtype == np.uint8
    assert np.array_equal(picture.pixels, PIXELS[0])
    assert Path(picture.origin) == tmp_path / "b.png"
    assert np.array_equal(found["c.jpg"].pixels, PIXELS[2])
    assert [p.id for p in found] == list(found.ids)


def test_class_folders(tmp_path):
    found = images(save(tmp_path, "dog/1.png", "cat/x/2.png", "cat/1.png"))
    assert found.ids == ("cat/1.png", "cat/x/2.png", "dog/1.png")
    assert found.label_names == ("cat", "dog")
    assert found.labels.tolist() == [0, 0, 1]
    assert found.label_source == "folder names"
    assert found[2].label == 1
    assert images(tmp_path, labels=False).labels.tolist() == [-1] * 3


def test_folders_around_the_class_folders(tmp_path):
    found = images(save(tmp_path, "val/images/cat/1.png", "val/images/dog/1.png"))
    assert found.label_names == ("cat", "dog")
    only = images(save(tmp_path / "other", "val/cat/1.png", "val/cat/2.png"))
    assert (only.label_names, only.labels.tolist()) == (("cat",), [0, 0])


def test_numbered_folders_are_indices(tmp_path):
    found = images(save(tmp_path, "10/1.png", "2/1.png"))
    assert found.label_names is None
    assert dict(zip(found.ids, found.labels, strict=True)) == {"10/1.png": 10, "2/1.png": 2}


def test_mixed_depths_have_no_labels(tmp_path):
    found = images(save(tmp_path, "cat/1.png", "1.png"))
    assert found.labels.tolist() == [-1, -1]
    assert "some beside them" in found.label_source


def test_parts_are_not_classes(tmp_path):
    save(tmp_path, "train/cat/1.png", "val/cat/1.png")
    with pytest.raises(ImagesError, match="the parts train, val, not classes"):
        images(tmp_path)
    assert len(images(tmp_path, labels=False)) == 2


def test_wordnet_ids_in_file_names(tmp_path):
    found = images(save(tmp_path, "n01484850_1.png", "x_n01440764.png", "n01484850_2.png"))
    assert found.label_names == ("n01440764", "n01484850")
    assert found.labels.tolist() == [1, 1, 0]
    assert found.label_source == "WordNet ids in the file names"
    assert images(save(tmp_path, "other.png")).label_source == "none"


def test_a_hundred_thousand_ids_are_listed_without_reading(tmp_path, monkeypatch):
    for n in range(300):
        (tmp_path / f"{n}.jpg").touch()
    monkeypatch.setattr(Decode, "image", lambda *given: pytest.fail("an image was decoded"))
    assert len(images(tmp_path)) == 300


# --- labels given -----------------------------------------------------------------------------------------------------


def test_labels_given_in_every_way(tmp_path):
    save(tmp_path, "0007_b.png", "0010_c.png", "0003_a.png")
    wanted = {"0003_a.png": 3, "0007_b.png": 7, "0010_c.png": 10}
    with (tmp_path / "labels.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("score", "filename", "class"), *((0.5, *row) for row in wanted.items())])
    with (tmp_path / "bare.tsv").open("w", newline="") as stream:
        csv.writer(stream, delimiter="\t").writerows(wanted.items())
    (tmp_path / "labels.json").write_text(json.dumps(wanted))
    given = [r"(?P<label>\d+)_.*", wanted, [3, 7, 10], np.array([3, 7, 10]), torch.tensor([3, 7, 10]), ["3", "7", "10"]]
    for labels in [*given, tmp_path / "labels.csv", str(tmp_path / "bare.tsv"), tmp_path / "labels.json"]:
        found = images(tmp_path, labels=labels)
        assert dict(zip(found.ids, found.labels.tolist(), strict=True)) == wanted, labels
        assert found.label_names is None
        assert found.label_source.startswith(("file names, by", "a dictionary", "a list", "the file"))
    assert {skip.id for skip in found.skipped} == {"labels.csv", "bare.tsv", "labels.json"}


def test_labels_by_name_and_partly(tmp_path):
    save(tmp_path, "x/a.png", "x/b.png", "y/a.png")
    found = images(tmp_path, labels={"x/b.png": "dog", "y/a.png": "cat"})
    assert (found.label_names, found.labels.tolist()) == (("cat", "dog"), [-1, 1, 0])
    by_file = images(save(tmp_path / "flat", "q/a.png", "q/b.png"), labels={"b.png": "dog"})
    assert by_file.labels.tolist() == [-1, 0]
    shared = images(tmp_path / "flat", labels={"q/a.png": "cat", "b.png": "dog"})
    assert shared.labels.tolist() == [0, 1]
    Image.fromarray(PIXELS[0]).save(save(tmp_path / "flat", "r/a.png") / "r" / "b.png")
    shared = images(tmp_path / "flat", labels={"q/a.png": "cat", "b.png": "dog"})  # two are called b.png
    assert shared.labels.tolist() == [0, -1, -1, -1]
    whole = images(tmp_path, labels=r"(?P<label>[xy])/")
    assert whole.label_names == ("x", "y")
    assert images(PIXELS[:3], labels=[None, -1, 4]).labels.tolist() == [-1, -1, 4]


@pytest.mark.parametrize(
    ("labels", "kind", "words"),
    [
        (r"\d+", UsageError, "no group"),
        (r"(?P<label>", UsageError, "cannot be used"),
        (r"(?P<label>\d+)_", ImagesError, "No image name fits; the first is 'a.png'"),
        ({"z.png": 1}, ImagesError, "starts with 'z.png'"),
        ([1], ImagesError, "There are 2 images"),
        ([1, -3], ImagesError, "'-3' is no class index"),
        ([1.5, 2.0], ImagesError, "no class index"),
        ("absent.csv", InputError, "absent.csv"),
    ],
)
def test_labels_that_do_not_fit(tmp_path, labels, kind, words):
    save(tmp_path, "a.png", "b.png")
    with pytest.raises(kind, match=words):
        images(tmp_path, labels=labels)


def test_a_table_with_unknown_columns(tmp_path):
    save(tmp_path, "a.png")
    (tmp_path / "t.csv").write_text("a,b,c\n1,2,3\n")
    with pytest.raises(InputError, match="its columns are a, b, c"):
        images(tmp_path, labels=tmp_path / "t.csv")


# --- the network's classes --------------------------------------------------------------------------------------------

CLASSES = Classes(
    ("fish", "tabby cat", "great dane"), ("n00000001", "n00000002", "n00000003"), ((), ("tabby",), ("dane",))
)


def test_match_gives_the_networks_indices(tmp_path):
    save(tmp_path, "Great-Dane/1.png", "n00000002/1.png", "fish/1.png")
    found = images(tmp_path, classes=CLASSES)
    assert dict(zip(found.ids, found.labels.tolist(), strict=True)) == {
        "Great-Dane/1.png": 2, "fish/1.png": 0, "n00000002/1.png": 1
    }  # fmt: skip
    assert found.label_names == CLASSES.names
    assert found.label_source == "folder names, matched to the network's classes"
    assert images(tmp_path, labels=[2, 0, 1]).match(CLASSES).label_names == CLASSES.names
    assert images(tmp_path, labels=False).match(CLASSES).label_names is None
    assert images(PIXELS[:3], labels=["dane", None, "fish"]).match(CLASSES).labels.tolist() == [2, -1, 0]


def test_match_lists_what_it_does_not_find(tmp_path):
    found = images(save(tmp_path, "fish/1.png", "great dames/1.png", "great dames/2.png"))
    with pytest.raises(ImagesError, match=r"1 have no class .* 'great dames' \(nearest: great dane\)"):
        found.match(CLASSES)
    partly = found.match(CLASSES, partial=True)
    assert partly.labels.tolist() == [0, -1, -1]
    assert partly.unmatched == ("great dames",)
    with pytest.raises(ImagesError, match="2 have no class"):
        found.match(["a", "b"], partial=True)


def test_match_refuses_contradictions(tmp_path):
    with pytest.raises(ImagesError, match="'n00000002' and 'tabby' both name class 1"):
        images(save(tmp_path, "tabby/1.png", "n00000002/1.png"), classes=CLASSES)
    with pytest.raises(ImagesError, match="largest label is 3; the classes are 0 to 2"):
        images(PIXELS[:2], labels=[0, 3], classes=CLASSES)


# --- sub-sets ---------------------------------------------------------------------------------------------------------


def test_sub_sets_keep_ids_and_labels():
    found = images(PIXELS, labels=[n % 4 for n in range(12)])
    assert found.ids[3] == "00003"
    for part in (found[3:9:2], found[[3, 5, 7]], found[np.isin(np.arange(12), (3, 5, 7))], found[[7, 5, 3]][::-1]):
        assert isinstance(part, Images)
        assert part.ids == ("00003", "00005", "00007")
        assert part.labels.tolist() == [3, 1, 3]
        assert np.array_equal(part[1].pixels, PIXELS[5])
        assert part["00007"].label == 3
    assert len(found[[]]) == 0
    assert found[-1].id == "00011"
    with pytest.raises(IndexError):
        found[12]
    with pytest.raises(UnknownNameError, match="Nearest: '00003'"):
        found[3:5]["0003"]
    assert "12 images, 12 labelled; labels from: a list" in repr(found)


def test_limit_is_balanced_nested_and_seeded():
    labels = [0] * 50 + [1] * 7 + [2] * 43
    found = images(np.zeros((100, 2, 3, 3), np.uint8), labels=labels)
    twelve, thirty = found.limited(12), found.limited(30)
    assert np.bincount(twelve.labels).tolist() == [4, 4, 4]
    assert np.bincount(thirty.labels).max() - 7 <= 5
    assert np.bincount(thirty.labels)[1] == 7
    assert set(twelve.ids) < set(thirty.ids)
    assert list(twelve.ids) == sorted(twelve.ids)
    assert images(np.zeros((100, 2, 3, 3), np.uint8), labels=labels, limit=12).ids == twelve.ids
    assert found.limited(12, seed=1).ids != twelve.ids
    assert found.limited(1000).ids == found.ids
    with pytest.raises(UsageError, match="sample of 0"):
        found.limited(0)


def test_the_sample_is_the_same_everywhere():
    """Known answer: the hash order must not change between versions, or a resumed study would see other images."""
    from hashlib import blake2b

    ids = [f"{n:05d}" for n in range(40)]
    wanted = sorted(range(40), key=lambda n: blake2b(b"5:" + ids[n].encode(), digest_size=8).digest())[:6]
    assert sample(ids, np.full(40, -1), 6, 5).tolist() == sorted(wanted)


def test_fingerprint_sees_what_matters(tmp_path):
    save(tmp_path, *(f"{n}.png" for n in range(5)))
    start = images(tmp_path).fingerprint()
    assert start == images(str(tmp_path)).fingerprint()
    (tmp_path / "0.png").touch()
    assert images(tmp_path).fingerprint() == start
    assert images(tmp_path, labels=[0, 1, 2, 3, 4]).fingerprint() != start
    assert images(tmp_path)[:4].fingerprint() != start
    content = (tmp_path / "1.png").read_bytes()
    (tmp_path / "1.png").write_bytes(content[:-1] + b"?")  # same size
    assert images(tmp_path).fingerprint() != start
    (tmp_path / "1.png").write_bytes(content)
    (tmp_path / "1.png").rename(tmp_path / "9.png")
    assert images(tmp_path).fingerprint() != start
    changed = PIXELS.copy()
    changed[3, 2, 1] ^= 1
    assert images(PIXELS).fingerprint() == images(PIXELS.copy()).fingerprint() != images(changed).fingerprint()
    assert images(PIXELS).fingerprint(content=True) != images(changed).fingerprint(content=True)


# --- arrays, tensors, files of arrays ---------------------------------------------------------------------------------


def test_arrays_and_tensors_in_every_layout():
    chw = torch.from_numpy(PIXELS.transpose(0, 3, 1, 2).copy())
    for given in (PIXELS, chw, list(PIXELS), list(chw), chw.numpy().transpose(0, 2, 3, 1)):
        assert np.array_equal(images(given)[5].pixels, PIXELS[5])
    for given in (PIXELS[5], chw[5]):
        assert len(images(given)) == 1
        assert np.array_equal(images(given)[0].pixels, PIXELS[5])
    greys = PIXELS[..., 0]
    for given in (greys, torch.from_numpy(greys.copy()), greys[..., None], torch.from_numpy(greys.copy())[:, None]):
        assert images(given)[4].pixels.shape == (9, 14, 1)
        assert np.array_equal(images(given)[4].pixels[..., 0], greys[4])
    assert images(greys[0])[0].pixels.shape == (9, 14, 1)
    assert images(PIXELS > 127)[0].pixels.max() == 255
    assert images(np.zeros((2, 5, 7, 6), np.uint8))[0].pixels.shape == (5, 7, 6)


def test_float_arrays_stay_exact():
    exact = images(PIXELS / 255)
    assert np.array_equal(exact[3].pixels, PIXELS[3])
    assert exact[3].images01.dtype == np.float32
    levels = np.array([[[0.0, 0.499, 1.501], [127.4, 127.6, 254.6]]]) / 255
    assert images(levels)[0].pixels.tolist() == [[[0, 0, 2], [127, 128, 255]]]
    fine = images(np.linspace(0, 1, 2 * 5 * 7 * 3).reshape(2, 5, 7, 3))
    torch.testing.assert_close(PLAIN(fine[1])[0], torch.linspace(0, 1, 210).reshape(2, 5, 7, 3)[1].permute(2, 0, 1))
    assert np.array_equal(images(PIXELS)[0].images01, PIXELS[0].astype(np.float32) / 255)


def test_a_picture_is_not_changed_with_its_array():
    array = PIXELS.copy()
    picture = images(array)[2]
    array[:] = 0
    assert np.array_equal(picture.pixels, PIXELS[2])


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 3, 9, 14), np.uint8), "other order"),
        (torch.zeros((4, 9, 14, 3), dtype=torch.uint8), "other order"),
        (np.zeros((0, 9, 14, 3), np.uint8), "no images"),
        (np.zeros(7, np.uint8), "no images"),
        (np.zeros((2, 9, 14, 3), np.uint16), "type uint16"),
        (np.full((2, 9, 14, 3), 255.0), "run from 255 to 255"),
        (torch.randn(4, 3, 9, 14), "already normalised"),
    ],
)
def test_arrays_that_are_no_images(array, words):
    with pytest.raises(ImagesError, match=words):
        images(array)


def test_npz_and_npy(tmp_path):
    labels = np.arange(12) % 3
    np.savez(tmp_path / "a.npz", images=PIXELS, labels=labels.astype(np.uint8))
    np.savez_compressed(tmp_path / "b.npz", x_test=PIXELS, y_test=labels[:, None], classes=np.array(["a", "b", "c"]))
    np.savez(tmp_path / "c.npz", PIXELS)
    np.save(tmp_path / "d.npy", PIXELS)
    for name, known, names in (("a", True, None), ("b", True, ("a", "b", "c")), ("c", False, None)):
        found = images(tmp_path / f"{name}.npz")
        assert np.array_equal(found[7].pixels, PIXELS[7])
        assert found.labels.tolist() == (labels.tolist() if known else [-1] * 12)
        assert found.label_names == names
    assert np.array_equal(images(tmp_path / "d.npy")[7].pixels, PIXELS[7])
    assert images(tmp_path / "a.npz", labels=False).label_source == "none, as asked"


def idx(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


@pytest.mark.parametrize("packed", [True, False])
def test_idx(tmp_path, packed):
    ending, write = (".gz", gzip.compress) if packed else ("", bytes)
    greys, labels = PIXELS[..., 0], (np.arange(12) % 5).astype(np.uint8)
    path = tmp_path / f"t10k-images-idx3-ubyte{ending}"
    path.write_bytes(write(idx(greys)))
    assert images(path).label_source == "none"
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(labels))  # unpacked beside packed is found too
    found = images(path)
    assert (found.labels.tolist(), found.label_source) == (labels.tolist(), "the file t10k-labels-idx1-ubyte")
    assert np.array_equal(found[4].pixels[..., 0], greys[4])


# --- lists of files, data sets ----------------------------------------------------------------------------------------


def test_a_file_and_lists_of_files(tmp_path):
    save(tmp_path, "x/b.png", "y/z/a.png")
    assert images(tmp_path / "x" / "b.png").ids == ("b.png",)
    found = images([tmp_path / "y" / "z" / "a.png", str(tmp_path / "x" / "b.png")])
    assert found.ids == ("y/z/a.png", "x/b.png")
    assert np.array_equal(found[1].pixels, PIXELS[0])
    with pytest.raises(ImagesError, match="in it twice"):
        images([tmp_path / "x" / "b.png", tmp_path / "y" / ".." / "x" / "b.png"])
    assert images(found, labels=[4, 5]).labels.tolist() == [4, 5]


class Items(torch.utils.data.Dataset):
    """A data set of whatever `make` gives for a number."""

    def __init__(self, make, n=12, **attributes):
        self.make, self.n = make, n
        self.__dict__.update(attributes)

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        return self.make(index)


@pytest.mark.parametrize(
    "make",
    [
        lambda n: Image.fromarray(PIXELS[n]),
        lambda n: (Image.fromarray(PIXELS[n]), n % 3),
        lambda n: (torch.from_numpy(PIXELS[n].transpose(2, 0, 1).copy()), torch.tensor(n % 3)),
        lambda n: (torch.from_numpy(PIXELS[n].transpose(2, 0, 1).copy()) / 255, np.int64(n % 3)),
        lambda n: (PIXELS[n], n % 3, "more"),
        lambda n: {"image": PIXELS[n], "label": n % 3},
    ],
)
def test_torch_datasets(make):
    found = images(Items(make))
    labelled = not isinstance(make(0), Image.Image)
    assert np.array_equal(found[7].pixels, PIXELS[7])
    assert found[7].label == (1 if labelled else None)
    assert found.label_source == "each item's own, as it is read"
    (batch,) = found.stream(PLAIN, batch_size=12)
    assert batch.labels.tolist() == [n % 3 if labelled else -1 for n in range(12)]
    assert images(Items(make), labels=[5] * 12)[7].label == 5


def test_datasets_that_know_their_labels():
    named = Items(lambda n: (PIXELS[n], n % 3), targets=[n % 3 for n in range(12)], classes=["a", "b", "c"])
    found = images(named)
    assert (found.labels.tolist(), found.label_names) == ([n % 3 for n in range(12)], ("a", "b", "c"))
    part = images(torch.utils.data.Subset(named, [5, 7, 9]))
    assert (part.labels.tolist(), part.label_names) == ([2, 1, 0], ("a", "b", "c"))
    tensors = torch.utils.data.TensorDataset(
        torch.from_numpy(PIXELS.transpose(0, 3, 1, 2).copy()), torch.arange(12) % 2
    )
    assert images(tensors).labels.tolist() == [0, 1] * 6


def test_datasets_that_cannot_be_measured():
    random = np.random.default_rng(1)
    with pytest.raises(ImagesError, match="changes from one reading to the next"):
        images(Items(lambda n: random.integers(0, 256, (4, 5, 3), np.uint8)))
    with pytest.raises(ImagesError, match="It is empty"):
        images(Items(lambda n: PIXELS[n], n=0))
    with pytest.raises(ImagesError, match="failed: ZeroDivisionError"):
        images(Items(lambda n: 1 // 0))
    for given in (3, iter([]), None):
        with pytest.raises(UsageError, match="no length or no items"):
            images(given)


def test_dataset_items_are_fetched_one_at_a_time():
    inside, most = 0, 0

    def make(n):
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.001)
        inside -= 1
        return PIXELS[n]

    assert sum(len(batch) for batch in images(Items(make)).stream(PLAIN, workers=4)) == 12
    assert most == 1


# --- streams ----------------------------------------------------------------------------------------------------------


def test_a_stream_is_the_images_one_by_one(tmp_path):
    save(tmp_path, *(f"{n % 2}/{n:02d}.png" for n in range(11)))
    found = images(tmp_path)
    recipe = Preprocess(resize=8, crop=(7, 10), mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    for workers in (1, 3):
        batches = list(found.stream(recipe, batch_size=4, workers=workers))
        assert [len(batch) for batch in batches] == [4, 4, 3]
        assert [batch.stop for batch in batches] == [4, 8, 11]
        assert sum((batch.ids for batch in batches), ()) == found.ids
        assert sum((batch.indices for batch in batches), ()) == tuple(range(11))
        assert torch.cat([batch.labels for batch in batches]).tolist() == found.labels.tolist()
        assert torch.equal(torch.cat([batch.inputs for batch in batches]), recipe(list(found)))
        assert all(batch.skipped == () for batch in batches)


def test_a_stream_starts_anywhere_and_takes_any_function():
    found = images(PIXELS)
    (batch,) = found[2:].stream(lambda picture: torch.full((1, 2, 3), float(picture.id)), start=7)
    assert (batch.indices, batch.stop) == ((7, 8, 9), 10)
    assert batch.inputs[:, 0, 0, 0].tolist() == [9, 10, 11]
    assert list(found.stream(PLAIN, start=12)) == []
    half = next(found.stream(lambda picture: torch.zeros(1, 2, 3, dtype=torch.bfloat16)))
    assert half.inputs.dtype == torch.bfloat16


def test_different_sizes_come_in_a_batch_each():
    shapes = [(5, 7), (6, 7), (5, 7), (5, 7), (6, 7)]
    found = images(Items(lambda n: np.full((*shapes[n], 3), n, np.uint8), n=5))
    batches = list(found.stream(PLAIN, batch_size=4))
    assert [batch.indices for batch in batches] == [(0, 2, 3), (1,), (4,)]
    assert [tuple(batch.inputs.shape[2:]) for batch in batches] == [(5, 7), (6, 7), (6, 7)]


def test_damaged_images_are_named_and_move_no_other(tmp_path):
    save(tmp_path, *(f"{n:02d}.png" for n in range(10)))
    for n in (0, 2, 8, 9):
        (tmp_path / f"{n:02d}.png").write_bytes(b"")
    batches = list(images(tmp_path).stream(PLAIN, batch_size=2))
    assert [batch.indices for batch in batches] == [(1,), (3,), (4, 5), (6, 7)]
    assert [[skip.id for skip in batch.skipped] for batch in batches] == [
        ["00.png"],
        ["02.png"],
        [],
        ["08.png", "09.png"],
    ]
    assert "the file is empty" in batches[0].skipped[0].reason
    assert batches[-1].stop == 10
    with pytest.raises(ImagesError, match=r"None of them could be; the first is '08\.png'"):
        list(images(tmp_path).stream(PLAIN, start=8))
    with pytest.raises(ImagesError, match=r"'08\.png' was to be read"):
        images(tmp_path)[8]


def test_a_stream_holds_few_images_and_closes():
    alive, most, lock, before = 0, 0, threading.Lock(), threading.active_count()

    def prepare(picture):
        nonlocal alive, most
        with lock:
            alive += 1
            most = max(most, alive)
        return torch.zeros(1, 2, 3)

    found = images(np.zeros((400, 2, 3, 3), np.uint8))
    seen = found.stream(prepare, batch_size=5, workers=3)
    for batch in seen:
        alive -= len(batch)
        if batch.stop == 200:
            break
    seen.close()
    assert most <= 5 + 5 + 2 * 5 + 3  # the batch in use, the one held back, two ahead, and what the threads hold
    assert alive < 30
    deadline = time.monotonic() + 2
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_closing_a_stream_cancels_what_waits():
    calls = []

    def slow(picture):
        time.sleep(0.002)
        calls.append(picture.id)
        return torch.zeros(1, 2, 3)

    seen = images(np.zeros((400, 2, 3, 3), np.uint8)).stream(slow, batch_size=50, workers=1)
    next(seen)
    seen.close()
    n_calls = len(calls)
    time.sleep(0.05)
    assert len(calls) == n_calls < 130  # two batches, the second because one is held back; not the hundred in waiting


def test_faults_of_the_callers_own_function_are_not_hidden():
    def broken(picture):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        list(images(PIXELS).stream(broken))
    with pytest.raises(UsageError, match="channel y x"):
        list(images(PIXELS).stream(lambda picture: torch.zeros(3)))
    for wrong in ({"batch_size": 0}, {"workers": 0}, {"start": -1}):
        with pytest.raises(UsageError, match="cannot be"):
            images(PIXELS).stream(PLAIN, **wrong)


def test_the_package_answers_as_the_function():
    import convscope.images

    assert convscope.images(PIXELS, limit=3).ids == images(PIXELS, limit=3).ids


# --- real images ------------------------------------------------------------------------------------------------------


@pytest.mark.data
def test_imagenet_sample_by_wordnet_id_and_by_index(data_dir):
    pytest.importorskip("timm")
    folder = data_dir / "images" / "imagenet1k_sample"
    by_wnid = images(folder, classes=imagenet_classes())
    by_index = images(folder, labels=r"(?P<label>\d+)_.*", classes=imagenet_classes())
    assert len(by_wnid) == 800
    assert np.array_equal(by_wnid.labels, by_index.labels)
    assert len(set(by_wnid.labels.tolist())) == 800
    assert by_wnid.label_source != by_index.label_source
    assert by_wnid[0].id.startswith("0000_n01440764")


@pytest.mark.data
def test_mnist_and_cifar(data_dir):
    digits = images(data_dir / "datasets" / "mnist" / "train-images-idx3-ubyte.gz")
    assert len(digits) == 60_000
    assert np.bincount(digits.labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert digits[0].pixels.shape == (28, 28, 1)
    objects = images(data_dir / "datasets" / "cifar10" / "test_10000.npz", limit=200)
    assert np.bincount(objects.labels).tolist() == [20] * 10
    named = objects.match(Classes.read(data_dir / "labels" / "cifar10_classes.json"))
    assert named.label_names[9] == "truck"
