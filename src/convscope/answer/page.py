"""What does the page get of answers?  One block about all, one for each image, read when it is shown."""

import base64
import io
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from convscope.answer.colors import Scale, overlay, scale_of
from convscope.answer.evidence import evidence_of
from convscope.answer.picture import VERDICTS, legend_of, place_of
from convscope.answer.record import Answer, Explanation
from convscope.answer.sentence import reason
from convscope.documents import finite
from convscope.page import saved

if TYPE_CHECKING:
    from convscope.answer.answers import Answers

SCHEMA, VERSION = "convscope.answers", 1
MOST_BYTES = 60_000_000  # of data in one file; further images are left out, which the page says
MOST_SKIPPED = 200
_N_STOPS = 24


def page(answers: "Answers", advice: Mapping[str, Any] | None = None) -> str:
    """The page as one HTML document, all in ASCII. `advice`: what was compared (`recommendation`, `evidence`)."""
    title = f"Why does {answers.network['name']} say that?"
    return saved(title, blocks(answers, advice), "cs/answers")


def blocks(answers: "Answers", advice: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The blocks of the page by name."""
    found: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []
    tally: Counter[str] = Counter()
    room = MOST_BYTES
    for answer in answers:
        if room < 0:
            break
        block = _answer(answer)
        room -= len(block["picture"]) + sum(len(one["overlay"]) for one in block["explanations"])
        found[f"answer/{len(rows)}"] = block
        rows.append(_row(answer))
        tally.update(one.verdict for one in answer.explanations)
    asked = answers.settings["methods"]
    overview = {
        "schema": SCHEMA,
        "version": VERSION,
        **{name: getattr(answers, name) for name in ("network", "versions", "made", "stopped")},
        "settings": {
            **answers.settings,
            "methods": [one["name"] for one in asked],
            "target": "the predicted class" if answers.settings["target"] is None else answers.settings["target"],
        },
        "methods": [{"name": one["name"], "label": _label(one)} for one in asked],
        "images": rows,
        "n_left_out": len(answers) - len(rows),
        "n_skipped": len(answers.skipped),
        "skipped": [{"id": one.id, "reason": one.reason} for one in answers.skipped[:MOST_SKIPPED]],
        "tally": {verdict: tally[verdict] for verdict in VERDICTS},
        "repeat": repeat(answers, compared=bool(advice)),
        "advice": dict(advice) if advice else None,
    }
    return finite({"overview": overview, **found})


def repeat(answers: "Answers", *, compared: bool = False) -> list[str]:
    """How to ask the same again: a command line, and a line of Python; `compared`: which method to use was asked."""
    settings, network = answers.settings, answers.network
    names = [one["name"] for one in settings["methods"]]
    words = ["convscope", "explain", network["name"], "IMAGES"]
    if Path(network["weights"]).suffix:  # a file, not "random" or "its own"
        words += ["--weights", network["weights"]]
    words += [word for name in names for word in ("--method", name)]
    target, python = settings["target"], ""
    if target is not None:
        words += ["--target", " - ".join(map(str, target)) if isinstance(target, list) else str(target)]
        python = f", target={tuple(target) if isinstance(target, list) else target!r}"
    if settings["checks"] != "all" and not compared:
        named = settings["checks"]
        words += ["--no-checks"] if named == "none" else [word for name in named for word in ("--check", name)]
        python += f", checks={False if named == 'none' else named!r}"
    words += [*(["--compare"] if compared else []), "--seed", str(settings["seed"])]
    asked = "compare" if compared else "explain"
    return [shlex.join(words), f"cs.{asked}(net, images, methods={names!r}{python}, seed={settings['seed']})"]


def _label(method: Mapping[str, Any]) -> str:
    """What a method is called on the page: its title, and what was set."""
    given = method["name"].partition(":")[2]
    return method["title"] + (f" ({given.replace(',', ', ')})" if given else "")


def _row(answer: Answer) -> dict[str, Any]:
    prediction = answer.prediction
    return {
        "id": answer.id,
        "says": prediction.brief,
        "label": prediction.label_name,
        "verdicts": {one.name: one.verdict for one in answer.explanations},
    }


def _answer(answer: Answer) -> dict[str, Any]:
    pixels = answer.pixels
    shown = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    exact = max(shown.size) <= 96  # compression would be seen
    return {
        **answer.as_dict(),
        "picture": _url(shown, "PNG") if exact else _url(shown, "WEBP", quality=90),
        "size": list(pixels.shape[:2]),
        "explanations": [_explanation(one) for one in answer.explanations],
    }


def _explanation(one: Explanation) -> dict[str, Any]:
    scale = scale_of(one)
    return {
        **one.as_dict(),
        "place": place_of(one),
        "reason": reason(one.distrust) if one.distrust else "",
        "overlay": _url(overlay(one, scale), "PNG", optimize=True),
        "colors": _stops(scale),
        "legend": list(legend_of(one, scale)),
        "checks": [{**check.as_dict(), "figures": {}, "evidence": evidence_of(check)} for check in one.checks],
    }


def _stops(scale: Scale) -> list[str]:
    """Colours of the legend, evenly spaced, as style sheets write them."""
    palette: Sequence[Any] = (scale.palette[1:] if scale.signed else scale.palette).tolist()
    at = [round(i * (len(palette) - 1) / _N_STOPS) for i in range(_N_STOPS + 1)]
    return [f"rgb({r} {g} {b} / {a / 255:.3f})" for r, g, b, a in (palette[i] for i in at)]


def _url(image: Image.Image, form: str, **settings: Any) -> str:
    stream = io.BytesIO()
    image.save(stream, form, **settings)
    return f"data:image/{form.lower()};base64," + base64.b64encode(stream.getvalue()).decode("ascii")
