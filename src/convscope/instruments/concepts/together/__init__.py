"""What do several units of a layer tell together?  Sparse linear read-outs, against the best single unit.

directions.py   the answer: `directions`; versus.py: read-outs against units, with images drawn again; best_unit.py: those units
read_out.py     how well weighted sums cover concepts, with how many units; thresholds.py: where they are on
least_squares.py, forward.py   the weights, and which unit is taken next
pixel_rows.py   values and labels of pixels, row by row; parts.py: how the choosing half is cut to choose in it
"""

from convscope.instruments.concepts.together.directions import Directions as Directions
from convscope.instruments.concepts.together.directions import directions as directions
