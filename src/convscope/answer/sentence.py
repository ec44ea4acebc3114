"""What does a map say, in one sentence, and may it be believed?  Where half of it lies, and how its checks came out."""

from collections.abc import Sequence

import numpy as np

from convscope.instruments.attribution.checks import Outcome, Result

SPREAD_FRAC = 0.3  # of the image: half of the scores in more than that lie in no one place


def half(scores: np.ndarray) -> np.ndarray:
    """The smallest part of an image that holds half of the positive scores, as truth values `y x`."""
    positive = np.clip(scores.astype(np.float64), 0, None).ravel()
    order = np.argsort(-positive, kind="stable")
    total = positive.sum()
    n = int(np.searchsorted(np.cumsum(positive[order]), total / 2) + 1) if total > 0 else 0
    chosen = np.zeros(positive.size, bool)
    chosen[order[:n]] = True
    return chosen.reshape(scores.shape)


def place(chosen: np.ndarray) -> str:
    """Where in the image most of that lies, in words: at the top left, in the middle."""
    rows, columns = (np.arange(size) * 3 // size for size in chosen.shape)
    counts = np.zeros((3, 3))
    np.add.at(counts, (rows[:, None], columns[None]), chosen)
    row, column = np.unravel_index(int(counts.argmax()), counts.shape)
    words = f"{('top', '', 'bottom')[row]} {('left', '', 'right')[column]}".strip()
    return f"mostly at the {words}" if words else "mostly in the middle"


def says(scores: np.ndarray, about: str, *, sizes_only: bool) -> str:
    """What the map says; `about` is what is explained, `sizes_only` for scores that know no for and against."""
    chosen = half(scores)
    if not chosen.any():
        return f"Nothing in the image speaks for {about}"
    share = float(chosen.mean())
    subject = f"Half of what {about} is sensitive to" if sizes_only else f"Half of what speaks for {about}"
    if share > SPREAD_FRAC:
        return f"{subject} is spread over {_percent(share)} of the image"
    return f"{subject} lies in {_percent(share)} of the image, {place(chosen)}"


def trust(checks: Sequence[Result], distrust: str) -> str:
    """Whether that may be believed."""
    run = [check for check in checks if check.outcome != Outcome.NOT_RUN]
    failed = [check for check in run if check.outcome == Outcome.FAILS]
    if distrust:
        return f"not to be relied on: {reason(distrust)}"
    if not run:
        return "nothing was checked, so this is a picture, not yet an answer"
    if failed:
        names = " and ".join(check.title.lower() for check in failed)
        return f"to be read with care: it passes what decides, but not {names}"
    if len(run) < len(checks):
        return f"it passes the {len(run)} of {len(checks)} checks that could be run"
    return f"it passes all {len(run)} checks"


def reason(distrust: str) -> str:
    """Why a map is not to be relied on, within a sentence: what the checks say of it begins with a verb."""
    text = distrust.rstrip(".").replace("; ", "; it ")
    return text[:1].lower() + text[1:] if text[:1].isupper() else f"it {text}"


def sentence(scores: np.ndarray, about: str, checks: Sequence[Result], distrust: str, *, sizes_only: bool) -> str:
    """Both in one."""
    return f"{says(scores, about, sizes_only=sizes_only)}; {trust(checks, distrust)}."


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else "under 1 %"
