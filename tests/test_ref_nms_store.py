"""What Ref-NMS keeps of images on disk: crops of a pyramid or of the C4 detector, or candidates alone."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.boxes import iou
from harness.commands.ref_nms_training import prepared
from harness.commands.training_request import TrainingRequest
from harness.detection.pictures import read_recorded
from harness.files.weights import load_weights, shipped_path
from harness.plugins import Detector
from harness.proposals.ref_nms import RefNMSB
from harness.training.ref_nms import region_store
from harness.training.ref_nms.jitter_pool import KEPT_POOL
from harness.training.ref_nms.job import RefNMSJob
from harness.training.ref_nms.levels import INTERVALS
from harness.training.ref_nms.options import RELEASED
from harness.training.ref_nms.pooled_regions import crops
from harness.training.ref_nms.region_store import RegionStore, fill_store
from harness.training.ref_nms.stored import keeper
from harness.types import ImageFeatures, ImageInfo
from run_benchmark import command_line
from tests.small_rehearsal import SPLIT, TRAIN, SmallRehearsal, small_rehearsal

DETECTORS = ('pyramid', 'c4')


@pytest.fixture(scope='module')
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> SmallRehearsal:
    return small_rehearsal(tmp_path_factory.mktemp('rehearsal'))


def weights_of(rehearsal: SmallRehearsal, detector: str) -> Path:
    return rehearsal.detector if detector == 'pyramid' else shipped_path('detector')


def job_of(rehearsal: SmallRehearsal, detector: str, store: str | None, loss: str = 'binary') -> tuple[
        RefNMSJob, Detector]:
    to = rehearsal.folder / 'jobs'
    return prepared(TrainingRequest(
        'ref-nms-b', 'refcoco', to / 'out.safetensors', to / 'work', to, data_root=rehearsal.root, store=store,
        weights={'detector': weights_of(rehearsal, detector)}, device='cpu'), RELEASED[loss])


def stored(rehearsal: SmallRehearsal, detector: str, store: str | None, folder: Path) -> tuple[
        RegionStore, RefNMSJob, Detector]:
    """The images of both splits, in a folder."""
    job, network = job_of(rehearsal, detector, store)
    fill_store(folder, job.images, network, keeper(job))
    return RegionStore(folder, [info for _, info in job.images], network if job.store == 'none' else None), job, network


def seen(detector: Detector, info: ImageInfo) -> ImageFeatures:
    return detector.features(read_recorded(info).pixels, info)


@pytest.mark.parametrize('detector', DETECTORS)
def test_candidates_are_the_same_whatever_is_kept_of_them(detector: str, rehearsal: SmallRehearsal,
                                                          tmp_path: Path) -> None:
    kept, job, network = stored(rehearsal, detector, 'crops', tmp_path / 'crops')
    alone = stored(rehearsal, detector, 'none', tmp_path / 'none')[0]
    assert set(kept) == set(alone) and len(kept) == TRAIN + SPLIT
    for image_id in kept:
        assert all(torch.equal(kept[image_id][name], alone[image_id][name])
                   for name in ('boxes', 'labels', 'det_scores', 'evaluated'))
        assert len(kept[image_id]['crops']) == len(kept[image_id]['boxes']) >= 32
        assert kept[image_id]['n_greedy'] == alone[image_id]['n_greedy']
    size = {name: sum(path.stat().st_size for path in (tmp_path / name).iterdir()) for name in ('crops', 'none')}
    assert size['none'] < size['crops'] / 10
    info = job.images[0][1]
    again = alone[info.image_id]
    boxes = again['boxes'][:3]
    if detector == 'pyramid':
        assert torch.equal(again['cut'](boxes), crops(seen(network, info), boxes).cpu())
    else:
        assert torch.equal(again['feature_map'], seen(network, info).feature_map[0].cpu())


def test_a_pyramid_keeps_crops_and_a_c4_map_is_seen_again_by_default(rehearsal: SmallRehearsal) -> None:
    assert [job_of(rehearsal, detector, None)[0].store for detector in DETECTORS] == ['crops', 'none']


def test_relatedness_of_stored_crops_of_val_is_that_of_a_run(rehearsal: SmallRehearsal, tmp_path: Path) -> None:
    assert command_line(rehearsal.training('ref-nms-b', rehearsal.folder)) == 0
    rule = RefNMSB(load_weights(rehearsal.folder / 'weights/ref-nms-b-refcoco.safetensors'))
    kept, job, network = stored(rehearsal, 'pyramid', 'crops', tmp_path)
    for info, group in job.val.by_image(job.val.split('val')):
        of_rule = rule.related(seen(network, info), group)
        mine = kept[info.image_id]
        assert mine['crops'].dtype == torch.float32
        now = mine['evaluated']
        sentences = [rule.vocabulary(e.tokens) for e in group]
        with torch.no_grad():
            of_store = rule.network.relatedness(mine['crops'][now], sentences)
        assert torch.equal(mine['boxes'][now], of_rule.candidates.bboxes)
        torch.testing.assert_close(of_store, of_rule.relatedness, rtol=0, atol=1e-5)
    first = job.train.split('train')[0].image_id
    assert kept[first]['crops'].dtype == torch.float16, 'where nothing is decided by the last digit'


@pytest.mark.parametrize('detector', DETECTORS)
def test_the_pool_holds_crops_of_jittered_boxes(detector: str, rehearsal: SmallRehearsal,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    job, network = job_of(rehearsal, detector, 'crops', 'ranking')
    looked: list[torch.Tensor] = []

    def look(image: ImageFeatures, boxes: torch.Tensor) -> torch.Tensor:
        looked.append(boxes)
        return crops(image, boxes)
    monkeypatch.setattr('harness.training.ref_nms.stored.crops', look)
    dataset, info = job.images[0]
    kept: Mapping[str, Any] = keeper(job)(seen(network, info))
    n, targets, number = len(kept['boxes']), kept['pool_targets'], KEPT_POOL.size
    made = looked[0][n:].reshape(len(targets), number, 4)
    assert kept['pool'].shape[:2] == made.shape[:2] and len(targets) > 1
    levels = torch.arange(6).repeat_interleave(torch.tensor(KEPT_POOL.numbers))
    low, high = torch.tensor(INTERVALS, dtype=torch.float64)[levels].T
    for target, boxes, pool in zip(targets, made, kept['pool'], strict=True):
        assert torch.equal(pool, crops(seen(network, info), boxes).half().cpu())
        overlap = iou(boxes.double(), target[None])
        assert bool(((overlap > low - 1e-4) & (overlap < high + 1e-4)).all()), 'each at the overlap of its level'


def test_a_killed_filling_goes_on_with_the_images_that_are_missing(rehearsal: SmallRehearsal, tmp_path: Path) -> None:
    job, network = job_of(rehearsal, 'pyramid', 'crops')
    looked: list[int] = []

    def watched(fail_at: int | None = None) -> Callable[[ImageFeatures], Mapping[str, Any]]:
        keep = keeper(job)

        def record_of(image: ImageFeatures) -> Mapping[str, Any]:
            if len(looked) == fail_at:
                raise KeyboardInterrupt
            looked.append(image.info.image_id)
            return keep(image)
        return record_of
    with pytest.raises(KeyboardInterrupt):
        fill_store(tmp_path, job.images, network, watched(fail_at=3))
    assert len(list(tmp_path.iterdir())) == 3
    fill_store(tmp_path, job.images, network, watched())
    assert looked == [info.image_id for _, info in job.images]
    fill_store(tmp_path, job.images, network, watched(fail_at=len(looked)))


def test_a_file_is_there_whole_or_not_at_all(rehearsal: SmallRehearsal, tmp_path: Path,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    job, network = job_of(rehearsal, 'pyramid', 'crops')

    def half(tensors: object, path: str, metadata: object) -> None:
        Path(path).write_bytes(b'half')
        raise KeyboardInterrupt
    monkeypatch.setattr(region_store, 'save_file', half)
    with pytest.raises(KeyboardInterrupt):
        fill_store(tmp_path, job.images, network, keeper(job))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('detector, more, said', [
    ('pyramid', ('--set', 'head=frozen'), '--set head=frozen: the detector has no residual stage that Ref-NMS could '
                                          'share; leave it out'),
    ('pyramid', ('--store', 'maps'), '--store maps: regions of this detector are cut from several maps; take --store '
                                     'crops'),
    ('c4', ('--set', 'planes=8'), '--set planes: has no effect, since the head is the residual stage of the detector; '
                                  'leave it out'),
    ('c4', ('--set', 'blocks=2'), '--set blocks: has no effect, since the head is the residual stage of the detector; '
                                  'leave it out'),
    ('c4', ('--set', 'head=frozen', '--store', 'crops'), '--store: is for Ref-NMS with a head that is trained; leave '
                                                         'it out')])
def test_what_does_not_fit_the_detector_is_one_line(detector: str, more: tuple[str, ...], said: str,
                                                    rehearsal: SmallRehearsal, tmp_path: Path,
                                                    capsys: pytest.CaptureFixture) -> None:
    command = ['train', 'ref-nms-b', '--data-root', str(rehearsal.root), '--dataset', 'refcoco', '--device', 'cpu',
               '--weights', f'detector={weights_of(rehearsal, detector)}', '--out', str(tmp_path / 'weights'),
               '--work', str(tmp_path / 'work'), *more]
    for dry in ([], ['--dry-run']):
        assert command_line([*command, *dry]) == 2
        errors = [line for line in capsys.readouterr().err.splitlines() if not line.startswith('loading')]
        assert errors == [f'error: {said}'] and not list(tmp_path.iterdir())


@pytest.mark.parametrize(('detector', 'store'), [('pyramid', ()), ('c4', ('--store', 'crops'))])
def test_stored_crops_have_their_own_jittered_boxes(detector: str, store: tuple[str, ...], rehearsal: SmallRehearsal,
                                                    tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    command = ['train', 'ref-nms-r', '--data-root', str(rehearsal.root), '--dataset', 'refcoco', '--device', 'cpu',
               '--weights', f'detector={weights_of(rehearsal, detector)}', '--out', str(tmp_path / 'weights'),
               '--work', str(tmp_path / 'work'), '--set', 'jitter=image', *store]
    assert command_line(command) == 2
    assert '--set jitter: has no effect where crops are stored, of jittered boxes too; ' in capsys.readouterr().err
