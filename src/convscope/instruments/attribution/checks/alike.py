"""How alike are two maps?  Correlations of their values, and which values of an attribution are compared."""

import torch

from convscope.instruments.attribution.method import Attribution


def signed(attribution: Attribution) -> torch.Tensor:
    """What the method says of each image before its signs are dropped, float64 `image value`.

    The sum over units at each position; where the map is a sum of sizes (gradients of colour channels), every value by itself.
    """
    values = attribution.values.double()
    if attribution.method.channels != "absolute" and values.dim() == 4:
        values = values.sum(1)
    return values.flatten(1).cpu()


def sizes(attribution: Attribution) -> torch.Tensor:
    """How much each of these counts, whatever its sign, float64 `image value`; nothing where the map shows only positive ones."""
    values = signed(attribution)
    return values.clamp(min=0) if attribution.method.channels == "positive" else values.abs()


def is_flat(values: torch.Tensor) -> bool:
    """Whether all values are equal: nothing is shown."""
    return bool(values.max() == values.min()) or not bool(torch.isfinite(values).all())


def correlation(first: torch.Tensor, second: torch.Tensor) -> float:
    """Pearson's correlation, -1 to 1; NaN where one of them is flat: such a map is neither like another nor unlike it."""
    if is_flat(first) or is_flat(second):
        return float("nan")
    a, b = ((v - v.mean()) / (v - v.mean()).norm() for v in (first.flatten().double(), second.flatten().double()))
    return float((a * b).sum().clamp(-1, 1))


def rank_correlation(first: torch.Tensor, second: torch.Tensor) -> float:
    """Spearman's correlation, -1 to 1; equal values share their mean rank. NaN where one of them is flat."""
    from scipy.stats import rankdata  # a second to import: only where it is needed

    return correlation(*(torch.from_numpy(rankdata(values.flatten().numpy())) for values in (first, second)))
