"""Why does it work?  The claims, the folder that holds what was found, and the one command that fills it.

why.py          `why`: everything measured, in one folder
asked.py        what a study is about: network, images, layers
measure.py      sweeps, findings, tables, written
plan.py         one sweep for all claims; concepts.py: the sweeps of concepts
claims/         the claims, one file each; labelings.py: true and shuffled labels; detected.py: concepts with detectors;
                readout.py: the read-out, class by class
folder.py       the files of a study; study.py: a study read back; table.py, units.py: its tables
chapters.py     pages beside the findings: concepts (concept_chapter.py), layers, classes
sprites.py      exemplars as pictures; cards.py: cards of units; report.py: what the page gets
"""

from convscope.study.study import Findings as Findings
from convscope.study.study import Study as Study
from convscope.study.table import Table as Table
from convscope.study.why import why as why
