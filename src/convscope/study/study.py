"""What was found?  A study: the folder in which everything measured about one network on one set of images stands."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import pyarrow as pa

from convscope.errors import InputError, UnknownNameError, UsageError
from convscope.finding import Finding
from convscope.study import folder as on_disk
from convscope.study.table import Table


class Findings(Sequence[Finding]):
    """The findings of a study, in the order of the sheet; one is found by number or by its claim."""

    def __init__(self, found: Sequence[Finding]) -> None:
        self._found = tuple(found)

    @overload
    def __getitem__(self, key: int | str) -> Finding: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Finding, ...]: ...
    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, str):
            return self._found[key]
        by_claim = {finding.claim: finding for finding in self._found}
        if key not in by_claim:
            raise UnknownNameError("finding", key, by_claim)
        return by_claim[key]

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._found)

    def table(self) -> Table:
        """One row a finding: claim, value, interval, strongest control, verdict."""
        rows = [
            {
                "claim": finding.claim,
                "statement": finding.statement,
                "verdict": str(finding.verdict),
                "unit": finding.unit,
                **finding.value.as_dict(),
                "beyond_control": finding.beyond.value,
                "beyond_low": finding.beyond.low,
                "beyond_high": finding.beyond.high,
                "least": finding.least,
                "summary": finding.summary,
            }
            for finding in self._found
        ]
        return Table(pa.Table.from_pylist(rows))

    def __repr__(self) -> str:
        return "\n".join(f"{finding.statement}: {finding.verdict}. {finding.summary}" for finding in self._found)


@dataclass(frozen=True, eq=False)
class Study:
    """Everything measured about one network on one set of images, read from its folder."""

    folder: Path
    manifest: dict[str, Any]

    @classmethod
    def open(cls, folder: str | Path) -> "Study":
        """The study in a folder. Raises InputError where there is none, it is not finished, or a newer version wrote it."""
        folder = Path(folder)
        manifest = on_disk.read_manifest(folder)
        if not manifest.get("complete"):
            raise InputError(
                f"The study '{folder}' was to be opened.",
                "It is not finished.",
                "The command that began it goes on where it was stopped: convscope why NET IMAGES -o FOLDER.",
            )
        return cls(folder, manifest)

    def __repr__(self) -> str:
        network, images = self.manifest["network"], self.manifest["images"]
        return f"Study({network['name']} on {images['n']:,} images: {len(self.findings)} findings, {self.folder})"

    @cached_property
    def findings(self) -> Findings:
        """Every claim with its value, its control and its verdict."""
        return Findings(on_disk.read_findings(self.folder))

    @cached_property
    def layers(self) -> list[dict[str, Any]]:
        """The table of layers, as `Layer.as_dict` gives it."""
        return on_disk.read_layers(self.folder)

    @cached_property
    def units(self) -> Table:
        """One row for each unit of the measured layers."""
        return Table(on_disk.read_table(self.folder / on_disk.UNITS))

    @cached_property
    def curves(self) -> Table:
        """What depends on depth or another amount, in long form: layer, unit, kind, x, y, lo, hi, n."""
        return Table(on_disk.read_table(self.folder / on_disk.CURVES))

    def sprite(self, layer: str) -> bytes:
        """The picture of a layer's exemplars, a WebP file. Raises UnknownNameError for a layer that was not measured."""
        files = self.manifest["sprites"]
        if layer not in files:
            raise UnknownNameError("measured layer", layer, files)
        return on_disk.read_bytes(self.folder / on_disk.SPRITES / Path(files[layer]).name)

    def card(self, address: str) -> dict[str, Any]:
        """The card of a unit (`LAYER:UNIT`), as a page shows it. Raises UnknownNameError for one that was not asked for."""
        from convscope.study.cards import read_card  # imports what makes cards, which only these need

        entries = {entry["address"]: entry for entry in self.manifest.get("cards", [])}
        if address not in entries:
            raise UnknownNameError("card", address, entries)
        return read_card(self.folder, entries[address])

    def report(self, path: str | Path | None = None) -> Path:
        """Writes the report, one HTML file that needs nothing else; by default into the study. Returns its path."""
        from convscope.study.report import report_html  # reads the page's modules, which only a report needs

        content = report_html(self).encode()
        path = self.folder / on_disk.REPORT if path is None else Path(path)
        if not path.name or path.is_dir():
            raise UsageError(f"A report was to be written to '{path}'.", "That is no file.", "Give the name of a file.")
        try:
            on_disk.write_bytes(path, content)
        except OSError as error:
            found = f"{error.strerror or error}."
            raise InputError(
                f"The report was to be written to '{path}'.", found, "Give another file with -o."
            ) from error
        return path
