"""A run that starts at the originals' files, detections and head features, ends where a run from images does."""
from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from adapters.modular.mattnet import MAttNetGrounder
from harness.data.masks import to_rle
from harness.detection.detector import Detector, read_image
from harness.embedded.known import load_embedded
from harness.files.weights import load_weights, shipped_path
from run_benchmark import command_line


@pytest.fixture(scope='module')
def run_from_images(small_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of CM-A-E on greedy proposals, with its detections and head features beside it, as MAttNet stores them."""
    out = tmp_path_factory.mktemp('originals')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('REFNMS_CACHE', str(small_cache))
        assert command_line([*options('greedy'), '--out', str(out / 'run')]) == 0
        dataset = load_embedded('mini-refcoco', 'eval')
    detector = Detector(load_weights(shipped_path('detector')))
    (out / 'head_feats').mkdir()
    for info in dataset.images.values():
        seen = detector.see(read_image(info.path))
        with h5py.File(out / 'head_feats' / f'{info.image_id}.h5', 'w') as file:
            file['head'] = seen.feature_map.numpy()
            file['im_info'] = np.array([[*seen.input_size, seen.scale]], np.float32)
    (out / 'dets.json').write_text(json.dumps(list(by_sentence(out / 'run'))))
    return out


def options(rule: str | None = None) -> list[str]:
    chosen = [] if rule is None else ['--proposals', rule]
    return ['--dataset', 'mini-refcoco', '--split', 'testB', '--grounder', 'cmae', *chosen]


def by_sentence(run: Path):
    """Ref-NMS's layout: w = x2 - x1, no score (``tools/save_matt_dets.py`` of ChopinSharp/ref-nms)."""
    for row in map(json.loads, (run / 'proposals.jsonl').read_text().splitlines()):
        for k, (box, label) in enumerate(zip(row['boxes'], row['labels'], strict=True)):
            yield {'det_id': row['sent_id'] * 1000 + k, 'h5_id': row['sent_id'] * 1000 + k, 'ref_id': 1,
                   'sent_id': row['sent_id'], 'image_id': row['image_id'], 'box': box, 'category_id': 1,
                   'category_name': label, 'split': row['split']}


def values(run: Path) -> dict[tuple[str, str], float]:
    records = json.loads((run / 'results.json').read_text())['records']
    return {(r['metric'], r['split']): r['value'] for r in records}


def test_detections_and_features_in_the_place_of_images(run_from_images: Path, small_benchmark: Path, tmp_path: Path,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    def no_image(path: Path) -> None:
        raise AssertionError(f'{path} was opened')
    monkeypatch.setattr('harness.detection.source.read_recorded', no_image)
    assert command_line([*options(), '--detections', str(run_from_images / 'dets.json'), '--features',
                         str(run_from_images / 'head_feats'), '--out', str(tmp_path / 'out')]) == 0
    expected, found = values(run_from_images / 'run'), values(tmp_path / 'out')
    assert found == pytest.approx(expected, abs=0.05), 'but for boxes rounded to a thousandth of a pixel'
    assert {metric for metric, _ in found} >= {'referent_recall', 'accuracy', 'overall_iou'}


def test_stored_masks_in_the_place_of_the_detector_s(run_from_images: Path, small_benchmark: Path,
                                                     tmp_path: Path) -> None:
    """``tools/run_detect_to_mask.py`` of lichengunc/MAttNet writes each detection with its ``rle``: here the answer."""
    dataset = load_embedded('mini-refcoco', 'eval')
    right = {e.sent_id: to_rle(next(a.segmentation for a in dataset.annotations[e.image_id] if a.ann_id == e.ann_id),
                               dataset.images[e.image_id].height, dataset.images[e.image_id].width)
             for e in dataset.split('testB')}
    masks = [{'det_id': one['det_id'], 'rle': {**right[one['sent_id']],
                                              'counts': right[one['sent_id']]['counts'].decode()}}
             for one in by_sentence(run_from_images / 'run')]
    (tmp_path / 'masks.json').write_text(json.dumps(masks))
    assert command_line([*options(), '--detections', str(run_from_images / 'dets.json'), '--masks',
                         str(tmp_path / 'masks.json'), '--out', str(tmp_path / 'out')]) == 0
    found = values(tmp_path / 'out')
    assert found['overall_iou', 'testB'] == 100 and found['accuracy', 'testB'] < 100


def test_nmtree_on_features_that_its_original_stored(run_from_images: Path, small_benchmark: Path, tmp_path: Path,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows in the order of the file's detections (``utils/det_loader.py`` of daqingliu/NMTree), here in reverse."""
    seen: dict[int, np.ndarray] = {}
    visual = MAttNetGrounder.visual

    def remembered(self, image, expressions, proposals):
        found = visual(self, image, expressions, proposals)
        seen.update({e.sent_id: rows.numpy() for e, rows in zip(expressions, found, strict=True)})
        return found
    monkeypatch.setattr(MAttNetGrounder, 'visual', remembered)
    nmtree = ['--dataset', 'mini-refcoco', '--split', 'testB', '--grounder', 'nmtree', '--task', 'rec']
    detections = ['--detections', str(run_from_images / 'dets.json')]
    assert command_line([*nmtree, *detections, '--out', str(tmp_path / 'images')]) == 0
    torch.save(seen, tmp_path / 'matt_res_det_feats.pth')

    monkeypatch.setattr('harness.evaluation.prepare.Detector', None)  # neither detector nor images are needed any more
    monkeypatch.setattr(MAttNetGrounder, 'visual', None)
    stored = ['--set', f'nmtree.features={tmp_path / "matt_res_det_feats.pth"}']
    assert command_line([*nmtree, *detections, *stored, '--out', str(tmp_path / 'out')]) == 0
    assert values(tmp_path / 'out') == values(tmp_path / 'images')


def test_features_alone_are_enough_for_every_rule(run_from_images: Path, small_benchmark: Path, tmp_path: Path) -> None:
    assert command_line([*options('greedy'), '--features', str(run_from_images / 'head_feats'),
                         '--out', str(tmp_path / 'out')]) == 0
    assert values(tmp_path / 'out') == values(run_from_images / 'run')


def test_detections_alone_are_enough_for_recall(run_from_images: Path, small_benchmark: Path, tmp_path: Path) -> None:
    assert command_line(['--dataset', 'mini-refcoco', '--split', 'testB', '--detections',
                         str(run_from_images / 'dets.json'), '--out', str(tmp_path / 'out')]) == 0
    found = values(tmp_path / 'out')
    assert found['referent_recall', 'testB'] == values(run_from_images / 'run')['referent_recall', 'testB']
    assert ('accuracy', 'testB') not in found


@pytest.mark.parametrize(('more', 'line'), [
    (['--detections', 'none.json'], 'none.json: there is no such file'),
    (['--detections', '{dets}', '--proposals', 'greedy'], 'boxes from outside'),
    (['--detections', '{dets}', '--dataset', 'mini-refcocog'], 'the file has none of the images or sentences'),
    (['--features', 'none'], 'none: is not a folder with <image_id>.h5 files'),
])
def test_what_is_refused(more: list[str], line: str, run_from_images: Path, small_benchmark: Path, tmp_path: Path,
                         capsys: pytest.CaptureFixture) -> None:
    arguments = [one.format(dets=run_from_images / 'dets.json') for one in more]
    dataset = [] if '--dataset' in more else ['--dataset', 'mini-refcoco']
    assert command_line([*dataset, '--grounder', 'cmae', '--out', str(tmp_path / 'out'), *arguments]) == 2
    assert line in capsys.readouterr().err.splitlines()[-1]
