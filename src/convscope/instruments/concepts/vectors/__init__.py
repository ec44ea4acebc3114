"""In which direction of a layer does a concept lie, and what does a class owe to it?  TCAV, with a test that holds.

vectors.py              directions that tell a concept on held-out images: `concept_vectors`; one_concept.py: of one concept
example_sets.py         examples and counter-examples; logistic.py: the classifier
sensitivity.py          does a class's logit change along them: `sensitivities`; one_against_many.py: a test of one against many
concept_attribution.py  one prediction, shared out among concepts: `attribute_to_concepts`
"""

from convscope.instruments.concepts.vectors.concept_attribution import ConceptAttribution as ConceptAttribution
from convscope.instruments.concepts.vectors.concept_attribution import attribute_to_concepts as attribute_to_concepts
from convscope.instruments.concepts.vectors.example_sets import ExampleSets as ExampleSets
from convscope.instruments.concepts.vectors.example_sets import example_sets as example_sets
from convscope.instruments.concepts.vectors.sensitivity import Sensitivities as Sensitivities
from convscope.instruments.concepts.vectors.sensitivity import sensitivities as sensitivities
from convscope.instruments.concepts.vectors.vectors import ConceptVectors as ConceptVectors
from convscope.instruments.concepts.vectors.vectors import concept_vectors as concept_vectors
from convscope.instruments.concepts.vectors.vectors import vectors_from as vectors_from
