"""The claims, one file each; importing this package registers ours."""

from convscope.study.claims.accuracy import Accuracy as Accuracy
from convscope.study.claims.alive import AliveUnits as AliveUnits
from convscope.study.claims.concept_level import ConceptLevel as ConceptLevel
from convscope.study.claims.deconvnet_pictures import DeconvnetPictures as DeconvnetPictures
from convscope.study.claims.dense_readout import DenseReadout as DenseReadout
from convscope.study.claims.distributed_concepts import DistributedConcepts as DistributedConcepts
from convscope.study.claims.predictions import WhyThesePredictions as WhyThesePredictions
from convscope.study.claims.preferred_patterns import PreferredPatterns as PreferredPatterns
from convscope.study.claims.selectivity import ClassSelectivity as ClassSelectivity
from convscope.study.claims.sharing import WeightSharing as WeightSharing
from convscope.study.claims.unit_axes import UnitAxes as UnitAxes
from convscope.study.claims.unit_detectors import UnitDetectors as UnitDetectors
