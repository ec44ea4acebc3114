"""Do colours stand for the numbers they are said to stand for, and does everything fit into the picture?"""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from planted_answers import Corner, Refusing, Told, result

import convscope as cs
from convscope.answer import Answer, Explanation
from convscope.answer.colors import MIDDLE, Scale, over, overlay, scale_of
from convscope.answer.picture import EDGE_PX, TILE_PX, legend_of, picture
from convscope.drawing.lettering import plain, width, wrapped
from convscope.instruments.attribution.checks import Outcome


@pytest.fixture
def answer(network: cs.Network, pixels: np.ndarray, told: Told) -> Answer:
    told.of["Corner"] = (result("faithfulness", Outcome.FAILS), result("localisation", Outcome.NOT_RUN, value=None))
    return cs.explain(network, pixels[1], [Corner(), "grad_cam", "input_x_gradient", Refusing()], target="red")[0]


def signed(answer: Answer, scores: np.ndarray, **changes: object) -> Explanation:
    return replace(answer["input_x_gradient"], map=scores.astype(np.float32), size=scores.shape, **changes)


def test_levels_are_symmetric_about_zero(answer: Answer) -> None:
    scores = np.linspace(-1, 1, 201).reshape(3, 67) * 2
    scale = scale_of(signed(answer, scores))
    levels = scale.levels(scores).astype(int)
    assert levels[scores == 0] == MIDDLE
    np.testing.assert_array_equal(levels.ravel() - MIDDLE, -(levels.ravel() - MIDDLE)[::-1])
    np.testing.assert_allclose(
        (levels - MIDDLE) / 127 * scale.top, np.clip(scores, -scale.top, scale.top), atol=scale.top / 253
    )
    assert (levels.min(), levels.max()) == (1, 255)


def test_zero_shows_the_image_and_more_hides_more(answer: Answer) -> None:
    for scale in (Scale(1, True, False, False), Scale(1, False, False, False), Scale(1, True, False, True)):
        alpha = scale.palette[:, 3].astype(int)
        assert len(alpha) == 256
        middle = MIDDLE if scale.signed else 0
        assert alpha[middle] == 0
        assert (np.diff(alpha[middle:]) >= 0).all()
        if scale.signed:
            np.testing.assert_array_equal(alpha[1:], alpha[1:][::-1])
    image = over(answer.pixels, signed(answer, np.zeros((21, 34))), Scale(1, True, False, False))
    assert np.ptp(np.asarray(image).astype(int), axis=2).max() == 0  # nothing but grey


def test_for_is_red_against_is_blue_and_what_failed_is_grey() -> None:
    color, grey = Scale(1, True, False, False).palette, Scale(1, True, False, True).palette
    assert color[220, 0] > color[220, 2]
    assert color[36, 2] > color[36, 0]
    assert np.ptp(grey[:, :3].astype(int), axis=1).max() == 0
    assert grey[255, 0] < grey[MIDDLE, 0] < grey[1, 0]  # for and against can still be told apart
    unsigned = Scale(1, False, False, False).palette
    lightness = unsigned[:, :3] @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(lightness) > -0.5).all()
    assert lightness[-1] - lightness[0] > 150


def test_the_scale_leaves_out_few_extremes_and_says_so(answer: Answer) -> None:
    rng = np.random.default_rng(0)
    scores = rng.uniform(-1, 1, (100, 100))
    scores[0, :5] = 50
    scale = scale_of(signed(answer, scores))
    assert 0.98 < scale.top <= 1
    assert scale.beyond
    assert legend_of(signed(answer, scores), scale) == ("≤−1 against", "0", "for ≥1 logits")
    few = np.zeros((100, 100))
    few[0, :5] = 3
    assert scale_of(signed(answer, few)).top == 3  # a few pixels are all there is
    assert legend_of(signed(answer, few, signed=False), scale_of(signed(answer, few, signed=False))) == (
        "0",
        "3 logits",
    )
    nothing = scale_of(signed(answer, np.zeros((9, 9))))
    assert nothing.top == 0
    assert (nothing.levels(np.zeros((9, 9))) == MIDDLE).all()


