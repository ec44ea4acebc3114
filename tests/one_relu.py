"""One network, its ReLUs written in every way there is: same weights, same function."""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

WAYS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "nn.ReLU": nn.ReLU(),
    "nn.ReLU, in place": nn.ReLU(inplace=True),
    "F.relu": F.relu,
    "torch.relu": torch.relu,
    "relu_": lambda x: x.relu_(),
    "clamp": lambda x: x.clamp(min=0),
    "clamp_min": lambda x: x.clamp_min(0),
    "threshold": lambda x: F.threshold(x, 0.0, 0.0),
    "hardtanh": lambda x: F.hardtanh(x, 0.0, 1e6),
    "maximum": lambda x: torch.maximum(x, torch.zeros_like(x)),
    "max": lambda x: torch.max(x, torch.zeros_like(x)),
    "max with a number": lambda x: torch.max(x, torch.tensor(0.0)),
    "maximum, the other way round": lambda x: torch.maximum(torch.zeros(()), x),
}


class OneReLU(nn.Module):
    """A residual network whose only nonlinearities are a max-pool and three uses of one ReLU."""

    def __init__(self, relu: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        self.conv1, self.conv2 = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.fc = nn.Linear(8, 5)
        self.relu = relu

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.relu(self.norm(self.stem(x))))
        x = self.relu(self.conv2(self.relu(self.conv1(x))) + x)
        return self.fc(x.mean((2, 3)))


class Apart(OneReLU):
    """The same with a module for each ReLU, as captum needs it."""

    def __init__(self) -> None:
        super().__init__(nn.ReLU())
        self.relu1, self.relu2, self.relu3 = nn.ReLU(), nn.ReLU(), nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.relu1(self.norm(self.stem(x))))
        x = self.relu3(self.conv2(self.relu2(self.conv1(x))) + x)
        return self.fc(x.mean((2, 3)))
