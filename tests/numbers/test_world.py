"""Is what the built-in world says about its scenes true?  Geometry, colors and edges, checked against the pictures."""

import colorsys
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

from convscope.errors import UnknownNameError, UsageError
from convscope.images.world import CLASSES, CONCEPTS, Scenes, World

BARE = {"clutter_count": 0, "occluder_count": 0}
NEUTRAL = {"light_frac": 0, "cast_frac": 0, "brightness_frac": 0, "contrast_frac": 1, "noise_frac": 0}
PLAIN = {"background_texture": "flat", "background_gradient_frac": 0, **BARE, **NEUTRAL}
HUES_DEG = {"red": 0, "orange": 30, "yellow": 52, "green": 130, "blue": 220, "purple": 280, "brown": 25, "pink": 340}


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    return World().scenes(300, seed=5)


def test_a_part_lies_inside_its_object() -> None:
    bare = World().scenes(60, seed=1, **BARE)
    inside = bare.maps["object"] > 0
    assert ((bare.maps["part"] > 0) <= inside).all()
    assert (bare.maps["part"] > 0).any(axis=(1, 2)).all()
    assert np.array_equal(bare.maps["object"].max(axis=(1, 2)), bare.labels + 1)


def test_a_turn_of_90_degrees_turns_picture_and_masks() -> None:
    world = World(size=(65, 65))
    settings = {"center_y_px": 32.5, "center_x_px": 32.5, "object_texture": "flat", **PLAIN}
    upright = world.scenes(40, seed=2, rotation_deg=0, **settings)
    turned = world.scenes(40, seed=2, rotation_deg=90, **settings)
    assert np.abs(np.rot90(upright.images, axes=(1, 2)).astype(int) - turned.images).mean() < 0.1
    for level in ("part", "object", "color"):
        assert (np.rot90(upright.maps[level], axes=(1, 2)) == turned.maps[level]).mean() > 0.999, level
    assert (upright.images != turned.images).any(axis=(1, 2, 3)).all()
    edges, edges_turned = np.rot90(upright.maps["edge"], axes=(1, 2)), turned.maps["edge"]
    both = (edges > 0) & (edges_turned > 0)
    assert both.sum() > 0.99 * (edges > 0).sum()
    assert ((edges[both] - 1 + 4) % 8 == edges_turned[both] - 1).mean() > 0.97


@pytest.mark.parametrize("axis", [1, 2])
def test_a_shift_of_the_center_shifts_the_masks(axis: int) -> None:
    world, name = World(size=(48, 80)), ("center_y_px", "center_x_px")[axis - 1]
    center = {"center_y_px": 24.0, "center_x_px": 40.0}
    settings = {"scale_frac": 0.6, **PLAIN}
    before = world.scenes(30, seed=3, **settings, **center)
    after = world.scenes(30, seed=3, **settings, **{**center, name: center[name] + 5})
    for level in ("object", "part"):
        moved = np.roll(before.maps[level], 5, axis=axis)
        assert (moved == after.maps[level]).mean() > 0.9995, level
        assert (before.maps[level] != after.maps[level]).any()


def test_scale_is_the_extent_of_the_object() -> None:
    settings = {"label": "bus", "rotation_deg": 0, "warp_frac": 0, "aspect_ratio": 1, **PLAIN}
    for scale in (0.5, 0.8):
        bus = World(size=(96, 128)).scenes(10, seed=4, scale_frac=scale, **settings)
        widths = bus.mask("object", "bus").any(axis=1).sum(axis=1)
        assert np.abs(widths - 0.98 * scale * 96).max() < 4  # the lamp sticks out a little


def test_scenes_depend_on_seed_and_index_alone(scenes: Scenes) -> None:
    world = scenes.world
    again, part, other = world.scenes(20, seed=5), world.scenes(20, seed=5, start=100), world.scenes(20, seed=6)
    assert np.array_equal(again.images, scenes.images[:20])
    assert np.array_equal(part.images, scenes.images[100:120])
    assert np.array_equal(part.maps["part"], scenes.maps["part"][100:120])
    assert np.array_equal(scenes[100:120].maps["edge"], scenes.maps["edge"][100:120])
    for name, values in again.parameters.items():
        assert np.array_equal(values, scenes.parameters[name][:20]), name
    assert not np.array_equal(other.images, again.images)


def test_random_states_of_the_caller_are_left_alone() -> None:
    before, before_torch = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    World().scenes(5, seed=9).maps.keys()
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002
    assert torch.equal(before_torch, torch.get_rng_state())


