"""Does Preprocess give what the network's own library gives?  timm, torchvision and transformers are the oracles."""

import json
from dataclasses import fields, replace
from functools import cache
from importlib import import_module

import numpy as np
import pytest
import torch
from PIL import Image

from convscope.errors import ImagesError, InputError, UsageError
from convscope.images import Picture, Preprocess

SHAPES = [(301, 417), (417, 301), (97, 160), (256, 256), (225, 224), (500, 263), (61, 350), (227, 231)]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ONE_LEVEL = 1 / 255 / min(STD)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """The oracles' small tensor operations are slower on several threads than on one, far slower on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@cache
def photo(height: int, width: int, seed: int = 0) -> Image.Image:
    """A picture with structure at all scales, so that a shift by a pixel, or another filter, shows."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 11, 3), np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    noise = rng.integers(-40, 41, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(coarse) + noise, 0, 255).astype(np.uint8))


def grey(height: int, width: int) -> Image.Image:
    return photo(height, width, 5).convert("L")


def same(got: torch.Tensor, wanted: torch.Tensor, atol: float = 2e-6) -> None:
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, wanted.float(), atol=atol, rtol=1e-6)


# --- timm -------------------------------------------------------------------------------------------------------------

TIMM = [
    {"input_size": (3, 224, 224), "crop_pct": 0.875, "interpolation": "bicubic", "mean": MEAN, "std": STD},
    {"input_size": (3, 224, 224), "crop_pct": 0.95, "interpolation": "bilinear", "mean": (0.5,) * 3, "std": (0.5,) * 3},
    {"input_size": (3, 229, 229), "crop_pct": 0.9, "interpolation": "bicubic"},
    {"input_size": (3, 160, 224), "crop_pct": 0.9, "interpolation": "bicubic"},
    {"input_size": (3, 224, 224), "crop_pct": 1.0, "crop_mode": "squash", "interpolation": "bicubic"},
    {"input_size": (3, 160, 224), "crop_pct": 0.93, "crop_mode": "squash", "interpolation": "lanczos"},
    {"input_size": (3, 224, 224), "crop_pct": 1.0, "crop_mode": "border", "interpolation": "bilinear"},
    {"input_size": (3, 160, 224), "crop_pct": 0.9, "crop_mode": "border", "interpolation": "bicubic"},
    {"num_classes": 7},
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("config", TIMM, ids=str)
def test_equals_timm(config, shape):
    data = pytest.importorskip("timm.data")
    transform = data.create_transform(**data.resolve_data_config({}, pretrained_cfg=config), is_training=False)
    image = photo(*shape)
    same(Preprocess.from_timm(config).prepare_one(image), transform(image))


def test_timm_test_size_and_model_objects():
    timm = pytest.importorskip("timm")
    model = timm.create_model("resnet18.a1_in1k", pretrained=False)
    config = model.pretrained_cfg
    assert config["test_input_size"] != config["input_size"]
    data = pytest.importorskip("timm.data")
    for test_size in (False, True):
        settings = data.resolve_data_config({}, pretrained_cfg=config, use_test_size=test_size)
        wanted = data.create_transform(**settings, is_training=False)(photo(301, 417))
        same(Preprocess.from_timm(model, test_size=test_size).prepare_one(photo(301, 417)), wanted)


def test_timm_one_and_many_channels():
    one = Preprocess.from_timm({"input_size": (1, 28, 32), "mean": MEAN, "std": STD})
    assert (one.channels, one.input_shape) == ("L", (1, 28, 32))
    assert one.mean == pytest.approx((sum(MEAN) / 3,))
    many = Preprocess.from_timm({"input_size": (6, 28, 32), "mean": (0.5,) * 3, "std": (0.5,) * 3})
    assert many.channels == 6
    assert many.mean == (0.5,) * 6
    with pytest.raises(UsageError, match="6 channels was described with 3 means"):
        Preprocess.from_timm({"input_size": (6, 28, 32), "mean": MEAN, "std": STD})


# --- torchvision ------------------------------------------------------------------------------------------------------

TORCHVISION = [
    (224, 256, "bilinear"),
    (224, 232, "bilinear"),
    (288, 289, "bicubic"),
    (299, 342, "bilinear"),
    (225, 225, "nearest"),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("crop", "resize", "how"), TORCHVISION)
def test_equals_torchvision_preset(crop, resize, how, shape):
    presets = pytest.importorskip("torchvision.transforms._presets")
    mode = presets.InterpolationMode(how)
    transform = presets.ImageClassification(crop_size=crop, resize_size=resize, interpolation=mode)
    same(Preprocess.from_torchvision(transform).prepare_one(photo(*shape)), transform(photo(*shape)))


@pytest.mark.parametrize("shape", SHAPES)
def test_equals_torchvision_compose(shape):
    v1 = pytest.importorskip("torchvision.transforms")
    steps = [v1.Resize((190, 231)), v1.CenterCrop((201, 202)), v1.ToTensor(), v1.Normalize(MEAN, STD)]
    for chosen in (steps, steps[1:], [steps[0], *steps[2:]], [steps[2]]):
        transform = v1.Compose(chosen)
        same(Preprocess.from_torchvision(transform).prepare_one(photo(*shape)), transform(photo(*shape)))
    bare = v1.Compose([v1.Grayscale(), v1.Resize(120), v1.ToTensor(), v1.Normalize((0.1307,), (0.3081,))])
    same(Preprocess.from_torchvision(bare).prepare_one(photo(*shape)), bare(photo(*shape)))
    modern = pytest.importorskip("torchvision.transforms.v2")
    steps = [
        modern.Resize(130),
        modern.ToImage(),
        modern.ToDtype(torch.float32, scale=True),
        modern.Normalize(MEAN, STD),
    ]
    image = photo(*shape)
    wanted = modern.Compose([steps[0], modern.PILToTensor(), *steps[2:]])(image)
    same(Preprocess.from_torchvision(modern.Compose(steps)).prepare_one(image), wanted)


def test_torchvision_weights_entry_and_what_is_refused():
    models = pytest.importorskip("torchvision.models")
    v1 = pytest.importorskip("torchvision.transforms")
    weights = models.ResNet50_Weights.IMAGENET1K_V2
    same(Preprocess.from_torchvision(weights).prepare_one(photo(301, 417)), weights.transforms()(photo(301, 417)))
    for steps in (
        [v1.RandomHorizontalFlip(), v1.ToTensor()],
        [v1.ToTensor(), v1.Resize(7)],
        [v1.Resize(7, max_size=9)],
    ):
        with pytest.raises(UsageError, match="with the step"):
            Preprocess.from_torchvision(v1.Compose(steps))
    with pytest.raises(UsageError, match="with the step 'Resize'"):
        Preprocess.from_torchvision(v1.Resize(3))


# --- transformers -----------------------------------------------------------------------------------------------------

TRANSFORMERS = [
    ("mobilenet_v2", "MobileNetV2", {}),
    ("mobilenet_v1", "MobileNetV1", {"size": {"shortest_edge": 231}, "crop_size": {"height": 224, "width": 199}}),
    ("bit", "Bit", {}),
    ("bit", "Bit", {"do_center_crop": False, "size": {"height": 190, "width": 231}}),
    ("bit", "Bit", {"do_resize": False, "crop_size": {"height": 300, "width": 301}}),
    ("bit", "Bit", {"do_normalize": False, "do_rescale": False}),
    ("convnext", "ConvNext", {"size": {"shortest_edge": 224}, "crop_pct": 0.875}),
    ("convnext", "ConvNext", {"size": {"shortest_edge": 384}}),
    ("levit", "Levit", {}),
    ("poolformer", "PoolFormer", {}),
    ("mobilevit", "MobileViT", {}),
    ("efficientnet", "EfficientNet", {}),
    ("efficientnet", "EfficientNet", {"rescale_factor": 1 / 127.5, "rescale_offset": True, "do_normalize": False}),
    ("vit", "ViT", {"resample": 3}),
    ("deit", "DeiT", {}),
]


@pytest.mark.parametrize(("module", "name", "settings"), TRANSFORMERS, ids=str)
def test_equals_transformers(module, name, settings):
    pytest.importorskip("transformers")
    home = import_module(f"transformers.models.{module}.image_processing_pil_{module}")
    processor = getattr(home, f"{name}ImageProcessorPil")(**settings)
    for shape in (SHAPES[0], SHAPES[2], SHAPES[5], SHAPES[6]):
        image = photo(*shape)
        wanted = processor(image, return_tensors="pt")["pixel_values"][0]
        same(Preprocess.from_transformers(processor).prepare_one(image), wanted, atol=4e-6)
    assert Preprocess.from_transformers(processor.to_dict()) == Preprocess.from_transformers(processor)


def test_transformers_config_files(tmp_path):
    file = tmp_path / "preprocessor_config.json"
    file.write_text(
        '{"feature_extractor_type": "ConvNextFeatureExtractor", "size": 224, "crop_pct": 0.9, "resample": 3}'
    )
    recipe = Preprocess.from_transformers(tmp_path)
    assert (recipe.resize, recipe.crop, recipe.interpolation, recipe.scale) == (248, (224, 224), "bicubic", 1.0)
    assert Preprocess.from_transformers({"image_processor_type": "ViTImageProcessor", "size": 32}).resize == (32, 32)
    assert Preprocess.from_transformers({"image_processor_type": "BitImageProcessor", "size": 32}).resize == 32
    inside = Preprocess.from_transformers({"pretrained_cfg": {"input_size": [3, 96, 80], "crop_pct": 1.0}})
    assert inside.crop == (96, 80)
    with pytest.raises(UsageError, match="no height and width"):
        Preprocess.from_transformers({"size": {"max_height": 3, "max_width": 4}})
    file.write_text("{")
    with pytest.raises(InputError, match="preprocessor_config"):
        Preprocess.from_transformers(file)


# --- closed forms -----------------------------------------------------------------------------------------------------


def test_caffe_style_bgr_without_division():
    pixels = np.asarray(photo(7, 5))
    recipe = Preprocess(mean=(104, 117, 123), channels="BGR", scale=255.0)
    wanted = pixels[..., ::-1].astype(np.float64) - [104, 117, 123]
    assert torch.equal(recipe(pixels)[0], torch.from_numpy(wanted.transpose(2, 0, 1)).float())


def test_every_way_of_giving_an_image_is_the_same(tmp_path):
    image = photo(61, 83)
    pixels = np.asarray(image)
    image.save(tmp_path / "photo.png")
    recipe = Preprocess(resize=40, crop=(37, 35), mean=MEAN, std=STD)
    wanted = recipe(image)
    tensor = torch.from_numpy(pixels.transpose(2, 0, 1).copy())
    for given in (
        pixels,
        tensor,
        Picture("x", pixels),
        str(tmp_path / "photo.png"),
        tmp_path / "photo.png",
        [image],
        pixels[None],
    ):
        assert torch.equal(recipe(given), wanted)
    assert torch.equal(recipe([image, pixels]), torch.cat([wanted, wanted]))
    assert torch.equal(recipe(tensor[None].repeat(3, 1, 1, 1)), wanted.repeat(3, 1, 1, 1))
    assert torch.equal(recipe.prepare_one(image), wanted[0])
    as_float = recipe(tensor.float() / 255)
    assert (as_float - wanted).abs().max() <= 1.01 * ONE_LEVEL  # resized without rounding to 8 bits
    assert (as_float - wanted).abs().max() > 0


def test_float_images_are_not_rounded():
    values = torch.linspace(0, 1, 3 * 5 * 7).reshape(3, 5, 7)
    torch.testing.assert_close(Preprocess()(values)[0], values, rtol=0, atol=1e-7)


def test_grey_and_colour_networks():
    pixels = np.asarray(grey(21, 34))
    assert torch.equal(Preprocess()(pixels), Preprocess()(np.stack([pixels] * 3, -1)))
    colour = photo(21, 34)
    recipe = Preprocess(channels="L", mean=(0.0,), std=(1.0,))
    wanted = torch.from_numpy(np.array(colour.convert("L"))).float() / 255
    assert torch.equal(recipe(colour)[0, 0], wanted)
    assert torch.equal(recipe(np.asarray(colour))[0, 0], wanted)
    as_float = recipe(torch.from_numpy(np.asarray(colour).transpose(2, 0, 1).copy()).float() / 255)
    torch.testing.assert_close(as_float[0, 0], wanted, rtol=0, atol=1.01 / 255)


def test_many_channels_are_resized_one_by_one():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 256, (33, 47, 6), np.uint8)
    recipe = Preprocess(resize=(20, 31), channels=6, mean=range(6), std=range(1, 7))
    for c, plane in enumerate(recipe(values)[0]):
        wanted = np.asarray(Image.fromarray(values[..., c]).resize((31, 20), Image.Resampling.BILINEAR))
        torch.testing.assert_close(plane, (torch.from_numpy(wanted.copy()) / 255 - c) / (c + 1))
    with pytest.raises(ImagesError, match="3 channels was given"):
        recipe(values[..., :3])


