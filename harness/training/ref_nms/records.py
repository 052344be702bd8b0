"""Records of what shapes each training and the regions that it sees, for :mod:`harness.files.fingerprint`."""
from __future__ import annotations

import hashlib

from harness.files.fingerprint import Record, code_of
from harness.training.ref_nms.options import TrainingOptions
from harness.types import Dataset
from harness.words.vectors import WordVectors

#: The code of detectors.
DETECTING = ('harness.detection.detector', 'harness.detection.two_stage', 'harness.detection.configs.embedded',
             'harness.detection.configs.res101_c4')


def vectors_record(vectors: WordVectors) -> Record:
    """The record of word vectors."""
    content = '\n'.join(vectors.words).encode() + vectors.vectors.contiguous().numpy().tobytes()
    return {'vectors': vectors.name, 'gamma': vectors.gamma, 'sha256 of vectors': hashlib.sha256(content).hexdigest()}


def ref_nms_record(options: TrainingOptions, train: Dataset, val: Dataset, detector: str, vectors: WordVectors,
                   seed: int) -> Record:
    """The record of a training of Ref-NMS; ``detector`` is the SHA-256 of the detector's weight file."""
    every = options.steps.validate_every or None  # as the runner records it
    return {'dataset': train.name, **options.flat, 'validate_every': every, 'seed': seed,
            'sha256 of train': train.data_hash, 'sha256 of val': val.data_hash, 'sha256 of detector': detector,
            **vectors_record(vectors), 'code of training': code_of('harness.training.ref_nms.training', *DETECTING)}
