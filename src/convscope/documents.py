"""How is a result written as JSON?  One form of document, and no number that is none."""

import json
import math
from typing import Any


def document(kind: str, body: dict[str, Any]) -> str:
    """The one form of every `--json` output."""
    return json.dumps({"schema": f"convscope.{kind}", "version": 1, **finite(body)}, allow_nan=False)


def finite(value: Any) -> Any:
    """The same with null for every number that is none (NaN, infinite), as JSON wants it."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
