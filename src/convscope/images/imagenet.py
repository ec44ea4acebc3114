"""What are the thousand classes of ImageNet-1k called?  From whichever of timm and torchvision is installed."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from convscope.errors import MissingExtraError
from convscope.images.classes import Classes


@cache
def imagenet_classes() -> Classes:
    """The classes of ImageNet-1k in the usual order.

    From timm: names, WordNet ids and synonyms; from torchvision alone: names only. A name that several classes share
    (crane) gets its WordNet id. Raises MissingExtraError when neither is installed.
    """
    return _from_timm() or _from_torchvision()


def _from_timm() -> Classes | None:
    """Read from timm's own tables, without importing timm, which takes seconds."""
    spec = find_spec("timm")
    folder = (
        Path(spec.submodule_search_locations[0], "data", "_info") if spec and spec.submodule_search_locations else None
    )
    if folder is None or not (folder / "imagenet_synsets.txt").is_file():
        return None
    wnids = (folder / "imagenet_synsets.txt").read_text("utf-8").split()
    lines = (folder / "imagenet_synset_to_lemma.txt").read_text("utf-8").splitlines()
    lemmas = dict(line.split("\t", 1) for line in lines)
    synonyms = [tuple(part.strip() for part in lemmas[wnid].strip('"').split(",")) for wnid in wnids]
    first = [names[0] for names in synonyms]
    names = [f"{name} ({wnid})" if first.count(name) > 1 else name for name, wnid in zip(first, wnids, strict=True)]
    return Classes(tuple(names), tuple(wnids), tuple(synonyms))


def _from_torchvision() -> Classes:
    try:
        from torchvision.models import ResNet18_Weights  # late: optional, and slow to import
    except (ImportError, RuntimeError) as error:
        raise MissingExtraError("The names of the ImageNet classes were asked for.", "timm", "models") from error
    names = ResNet18_Weights.IMAGENET1K_V1.meta["categories"]
    return Classes(tuple(f"{name} ({index})" if names.count(name) > 1 else name for index, name in enumerate(names)))
