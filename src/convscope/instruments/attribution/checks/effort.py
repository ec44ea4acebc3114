"""How often may a check repeat a method?  As often as it needs where that is cheap, less where it is not."""

from convscope.instruments.attribution.checks.subject import Subject
from convscope.instruments.attribution.method import Attribution

CHEAP = 12  # passes over the network: up to here every check runs in full
DEAR = 400  # from here on no check repeats the method, unless asked to


def lean(subject: Subject, attribution: Attribution) -> bool:
    """Whether a check should repeat the method no oftener than it must."""
    return not subject.thorough and attribution.passes > CHEAP


def too_dear(subject: Subject, attribution: Attribution) -> str:
    """Why a check does not repeat the method; empty if it may."""
    n = attribution.passes
    if subject.thorough or n <= DEAR:
        return ""
    title = attribution.method.title
    return f"Not run: {title} takes about {n:.0f} passes each time; ask for thorough checks to repeat it."