def test_transparency_of_arrays():
    values = np.zeros((3, 5, 4), np.uint8)
    values[..., 0], values[..., 3] = 200, 51  # a fifth of red 200 on white
    wanted = torch.tensor([(200 * 51 + 255 * 204) / 255, 204, 204]).round() / 255
    torch.testing.assert_close(Preprocess()(values)[0, :, 1, 2], wanted)
    torch.testing.assert_close(Preprocess()(values / 255)[0, :, 1, 2], wanted, atol=0.5 / 255, rtol=0)
    assert Preprocess(channels=4, mean=(0,) * 4, std=(1,) * 4)(values).shape == (1, 4, 3, 5)


@pytest.mark.parametrize("channels", ["RGB", "BGR"])
@pytest.mark.parametrize("scale", [1.0, 255.0])
def test_denormalize_is_the_inverse(channels, scale):
    pixels = np.asarray(photo(23, 31))
    recipe = Preprocess(
        mean=tuple(scale * m for m in MEAN), std=tuple(scale * s for s in STD), channels=channels, scale=scale
    )
    inputs = recipe(pixels)
    wanted = torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None] / 255
    torch.testing.assert_close(recipe.denormalize(inputs), wanted, atol=1e-6, rtol=0)
    torch.testing.assert_close(recipe.normalize(wanted), inputs, atol=2e-6 * scale, rtol=1e-5)
    assert np.array_equal(recipe.pixels(inputs)[0], pixels)
    assert recipe.denormalize(inputs * 99).max() == 1
    assert recipe.denormalize(inputs * 99).min() == 0


