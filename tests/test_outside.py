"""Expressions in the originals' layouts are told apart from plain ones, and a run goes on from them."""
from __future__ import annotations

import json
from pathlib import Path

from adapters.originals.outside import read_expressions
from run_benchmark import command_line
from tests.test_originals_mattnet_data import RECORD

PLAIN = {'dataset': 'mine', 'split': 'val', 'image_id': 7, 'height': 100, 'width': 200, 'bbox': [10, 10, 40, 40],
         'sent': 'left cup'}
REFDB = {'dataset_splitby': 'refcoco_unc', 'val': [
    {'exp_id': 5, 'ref_id': 3, 'image_id': 7, 'bbox': [10, 20, 40, 60], 'tokens': [1, 0]}]}


def prepared(folder: Path, name: str = 'data.json') -> Path:
    home = folder / 'refcoco_unc'
    home.mkdir()
    (home / name).write_text(json.dumps(RECORD))
    return home / name


def test_each_layout(tmp_path: Path) -> None:
    (tmp_path / 'plain.jsonl').write_text(json.dumps(PLAIN) + '\n')
    assert [e.sent for e in read_expressions(tmp_path / 'plain.jsonl')['mine'].expressions] == ['left cup']
    refcoco = read_expressions(prepared(tmp_path))['refcoco']
    assert [e.sent_id for e in refcoco.split('val')] == [32, 31] and refcoco.annotations is not None
    (tmp_path / 'std_refdb_refcoco_unc.json').write_text(json.dumps(REFDB))
    (tmp_path / 'std_vocab_refcoco_unc.txt').write_text('<unk>\ncup\n')
    (encoded,) = read_expressions(tmp_path / 'std_refdb_refcoco_unc.json')['refcoco'].expressions
    assert (encoded.sent, encoded.gt_xywh) == ('cup <unk>', (10, 20, 30, 40))


def test_recall_of_mattnet_s_detections_from_its_caches_alone(tmp_path: Path) -> None:
    """Two sentences of one referent, and its box among the detections, w = x2 - x1 + 1 as they are."""
    dets = [{'det_id': 1, 'h5_id': 0, 'box': [10.5, 20.25, 30, 40], 'image_id': 7, 'category_id': 18,
             'category_name': 'dog', 'score': 0.9}]
    (tmp_path / 'dets.json').write_text(json.dumps(dets))
    assert command_line(['--expressions', str(prepared(tmp_path)), '--split', 'val', '--detections',
                         str(tmp_path / 'dets.json'), '--out', str(tmp_path / 'out')]) == 0
    records = json.loads((tmp_path / 'out/results.json').read_text())['records']
    found = {r['metric']: (r['value'], r['n']) for r in records if r['dataset'] == 'refcoco'}
    assert found['referent_recall'] == (100.0, 2) and found['mean_proposals'] == (1.0, 2)


def test_a_refdb_without_its_words_is_refused_in_one_line(tmp_path: Path, capsys) -> None:
    (tmp_path / 'std_refdb_refcoco_unc.json').write_text(json.dumps(REFDB))
    assert command_line(['--expressions', str(tmp_path / 'std_refdb_refcoco_unc.json'), '--task', 'recall']) == 2
    assert 'std_vocab_refcoco_unc.txt: there is no such file' in capsys.readouterr().err.splitlines()[-1]
