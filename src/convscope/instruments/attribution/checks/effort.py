"""How often may a check repeat a method?  As often as it needs where that is cheap, less where it is not."""

from math import ceil

from convscope.instruments.attribution.ablation_cam import AblationCAM
from convscope.instruments.attribution.checks.subject import Subject
from convscope.instruments.attribution.method import Attribution
from convscope.instruments.attribution.score_cam import ScoreCAM

CHEAP = 12  # passes over the network, about: up to here every check runs in full
DEAR = 400  # from here on no check repeats the method, unless asked to


def passes(attribution: Attribution) -> int:
    """About how many forward passes one answer of the method took; a walk back counts as two.

    A method may say so itself: an attribute `passes`. Else it is read from its settings: steps, samples, masks, orders, strides.
    """
    method = attribution.method
    stated = getattr(method, "passes", None)
    if stated is not None:
        return int(stated)
    if hasattr(method, "n_steps"):
        return 3 * int(method.n_steps)
    if hasattr(method, "n_samples"):
        return 3 * int(method.n_samples)
    if hasattr(method, "n_masks"):
        return int(method.n_masks)
    if hasattr(method, "n_orders"):
        return int(method.n_orders * getattr(method, "n_regions", 1))
    if hasattr(method, "stride"):
        y, x = attribution.inputs.shape[-2:]
        stride = method.stride if isinstance(method.stride, tuple) else (method.stride, method.stride)
        return ceil(y / stride[0]) * ceil(x / stride[1]) // 3  # what a patch does not reach is not computed again
    n_units = int(attribution.values.shape[1])
    if isinstance(method, ScoreCAM):
        return n_units
    return n_units // 10 if isinstance(method, AblationCAM) else 3  # of the network above the layer alone


def lean(subject: Subject, attribution: Attribution) -> bool:
    """Whether a check should repeat the method no oftener than it must."""
    return not subject.thorough and passes(attribution) > CHEAP


def too_dear(subject: Subject, attribution: Attribution) -> str:
    """Why a check does not repeat the method; empty if it may."""
    n = passes(attribution)
    if subject.thorough or n <= DEAR:
        return ""
    return (
        f"Not run: {attribution.method.title} takes about {n} passes each time; ask for thorough checks to repeat it."
    )
