"""What do our maps look like beside the peers'?  Every method on real photographs and networks, with the correlations.

    OMP_WAIT_POLICY=PASSIVE python tools/side_by_side.py DATA OUT [--network NAME] [--photo NAME]

DATA is the folder of real networks and images. For each network a sheet of all methods and photographs (ours above the peer's
of the same name), and a table of the correlation between both maps, photograph by photograph.
"""

import json
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import nn
from torch.nn import functional as F

import convscope as cs
from convscope.network import Network
from convscope.registry import items

PHOTOS = (
    *("cat_chelsea.png", "portrait_astronaut.png", "coffee.png", "cat.jpg", "fish_bike.jpg", "eagle.jpg"),
    *("bus_street.jpg", "dog_bicycle_truck.jpg", "cat_and_dog_both.png", "person_dog_horse.jpg"),
)
TESTS = str(Path(__file__).resolve().parents[1] / "tests" / "networks.py")
PX = 112  # of a map on the sheet
SLOW = ("score_cam", "ablation_cam", "rise", "shapley")  # thousands of passes, ours or the peer's
N_STEPS, N_SAMPLES, NOISE = 50, 25, 0.15
WINDOW, STRIDE = 32, 16


@dataclass(frozen=True)
class Case:
    """A network, and the layer at which class activation maps are compared."""

    spec: str
    weights: str
    layer: str
    options: dict[str, Any]


CASES = {
    "squeezenet1_1": Case("torchvision:squeezenet1_1", "squeezenet1_1_imagenet", "features.12", {}),
    "mobilenetv2": Case(
        "timm:mobilenetv2_100?pad_type=same",
        "mobilenetv2_100_imagenet",
        "bn2",
        {"preprocess": {"mean": (0.5,) * 3, "std": (0.5,) * 3}},
    ),
    "tiny_darknet": Case(f"{TESTS}:tiny_darknet", "tiny_darknet_imagenet", "features.48", {}),
}
Peer = Callable[[nn.Module, nn.Module, torch.Tensor, int], torch.Tensor]  # module, layer, inputs, class -> y x


def _captum(name: str, reduce: Callable[[torch.Tensor], torch.Tensor], **call: Any) -> Peer:
    def run(module: nn.Module, layer: nn.Module, inputs: torch.Tensor, target: int) -> torch.Tensor:
        from captum import attr

        return reduce(getattr(attr, name)(module).attribute(inputs, target=target, **call)[0])

    return run


def _summed(values: torch.Tensor) -> torch.Tensor:
    return values.sum(0)


def _sizes(values: torch.Tensor) -> torch.Tensor:
    return values.abs().sum(0)


def _smoothgrad(module: nn.Module, layer: nn.Module, inputs: torch.Tensor, target: int) -> torch.Tensor:
    from captum import attr

    spread = float(inputs.max() - inputs.min()) * NOISE
    torch.manual_seed(0)
    noisy = attr.NoiseTunnel(attr.Saliency(module))
    found = noisy.attribute(
        inputs,
        nt_type="smoothgrad",
        nt_samples=N_SAMPLES,
        nt_samples_batch_size=5,
        stdevs=spread,
        target=target,
        abs=False,
    )
    return _sizes(found[0])


def _grad_cam(name: str) -> Peer:
    def run(module: nn.Module, layer: nn.Module, inputs: torch.Tensor, target: int) -> torch.Tensor:
        import pytorch_grad_cam
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        with getattr(pytorch_grad_cam, name)(model=module, target_layers=[layer]) as cam:
            return torch.from_numpy(cam(input_tensor=inputs, targets=[ClassifierOutputTarget(target)])[0])

    return run


def _zennit(module: nn.Module, layer: nn.Module, inputs: torch.Tensor, target: int) -> torch.Tensor:
    from zennit.attribution import Gradient
    from zennit.canonizers import SequentialMergeBatchNorm
    from zennit.composites import EpsilonPlusFlat

    with Gradient(model=module, composite=EpsilonPlusFlat(canonizers=[SequentialMergeBatchNorm()])) as attributor:
        logits = module(inputs)
        start = torch.zeros_like(logits)
        start[0, target] = logits[0, target].detach()
        return _summed(attributor(inputs, start)[1][0].detach())


PEERS: dict[str, tuple[str, Peer]] = {
    "gradient": ("captum", _captum("Saliency", _sizes)),
    "input_x_gradient": ("captum", _captum("InputXGradient", _summed)),
    "integrated_gradients": (
        "captum",
        _captum("IntegratedGradients", _summed, n_steps=N_STEPS, internal_batch_size=10, method="riemann_middle"),
    ),
    "smoothgrad": ("captum", _smoothgrad),
    "guided_backprop": ("captum", _captum("GuidedBackprop", _sizes)),
    "deconvnet": ("captum", _captum("Deconvolution", _sizes)),
    "deeplift": ("captum", _captum("DeepLift", _summed)),
    "occlusion": (
        "captum",
        _captum(
            "Occlusion",
            lambda values: values[0],
            sliding_window_shapes=(3, WINDOW, WINDOW),
            strides=(3, STRIDE, STRIDE),
            perturbations_per_eval=8,
        ),
    ),
    "grad_cam": ("grad-cam", _grad_cam("GradCAM")),
    "grad_cam_plus_plus": ("grad-cam", _grad_cam("GradCAMPlusPlus")),
    "layer_cam": ("grad-cam", _grad_cam("LayerCAM")),
    "hires_cam": ("grad-cam", _grad_cam("HiResCAM")),
    "score_cam": ("grad-cam", _grad_cam("ScoreCAM")),
    "ablation_cam": ("grad-cam", _grad_cam("AblationCAM")),
    "lrp": ("zennit", _zennit),
}


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--network", "networks", multiple=True, type=click.Choice(list(CASES)), default=list(CASES))
@click.option("--photo", "photos", multiple=True, default=PHOTOS)
@click.option("--slow", "n_slow", default=3, show_default=True, help="Photographs on which slow methods are run too.")
def main(data: Path, out: Path, networks: tuple[str, ...], photos: tuple[str, ...], n_slow: int) -> None:
    """Explain every photograph with every method, ours and the peer's."""
    torch.set_num_threads(2)
    out.mkdir(parents=True, exist_ok=True)
    for name in networks:
        _compare(name, CASES[name], data, out, photos, n_slow)


