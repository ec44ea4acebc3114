"""Can a map be trusted?  Checks that come with every attribution; each passes, fails or was not run, in words.

check.py        what a check is, what it says; check_all, distrust
subject.py      what maps are checked on: one image, one target, and what all methods share
faithfulness.py, class_dependence.py, weight_dependence.py, repeatability.py, completeness.py, localisation.py   the checks
curves.py       insertion and deletion; trivial.py: maps that know nothing; doubles.py: networks that have forgotten
alike.py        how alike two maps are; effort.py: how often a method may be repeated
"""

from convscope.instruments.attribution.checks.check import Check, Outcome, Result, check_all, distrust
from convscope.instruments.attribution.checks.class_dependence import ClassDependence
from convscope.instruments.attribution.checks.completeness import Completeness
from convscope.instruments.attribution.checks.faithfulness import Faithfulness, gains
from convscope.instruments.attribution.checks.localisation import Localisation
from convscope.instruments.attribution.checks.repeatability import Repeatability
from convscope.instruments.attribution.checks.subject import Subject
from convscope.instruments.attribution.checks.weight_dependence import WeightDependence

__all__ = [
    "Check",
    "ClassDependence",
    "Completeness",
    "Faithfulness",
    "Localisation",
    "Outcome",
    "Repeatability",
    "Result",
    "Subject",
    "WeightDependence",
    "check_all",
    "distrust",
    "gains",
]
