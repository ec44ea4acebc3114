"""Is the graph as fast as the model it was read from?  Graph forward (folded) against module forward, float32, interleaved.

Bar: at most 1.0 at batch 1, 8 and 32. Then the formats tried on this processor, with the largest difference of logits.
"""

import os
from functools import partial

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from interleaved import bar, ratio, seconds

import convscope as cs
from convscope.network.torchvision_ops import import_torchvision

NETWORKS = ("resnet18", "resnet50", "mobilenet_v2", "squeezenet1_1", "densenet121", "vgg11", "convnext_tiny")
N_ROUNDS = {1: 25, 8: 9, 32: 5}


def main() -> None:
    torch.manual_seed(0)
    models = import_torchvision("torchvision.models")
    for name in NETWORKS:
        module = models.get_model(name, weights=None).eval()
        network = cs.load(module)
        for batch, n_rounds in N_ROUNDS.items():
            inputs = torch.randn(batch, 3, 224, 224)
            candidates = {"graph": partial(network, inputs), "module": partial(module, inputs)}
            with torch.no_grad():
                times = seconds(candidates, n_rounds=n_rounds)
            bar(f"{name}, batch {batch}: graph / module", ratio(times, "graph", "module"), 1.0)
        _, trials = cs.fastest(network, torch.randn(8, 3, 224, 224))
        for trial in trials:
            print(
                f"    {trial.name:<24} {trial.images_per_s:8.1f} images/s   logits within {trial.logit_difference:.1e}"
            )


if __name__ == "__main__":
    main()
