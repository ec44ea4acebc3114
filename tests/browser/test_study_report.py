"""Is the report of a real study what the study says?"""

from collections.abc import Callable
from pathlib import Path

import pytest
from few_measured import few_measured
from planted import planted_images, planted_network
from playwright.sync_api import expect
from watching import Watched, open_all

import convscope as cs


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> cs.Study:
    with few_measured():
        return cs.why(planted_network(), planted_images(60), tmp_path_factory.mktemp("study") / "s", form="float32")


def test_the_report_of_a_study_shows_its_findings(show: Callable[..., Watched], study: cs.Study) -> None:
    watched = show((study.folder / "report.html").read_text())
    page = watched.page
    rows = page.locator(".sheet > li")
    expect(rows).to_have_count(len(study.findings))
    for row, finding in zip(rows.all(), study.findings, strict=True):
        expect(row).to_contain_text(finding.statement)
        expect(row.locator(".verdict")).to_have_text(str(finding.verdict))
    undecided = study.findings["class_selectivity"]
    assert undecided.verdict == "undecided"
    expect(rows.filter(has_text=undecided.statement)).to_contain_text("not measured")
    expect(page.locator("article", has_text=undecided.statement).last).to_contain_text("it takes 4")
    open_all(page)
    for name in ("relu1", "7 = 2, 13 = 4", "silent on all 60 images"):
        expect(page.get_by_text(name).first).to_be_attached()
    assert watched.faults() == []


def test_reports_of_the_same_study_are_the_same_bytes(study: cs.Study, tmp_path: Path) -> None:
    again = cs.Study.open(study.folder).report(tmp_path / "again.html")
    assert again.read_bytes() == (study.folder / "report.html").read_bytes()
