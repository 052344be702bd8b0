"""How NMTree is trained: what it learns from, the sizes of its layers and its objective.

Source: ``tools/train.py``, ``tools/opts.py``, ``utils/gt_loader.py`` and ``misc/glove.py`` of daqingliu/NMTree.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from mmengine.model import BaseModel
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from adapters.modular.annotated_split import AnnotatedSplit, annotated_choices
from adapters.modular.mattnet import MAttNetGrounder
from adapters.nmtree.metadata import opt_of
from adapters.nmtree.trees import Parse, TreeVocabulary, trees_of
from grounders.nmtree import NMTree, NMTreeOptions
from grounders.tree_lstm import Forest
from harness.training.grounder import Material, Recipe, TrainingStage
from harness.types import Dataset
from harness.words.vectors import WordVectors

# Small enough for two cores; the original's are 50, 50, 1024 and 0.5, and 300 for a word.
EMBEDDED_WIDTHS: dict[str, Any] = dict(tag_dim=8, dep_dim=8, memory_dim=32, dropout=0.1)
EMBEDDED_EPOCHS = 8
EMBEDDED_BATCH = 16
# The original's Adam, and every gradient cut at 0.1. It takes 40 epochs of 128 images a step at 1e-3, a tenth less
# after each 10; with this few, 5e-3 falls to a tenth of it.
EMBEDDED_OPTIM_WRAPPER = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=5e-3, betas=(0.8, 0.999), eps=1e-8),
                              clip_grad=dict(type='value', clip_value=0.1))


def nmtree_recipe(material: Material, seed: int) -> Recipe:
    """The recipe of NMTree: one stage, on the annotated boxes of one dataset as the trained MAttNet sees them."""
    weights = material.trained('mattnet')
    mattnet = MAttNetGrounder(weights)
    train = seen_images(material.train, 'train', material.train_features, mattnet)
    val = seen_images(material.val, 'val', material.val_features, mattnet)
    vocabulary = TreeVocabulary.build(parse for image in train for parse in image.parses)
    options = NMTreeOptions(**vocabulary.sizes, visual_dim=train[0].visual.shape[2],
                            word_dim=material.vectors.vectors.shape[1], **EMBEDDED_WIDTHS)
    network = new_network(options, vocabulary, material.vectors)
    lessons, unseen = TreeLessons(train, vocabulary), TreeLessons(val, vocabulary)
    schedule = [dict(type='ExponentialLR', gamma=0.1 ** (1 / EMBEDDED_EPOCHS), by_epoch=True)]
    stage = TrainingStage('tree', NMTreeForTraining(network), lessons, lessons.collate, EMBEDDED_BATCH, EMBEDDED_EPOCHS,
                  EMBEDDED_OPTIM_WRAPPER, schedule,
                  lambda: {'accuracy on annotated boxes': choice_accuracy(network, unseen)})
    return Recipe([stage], network.state_dict, metadata(options, vocabulary, weights.sha256))


def new_network(options: NMTreeOptions, vocabulary: TreeVocabulary, vectors: WordVectors) -> NMTree:
    """A network to train. Words start from their ``vectors``; those without one start within ±1/√V, as in
    ``misc/glove.py: create_glove``."""
    network = NMTree(options)
    table = network.word_embedding.weight
    with torch.no_grad():
        table.uniform_(-1, 1).mul_(len(table) ** -0.5)
        known = {word: i for word, i in vocabulary.word_to_ix.items() if word in vectors.index}
        table[list(known.values())] = vectors.rows(known)
    return network


def metadata(options: NMTreeOptions, vocabulary: TreeVocabulary, mattnet_sha256: str) -> dict[str, Any]:
    """The metadata of a weight file: all that the grounder is built from again, and which MAttNet it needs."""
    return {'kind': 'nmtree', 'opt': opt_of(options), **vocabulary.to_json(), 'mattnet_sha256': mattnet_sha256}


class SeenImage(NamedTuple):
    """The s sentences and p annotated boxes of an image: ``visual`` (s, p, vis_dim) float16, the s ``parses``, and
    ``right`` (s,), the box that each sentence means."""

    visual: Tensor
    parses: list[Parse]
    right: Tensor


@torch.no_grad()
def seen_images(dataset: Dataset, split: str, features: Mapping[str, Any], mattnet: MAttNetGrounder
                ) -> list[SeenImage]:
    """Look at every annotated box of a split once per sentence, and parse every sentence.

    Sentences whose referent is not annotated are left out.

    Args:
        dataset: with annotations.
        split: its name.
        features: of the annotated boxes, as :meth:`adapters.modular.annotated_split.AnnotatedSplit.of` takes them.
        mattnet: trained; it stays as it is.

    Raises:
        InputError: as :meth:`adapters.modular.annotated_split.AnnotatedSplit.of`.
    """
    boxes = dataset.annotations or {}
    referring = [e for e in dataset.split(split) if any(a.ann_id == e.ann_id for a in boxes.get(e.image_id, ()))]
    trees_of(e.tokens for e in referring)  # all together is quicker than image by image
    held = AnnotatedSplit.of(dataset, referring, features, mattnet.vocabulary, mattnet.with_st)
    images = []
    for (_, members), batch in zip(dataset.by_image(referring), annotated_choices(held, images_a_batch=1), strict=True):
        grounding = mattnet.network.ground(batch.pool5, batch.fc7, batch.places, batch.labels, batch.rows)
        visual = grounding.nmtree_visual.half().unflatten(0, (len(members), -1))
        first = torch.arange(len(members)) * visual.shape[1]
        images.append(SeenImage(visual, trees_of(e.tokens for e in members), batch.right - first))
    return images


class TreeBatch(NamedTuple):
    """s sentences of some images: ``visual`` (s, p, vis_dim), their ``forest``, ``present`` (s, p), ``right`` (s,) and
    ``share`` (s,), one over the number of its image's sentences."""

    visual: Tensor
    forest: Forest
    present: Tensor
    right: Tensor
    share: Tensor


