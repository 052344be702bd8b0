"""A rehearsal of RefCOCO of a few images, a narrow pyramid detector with random weights, and trainings of a few steps.
"""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.data.coco_categories import COCO_CLASSES
from harness.detection.weight_files import detector_of
from harness.embedded.rehearsal import write_rehearsal
from harness.files.weights import load_weights, save_weights
from harness.plugins import Detector
from tests.mmdet_families import family

#: Images to train on, and of each evaluation split.
TRAIN, SPLIT = 6, 2
_REF_NMS = 'epochs=1 batch_size=4 hidden=4 mlp=8 planes=4 validate_every=5'
_MODULAR = 'word_dim=8 rnn_dim=4'
#: Each part's recipe ``released``, cut down.
TINY = {
    'ref-nms-b': _REF_NMS,
    'ref-nms-r': f'{_REF_NMS} lowest=6 others=2',
    'ref-nms-blind': _REF_NMS,
    'mattnet': f'{_MODULAR} embedding_dim=8 joint_dim=8 batch_size=2 steps=4 validate_every=2',
    'cmae': f'{_MODULAR} embedding_dim=104 image_hidden_dim=4 attention_batch_size=2 erase_batch_size=2 '
            'attention_epochs=1 erase_epochs=1',
    'nmtree': 'memory_dim=8 tag_dim=4 dep_dim=4 batch_size=2 epochs=1',
}


@dataclass(frozen=True)
class SmallRehearsal:
    """Where data and detector are, and the commands that train on them."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / 'data'

    @property
    def detector(self) -> Path:
        return self.folder / 'detector.safetensors'

    def load_detector(self) -> Detector:
        return detector_of(load_weights(self.detector))

    def training(self, part: str, to: Path, *more: str) -> list[str]:
        """The command that trains a part; weights go to ``to/weights``, and what ``more`` sets takes the place of what
        is set here."""
        set_by_more = {text.partition('=')[0] for text in more}
        return ['train', part, '--data-root', str(self.root), '--dataset', 'refcoco', '--out', str(to / 'weights'),
                '--work', str(to / 'work'), '--device', 'cpu',
                *([] if 'detector' in set_by_more else [f'--weights=detector={self.detector}']),
                *(f'--set={setting}' for setting in TINY[part].split() if setting.partition('=')[0] not in set_by_more),
                *more]


def small_rehearsal(folder: Path) -> SmallRehearsal:
    """Write data and detector; the same each time."""
    found = SmallRehearsal(folder)
    write_rehearsal(found.root, train_images=TRAIN, split_images=SPLIT, processes=1)
    network = family('mask-r50-fpn', narrow=True).weights
    save_weights(found.detector, dict(network.tensors), {**network.meta, 'classes': list(COCO_CLASSES)})
    return found
