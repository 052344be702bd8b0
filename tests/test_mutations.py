"""The list of breakages fits the code, and trying one tells a test that notices from one that does not."""
from pathlib import Path

import pytest

from tests.mutations import BREAKAGES, ROOT, Breakage, fault, tried


@pytest.mark.parametrize('breakage', BREAKAGES, ids=lambda b: b.what)
def test_a_breakage_fits_the_code_as_it_is(breakage: Breakage) -> None:
    assert fault(breakage, ROOT) == '' and breakage.before != breakage.after


def test_a_breakage_is_caught_or_survives_and_the_file_is_whole_again(tmp_path: Path) -> None:
    (tmp_path / 'half.py').write_text('def half(n):\n    return n / 2\n')
    (tmp_path / 'tests').mkdir()
    (tmp_path / 'tests/test_four.py').write_text('from half import half\ndef test_four(): assert half(4) == 2\n')
    (tmp_path / 'tests/test_none.py').write_text('from half import half\ndef test_none(): assert half(0) == 0\n')
    (tmp_path / 'pytest.ini').write_text('[pytest]\npythonpath = .\n')
    doubled = Breakage('doubled', 'half.py', 'n / 2', 'n * 2', ('test_four',))
    assert tried(doubled, tmp_path) == (True, 'test_four.py::test_four')
    assert tried(doubled._replace(tests=('test_none',)), tmp_path) == (False, 'SURVIVED test_none')
    assert tried(doubled._replace(before='n // 2'), tmp_path) == (
        False, "half.py: 'n // 2' is there 0 times; write what stands there now")
    assert tried(doubled._replace(tests=('test_five',)), tmp_path) == (False, 'there are no tests test_five')
    assert (tmp_path / 'half.py').read_text() == 'def half(n):\n    return n / 2\n'
