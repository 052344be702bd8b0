"""Files of expressions, boxes, masks and answers, in every layout."""
from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from functools import partial
from typing import Any

from tests import answer_files
from tests.broken_inputs import sound
from tests.broken_inputs.damage import Content, dumped, pythonic
from tests.broken_inputs.sound import damage_of, lines, trials_of
from tests.broken_inputs.trials import Trial

OUT = ('--out', 'out')
RECALL = ('--candidates', 'c.json', '--task', 'recall', *OUT)
BOXES: dict[str, Content] = {'c.json': dumped(sound.CANDIDATES)}
#: How a run is told of a data root with answers to judge: the way that needs least time.
JUDGED = ('--data-root', '.', '--dataset', 'refcoco', '--predictions', 'p.json', *OUT)
ANSWERS: dict[str, Content] = {'p.json': dumped(sound.COCO_RESULTS)}


def expressions() -> Iterator[Trial]:
    return trials_of('e.jsonl', sound.EXPRESSION, ('--expressions', 'e.jsonl', *RECALL), BOXES,
                     write=lambda row: lines(row, *sound.OTHERS))


def excerpts() -> Iterator[Trial]:
    argv = ('--expressions', 'x.json', '--candidates', 'x.json', '--task', 'recall', *OUT)
    return trials_of('x.json', sound.EXCERPT, argv)


def candidates() -> Iterator[Trial]:
    return trials_of('c.json', sound.CANDIDATES, ('--expressions', 'e.jsonl', *RECALL), sound.plain())


def detections() -> Iterator[Trial]:
    argv = ('--expressions', 'e.jsonl', '--detections', 'd.json', '--task', 'recall', *OUT)
    for record in (sound.MATTNET, sound.REF_NMS):
        yield from trials_of('d.json', record, argv, sound.plain())


def detected_masks() -> Iterator[Trial]:
    argv = ('--data-root', '.', '--dataset', 'refcoco', '--detections', 'd.json', '--masks', 'm.json', '--grounder',
            'chance', *OUT)
    return trials_of('m.json', sound.MASKS, argv, {**sound.refer(), 'd.json': dumped(sound.MATTNET)})


def answers() -> Iterator[Trial]:
    argv = ('--expressions', 'e.jsonl', '--predictions', 'p.json', *OUT)
    for record in (sound.COCO_RESULTS, sound.EVAL_DETS, sound.TREE_DETS):
        yield from trials_of('p.json', record, argv, sound.plain())


def answers_with_masks() -> Iterator[Trial]:
    for record in (sound.COCO_RESULTS, sound.EVAL_DETS):
        yield from trials_of('p.json', record, JUDGED, sound.refer())


def answers_of_models() -> Iterator[Trial]:
    """Answers in the forms of other programs."""
    for form, value in (('vlm-r1', answer_files.vlm_r1()), ('qwen-vl', answer_files.qwen_vl()),
                        ('minigpt', answer_files.minigpt()), ('lbyl', answer_files.lbyl()),
                        ('google', answer_files.google())):
        argv = ('--expressions', 'e.jsonl', '--predictions', 'a.json', '--answers', form, *OUT)
        yield from trials_of('a.json', value, argv, {'e.jsonl': answer_files.data_lines()})
    for form, (first, *others), units in (('jsonl', answer_files.jsonl(), 'pixels'),
                                          ('lmms-eval', answer_files.lmms_eval(), 'fraction')):
        argv = ('--predictions', 'a.jsonl', '--answers', form, '--coordinates', units, *OUT)
        yield from trials_of('a.jsonl', first, argv, {}, write=lambda row, others=others: lines(row, *others))


def own_rows() -> Iterator[Trial]:
    """Rows of ``predictions.jsonl``."""
    from tests.broken_inputs.result_files import sound_run
    first, *others = [json.loads(line) for line in sound_run()['predictions.jsonl'].splitlines()]
    argv = ('--expressions', 'e.jsonl', '--predictions', 'p.jsonl', *OUT)
    return trials_of('p.jsonl', first, argv, sound.plain(), write=lambda row: lines(row, *others))