def test_the_overlay_holds_the_levels(answer: Answer) -> None:
    one = answer["input_x_gradient"]
    scale = scale_of(one)
    image = overlay(one, scale)
    assert image.size == (34, 21)
    np.testing.assert_array_equal(np.asarray(image), scale.levels(one.scores))
    rgba = np.asarray(image.convert("RGBA"))
    np.testing.assert_array_equal(rgba, scale.palette[scale.levels(one.scores)])


def test_a_map_that_failed_is_greyed_in_the_picture_and_others_are_not(answer: Answer) -> None:
    assert [one.verdict for one in answer.explanations] == ["distrusted", "trusted", "trusted"]
    chroma = [
        np.ptp(np.asarray(over(answer.pixels, one, scale_of(one))).astype(int), axis=2).max()
        for one in answer.explanations
    ]
    assert chroma[0] == 0
    assert chroma[2] > 60


def test_the_reason_stands_on_the_map_that_failed(answer: Answer) -> None:
    def with_reason(text: str) -> np.ndarray:
        first = replace(answer.explanations[0], distrust=text)
        return np.asarray(picture(replace(answer, explanations=(first, *answer.explanations[1:])))).astype(int)

    left = [EDGE_PX + column * (TILE_PX + 28) for column in range(4)]
    one, other = with_reason("it hardly depends on the class"), with_reason("it is empty")
    differs = [bool((one[:, x : x + TILE_PX] != other[:, x : x + TILE_PX]).any()) for x in left]
    assert differs == [False, True, False, False]
    at = np.flatnonzero((one != other).any((1, 2)))
    y = slice(int(at.min()), int(at.max()))
    coloured = [np.ptp(found[y, left[1] : left[1] + TILE_PX], axis=2).max() > 60 for found in (one, other)]
    assert coloured == [True, True]  # the map is grey, what stands on it is not


def test_the_picture_holds_every_tile(answer: Answer) -> None:
    image = picture(answer)
    assert image.mode == "RGB"
    assert image.width == 2 * EDGE_PX + 4 * TILE_PX + 3 * 28  # the image and three maps
    edges = np.asarray(image)[:, [0, 5, -5, -1]]
    assert (edges == 255).all()  # nothing runs out of it
    assert (np.asarray(image)[-EDGE_PX // 2 :] == 255).all()
    many = replace(answer, explanations=answer.explanations * 4)
    assert picture(many).width == 2 * EDGE_PX + 5 * TILE_PX + 4 * 28


@pytest.mark.parametrize("name", ["a\nb\x00\u202ec", "中文", "x" * 400, "", "é ü ñ ß × ≥"])
def test_names_that_mean_harm_fit(answer: Answer, name: str) -> None:
    made = replace(
        answer, id=name, about=name, explanations=(replace(answer.explanations[0], distrust=name, sentence=name),)
    )
    assert picture(made).height < 1400
    assert all(letter.isprintable() for letter in plain(name))


@pytest.mark.parametrize("channels", [1, 5])
def test_images_of_other_channels_are_shown(channels: int) -> None:
    import torch
    from small_networks import Pooled
    from torch import nn

    torch.manual_seed(0)
    module = Pooled(nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 3)).eval()
    settings = {"channels": "L" if channels == 1 else channels, "mean": (0.0,) * channels, "std": (1.0,) * channels}
    network = cs.load(module, size=(21, 34), n_channels=channels, preprocess={**settings, "crop": (21, 34)})
    image = np.random.default_rng(0).integers(0, 255, (1, 21, 34, channels), np.uint8)
    answer = cs.explain(network, image if channels == 1 else list(image), "gradient", checks=False)[0]
    assert answer.pixels.shape == (21, 34, 1)
    assert isinstance(picture(answer), Image.Image)


def test_lines_are_no_wider_than_their_room() -> None:
    text = "Half of what speaks for a " + "w" * 90 + " lies in 12 % of the image, at the top"
    for room in (60, 150, 300):
        lines = wrapped(text, 13, room)
        assert all(width(line, 13) <= room for line in lines)
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
        assert len(wrapped(text, 13, room, 2)) == 2
        assert wrapped(text, 13, room, 2)[-1].endswith("...")
