"""Which pictures show how a check came out?  Its numbers and curves, each as the panel that draws it wants them."""

from collections.abc import Callable, Mapping
from typing import Any

from convscope.instruments.attribution.checks import Result
from convscope.registry import lookup

Panel = dict[str, Any]
_CONTROLS = {"random": "random order", "centre": "centre of the image", "edges": "edges of the image"}
_MADE_AGAIN = {"same": "made again", "seeds": "with another seed", "shift": "image moved by 1 px"}


def evidence_of(check: Result) -> list[Panel]:
    """The panels of one check; none where it was not run, or is not known here."""
    draw = _DRAWN.get(check.check)
    found = list(check.figures.get("panels", ())) or (draw(check.figures) if draw and check.figures else [])
    return [{**lookup("panel", one["panel"])(one), "panel": one["panel"]} for one in found]


def _faithfulness(figures: Mapping[str, Any]) -> list[Panel]:
    """Insertion and deletion, each under both fills."""
    probability = figures["scale"] == "probability"
    x = [f"{100 * share:.0f} %" for share in figures["shares"]]
    titles = {"insertion": "Shown place by place", "deletion": "Hidden place by place"}
    return [
        {
            "panel": "curves",
            "title": f"{titles[way]}, the rest filled with {_FILLS.get(fill, fill)}",
            "x_label": f"share of places {'shown' if way == 'insertion' else 'hidden'}",
            "y_label": figures["scale"],
            "unit": "fraction" if probability else "",
            "x": x,
            "series": [{"name": "this map", "values": lines["map"]}]
            + [
                {"name": _CONTROLS.get(name, name), "values": lines[name], "control": True}
                for name in lines
                if name != "map"
            ],
        }
        for way in ("insertion", "deletion")
        for fill, lines in ((fill, ways[way]) for fill, ways in figures["curves"].items() if way in ways)
    ]


_FILLS = {"mean": "the mean colour", "blur": "the blurred image"}


def _weights(figures: Mapping[str, Any]) -> list[Panel]:
    """How alike the map stays as more layers forget."""
    cascade = figures["cascade"]
    return [
        {
            "panel": "curves",
            "title": "Weights drawn anew from the last layer down",
            "x_label": "first layer that is drawn anew",
            "y_label": "rank correlation with this map",
            "unit": "correlation",
            "x": ["none", *(stage["down_to"] for stage in cascade)],
            "series": [{"name": "this method", "values": [1.0, *(stage["rank_correlation"] for stage in cascade)]}],
        }
    ]


def _classes(figures: Mapping[str, Any]) -> list[Panel]:
    """Correlation with the maps of other classes."""
    others = [(which, one) for which, one in figures.items() if isinstance(one, Mapping)]
    bars = [
        {"name": f"{one['target']} ({which.replace('_', ' ')})", "value": one["correlation"]} for which, one in others
    ]
    return [_bars("Correlation with the map of another class", bars)]


def _again(figures: Mapping[str, Any]) -> list[Panel]:
    """Correlation with the map made again."""
    bars = [{"name": words, "value": figures[name]} for name, words in _MADE_AGAIN.items() if name in figures]
    return [_bars("Correlation with the map made again", bars)]


def _place(figures: Mapping[str, Any]) -> list[Panel]:
    """How much of the map lies on what was masked, beside chance and the trivial maps."""
    trivial = [(f"{_CONTROLS.get(name, name)}", one["mass"]) for name, one in figures["trivial"].items()]
    bars = [{"name": "this map", "value": figures["mass"]}]
    bars += [
        {"name": name, "value": value, "control": True} for name, value in (("chance", figures["chance"]), *trivial)
    ]
    return [
        {"panel": "bars", "title": "Share of the positive scores on the masked place", "unit": "fraction", "bars": bars}
    ]


def _bars(title: str, bars: list[Panel]) -> Panel:
    return {"panel": "bars", "title": title, "unit": "correlation", "bars": bars}


_DRAWN: dict[str, Callable[[Mapping[str, Any]], list[Panel]]] = {
    "faithfulness": _faithfulness,
    "weight_dependence": _weights,
    "class_dependence": _classes,
    "repeatability": _again,
    "localisation": _place,
}
