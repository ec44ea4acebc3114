"""What does a layer or a unit look for, and what does it mean?  Sheets of pictures and numbers, with their checks.

see.py      the call: `convscope.see(network, place, images)`
sheet.py    what a sheet is; asked.py: which place is meant; about.py: what is known of it before looking
unit.py     the card of a unit; layer.py: the sheet of a layer
weights.py, patches.py, optimised.py   the sections of a card (tiles.py: how each thing becomes a picture)
swept.py    what the images do to a layer
dissected.py   what units mean: `convscope.dissect(network, images, concepts)`; concept.py, meanings.py: pages of a concept, a layer
shown_concept.py   where in images a concept is, and what is on there
picture.py  a sheet as one picture; page.py: on a page
"""

import sys
from types import ModuleType
from typing import Any

from convscope.see.dissected import Dissected as Dissected
from convscope.see.dissected import dissect as dissect
from convscope.see.see import see as see
from convscope.see.see import sheets as sheets
from convscope.see.sheet import Checked as Checked
from convscope.see.sheet import Outcome as Outcome
from convscope.see.sheet import Section as Section
from convscope.see.sheet import Sheet as Sheet
from convscope.see.sheet import Tile as Tile


class _Callable(ModuleType):
    """Importing this package puts it where `convscope.see` is looked up; so it answers `convscope.see(...)`."""

    def __call__(self, *place: Any, **settings: Any) -> Sheet:
        return see(*place, **settings)


sys.modules[__name__].__class__ = _Callable
