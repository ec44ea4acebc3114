"""What do the claims about concepts and the read-out say of three networks?  The figures of docs/concepts.md.

    OMP_WAIT_POLICY=PASSIVE python tools/concept_claims.py DATA OUT

DATA is the folder of real networks and images; OUT gets a study of each network. Concepts of the real networks are those found in
the images, and CamVid's masks; the read-out is measured on photographs of 800 classes, in the built-in network on scenes.
"""

import sys
from pathlib import Path

from side_by_side import CASES

import convscope as cs

CONCEPTS = ("unit_detectors", "unit_axes", "concept_level", "distributed_concepts")
READ_OUT = "dense_readout"


def main(data: Path, out: Path) -> None:
    photos, scenes = str(data / "images/imagenet1k_sample"), data / "datasets/camvid"
    shown(cs.why(cs.load("builtin:world"), "builtin:world", out / "builtin", only=[*CONCEPTS, READ_OUT], limit=500))
    for name in ("squeezenet1_1", "mobilenetv2"):
        case = CASES[name]
        network = cs.load(case.spec, weights=str(data / f"weights/{case.weights}.safetensors"), **case.options)
        masks = ["pixels", str(scenes)]
        shown(cs.why(network, str(scenes / "images"), out / name, only=CONCEPTS, concepts=masks))
        shown(cs.why(network, photos, out / f"{name}-classes", only=[READ_OUT], concepts=["none"]))


def shown(study: cs.Study) -> None:
    for found in study.findings:
        print(f"{study.folder.name} | {found.claim} | {found.verdict} | {found.summary} {found.reason}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
