"""What does a unit mean?  Which concepts single units detect, what several tell together, and what of it is trivial.

dissect.py        one network against all concepts, in one sweep: `labels_of`, `dissect`
collect.py        the labels of some images, at the pixels that are looked at (collected.py: and what could not be used)
counting.py       what is counted at each layer; iou.py: overlap at every threshold, from joint counts
single_units.py   overlap of units with concepts: `single_units`; detected.py: how many concepts units detect
image_level.py    concepts without masks: average precision of units
chance.py         wrong labels, the mean mask
together/         several units read together
vectors/          concept activation vectors
"""

from convscope.instruments.concepts.collect import Collected as Collected
from convscope.instruments.concepts.collect import collect as collect
from convscope.instruments.concepts.collect import halves as halves
from convscope.instruments.concepts.dissect import Dissection as Dissection
from convscope.instruments.concepts.dissect import Labels as Labels
from convscope.instruments.concepts.dissect import dissect as dissect
from convscope.instruments.concepts.dissect import labels_of as labels_of
from convscope.instruments.concepts.image_level import ImageLevel as ImageLevel
from convscope.instruments.concepts.image_level import image_level as image_level
from convscope.instruments.concepts.image_level import ranking as ranking
from convscope.instruments.concepts.single_units import SingleUnits as SingleUnits
from convscope.instruments.concepts.single_units import UnitConcepts as UnitConcepts
from convscope.instruments.concepts.single_units import single_units as single_units
from convscope.instruments.concepts.together import Directions as Directions
from convscope.instruments.concepts.together import directions as directions
from convscope.instruments.concepts.vectors import ConceptAttribution as ConceptAttribution
from convscope.instruments.concepts.vectors import ConceptVectors as ConceptVectors
from convscope.instruments.concepts.vectors import ExampleSets as ExampleSets
from convscope.instruments.concepts.vectors import Sensitivities as Sensitivities
from convscope.instruments.concepts.vectors import attribute_to_concepts as attribute_to_concepts
from convscope.instruments.concepts.vectors import concept_vectors as concept_vectors
from convscope.instruments.concepts.vectors import example_sets as example_sets
from convscope.instruments.concepts.vectors import sensitivities as sensitivities
from convscope.instruments.concepts.vectors import vectors_from as vectors_from
