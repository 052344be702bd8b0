"""What ``train ref-nms-b`` and ``ref-nms-r`` do once their options have been read: they read, detect and train."""
from __future__ import annotations

from harness.commands.training_request import TrainingRequest
from harness.detection.weight_files import detector_of
from harness.errors import InputError
from harness.files.fingerprint import Record
from harness.plugins import Detector
from harness.training.ref_nms.image_regions import ImageRegions, Regions
from harness.training.ref_nms.job import RefNMSJob
from harness.training.ref_nms.options import TrainingOptions
from harness.training.ref_nms.pooled_regions import pooled_split
from harness.training.ref_nms.records import ref_nms_record
from harness.training.ref_nms.region_store import RegionStore, fill_store, starts_from_map, store_folder
from harness.training.ref_nms.stored import keeper, what_is_kept
from harness.training.ref_nms.training import stage_of, train_ref_nms
from harness.training.runner import check_checkpoints, join_processes
from harness.types import Dataset


def prepared(request: TrainingRequest, options: TrainingOptions, dry: bool = False) -> tuple[RefNMSJob, Detector]:
    """Read everything that a training needs; a ``dry`` run needs all of it too.

    Raises:
        InputError: a file or option is wrong.
    """
    train, val = request.datasets()
    weights, device = request.detector_weights(), request.pick_device()
    vectors = request.word_vectors(train, val)
    check_checkpoints(request.work, ref_nms_record(options, train, val, weights.sha256, vectors, request.seed))
    detector = detector_of(weights, device)
    store = request.store or ('none' if starts_from_map(detector) else 'crops')
    _check_fits(request, options, detector, store)
    return RefNMSJob(train, val, options, weights, vectors, device, request.seed, store,
                     request.checkpoint_every, request.workers or 0, request.out, request.work,
                     request.stored), detector


def _check_fits(request: TrainingRequest, options: TrainingOptions, detector: Detector, store: str) -> None:
    """Refuse options that do not fit the detector, or what is stored of its images."""
    named = {setting.partition('=')[0] for setting in request.settings}
    if stage_of(detector) is None and options.head == 'frozen':
        raise InputError('--set head=frozen: the detector has no residual stage that Ref-NMS could share; leave it out')
    if stage_of(detector) is not None and (own := sorted(named & {'planes', 'blocks'})):
        raise InputError(f'--set {own[0]}: has no effect, since the head is the residual stage of the detector; leave '
                         'it out')
    if request.store == 'maps' and not starts_from_map(detector):
        raise InputError('--store maps: regions of this detector are cut from several maps; take --store crops')
    if store == 'crops' and 'jitter' in named:
        raise InputError('--set jitter: has no effect where crops are stored, of jittered boxes too; leave it out, or '
                         'add --store none')


def train(training: RefNMSJob, detector: Detector, command: str) -> None:
    """Run the detector on the images that it has not been run on, then train."""
    join_processes()
    if training.options.head == 'frozen':
        seen = _pooled(training, detector, training.train, 'train')
        seen_of_val = _pooled(training, detector, training.val, 'val')
    else:
        seen = seen_of_val = _stored(training, detector)
    train_ref_nms(training.train, training.val, seen, seen_of_val, detector, training.vectors, training.out,
                  training.work, detector_hash=training.detector.sha256, command=command, seed=training.seed,
                  options=training.options, checkpoint_every=training.checkpoint_every, workers=training.workers)


def record_of(training: RefNMSJob) -> Record:
    """What shapes a training, all of it."""
    return ref_nms_record(training.options, training.train, training.val, training.detector.sha256, training.vectors,
                          training.seed)


def _pooled(training: RefNMSJob, detector: Detector, dataset: Dataset, split: str) -> Regions:
    return pooled_split(dataset, split, detector, training.vectors, training.regions,
                        detector_hash=training.detector.sha256, sampling=training.options.sampling)


def _stored(training: RefNMSJob, detector: Detector) -> Regions:
    folder = store_folder(training.regions, training.train, training.val, training.detector.sha256,
                          ImageRegions.of(training.options.sampling), what_is_kept(training))
    fill_store(folder, training.images, detector, keeper(training))
    return RegionStore(folder, [info for _, info in training.images], detector if training.store == 'none' else None)
