"""What does a unit mean?  Which concepts single units detect, and what of it is trivial.

collect.py        the labels of some images, at the pixels that are looked at (collected.py: and what could not be used)
single_units.py   overlap of units with concepts: `single_units`
iou.py            overlap at every threshold, from joint counts
directions.py     several units together: `directions`, from read_out.py and what it builds on; best_unit.py, versus.py
image_level.py    concepts without masks: average precision of units
chance.py         wrong labels, the mean mask
vectors.py        directions that tell images with a concept from others (example_sets.py, logistic.py): `concept_vectors`
sensitivity.py    does a class grow along them: `sensitivities`; concept_attribution.py: one prediction, shared out
"""

from convscope.instruments.concepts.collect import Collected as Collected
from convscope.instruments.concepts.collect import collect as collect
from convscope.instruments.concepts.collect import halves as halves
from convscope.instruments.concepts.collect import with_null as with_null
from convscope.instruments.concepts.concept_attribution import ConceptAttribution as ConceptAttribution
from convscope.instruments.concepts.concept_attribution import attribute_to_concepts as attribute_to_concepts
from convscope.instruments.concepts.directions import Directions as Directions
from convscope.instruments.concepts.directions import directions as directions
from convscope.instruments.concepts.example_sets import ExampleSets as ExampleSets
from convscope.instruments.concepts.example_sets import example_sets as example_sets
from convscope.instruments.concepts.image_level import ImageLevel as ImageLevel
from convscope.instruments.concepts.image_level import image_level as image_level
from convscope.instruments.concepts.sensitivity import Sensitivities as Sensitivities
from convscope.instruments.concepts.sensitivity import sensitivities as sensitivities
from convscope.instruments.concepts.single_units import SingleUnits as SingleUnits
from convscope.instruments.concepts.single_units import UnitConcepts as UnitConcepts
from convscope.instruments.concepts.single_units import single_units as single_units
from convscope.instruments.concepts.vectors import ConceptVectors as ConceptVectors
from convscope.instruments.concepts.vectors import concept_vectors as concept_vectors
from convscope.instruments.concepts.vectors import vectors_from as vectors_from
