"""What was to be downloaded, and which file would do instead?"""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.error import URLError

from convscope.errors import InputError


@contextmanager
def downloading(from_hub: bool, wanted: str, instead: str) -> Iterator[None]:
    """Turns the many errors of a hub that cannot be reached into one that names what was wanted and which file would do."""
    try:
        yield
    except (OSError, URLError) as error:
        if not from_hub:
            raise
        raise _unreachable(wanted, instead, error) from error
    except Exception as error:  # hub clients raise errors of their own, not always an OSError
        if not from_hub or not type(error).__module__.startswith(("huggingface_hub", "httpx", "requests", "urllib3")):
            raise
        raise _unreachable(wanted, instead, error) from error


def _unreachable(wanted: str, instead: str, error: Exception) -> InputError:
    text = str(error).strip() or type(error).__name__
    return InputError(
        f"It was asked to download {wanted}.",
        f"They could not be had: {text.splitlines()[0][:200]}",
        f"Give the files yourself: {instead}.",
    )