@pytest.mark.parametrize("center", ["even", "floor"])
@pytest.mark.parametrize(
    ("shape", "resize", "crop"),
    [((90, 120), 60, (41, 50)), ((90, 120), (60, 50), (41, 45)), ((90, 120), None, (100, 60)), ((90, 120), None, None)],
)
def test_window_is_the_part_that_is_shown(center, shape, resize, crop):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    values = np.stack([rows / 255, columns / 255, rows * 0 + 1], -1).astype(np.float32)
    recipe = Preprocess(resize=resize, crop=crop, center=center)
    shown = recipe(values)[0].numpy()
    top, left, bottom, right = recipe.window(*shape)
    inside = shown[2] > 0.999
    height, width = shown.shape[1:]
    ys = (top + (np.arange(height) + 0.5) * (bottom - top) / height - 0.5)[:, None] / 255 + np.zeros((1, width))
    xs = (left + (np.arange(width) + 0.5) * (right - left) / width - 0.5)[None] / 255 + np.zeros((height, 1))
    edge = np.zeros_like(inside)
    edge[2:-2, 2:-2] = True  # resampling bends the ramp at the border
    np.testing.assert_allclose(shown[0][inside & edge], ys[inside & edge], atol=2e-3)
    np.testing.assert_allclose(shown[1][inside & edge], xs[inside & edge], atol=2e-3)
    assert recipe.input_shape == (None if crop is None else (3, *crop))


