"""What do Pascal-Part's short names of parts stand for?  `lfuleg` is a leg; left and right, front and back are one concept."""

import re

# Chen et al. 2014, "Detect What You Can"; sides (l, r, f, b), upper and lower are dropped, numbers too.
_WORDS = {
    **dict.fromkeys(("ear", "eye", "arm", "leg", "foot", "hand", "wing", "horn", "brow", "mirror", "plate"), None),
    "ebrow": "eyebrow",
    "uarm": "arm",
    "larm": "arm",
    "uleg": "leg",
    "lleg": "leg",
    "fleg": "leg",
    "bleg": "leg",
    "fuleg": "leg",
    "flleg": "leg",
    "buleg": "leg",
    "blleg": "leg",
    "fpa": "paw",
    "bpa": "paw",
    "fho": "hoof",
    "bho": "hoof",
}
# Their pixels are the head's as well; a map with one number a pixel cuts them out of it.
IN_HEAD = frozenset(("eye", "eyebrow", "nose", "mouth", "ear", "hair", "muzzle", "beak", "horn"))
_SIDED = re.compile(r"^[lr](?P<part>" + "|".join(sorted(_WORDS, key=len, reverse=True)) + r")$")
_WHOLE = {
    "fwheel": "wheel",
    "bwheel": "wheel",
    "fliplate": "licence plate",
    "bliplate": "licence plate",
    "leftmirror": "mirror",
    "rightmirror": "mirror",
    **dict.fromkeys(("leftside", "rightside", "hleftside", "hrightside", "cleftside", "crightside"), "side"),
    **dict.fromkeys(("frontside", "hfrontside", "cfrontside"), "front"),
    **dict.fromkeys(("backside", "hbackside", "cbackside"), "back"),
    **dict.fromkeys(("roofside", "hroofside", "croofside"), "roof"),
    "chainwheel": "chain wheel",
}


def part_word(short: str) -> str:
    """The word for a short name; one that is not known stands for itself, without a number behind it."""
    name = re.sub(r"_\d+$", "", short.strip())
    if name in _WHOLE:
        return _WHOLE[name]
    sided = _SIDED.match(name)
    return (_WORDS[sided["part"]] or sided["part"]) if sided else name
