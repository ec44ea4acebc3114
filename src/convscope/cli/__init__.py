"""The command line: `convscope COMMAND`. Commands import torch only when they run, so that `--help` answers at once."""

from convscope.cli.app import main as main