def test_settings_survive_json_and_none_is_dead():
    recipe = Preprocess(resize=40, crop=(45, 31), mean=MEAN, std=STD)
    assert Preprocess(**json.loads(json.dumps(recipe.as_dict()))) == recipe
    changed = {
        "resize": 41, "crop": (45, 33), "interpolation": "bicubic", "mean": (0, 0, 0), "std": (1, 1, 1),
        "channels": "BGR", "scale": 2.0, "fit": "contain", "center": "floor", "fill": (9, 8, 7),
    }  # fmt: skip
    assert set(changed) == {field.name for field in fields(Preprocess)}
    image = photo(60, 91)
    for name, value in changed.items():
        start = replace(recipe, resize=(40, 31)) if name == "fit" else recipe
        one, other = start(image), replace(start, **{name: value})(image)
        assert one.shape != other.shape or not torch.equal(one, other), name


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"interpolation": "cubic"}, "one of nearest"),
        ({"fit": "stretch"}, "squash, cover, contain"),
        ({"center": "up"}, "even, floor"),
        ({"channels": "HSV"}, "RGB, BGR, L"),
        ({"mean": (0.5,)}, "3 values"),
        ({"std": (1.0, 0.0, 1.0)}, "greater than zero"),
        ({"fill": (1, 2)}, "3 values"),
        ({"crop": (0, 3)}, "at least 1"),
        ({"resize": (3, 4, 5)}, "at least 1"),
        ({"resize": 0}, "at least 1"),
    ],
)
def test_wrong_settings_are_refused(settings, words):
    with pytest.raises(UsageError, match=words):
        Preprocess(**settings)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (torch.randn(3, 5, 7), "already normalised"),
        (torch.full((3, 5, 7), torch.nan), "nan"),
        (torch.full((3, 5, 7), 2.0), "run from 2 to 2"),
        (np.zeros((5, 7, 3), np.int64), "type int64"),
        (np.zeros((5, 0, 3), np.uint8), "no rows and columns"),
        (np.zeros((2, 5, 7, 3, 1), np.uint8), "no rows and columns"),
        (np.zeros((5, 7, 7), np.uint8), "7 channels"),
    ],
)
def test_what_is_no_image_is_refused(image, words):
    with pytest.raises(ImagesError, match=words):
        Preprocess()(image)


def test_other_refusals():
    with pytest.raises(UsageError, match="A dict was given"):
        Preprocess()({})
    with pytest.raises(ImagesError, match="2 different shapes"):
        Preprocess(resize=20)([photo(30, 40), photo(40, 30)])
