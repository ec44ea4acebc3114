"""What does it save that all positions share their weights?  Learned numbers counted as they are, untied, and dense."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from convscope.finding import Control, Finding
from convscope.intervals import exact, none
from convscope.registry import register
from convscope.study.claim import Claim, Measured
from convscope.walks.sharing import Counts, sharing


@register("claim", "weight_sharing")
@dataclass(frozen=True)
class WeightSharing(Claim):
    """Learned numbers of layers used at many places, untied over as they are; exact; control: layers used at one place."""

    key = "weight_sharing"
    statement = "Weight sharing saves parameters"
    quantity = "learned numbers of the layers used at many places, each place its own, over as they are"
    unit = "ratio"
    least = 1.0  # beyond the 1 of a layer that shares nothing: at least half of the numbers saved
    means = (
        "One filter serves every position, so a convolution learns as few numbers as one position needs. The count compares "
        "it with a locally connected layer (the same connections, each with its own weight) and with a dense layer between "
        "the same maps, biases included, as LeCun 1989 counts them. It says what would have had to be learned from the same "
        "images; it does not say that a network without sharing could not learn the task, given enough data."
    )

    def find(self, measured: Measured) -> Finding:
        counts = sharing(measured.network.graph)
        sharing_, single = (
            [c for c in counts if c.n_positions and (c.n_positions > 1) == many] for many in (True, False)
        )
        shared, local, _ = _sums(sharing_)
        value = exact(local / shared) if shared else exact(1.0) if counts else none()
        once = _sums(single)
        control = Control(
            "layers used at one place",
            "The same count for the dense layers of this network, whose weights serve a single place."
            if single
            else "This network has no such layer; where a weight serves one place, nothing is saved: 1 by definition.",
            exact(once[1] / once[0] if once[0] else 1.0),
        )
        return self.finding(
            value=value,
            controls=(control,),
            beyond=value.minus(control.value),
            summary=_summary(counts, sharing_) if shared else "No layer of this network shares weights.",
            why_not="" if counts else "The network has no learned layers.",
            evidence=(_bars(counts), _table(sharing_)) if shared else (),
        )


def _summary(counts: Sequence[Counts], sharing_: Sequence[Counts]) -> str:
    shared, local, dense = _sums(sharing_)
    all_shared, all_local, all_dense = _sums(counts)
    return (
        f"{shared:,} learned numbers in {len(sharing_)} layer{'s' if len(sharing_) != 1 else ''} do the work of {local:,} untied "
        f"ones ({_times(local, shared)}) or {dense:,} dense ones ({_times(dense, shared)}). The whole network: {all_shared:,} "
        f"instead of {all_local:,} or {all_dense:,}."
    )


def _sums(counts: Sequence[Counts]) -> tuple[int, int, int]:
    return sum(c.shared for c in counts), sum(c.local for c in counts), sum(c.dense for c in counts)


def _times(many: int, few: int) -> str:
    ratio = many / few
    return f"{ratio:,.0f} times" if ratio >= 20 else f"{ratio:.1f} times"


def _bars(counts: Sequence[Counts]) -> dict[str, Any]:
    names = ("as it is, weights shared", "locally connected, each position its own", "dense, everything connected")
    sums = _sums(counts)
    bars = [
        {"name": name, "value": n, "low": None, "high": None, "control": i > 0}
        for i, (name, n) in enumerate(zip(names, sums, strict=True))
    ]
    return {"panel": "bars", "title": "Learned numbers of the whole network", "unit": "", "log": True, "bars": bars}


def _table(counts: Sequence[Counts]) -> dict[str, Any]:
    rows = [
        [c.layer, c.n_positions, c.shared, c.local, c.dense, round(c.local / c.shared, 2) if c.shared else None]
        for c in counts
    ]
    return {
        "panel": "table",
        "title": "Layer by layer",
        "columns": ["layer", "places", "shared", "locally connected", "dense", "local / shared"],
        "align": ["left", "right", "right", "right", "right", "right"],
        "rows": rows,
    }
