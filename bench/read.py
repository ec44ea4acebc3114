"""How long does it take to read a network?  Loading and reading against building alone, in one process.

Bar: a ResNet-50 is loaded and read, table of layers included, within 5 s over building it.
"""

import time

import torch
from interleaved import bar

import convscope as cs
from convscope.network.torchvision_ops import import_torchvision


def main() -> None:
    models = import_torchvision("torchvision.models")
    cs.load(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()))  # imports
    over = []
    for _ in range(3):
        start = time.perf_counter()
        models.resnet50()
        built = time.perf_counter()
        len(cs.load("torchvision:resnet50").layers)
        over.append((time.perf_counter() - built) - (built - start))
    bar("ResNet-50: seconds over building it", min(over), 5.0)


if __name__ == "__main__":
    main()
