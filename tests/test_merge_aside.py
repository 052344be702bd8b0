"""A shard that was begun anew leaves the earlier one beside it, which has no part in the merged run."""
from __future__ import annotations

from pathlib import Path

from run_benchmark import command_line

RUN = ['--dataset', 'mini-refcoco', '--split', 'testB', '--proposals', 'greedy', '--task', 'recall']


def test_a_shard_that_was_moved_aside_is_not_merged(small_benchmark: Path, tmp_path: Path) -> None:
    out, whole = tmp_path / 'out', tmp_path / 'whole'
    for options in (['--shard', '1/2'], ['--shard', '2/2', '--seed', '1'], ['--shard', '2/2', '--fresh']):
        assert command_line([*RUN, *options, '--out', str(out)]) == 0
    assert (out / 'shard-2-of-2.1').is_dir()
    assert command_line(['merge', str(out)]) == 0
    assert command_line([*RUN, '--out', str(whole)]) == 0
    assert (out / 'predictions.jsonl').read_bytes() == (whole / 'predictions.jsonl').read_bytes()
