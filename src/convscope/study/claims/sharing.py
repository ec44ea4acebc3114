"""What does it save that all positions share their weights?  Parameters counted as they are, untied, and dense."""

from dataclasses import dataclass
from typing import Any

from convscope.finding import Control, Finding, judge
from convscope.intervals import exact, none
from convscope.registry import register
from convscope.study.claims.base import Claim, Measured
from convscope.walks.sharing import Counts, sharing

LEAST = 1.0  # beyond the 1 of a layer that shares nothing: at least half of the parameters saved


@register("claim", "weight_sharing")
@dataclass(frozen=True)
class WeightSharing(Claim):
    """Learned numbers of the convolutions, untied over as they are; exact; control: the layers that share nothing."""

    key = "weight_sharing"
    statement = "Weight sharing saves parameters"
    means = (
        "One filter serves every position, so a convolution learns as few numbers as one position needs. The count compares "
        "it with a locally connected layer (the same connections, each with its own weight) and with a dense layer between "
        "the same maps, biases included, as LeCun 1989 counts them. It says what would have had to be learned from the same "
        "images; it does not say that a network without sharing could not learn the task, given enough data."
    )

    def find(self, measured: Measured) -> Finding:
        counts = sharing(measured.network.graph)
        convs = [count for count in counts if count.is_conv]
        shared, local, dense = _sums(convs)
        undecidable = "" if counts else "The network has no learned layers."
        value = exact(local / shared) if shared else exact(1.0) if counts else none()
        others = _sums([count for count in counts if not count.is_conv])
        control = Control(
            "layers that share nothing",
            "The same count for the dense layers and norms of this network: each of their numbers is used at one place only, "
            "or already once for each unit, so nothing can be saved.",
            exact(others[1] / others[0] if others[0] else 1.0),
        )
        beyond = value.minus(control.value)
        all_shared, all_local, all_dense = _sums(counts)
        summary = (
            (
                f"{shared:,} learned numbers in {len(convs)} convolutions do the work of {local:,} untied ones "
                f"({_times(local, shared)}) or {dense:,} dense ones ({_times(dense, shared)}). The whole network: {all_shared:,} "
                f"instead of {all_local:,} or {all_dense:,}."
            )
            if shared
            else "No layer of this network shares weights."
        )
        return Finding(
            claim=self.key,
            statement=self.statement,
            quantity="learned numbers of the convolutions, each position its own, over as they are",
            value=value,
            unit="ratio",
            controls=(control,),
            beyond=beyond,
            least=LEAST,
            verdict=judge(beyond, LEAST, undecidable=undecidable),
            summary=summary,
            means=self.means,
            resampled="",
            reason=undecidable,
            evidence=(_bars(counts), _table(counts)) if shared else (),
        )


def _sums(counts: "list[Counts] | tuple[Counts, ...]") -> tuple[int, int, int]:
    return sum(c.shared for c in counts), sum(c.local for c in counts), sum(c.dense for c in counts)


def _times(many: int, few: int) -> str:
    ratio = many / few
    return f"{ratio:,.0f} times" if ratio >= 20 else f"{ratio:.1f} times"


def _bars(counts: tuple[Counts, ...]) -> dict[str, Any]:
    names = ("as it is, weights shared", "locally connected, each position its own", "dense, everything connected")
    sums = _sums(counts)
    bars = [
        {"name": name, "value": n, "low": None, "high": None, "control": i > 0}
        for i, (name, n) in enumerate(zip(names, sums, strict=True))
    ]
    return {"panel": "bars", "title": "Learned numbers of the whole network", "unit": "", "log": True, "bars": bars}


def _table(counts: tuple[Counts, ...]) -> dict[str, Any]:
    rows = [
        [c.layer, c.shared, c.local, c.dense, round(c.local / c.shared, 2) if c.shared else None]
        for c in counts
        if c.is_conv
    ]
    return {
        "panel": "table",
        "title": "Layer by layer",
        "columns": ["convolution", "shared", "locally connected", "dense", "local / shared"],
        "align": ["left", "right", "right", "right", "right"],
        "rows": rows,
    }
