"""What do checks cost?  Grad-CAM of one image with all its checks, against the forward pass of the module itself, interleaved.

ResNet-18, 224 px, batch 1, float32, two threads. "First" also makes what is kept for a network (the same in another memory order,
the same with weights drawn anew); "next" is every further image; "another method" is LayerCAM on the same image, for which
the curves of random orders and trivial maps are there already.

    python bench/checks.py [--rounds N] [NETWORK ...]
"""

import argparse
import os
import statistics
from dataclasses import replace

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from interleaved import bar, ratio, seconds

import convscope as cs
from convscope.instruments.attribution import GradCAM, LayerCAM, Method
from convscope.instruments.attribution.checks import Outcome, Result, Subject, check_all
from convscope.network import Network
from convscope.network.torchvision_ops import import_torchvision

BAR = 60.0
SIZE = 224


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("networks", nargs="*", default=["resnet18"])
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    torch.set_num_threads(2)
    for name in asked.networks:
        torch.manual_seed(0)
        measure(name, sure(import_torchvision("torchvision.models").get_model(name, weights=None).eval()), asked.rounds)


def sure(module: torch.nn.Module) -> torch.nn.Module:
    """The module with a last layer that makes it sure of something else for each image: else no fill hides what it answers to."""
    last = [part for part in module.modules() if isinstance(part, torch.nn.Linear)][-1]
    with torch.no_grad():
        last.weight *= 300
    return module


def measure(name: str, module: torch.nn.Module, n_rounds: int) -> None:
    network, image = cs.load(module), torch.randn(1, 3, SIZE, SIZE)
    used = Subject(network, image)
    not_run = {result.check for result in check_all(used, used.explain(GradCAM())) if result.outcome == Outcome.NOT_RUN}
    assert not_run == {"completeness", "localisation"}, not_run  # what cannot be run on this network and method

    def module_pass() -> None:
        with torch.no_grad():
            module(image)

    def our_pass() -> None:
        with torch.no_grad():
            network(image)

    times = seconds(
        {
            "module": module_pass,
            "ours": our_pass,
            "first": lambda: checked(copy_of(network), image, GradCAM()),
            "next": lambda: checked(network, image, GradCAM()),
            "another method": lambda: check_all(used, used.explain(LayerCAM())),
        },
        n_rounds=n_rounds,
        warm_up=1,
    )
    print(f"{name}: one pass takes {1000 * statistics.median(times['module']):.1f} ms (the module), ", end="")
    print(f"{1000 * statistics.median(times['ours']):.1f} ms (ours), median of {n_rounds}")
    for which in ("next", "first", "another method"):
        for against in ("module", "ours"):
            bar(f"{name}: all checks, {which} / pass of {against}", ratio(times, which, against), BAR)


def copy_of(network: Network) -> Network:
    """The same network, for which nothing is kept yet but the order of work."""
    return replace(network)


def checked(network: Network, image: torch.Tensor, method: Method) -> tuple[Result, ...]:
    subject = Subject(network, image)
    return check_all(subject, subject.explain(method))


if __name__ == "__main__":
    main()
