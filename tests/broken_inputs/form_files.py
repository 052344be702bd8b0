"""Files of data in every form that people have them in."""
from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.broken_inputs.damage import Content, dumped
from tests.broken_inputs.sound import damage_of, lines, trials_of
from tests.broken_inputs.trials import Trial
from tests.form_samples import CUP, CUP_SIZE, DOG, DOG_SIZE, INSTANCES, SAMPLES, picture

#: Reads whatever ``data`` holds, with the sizes of images that a form lacks, and what it asks for besides.
READ = ('data', 'export', '--as', 'jsonl', '--out', 'out', '--images', 'images', '--data')


@cache
def images() -> dict[str, Content]:
    return {f'images/{CUP}': picture(CUP_SIZE), f'images/{DOG}': picture(DOG_SIZE)}


@cache
def sample(form: str) -> bytes:
    """The file of a form."""
    with tempfile.TemporaryDirectory() as folder:
        SAMPLES[form][1](Path(folder) / 'data')
        return (Path(folder) / 'data').read_bytes()


def forms() -> Iterator[Trial]:
    """Each form as ``data export`` reads it: a record of JSON with one thing wrong, and any file damaged."""
    for form in SAMPLES:
        data, argv, files = sample(form), (*READ, 'data'), images()
        if form in ('refer', 'grefcoco'):
            files = {**files, 'instances.json': dumped(INSTANCES)}
        if form == 'transvg':
            argv = (*argv, '--boxes', 'xywh')
        if data.startswith(b'['):
            yield from trials_of('data', json.loads(data), argv, files)
        elif data.startswith(b'{') and form not in ('mdetr', 'seqtr'):
            first, *others = map(json.loads, data.splitlines())
            yield from trials_of('data', first, argv, files, write=lambda row, others=others: lines(row, *others))
        elif data.startswith(b'{'):
            yield from trials_of('data', json.loads(data), argv, files)
        else:
            yield Trial('sound', argv, {**files, 'data': data}, sound=True)
            yield from damage_of('data', data, argv, files)