def _compare(name: str, case: Case, data: Path, out: Path, photos: tuple[str, ...], n_slow: int) -> None:
    network = cs.load(
        case.spec,
        weights=data / "weights" / f"{case.weights}.safetensors",
        classes=data / "labels" / "imagenet_classes.json",
        **case.options,
    )
    rows: list[dict[str, Any]] = []
    sheet: list[list[Image.Image]] = []
    for number, photo in enumerate(photos):
        inputs = network.preprocess([cs.images(data / "images" / "probe" / photo)[0]])
        target = int(network(inputs).argmax())
        shown = [_photo(network, inputs, f"{Path(photo).stem}: {network.classes[target]}")]
        for key in items("method"):
            if key in SLOW and number >= n_slow:
                continue
            row, pictures = _one(network, case, inputs, target, key)
            rows.append({"photo": photo, "class": network.classes[target], "method": key, **row})
            shown.append(pictures)
            print(json.dumps(rows[-1]), flush=True)
        sheet.append(shown)
    _save(sheet, out / f"{name}.png")
    (out / f"{name}.json").write_text(json.dumps(rows, indent=1), "utf-8")


def _one(
    network: Network, case: Case, inputs: torch.Tensor, target: int, key: str
) -> tuple[dict[str, Any], Image.Image]:
    """One method of ours and the peer's, drawn one above the other."""
    place = case.layer if items("method")[key].place != "input" else None
    row: dict[str, Any] = {}
    try:
        mine = _ours(network, key)(network, inputs, target, place).scores[0]
    except cs.ConvscopeError as error:
        mine, row["ours"] = None, str(error)
    theirs = None
    if key in PEERS:
        peer, run = PEERS[key]
        row["peer"] = peer
        module = network.module
        assert module is not None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                theirs = run(module, module.get_submodule(case.layer), inputs.clone(), target).detach()
        except Exception as error:  # whatever a peer raises is what it answers
            row["raised"] = f"{type(error).__name__}: {error}"[:200]
    if mine is not None and theirs is not None:
        row["correlation"] = float(np.corrcoef(mine.flatten().numpy(), theirs.flatten().numpy())[0, 1])
    return row, _stacked(key, mine, theirs, items("method")[key].signed)


def _ours(network: Network, key: str) -> Any:
    """The method with the peers' settings."""
    settings: dict[str, dict[str, Any]] = {
        "integrated_gradients": {"n_steps": N_STEPS},
        "smoothgrad": {"n_samples": N_SAMPLES, "noise": NOISE},
        "occlusion": {"window": WINDOW, "stride": STRIDE, "fill": "zero"},
    }
    return items("method")[key](**settings.get(key, {}))


def _photo(network: Network, inputs: torch.Tensor, title: str) -> Image.Image:
    mean, std = (torch.tensor(part).reshape(3, 1, 1) for part in (network.preprocess.mean, network.preprocess.std))
    pixels = ((inputs[0] * std + mean).clamp(0, 1) * 255).byte().permute(1, 2, 0).numpy()
    picture = Image.new("RGB", (PX, 2 * PX + 14), "white")
    picture.paste(Image.fromarray(pixels).resize((PX, PX)), (0, 14))
    ImageDraw.Draw(picture).text((1, 1), title[:20], fill="black")
    return picture


def _stacked(title: str, mine: torch.Tensor | None, theirs: torch.Tensor | None, signed: bool) -> Image.Image:
    picture = Image.new("RGB", (PX, 2 * PX + 14), "white")
    ImageDraw.Draw(picture).text((1, 1), title[:20], fill="black")
    for row, scores in enumerate((mine, theirs)):
        if scores is not None:
            picture.paste(_colored(scores, signed), (0, 14 + row * PX))
    return picture


def _colored(scores: torch.Tensor, signed: bool) -> Image.Image:
    """Red for, blue against, white for nothing; black to white where there is no sign."""
    small = F.interpolate(scores[None, None].float(), size=(PX, PX), mode="area")[0, 0]
    if not signed:
        part = (small - small.min()) / (small.max() - small.min() + 1e-12)
        return Image.fromarray((part * 255).byte().numpy()).convert("RGB")
    part = (small / (small.abs().quantile(0.995) + 1e-12)).clamp(-1, 1)
    colors = torch.stack([1 - part.clamp(max=0).abs(), 1 - part.abs(), 1 - part.clamp(min=0)], -1)
    return Image.fromarray((colors * 255).byte().numpy())


def _save(sheet: list[list[Image.Image]], path: Path) -> None:
    width, height = sheet[0][0].size
    picture = Image.new("RGB", ((width + 4) * max(map(len, sheet)), (height + 6) * len(sheet)), "white")
    for y, row in enumerate(sheet):
        for x, cell in enumerate(row):
            picture.paste(cell, (x * (width + 4), y * (height + 6)))
    picture.save(path)


if __name__ == "__main__":
    sys.exit(main())