def refs() -> Iterator[Trial]:
    return trials_of('refcoco/refs(unc).json', sound.REFS, JUDGED, {**_root('refcoco/instances.json'), **ANSWERS})


def pickled_refs() -> Iterator[Trial]:
    for protocol in (0, 2):
        yield from trials_of('refcoco/refs(unc).p', sound.REFS, JUDGED, {**_root('refcoco/instances.json'), **ANSWERS},
                             write=partial(_pickled, protocol=protocol))


def instances() -> Iterator[Trial]:
    return trials_of('refcoco/instances.json', sound.INSTANCES, JUDGED, {**_root('refcoco/refs(unc).json'), **ANSWERS})


def instances_run() -> Iterator[Trial]:
    """The same in a run, where contextual objects and detected masks are looked for too."""
    argv = ('--data-root', '.', '--dataset', 'refcoco', '--detections', 'd.json', '--grounder', 'chance', *OUT)
    others = {name: content for name, content in sound.refer().items() if name != 'refcoco/instances.json'}
    return trials_of('refcoco/instances.json', sound.INSTANCES, argv, {**others, 'd.json': dumped(sound.MATTNET)})


def looked_through() -> Iterator[Trial]:
    """``check-data``, which ends with 1 where nothing can be run."""
    files = {name: content for name, content in sound.refer().items() if not name.endswith('refs(unc).json')}
    return trials_of('refcoco/refs(unc).json', sound.REFS, ('check-data', '--data-root', '.'), files)


def mattnet_data() -> Iterator[Trial]:
    return trials_of('refcoco_unc/data.json', sound.DATA, ('--expressions', 'refcoco_unc/data.json', *RECALL), BOXES)


def nmtree_data() -> Iterator[Trial]:
    return trials_of('refcoco_unc/data_dep.json', sound.DATA_DEP,
                     ('--expressions', 'refcoco_unc/data_dep.json', *RECALL), BOXES)


def refdb() -> Iterator[Trial]:
    argv, words = ('--expressions', 'std_refdb_refcoco_unc.json', *RECALL), b'<unk>\ndog\nred\n'
    files = {**BOXES, 'std_vocab_refcoco_unc.txt': words}
    yield from trials_of('std_refdb_refcoco_unc.json', sound.REFDB, argv, files)
    yield from damage_of('std_vocab_refcoco_unc.txt', words, argv,
                         {**BOXES, 'std_refdb_refcoco_unc.json': dumped(sound.REFDB)})


def _root(name: str) -> dict[str, Content]:
    return {name: sound.refer()[name]}


def _pickled(value: Any, protocol: int) -> bytes:
    return pickle.dumps(pythonic(value), protocol)


def readers() -> Iterator[Trial]:
    """Readers that no command calls, by their full name."""
    module = 'adapters.originals.ref_nms_proposals.read_proposals'
    rows = {'val': {'31': [{'score': 0.5, 'box': [1, 2, 30, 40], 'cls_idx': 1}]}}
    yield from trials_of('p.json', rows, (module, 'p.json'), program='read')
    for protocol in (0, 2):
        yield from trials_of('p.pkl', rows, (module, 'p.pkl'), program='read',
                             write=partial(_pickled, protocol=protocol))
    yield from trials_of('c.json', sound.CTXDB, ('adapters.originals.ref_nms_data.read_ctxdb', 'c.json'),
                         program='read')
    yield from trials_of('p.json', sound.EVAL_DETS, ('adapters.originals.results.read_original_predictions', 'p.json'),
                         program='read')
    atts = {f'r{i}': ['none'] for i in range(1, 9)}
    parsed = [{'sent_id': 7, 'tokens': ['red', 'cup'], 'atts': {**atts, 'r1': ['cup'], 'r2': ['red']}}]
    yield from trials_of('sents.json', parsed, ('adapters.modular.parsed_sentences.read_parsed', 'sents.json'),
                         program='read')
