"""README and docs: their tables are the baseline's, their links lead somewhere, and the index names every page."""
from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.data.results import read_results_file
from reports.tables.plain_tables import SHOWN, tables

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *sorted((ROOT / 'docs').glob('*.md'))]


@pytest.mark.parametrize(('page', 'metrics'), [('README.md', ['accuracy']), ('docs/results.md', SHOWN)])
def test_published_tables_are_those_of_the_baseline(page: str, metrics: list[str]) -> None:
    (printed,) = re.findall(r'<!-- tables: begin -->\n\n(.*)\n\n<!-- tables: end -->', (ROOT / page).read_text(),
                            flags=re.S)
    baseline = read_results_file(ROOT / 'reports/baseline.json')
    assert printed == '\n\n'.join(table.strip() for table in tables(baseline, metrics))


def anchors(page: Path) -> set[str]:
    """The names by which GitHub links to the headings of a page."""
    headings = re.findall(r'^#+ (.*)$', page.read_text(), flags=re.M)
    return {re.sub(r'[^\w -]', '', heading).lower().replace(' ', '-') for heading in headings}


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for link in re.findall(r'\]\(([^)\s]+)\)', page.read_text()):
        if '://' not in link:
            path, _, heading = link.partition('#')
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), link
            assert not heading or heading in anchors(target), link


def test_the_index_names_every_page() -> None:
    index = ROOT / 'docs/README.md'
    linked = set(re.findall(r'\]\(([\w-]+\.md)\)', index.read_text()))
    assert linked == {page.name for page in (ROOT / 'docs').glob('*.md')} - {index.name}


def test_the_readme_is_read_in_a_few_minutes() -> None:
    assert len((ROOT / 'README.md').read_bytes()) < 12_000