@pytest.mark.parametrize("size", [(32, 32), (48, 80), (160, 96)])
def test_other_sizes(size: tuple[int, int]) -> None:
    few = World(size=size).scenes(20, seed=7)
    assert few.images.shape == (20, *size, 3)
    assert all(numbers.shape == (20, *size) for numbers in few.maps.values())
    share = (few.maps["object"] > 0).mean() * size[0] * size[1] / min(size) ** 2
    assert 0.08 < share < 0.4
    for side_px, axis in zip(size, "yx", strict=True):
        for name, reach in ((f"center_{axis}_px", 0.1), (f"clutter_{axis}_px", 0.5)):
            places = few.parameters[name] / side_px - 0.5
            assert 0.7 * reach < np.abs(places).max() <= reach, name


def test_painted_colors_are_those_of_the_pixels() -> None:
    neutral = World().scenes(150, seed=8, background_gradient_frac=0, **NEUTRAL)
    for name, mask in neutral.masks("color").items():
        core = ndimage.binary_erosion(mask, np.ones((1, 5, 5)))
        red, green, blue = np.median(neutral.images[core], axis=0) / 255
        hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
        along = neutral.images[core].astype(float) @ np.array([red, green, blue])
        lengths = np.linalg.norm(neutral.images[core].astype(float), axis=1) * np.linalg.norm([red, green, blue])
        assert core.sum() > 500
        assert (along > 0.97 * lengths).mean() > 0.98, name  # whatever the shade
        if name in HUES_DEG:
            assert abs((hue * 360 - HUES_DEG[name] + 180) % 360 - 180) < 12, name
            assert saturation > 0.3
        else:
            assert saturation < 0.15
            assert {"white": value > 0.8, "grey": 0.3 < value < 0.7, "black": value < 0.15}[name], name


def test_edges_run_as_the_gradient_of_the_picture_says() -> None:
    clear = World(size=(96, 96)).scenes(60, seed=9, **NEUTRAL)
    steps = [ndimage.gaussian_filter1d(clear.images.astype(float), 0.7, axis=k, order=1) for k in (1, 2)]
    by_y, by_x = (ndimage.gaussian_filter1d(step, 0.7, axis=3 - k) for k, step in zip((1, 2), steps, strict=True))
    yy, xx, xy = (by_y**2).sum(-1), (by_x**2).sum(-1), (by_x * by_y).sum(-1)
    normal_deg = np.degrees(np.arctan2(2 * -xy, xx - yy)) / 2  # counter-clockwise, of the strongest change
    edges = clear.maps["edge"]
    strong = (edges > 0) & (yy + xx > 60**2) & (np.hypot(xx - yy, 2 * xy) > 0.9 * (xx + yy))
    error_deg = (normal_deg[strong] + 90 - (edges[strong] - 1) * 22.5 + 90) % 180 - 90
    assert strong.sum() > 5000
    assert np.median(np.abs(error_deg)) < 8
    assert (np.abs(error_deg) < 22.5).mean() > 0.93
    assert (yy + xx)[edges > 0].mean() > 5 * (yy + xx)[edges == 0].mean()


def test_arcs_bulge_to_the_side_they_are_named_after() -> None:
    disc = {**_one_thing("disc"), "clutter_size_frac": 0.2, "clutter_color": "white", "clutter_texture": "flat"}
    hidden = {"center_y_px": -200, "background_color": "blue", "background_texture": "flat", **NEUTRAL}
    one = World().scenes(3, seed=1, **disc, **hidden)
    middle_y, middle_x = 40.0, 20.0
    for name, (up, right) in {"right": (0, 1), "up": (1, 0), "left": (0, -1), "down": (-1, 0)}.items():
        _, y, x = np.nonzero(one.mask("curve", f"arc {name}"))
        assert len(y) > 20
        assert (up * (middle_y - y) + right * (x - middle_x)).min() > 5, name


def test_every_class_and_concept_occurs(scenes: Scenes) -> None:
    assert np.bincount(scenes.labels, minlength=len(CLASSES)).min() >= 10
    for level in CONCEPTS:
        for name, mask in scenes.masks(level).items():
            assert mask.any(axis=(1, 2)).sum() >= 5, (level, name)


def test_loose_parts_are_in_the_masks_and_belong_to_no_object() -> None:
    loose = World().scenes(20, seed=2, label="tree", center_x_px=55, scale_frac=0.5, **_one_thing("wheel"))
    wheels = loose.mask("part", "wheel")
    radius_px = loose.parameters["clutter_size_frac"][:, 0] * 64
    area_px = wheels.sum(axis=(1, 2))
    assert np.allclose(area_px.sum(), np.pi * (radius_px**2).sum(), rtol=0.04)
    assert np.corrcoef(area_px, radius_px**2)[0, 1] > 0.98
    assert not (loose.maps["object"][wheels]).any()
    center = ndimage.center_of_mass(wheels[0])
    assert np.allclose(center, (39.5, 19.5), atol=0.3)  # pixel 19 has its centre at 19.5


