"""How much relevance does not go on?  What stays with biases, constants and values that flow past the place."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import torch

from convscope.graph.graph import INPUT, Graph
from convscope.graph.layout import BATCH
from convscope.walks.backward import Call


@dataclass(frozen=True, eq=False)
class Kept:
    """An account of one walk. The rules enter what is due to a constant; what the rules themselves lose is not excused."""

    graph: Graph | None = field(repr=False)
    n_images: int
    steps: Collection[str]  # that add something which no relevance can be passed to
    amounts: list[torch.Tensor] = field(default_factory=list)  # a number for each image

    def total(self, score: torch.Tensor) -> torch.Tensor:
        """All of it, for each image, in the form of the score."""
        return torch.stack([torch.zeros_like(score), *self.amounts]).sum(0)

    def of_images(self, name: str, values: torch.Tensor) -> torch.Tensor:
        """The sum of a step's values, for each image."""
        assert self.graph is not None
        layout = self.graph.input_layout if name == INPUT else self.graph[name].layout[0]
        dims = layout.dims if layout is not None and len(layout.dims) >= values.dim() else ()
        batch = next((i for i, dim in enumerate(dims) if any(atom.axis == BATCH for atom in dim)), 0)
        return values.movedim(batch, 0).reshape(self.n_images, -1).sum(1, dtype=torch.float64)

    def bias(self, call: Call, sent: torch.Tensor, bias: torch.Tensor | None) -> None:
        """Enters what the bias of a convolution or dense layer is due; `sent` is R / z."""
        if bias is not None and call.step.name in self.steps:
            units = sent if call.step.op == "linear" else sent.flatten(2).sum(2)
            self.amounts.append(self.of_images(call.step.name, units @ bias))

    def rest(
        self, call: Call, sent: torch.Tensor, passed: Sequence[torch.Tensor | None], *, divided_by_value: bool = True
    ) -> None:
        """Enters what came and was not passed on; `sent` is R / z, or R itself."""
        if call.step.name not in self.steps:
            return
        came = sent * call.value.detach() if divided_by_value else sent
        self.amounts.append(self.of_images(call.step.name, came))
        for name, one in zip(call.names, passed, strict=True):
            if one is not None:
                self.amounts.append(-self.of_images(name, one))


NOTHING = Kept(None, 0, ())
