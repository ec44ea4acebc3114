"""How much faster are class activation maps?  Against pytorch-grad-cam and captum, interleaved, with the same answer.

One image of 224 px, the last block's maps, float32, two threads, random weights. Ours is the public call on a network that was
loaded before. Score-CAM takes a pass of the whole network for each unit, whatever the layer: it is timed at an early layer with
few units, so that rounds are short enough to be compared. All maps are compared after the peer's stretching.

    python bench/cam.py [--rounds N] [--slow-rounds N] [--channels-last] [NETWORK ...]
"""

import argparse
import contextlib
import copy
import io
import os
from collections.abc import Callable

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from interleaved import bar, ratio, seconds
from torch import nn

import convscope as cs
from convscope.instruments.attribution import AblationCAM, Attribution, GradCAM, ScoreCAM
from convscope.instruments.attribution.method import Method
from convscope.network.torchvision_ops import import_torchvision

LAYERS = {"resnet18": "layer4", "vgg16": "features.29", "mobilenet_v2": "features.18", "squeezenet1_1": "features.12"}
FEW_UNITS = {"resnet18": "layer1", "vgg16": "features.3", "mobilenet_v2": "features.4", "squeezenet1_1": "features.3"}
SIZE, TARGET = 224, 7


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("networks", nargs="*", default=["resnet18"])
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--slow-rounds", type=int, default=3, help="of the methods that take a peer seconds")
    parser.add_argument("--channels-last", action="store_true", help="with net.to(channels_last=True)")
    asked = parser.parse_args()
    torch.set_num_threads(2)
    for name in asked.networks:
        torch.manual_seed(0)
        module = import_torchvision("torchvision.models").get_model(name, weights=None).eval()
        network = cs.load(copy.deepcopy(module)).to(channels_last=asked.channels_last or None)
        measure(name, module, network, asked.rounds, asked.slow_rounds)


def measure(name: str, module: nn.Module, network: cs.Network, n_rounds: int, n_slow: int) -> None:
    import pytorch_grad_cam as peer
    from captum.attr import LayerGradCam

    image, last, few = torch.randn(1, 3, SIZE, SIZE), LAYERS[name], FEW_UNITS[name]

    def ours(method: Method, layer: str) -> Callable[[], Attribution]:
        return lambda: method(network, image, target=TARGET, layer=layer)

    def theirs(method: type, layer: str) -> Callable[[], np.ndarray]:
        return lambda: run_peer(method, module, module.get_submodule(layer), image)

    captum = LayerGradCam(module, module.get_submodule(last))
    fast: dict[str, Callable[[], object]] = {
        "ours": ours(GradCAM(), last),
        "grad-cam": theirs(peer.GradCAM, last),
        "captum": lambda: captum.attribute(image, target=TARGET),
    }
    times = seconds(fast, n_rounds=n_rounds, warm_up=3)
    bar(f"{name}: Grad-CAM, grad-cam / ours", ratio(times, "grad-cam", "ours"), 3.0, at_most=False)
    bar(f"{name}: Grad-CAM, captum / ours", ratio(times, "captum", "ours"), 1.0, at_most=False)
    print(f"    seconds: {min(times['ours']):.4f}; {alike(fast['ours'], fast['grad-cam'])}")
    slow = {
        "Score-CAM": (ScoreCAM(align_corners=True), peer.ScoreCAM, few, 1.5),
        "Ablation-CAM": (AblationCAM(), peer.AblationCAM, last, 100.0),
    }
    for title, (method, peers, layer, limit) in slow.items():
        pair: dict[str, Callable[[], object]] = {"ours": ours(method, layer), "peer": theirs(peers, layer)}
        times = seconds(pair, n_rounds=n_slow, warm_up=1)
        bar(f"{name}: {title}, grad-cam / ours", ratio(times, "peer", "ours"), limit, at_most=False)
        print(
            f"    seconds: {min(times['peer']):.2f} against {min(times['ours']):.3f}; {alike(pair['ours'], pair['peer'])}"
        )


def run_peer(method: type, module: nn.Module, part: nn.Module, image: torch.Tensor) -> np.ndarray:
    """The peer's call, its progress bars left out. It is made anew each time: it keeps no state that would help."""
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    with contextlib.redirect_stderr(io.StringIO()):
        made = method(module, [part])
        shown = made(image, [ClassifierOutputTarget(TARGET)])
        made.activations_and_grads.release()
    return shown


def alike(ours: Callable[[], object], theirs: Callable[[], object]) -> str:
    """How far our map is from theirs, both stretched to 0 to 1 as the peer does."""
    from pytorch_grad_cam.utils.image import scale_cam_image

    found, shown = ours(), theirs()
    mine = scale_cam_image(scale_cam_image(found.map.detach().numpy(), (SIZE, SIZE)))
    return f"at most {float(np.abs(mine - shown).max()):.1e} from the peer's map of 0 to 1"


if __name__ == "__main__":
    main()