def test_what_is_hidden_is_not_in_the_masks() -> None:
    settings = {"label": "bus", "center_y_px": 32, "center_x_px": 32, "scale_frac": 0.9, **PLAIN}
    place = {"clutter_kind": "eye", "clutter_y_px": 32, "clutter_x_px": 32, "clutter_size_frac": 0.1}
    free = World().scenes(10, seed=3, **settings, **place)
    covered = World().scenes(10, seed=3, **{**settings, "occluder_count": 1}, **place)
    eye = covered.mask("part", "eye")
    assert eye.sum(axis=(1, 2)).min() > 30
    assert free.mask("object", "bus")[eye].mean() > 0.9
    assert not covered.mask("object", "bus")[eye].any()
    assert np.array_equal(free.maps["part"][~eye], covered.maps["part"][~eye])


def test_every_parameter_changes_the_picture() -> None:
    world = World()
    busy: dict[str, Any] = {"label": "house", "clutter_count": 6, "occluder_count": 1, "object_texture": "stripes"}
    busy |= {"background_texture": "checks", "clutter_texture": "dots", "clutter_kind": "disc", "warp_frac": 0.03}
    busy |= {"light_frac": 0.2, "cast_frac": 0.1, "noise_frac": 0.03}
    base = world.scenes(12, seed=4, **busy)
    for name, values in base.parameters.items():
        spread = values + 1 if values.max() < 1 and values.dtype == np.int64 else values * 0.6 + 0.01
        changed = (values + 1) % 5 if values.dtype == np.int64 and name != "mirrored" else spread
        limits = {"mirrored": 1 - values, "occluder_count": 0, "clutter_count": 2}
        other = world.scenes(12, seed=4, **{**busy, **base.parameters, name: limits.get(name, changed)})
        assert (other.images != base.images).any(axis=(1, 2, 3)).mean() > 0.8, name


def test_a_fixed_parameter_leaves_the_others_as_drawn(scenes: Scenes) -> None:
    fixed = scenes.world.scenes(300, seed=5, rotation_deg=10)
    for name, values in scenes.parameters.items():
        assert np.array_equal(values, fixed.parameters[name]) == (name != "rotation_deg"), name


def test_color_statistics_do_not_give_the_class_away() -> None:
    n, n_learnt = 1500, 1000
    small = World(size=(32, 32)).scenes(n, seed=1)
    pixels = small.images.reshape(n, -1, 3) / 256
    bins = (pixels * 4).astype(int) @ [16, 4, 1]
    shares = np.stack([(bins == k).mean(axis=1) for k in range(64)], axis=1)
    facts = np.concatenate([np.ones((n, 1)), shares, pixels.mean(axis=1), pixels.std(axis=1)], axis=1)
    weights = np.linalg.lstsq(facts[:n_learnt], np.eye(10)[small.labels[:n_learnt]], rcond=None)[0]
    right = (facts[n_learnt:] @ weights).argmax(axis=1) == small.labels[n_learnt:]
    assert right.mean() < 0.2  # chance is 0.1
    counts = np.histogram2d(small.labels, small.parameters["object_color"], bins=(10, 11))[0]
    assert (counts.max(axis=1) / counts.sum(axis=1)).max() < 0.25


def test_wrong_use_says_what_would_work(scenes: Scenes) -> None:
    world = World()
    with pytest.raises(UnknownNameError, match="rotation_deg"):
        world.scenes(1, rotation=3)
    with pytest.raises(UnknownNameError, match="flower"):
        world.scenes(1, label="flowers")
    with pytest.raises(UnknownNameError, match="wheel"):
        scenes.mask("part", "wheels")
    with pytest.raises(UsageError, match=r"shape \(3,\)"):
        world.scenes(4, rotation_deg=[1, 2, 3])
    with pytest.raises(UsageError, match="0 to 9"):
        world.scenes(1, label=10)
    with pytest.raises(UsageError, match="16 to 256"):
        World(size=(64, 8))


def _one_thing(kind: str) -> dict[str, Any]:
    """Settings for one loose thing around y = 40, x = 20 px."""
    place = {"clutter_y_px": 40, "clutter_x_px": 20, "clutter_kind": kind, "clutter_angle_deg": 0}
    return {"clutter_count": 1, "occluder_count": 0, **place}
