"""Makes the study of the planted network again and again, each time in a process that is killed at another moment.

    python killed.py FOLDER

Writes `whole`, which nobody stopped; twenty studies that were killed once and gone on with; and `again`, killed many times. Prints
one line for each process: its folder, the call of a function at which it was killed (0: not), and how it ended.
"""

import os
import random
import signal
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from planted import planted_images, planted_network

import convscope as cs
from convscope.study import concept_chapter, patterns
from convscope.study.claims import DeconvnetPictures, PreferredPatterns, WhyThesePredictions
from convscope.sweep import engine

N_MOMENTS, N_TIMES = 20, 6


def make(folder: Path, die_at: int = 0, *, counted: bool = True) -> int:
    """The study, unless the process dies at that call; how many calls there were, if they are counted, which takes its time."""
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += 1
        if calls == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count if counted else None)
    cs.why(NETWORK, IMAGES, folder, batch_size=5, form="float32", workers=1)
    sys.setprofile(None)
    return calls


def forked(folder: Path, die_at: int = 0) -> int:
    """The same in a process of its own; its exit code, or minus the signal that ended it."""
    process = os.fork()
    if not process:
        torch.set_num_threads(1)  # torch renews its pool of threads after a fork, in the first thread that asks
        make(folder, die_at, counted=die_at > 0)
        os._exit(0)
    ended = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    print(folder.name, die_at, ended, flush=True)
    return ended


if __name__ == "__main__":
    torch.set_num_threads(1)  # before anything is computed: other threads would not survive a fork
    engine.SECONDS_BETWEEN_CHECKPOINTS, engine.SAVING_SHARE = 0.0, 1e9  # a checkpoint after every batch
    WhyThesePredictions.n_sampled = DeconvnetPictures.n_sampled = PreferredPatterns.n_sampled = (
        PreferredPatterns.n_classes
    ) = 2
    concept_chapter.MOST_PAGES = 4
    for name in ("OF_UNITS", "OF_CLASSES", "RAW_ASCENT"):
        setattr(patterns, name, replace(getattr(patterns, name), n_steps=2))
    NETWORK, IMAGES = planted_network(), planted_images(32)
    root = Path(sys.argv[1])
    with TemporaryDirectory() as other:  # imports what is imported late, and counts
        make(Path(other) / "first", counted=False)
        n_calls = make(Path(other) / "second")
    forked(root / "whole")
    moments = random.Random(0)
    for number in range(N_MOMENTS):
        forked(root / f"{number}", moments.randrange(1, n_calls))
        forked(root / f"{number}")
    for _ in range(N_TIMES):
        forked(root / "again", moments.randrange(1, n_calls // 2))
    forked(root / "again")
