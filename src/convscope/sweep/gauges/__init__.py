"""The statistics a sweep can gather; one file each, importing this package registers ours."""

from convscope.sweep.gauges.at_pixels import AtPixels as AtPixels
from convscope.sweep.gauges.base import Gauge as Gauge
from convscope.sweep.gauges.coactivation import Coactivation as Coactivation
from convscope.sweep.gauges.directions import Directions as Directions
from convscope.sweep.gauges.distribution import Distribution as Distribution
from convscope.sweep.gauges.exemplars import Exemplars as Exemplars
from convscope.sweep.gauges.hits import Hits as Hits
from convscope.sweep.gauges.levels import Values as Values
from convscope.sweep.gauges.moments import Moments as Moments
from convscope.sweep.gauges.overlap import Overlap as Overlap
from convscope.sweep.gauges.peaks import Peaks as Peaks
from convscope.sweep.gauges.regions import RegionMeans as RegionMeans
from convscope.sweep.gauges.selectivity import Selectivity as Selectivity
