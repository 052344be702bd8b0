"""VLM-R1's evaluation files."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.data.assembly.names import dataset_in, split_in, without_split
from harness.data.form_records import records_of, undefined_with
from harness.errors import InputError
from harness.files import fields
from harness.plugins import DataForm
from harness.registry import DATA_FORMS
from harness.types import FormRow, Sample

_FIELDS = ('image', 'problem', 'solution', 'height', 'width')
#: What stands before the sentence and behind it in a question.
BEFORE, BEHIND = 'describes: ', '.'


@DATA_FORMS.register_module(name='vlm-r1')
class VLMR1(DataForm):
    """VLM-R1's ``rec_jsons_processed/refcoco_val.json``: a list of sentences with the question and its solution.

    Boxes are xyxy in pixels, in ``solution``; ``normalized_solution``, thousandths rounded down, is not read. Without a
    solution there is no target, in a list of boxes there are several. The sentence is ``normal_caption``, or else what
    stands in ``problem`` behind "describes: ". The form lacks ids but the image's, category and mask; dataset and split
    are in ``dataset`` or in the file's name.

    Source: ``src/eval/test_rec_baseline.py`` and README of om-ai-lab/VLM-R1.
    """

    boxes = 'xyxy'

    def fits(self, sample: Sample) -> bool:
        return sample.layout in ('list', 'lines') and sample.has(*_FIELDS)

    def rows(self, path: Path, sample: Sample) -> Iterator[FormRow]:
        for where, record in records_of(path, sample.layout, _FIELDS, self.name):
            said = None if record.get('dataset') is None else fields.name(record, 'dataset', where)
            boxes = _solutions(record['solution'])
            yield FormRow(
                where, _sentence(record, where), boxes[0] if boxes else None, fields.name(record, 'image', where),
                fields.image_size(record, where), dataset=said and (dataset_in(said) or without_split(said)),
                split=said and split_in(said), undefined=undefined_with(len(boxes)))


def _solutions(solution: Any) -> list[Any]:
    """The boxes of a solution."""
    if not solution:
        return []
    return solution if isinstance(solution, list) and isinstance(solution[0], list) else [solution]


def _sentence(record: Mapping[str, Any], where: str) -> str:
    if record.get('normal_caption') is not None:
        return fields.text(record, 'normal_caption', where)
    return sentence_in(fields.text(record, 'problem', where), where)


def sentence_in(question: str, where: str) -> str:
    """The sentence that a question of VLM-R1 holds.

    Raises:
        InputError: it is another question.
    """
    _, found, sent = question.partition(BEFORE)
    if not found:
        raise InputError(f'{where}: its question is none of VLM-R1\'s for referring expressions, which say '
                         f'"{BEFORE.strip()}" before the sentence')
    return sent.strip().removesuffix(BEHIND)
