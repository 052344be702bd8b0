"""How NMTree is trained: what it learns from, and its objective.

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
from adapters.nmtree.recipes import NMTREE, NMTreeTraining
from adapters.nmtree.trees import Parse, TreeVocabulary, trees_of
from grounders.nmtree import NMTree, NMTreeOptions
from grounders.tree_lstm import Forest
from harness.device import pick_device
from harness.files.weights import moved_to
from harness.training.adam import optim_wrapper, schedule
from harness.training.grounder import ACCURACY, Material, Recipe, TrainingStage, on_device_of
from harness.types import Dataset
from harness.words.vectors import WordVectors


def nmtree_recipe(material: Material, seed: int, options: NMTreeTraining | None = None) -> Recipe:
    """The recipe of NMTree: one stage, on the annotated boxes of one dataset as the trained MAttNet sees them; by
    default the shipped weights'."""
    chosen = options or NMTREE['embedded']
    weights = material.trained('mattnet')
    mattnet = MAttNetGrounder(weights)
    train = seen_images(material.train, 'train', material.train_features, mattnet)
    val = seen_images(material.val, 'val', material.val_features, mattnet)
    vocabulary = TreeVocabulary.build((parse for image in train for parse in image.parses), chosen.word_threshold)
    built_with = NMTreeOptions(**vocabulary.sizes, visual_dim=train[0].visual.shape[2],
                               word_dim=material.vectors.vectors.shape[1], tag_dim=chosen.tag_dim,
                               dep_dim=chosen.dep_dim, memory_dim=chosen.memory_dim, dropout=chosen.dropout)
    network = new_network(built_with, vocabulary, material.vectors)
    model, lessons, unseen = NMTreeForTraining(network), TreeLessons(train, vocabulary), TreeLessons(val, vocabulary)
    stage = TrainingStage(
        'tree', model, lessons, lessons.collate, chosen.batch_size, chosen.epochs,
        optim_wrapper(chosen, chosen.weight_decay), schedule(chosen, chosen.epochs, stairs=chosen.decay == 'stairs'),
        lambda: {ACCURACY: choice_accuracy(network, unseen)}, evaluate_on='any device',
        validate_every=chosen.validate_every or None, keep_best=chosen.keep == 'best')
    return Recipe([stage], network.state_dict, metadata(built_with, vocabulary, weights.sha256))


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
    network = moved_to(mattnet.network, torch.device(pick_device()))
    for (_, members), batch in zip(dataset.by_image(referring), annotated_choices(held, images_a_batch=1), strict=True):
        seen = on_device_of(network, batch)
        grounding = network.ground(seen.pool5, seen.fc7, seen.places, seen.labels, seen.rows)
        visual = grounding.nmtree_visual.half().cpu().unflatten(0, (len(members), -1))
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
        batch = on_device_of(network, lessons.collate(lessons.images[start:start + images_a_batch])['batch'])
        chosen = network(batch.visual, batch.forest, batch.present).log_scores.argmax(1)
        right += int((chosen == batch.right).sum())
        total += len(chosen)
    network.train(was_training)
    return 100 * right / total
