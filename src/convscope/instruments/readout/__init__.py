"""How are classes decided?  What each unit adds to the logits, and what the network answers without it.

head.py            where the read-out begins: `head_of`
kept.py            images as the head reads them: `keep`
contributions.py   logits as sums over units
fewest.py          units that are enough
removal.py         units set to their mean or to zero
by_class.py        one class: its strongest units against others
by_concept.py      logits as sums over concepts
sections.py        whole layers left out
"""

from convscope.instruments.readout.by_class import ByClass as ByClass
from convscope.instruments.readout.by_class import by_class as by_class
from convscope.instruments.readout.by_concept import ByConcept as ByConcept
from convscope.instruments.readout.by_concept import by_concept as by_concept
from convscope.instruments.readout.contributions import Contributions as Contributions
from convscope.instruments.readout.contributions import contributions as contributions
from convscope.instruments.readout.contributions import n_units as n_units
from convscope.instruments.readout.contributions import of_class as of_class
from convscope.instruments.readout.head import Head as Head
from convscope.instruments.readout.head import head_of as head_of
from convscope.instruments.readout.kept import Kept as Kept
from convscope.instruments.readout.kept import keep as keep