class TreeLessons(torch.utils.data.Dataset):
    """Training material: item i is image i with all its sentences."""

    def __init__(self, images: Sequence[SeenImage], vocabulary: TreeVocabulary) -> None:
        self.images = images
        self.vocabulary = vocabulary

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, image: int) -> SeenImage:
        return self.images[image]

    def collate(self, images: Sequence[SeenImage]) -> dict[str, TreeBatch]:
        """Join the sentences of several images into one batch."""
        sentences = torch.tensor([len(image.parses) for image in images])
        counts = torch.tensor([image.visual.shape[1] for image in images]).repeat_interleave(sentences)
        visual = pad_sequence([one for image in images for one in image.visual], batch_first=True).float()
        forest = self.vocabulary.forest([parse for image in images for parse in image.parses])
        return {'batch': TreeBatch(visual, forest, torch.arange(visual.shape[1]) < counts[:, None],
                                   torch.cat([image.right for image in images]),
                                   (1 / sentences).repeat_interleave(sentences))}


class NMTreeForTraining(BaseModel):
    """NMTree with its objective: the cross entropy of the right box, averaged over the sentences of an image and summed
    over images."""

    def __init__(self, network: NMTree) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: TreeBatch, mode: str = 'loss') -> dict[str, Tensor] | Tensor:
        """``mode='loss'``: ``loss``; ``mode='predict'``: log scores ``(s, p)``."""
        scores = self.network(batch.visual, batch.forest, batch.present).log_scores
        if mode == 'predict':
            return scores
        if mode != 'loss':
            raise ValueError(f'mode={mode!r} must be "loss" or "predict"')
        return {'loss': -(scores.gather(1, batch.right[:, None])[:, 0] * batch.share).sum()}


@torch.inference_mode()
def choice_accuracy(network: NMTree, lessons: TreeLessons, images_a_batch: int = 16) -> float:
    """Percent of sentences whose referent has the best score of all annotated boxes of its image, in evaluation mode.

    Source: ``utils/eval_utils.py: eval_gt_split``.
    """
    was_training = network.training
    network.eval()
    right = total = 0
    for start in range(0, len(lessons), images_a_batch):
        batch = lessons.collate(lessons.images[start:start + images_a_batch])['batch']
        chosen = network(batch.visual, batch.forest, batch.present).log_scores.argmax(1)
        right += int((chosen == batch.right).sum())
        total += len(chosen)
    network.train(was_training)
    return 100 * right / total
