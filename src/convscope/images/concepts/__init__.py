"""What is labelled in images?  Sources of concepts: where each one is, as the network sees the image.

concept.py      Concept, Masks, the shape of a source; Several sources as one
opened.py       a source by its name
colours.py, edges.py, textures.py   found in the image itself (seen.py: what they share; oklab.py, structure.py, filters.py)
label_maps.py, voc.py, coco.py, pascal_part.py   masks (mask_files.py, label_names.py, runs.py, part_words.py)
world_masks.py  the built-in world, exact
class_labels.py, examples.py, text_labels.py   of a whole image, without masks
"""

from convscope.images.concepts.class_labels import ClassLabels as ClassLabels
from convscope.images.concepts.coco import COCO as COCO
from convscope.images.concepts.colours import Brightness as Brightness
from convscope.images.concepts.colours import Colours as Colours
from convscope.images.concepts.concept import Concept as Concept
from convscope.images.concepts.concept import Masks as Masks
from convscope.images.concepts.concept import Several as Several
from convscope.images.concepts.concept import Source as Source
from convscope.images.concepts.edges import Corners as Corners
from convscope.images.concepts.edges import EdgeScales as EdgeScales
from convscope.images.concepts.edges import Orientations as Orientations
from convscope.images.concepts.examples import Examples as Examples
from convscope.images.concepts.label_maps import LabelMaps as LabelMaps
from convscope.images.concepts.opened import open_concepts as open_concepts
from convscope.images.concepts.pascal_part import PascalPart as PascalPart
from convscope.images.concepts.text_labels import TextLabels as TextLabels
from convscope.images.concepts.textures import TextureFrequencies as TextureFrequencies
from convscope.images.concepts.voc import VOC as VOC
from convscope.images.concepts.world_masks import WorldMasks as WorldMasks
