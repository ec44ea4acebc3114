"""What can go wrong, and what would work instead.

    ConvscopeError                 exit code 1
    ├── UsageError                 2   the question cannot be asked that way
    │   ├── UnknownNameError       2   no layer, source, class, method ... of that name
    │   └── MissingExtraError      2   an optional dependency is not installed
    ├── InputError                 3   something given is missing or unreadable
    │   ├── WeightsError           3   a checkpoint is missing, unsafe, or belongs to another network
    │   └── ImagesError            3   a folder without images, a file that is not an image
    └── NetworkError               5   the network cannot be analysed, or not this way
        ├── ExportError            5   torch.export could not read it
        ├── InputShapeError        5   this network does not take an input of this shape
        └── MissingRuleError       5   a walk meets an operation it has no rule for

Every error says what was asked, what was found and what would work; the command line prints those three and exits with the
code above.
"""

import difflib
from collections.abc import Iterable


class ConvscopeError(Exception):
    """Base of every error convscope raises on purpose."""

    exit_code = 1

    def __init__(self, asked: str, found: str = "", would_work: str = "") -> None:
        self.asked = asked
        self.found = found
        self.would_work = would_work
        super().__init__("\n".join(part for part in (asked, found, would_work) if part))

    def as_dict(self) -> dict[str, str]:
        """The error as the object that `--json` prints: code, message, hint."""
        message = ". ".join(part.rstrip(".") for part in (self.asked, self.found) if part)
        return {"code": type(self).__name__, "message": message, "hint": self.would_work}


class UsageError(ConvscopeError):
    exit_code = 2


class UnknownNameError(UsageError, KeyError):
    """A name that is not known; suggests the nearest known ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        known = list(known)
        close = nearest(name, known)
        found = f"There is no {kind} '{name}'."
        if close:
            would_work = "Nearest: " + ", ".join(f"'{other}'" for other in close) + "."
        else:
            listed = ", ".join(f"'{other}'" for other in known[:12])
            more = f" and {len(known) - 12} more" if len(known) > 12 else ""
            would_work = f"Known: {listed}{more}." if known else f"No {kind} is known here."
        super().__init__(f"{kind} '{name}' was asked for.", found, f"{would_work} {hint}".strip())

    def __str__(self) -> str:  # KeyError would print the repr of its first argument
        return f"{self.found} {self.would_work}"


class MissingExtraError(UsageError):
    """An optional dependency is needed; says how to install it."""

    def __init__(self, asked: str, package: str, extra: str) -> None:
        super().__init__(
            asked,
            f"It needs the package '{package}', which is not installed.",
            f'Install it with: pip install "convscope[{extra}]"',
        )


class InputError(ConvscopeError):
    exit_code = 3


class WeightsError(InputError):
    pass


class ImagesError(InputError):
    pass


class NetworkError(ConvscopeError):
    exit_code = 5


class ExportError(NetworkError):
    pass


class InputShapeError(NetworkError):
    pass


class MissingRuleError(NetworkError):
    pass


def nearest(name: str, known: Iterable[str], n: int = 3) -> list[str]:
    """The known names most like `name`, best first: by spelling, then by containing it."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=n, cutoff=0.6)
    if not close and len(name) >= 3:
        close = [other for other in known if name.lower() in other.lower()][:n]
    return close
