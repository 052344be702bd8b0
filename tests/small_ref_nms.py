"""A small world to train Ref-NMS on: maps whose left half says cup and whose right half says bowl."""
from types import SimpleNamespace

import torch

from harness.detection.c4_head import C4Head
from harness.detection.crop import crop_and_resize
from harness.files.weights import load_weights
from harness.proposals.ref_nms_network import RefNMS
from harness.training.ref_nms.options import EMBEDDED
from harness.training.ref_nms.pooled_regions import (
    PooledRegions,
)
from harness.training.ref_nms.training import (
    RefNMSForTraining,
    train_ref_nms,
)
from harness.types import Annotation, Dataset, Expression, ImageFeatures, ImageInfo
from harness.words.vectors import WordEmbedding, WordVectors

VOCABULARY = WordEmbedding(['<unk>', 'cup', 'bowl'], torch.tensor([[0., 0, 0], [1, 0, 0], [0, 1, 0]]))
MODEL = dict(in_channels=3, planes=4, blocks=1, word_dim=3, hidden=8, mlp=16)
SIZE = 6
SMALL = EMBEDDED['binary'].changed(epochs=2, batch_size=2, hidden=4, mlp=8)
RANKING = EMBEDDED['ranking'].changed(epochs=2, batch_size=2, hidden=4, mlp=8, lowest=6, others=2, draws='index')
BLIND = SMALL.changed(head='frozen', draws='index', text='blind')


def expression(image_id, sent_id, word, xywh):
    return Expression('mini-refcoco', 'train', image_id, sent_id, word, (word,), xywh)


def world(images=4, boxes=10):
    """Maps whose left half says cup and whose right half says bowl; boxes of 32 pixels on either, jittered."""
    regions, groups, targets = {}, [], {}
    generator = torch.Generator().manual_seed(0)
    for i in range(images):
        feature_map = torch.zeros(3, SIZE, SIZE)
        feature_map[0, :, :3], feature_map[1, :, 3:], feature_map[2] = 1, 1, torch.rand(SIZE, SIZE, generator=generator)
        left = torch.arange(boxes) % 2 == 0
        corner = torch.stack((torch.where(left, 2., 52.), torch.full((boxes,), 20.)), dim=1)
        corner += 4 * torch.rand(boxes, 2, generator=generator)
        regions[i] = {'feature_map': feature_map.half(), 'scale': 1., 'size': (96, 96), 'labels': (~left).long(),
                      'boxes': torch.cat((corner, corner + 32), dim=1), 'det_scores': torch.full((boxes,), 0.5),
                      'evaluated': torch.arange(boxes) < boxes - 2, 'n_greedy': 2}
        groups.append([expression(i, 2 * i, 'cup', (3, 21, 32, 32)),
                       expression(i, 2 * i + 1, 'bowl', (53, 21, 32, 32))])
        targets[2 * i] = torch.tensor([[3., 21, 35, 53]])
        targets[2 * i + 1] = torch.tensor([[53., 21, 85, 53]])
    return regions, groups, targets


def training_model(**options):
    torch.manual_seed(0)
    network = RefNMS(**MODEL, **options)
    network.init_weights()
    return RefNMSForTraining(network, VOCABULARY.vectors)


def small_training(folder, seed=1, options=SMALL, collected=None, **more):
    regions, groups, _ = world(images=6)
    train_groups, val_groups = groups[:4], groups[4:]
    annotations = {i: [Annotation(2 * i, i, (3, 21, 32, 32), 'cup'), Annotation(2 * i + 1, i, (53, 21, 32, 32), 'bowl')]
                   for i in range(6)}

    def dataset(groups, split):
        members = [Expression(e.dataset, split, e.image_id, e.sent_id, e.sent, e.tokens, e.gt_xywh)
                   for group in groups for e in group]
        images = {e.image_id: ImageInfo(e.image_id, 96, 96) for e in members}
        return Dataset('mini-refcoco', images, members, annotations, data_hash='abc')

    torch.manual_seed(8)
    head = C4Head(in_channels=3, planes=4, blocks=2)
    detector = SimpleNamespace(network=SimpleNamespace(roi_head=SimpleNamespace(shared_head=head)))
    vectors = WordVectors('set', ('bowl', 'cup'), torch.eye(2, 5), gamma=0.5)
    regions = regions if collected is None else collected
    out = train_ref_nms(dataset(train_groups, 'train'), dataset(val_groups, 'val'), regions, regions, detector, vectors,
                        folder / 'ref-nms-b.safetensors', folder / 'work', command='make it', seed=seed,
                        options=options, **{'detector_hash': 'def', **more})
    return load_weights(out)


class Detected:
    """Enough of ``ImageFeatures`` for a head that is frozen."""

    def __init__(self, head):
        self.head_module = head

    def pool(self, image, boxes):
        return crop_and_resize(image.feature_map, boxes * image.scale)

    def head(self, crops):
        return self.head_module(crops)


def frozen_world(head):
    """The small world's images as a frozen head sees them."""
    regions, groups, targets = world(images=6)
    collector = PooledRegions({i: torch.cat([targets[2 * i], targets[2 * i + 1]]) for i in range(6)}, torch.float32)
    for i, image in regions.items():
        scores = torch.stack((image['labels'] == 0, image['labels'] == 1), dim=1) * image['det_scores'][:, None]
        collector.add(ImageFeatures(ImageInfo(i, 96, 96), 1., image['feature_map'][None].float(),
                                    image['boxes'][:, None].expand(-1, 2, 4), scores, ('cup', 'bowl'), Detected(head)))
    return collector.collected(), regions, groups, targets


def small_head():
    torch.manual_seed(8)
    return C4Head(in_channels=3, planes=4, blocks=2).eval()
