"""A split's annotated boxes as training material for MAttNet and CM-A-E: features, sentences, right and wrong pairs.

The order and the odds are those of ``lib/loaders/gt_mrcn_loader.py`` of ChopinSharp/CM-Erase-REG (``getBatch``,
``sample_neg_ids``, ``fetch_sent_ids_by_ref_id``).
"""
from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from adapters.modular.attributes import referent
from adapters.modular.object_features import cells
from adapters.modular.place_features import place_features
from adapters.modular.vocabulary import ModularVocabulary
from grounders.modular import Rows
from grounders.objectives import TrainingPairs
from grounders.visual import Places
from harness.errors import InputError
from harness.types import Dataset, Expression

#: Boxes whose features are in memory together while their means are taken: 100 MB of a C4 detector's.
ROWS_AT_ONCE = 256


class Referent(NamedTuple):
    """One referring instance: its key (:func:`adapters.modular.attributes.referent`), and the rows of its image, of its
    box and of its sentences."""

    key: Hashable
    image: int
    box: int
    sentences: np.ndarray


@dataclass(eq=False)
class AnnotatedSplit:
    """All annotated boxes of the images that a split's expressions are about; those of one image are consecutive rows.

    Attributes:
        pool5: ``(A', C, c, c)`` and ``fc7`` ``(A', F, c, c)``, float16, as they were given, maybe from a file that is
            mapped into memory: rows of them are read as they are needed. ``box_row`` (A,) finds the split's A boxes in
            them.
        mean_fc7: ``(A, F)`` float32, what context slots hold.
        image_pool5: ``(I', C, c, c)``; ``image_row`` (I,) finds the split's I images in it.
        first: ``(I,)`` the first box of each image, and ``count`` (I,) how many it has.
        category: ``(A,)``.
        lfeats: ``(A, 5)``, ``dif_lfeats`` (A, 25), ``cxt_index`` (A, 5) rows of boxes or -1, ``cxt_lfeats`` (A, 5, 5).
        labels: ``(T, L)`` word ids of the T sentences, ``sentence_box`` (T,) their referents' boxes,
            ``sentence_image`` (T,).
        referents: in order of first appearance; ``of_image`` lists the referents of each image.
    """

    pool5: Tensor
    fc7: Tensor
    box_row: Tensor
    mean_fc7: Tensor
    image_pool5: Tensor
    image_row: Tensor
    first: Tensor
    count: Tensor
    category: Tensor
    lfeats: Tensor
    dif_lfeats: Tensor
    cxt_index: Tensor
    cxt_lfeats: Tensor
    labels: Tensor
    sentence_box: Tensor
    sentence_image: Tensor
    referents: list[Referent]
    of_image: list[list[int]]

    @classmethod
    def of(cls, dataset: Dataset, expressions: Sequence[Expression], features: Mapping[str, Any],
           vocabulary: ModularVocabulary, with_same_category: bool = True) -> AnnotatedSplit:
        """Collect what belongs to a split.

        Args:
            dataset: with annotations.
            expressions: the split's; those whose referent is not among the annotations are left out.
            features: ``pool5`` (A', C, c, c) and ``fc7`` (A', F, c, c) of boxes pooled from x, y to x + w − 1,
                y + h − 1 (:func:`adapters.modular.place_features.last_pixel_corners`), in the order of ``ann_ids``;
                ``image_pool5`` (I', C, c, c) of whole images, in the order of ``image_ids``. Each has the cells that
                its detector gives: :func:`adapters.modular.object_features.cells` makes 7 × 7 of any.
            vocabulary: the words.
            with_same_category: whether boxes of the same category can be context.

        Raises:
            InputError: the dataset has no annotations, or features lack one of its boxes or images.
        """
        if dataset.annotations is None:
            raise InputError(f'{dataset.name}: training needs annotated boxes; give a dataset with instances.json')
        boxes_of = dataset.annotations
        known = {a.ann_id for e in expressions for a in boxes_of.get(e.image_id, [])}
        expressions = [e for e in expressions if e.ann_id in known]
        image_ids = list(dict.fromkeys(e.image_id for e in expressions))
        if not image_ids:
            raise InputError(f'{dataset.name}: no expression here has an annotated referent; check ann_id in the refs')
        annotations = [a for i in image_ids for a in boxes_of[i]]
        category = {name: i for i, name in enumerate(dict.fromkeys(a.category for a in annotations))}
        count = torch.tensor([len(boxes_of[i]) for i in image_ids])
        first = count.cumsum(0) - count
        row: dict[tuple[int, int | None], int] = {(a.image_id, a.ann_id): i for i, a in enumerate(annotations)}
        image_of = {image_id: i for i, image_id in enumerate(image_ids)}

        box_row = _find(features['ann_ids'], [a.ann_id for a in annotations], 'annotation')
        categories = torch.tensor([category[a.category] for a in annotations])
        sizes = torch.tensor([(dataset.images[i].width, dataset.images[i].height) for i in image_ids])
        boxes = torch.tensor([a.xywh for a in annotations], dtype=torch.float64)
        placed = _place(boxes, categories, count, first, sizes, with_same_category)

        grouped: dict[Hashable, list[int]] = {}
        for t, e in enumerate(expressions):
            grouped.setdefault(referent(e), []).append(t)
        one = {key: expressions[ts[0]] for key, ts in grouped.items()}
        referents = [Referent(key, image_of[one[key].image_id], row[one[key].image_id, one[key].ann_id], np.array(ts))
                     for key, ts in grouped.items()]
        of_image: list[list[int]] = [[] for _ in image_ids]
        for r, found in enumerate(referents):
            of_image[found.image].append(r)
        return cls(
            features['pool5'], features['fc7'], box_row, _mean(features['fc7'], box_row), features['image_pool5'],
            _find(features['image_ids'], image_ids, 'image'), first, count, categories, *placed,
            vocabulary.encode([e.tokens for e in expressions]),
            torch.tensor([row[e.image_id, e.ann_id] for e in expressions]),
            torch.tensor([image_of[e.image_id] for e in expressions]), referents, of_image)

    def crops(self, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """``pool5`` (b, C, 7, 7) and ``fc7`` (b, F, 7, 7) of some boxes, float32."""
        rows = self.box_row[boxes]
        return cells(self.pool5[rows].float()), cells(self.fc7[rows].float())

    def places(self, boxes: Tensor) -> Places:
        """Some boxes among their neighbours."""
        slots = self.cxt_index[boxes]
        used, inverse = torch.cat([slots.new_tensor([-1]), slots.flatten()]).unique(return_inverse=True)
        return Places(self.lfeats[boxes], self.dif_lfeats[boxes], inverse[1:].view_as(slots) - 1,
                      self.cxt_lfeats[boxes], self.mean_fc7[used[1:]])

    def images(self, images: Tensor) -> Tensor:
        """``image_pool5`` (i, C, 7, 7) of some images, float32."""
        return cells(self.image_pool5[self.image_row[images]].float())

    def words(self, sentences: Tensor) -> Tensor:
        """``(s, L)`` ids of some sentences, without columns that are zero in all."""
        labels = self.labels[sentences]
        return labels[:, :max(1, int((labels != 0).sum(1).max()))]


class RightAndWrong(torch.utils.data.Dataset):
    """Item i holds, for each referent of image i, right pairs, each with a wrong box and a wrong sentence.

    The draws depend on ``(seed, epoch, i)`` alone, so a resumed training sees the same pairs. A wrong box or
    sentence is of the same image: with probability ``sample_ratio`` of the referent's category, if the image has
    another one of it, else of another category. If the image has no other category, it is of any image of the split.
    """

    def __init__(self, split: AnnotatedSplit, seed: int, seq_per_ref: int = 3, sample_ratio: float = 0.3) -> None:
        self.split = split
        self.seed = seed
        self.seq_per_ref = seq_per_ref
        self.sample_ratio = sample_ratio
        self.epoch = 0
        self._category = split.category.numpy()
        self._referred = np.array([r.box for r in split.referents])

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.split.of_image)

    def __getitem__(self, image: int) -> dict[str, np.ndarray]:
        """``sentence``, ``box``, ``other_sentence``, ``other_box`` and ``image``, all (n,), and ``referent`` (n,)."""
        random = np.random.default_rng((self.seed, self.epoch, image))
        mine = self.split.of_image[image]
        pairs = [(*pair, r) for r in mine for pair in self._pairs(random, r, mine)]
        columns = np.array(pairs, dtype=np.int64).reshape(-1, 5).T
        names = ('sentence', 'box', 'other_sentence', 'other_box', 'referent')
        return {**dict(zip(names, columns, strict=True)), 'image': np.full(len(pairs), image)}

    def _pairs(self, random: np.random.Generator, r: int, mine: list[int]) -> Iterator[tuple[int, int, int, int]]:
        one = self.split.referents[r]
        start, count = int(self.split.first[one.image]), int(self.split.count[one.image])
        boxes = np.array([box for box in range(start, start + count) if box != one.box], dtype=np.int64)
        others = np.array([other for other in mine if self._referred[other] != one.box], dtype=np.int64)
        for sentence in self._sentences(random, one.sentences):
            other_box = self._wrong(random, boxes, boxes, one.box, len(self._category))
            other = self._wrong(random, others, self._referred[others], one.box, len(self._referred))
            yield sentence, one.box, random.choice(self.split.referents[other].sentences), other_box

    def _sentences(self, random: np.random.Generator, sentences: np.ndarray) -> np.ndarray:
        missing = self.seq_per_ref - len(sentences)
        if missing > 0:
            return np.concatenate([sentences, random.choice(sentences, missing)])
        return random.permutation(sentences)[:self.seq_per_ref]

    def _wrong(self, random: np.random.Generator, wrong: np.ndarray, boxes: np.ndarray, box: int, total: int) -> int:
        same = self._category[boxes] == self._category[box]
        if same.any() and random.uniform() < self.sample_ratio:
            return int(random.choice(wrong[same]))
        if not same.all():
            return int(random.choice(wrong[~same]))
        return int(random.integers(total))

    def collate(self, items: Sequence[dict[str, np.ndarray]]) -> dict[str, Any]:
        """Join the items of several images into a batch: ``pairs``, which holds each box, image and (sentence, image)
        once; and ``named_box`` (m,) and ``referent`` (m,), the rows of the referents in ``pairs`` and in the split."""
        joined = {name: torch.from_numpy(np.concatenate([item[name] for item in items])) for name in items[0]}
        images, image = joined['image'].unique(return_inverse=True)
        boxes, box = torch.cat([joined['box'], joined['other_box']]).unique(return_inverse=True)
        read_with = torch.stack([torch.cat([joined['sentence'], joined['other_sentence']]), image.repeat(2)])
        (sentences, sentence_image), sentence = read_with.unique(dim=1, return_inverse=True)
        n = len(image)
        named, at = np.unique(joined['referent'].numpy(), return_index=True)
        pairs = TrainingPairs(*self.split.crops(boxes), self.split.places(boxes), self.split.words(sentences),
                      self.split.images(images), sentence_image, sentence[:n], box[:n], sentence[n:], box[n:])
        return {'pairs': pairs, 'named_box': box[torch.from_numpy(at)], 'referent': torch.from_numpy(named)}


class AnnotatedChoices(NamedTuple):
    """Every sentence of some images with every annotated box of its image, as :meth:`grounders.cmae.CMAE.ground`
    takes them; and ``right`` (s,), the row of each sentence with its referent."""

    pool5: Tensor
    fc7: Tensor
    places: Places
    labels: Tensor
    image_pool5: Tensor
    sentence_image: Tensor
    rows: Rows
    right: Tensor


def annotated_choices(split: AnnotatedSplit, images_a_batch: int = 16) -> Iterator[AnnotatedChoices]:
    """The choices among the annotated boxes of a split, some images at a time, each sentence once."""
    by_image = split.sentence_image.argsort(stable=True)
    for start in range(0, len(split.of_image), images_a_batch):
        images = torch.arange(start, min(start + images_a_batch, len(split.of_image)))
        held = split.sentence_image[by_image]
        sentences = by_image[(held >= start) & (held <= images[-1])]
        first_box = split.first[start]
        boxes = torch.arange(int(first_box), int(split.first[images[-1]] + split.count[images[-1]]))
        image = split.sentence_image[sentences]
        count = split.count[image]
        sentence = torch.repeat_interleave(torch.arange(len(sentences)), count)
        begin = count.cumsum(0) - count
        box = torch.arange(len(sentence)) - begin[sentence] + (split.first[image] - first_box)[sentence]
        right = begin + split.sentence_box[sentences] - split.first[image]
        yield AnnotatedChoices(*split.crops(boxes), split.places(boxes), split.words(sentences), split.images(images),
                      image - start, Rows(sentence, box, box), right)


def _find(ids: Sequence[int], wanted: Sequence[int], what: str) -> Tensor:
    index = {int(one): i for i, one in enumerate(ids)}
    missing = [one for one in wanted if one not in index]
    if missing:
        raise InputError(f'features lack {what} {missing[0]} and {len(missing) - 1} more; extract them again')
    return torch.tensor([index[one] for one in wanted])


def _mean(fc7: Tensor, rows: Tensor) -> Tensor:
    """``(n, F)`` means over the cells of some rows, a few at a time, as a grounder takes them of an image's boxes."""
    return torch.cat([cells(fc7[some].float()).mean((2, 3)) for some in rows.split(ROWS_AT_ONCE)])


def _place(boxes: Tensor, categories: Tensor, count: Tensor, first: Tensor, sizes: Tensor,
           with_same_category: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Location features and context slots of all images' boxes at once: (A, 5), (A, 25), (A, 5) rows, (A, 5, 5)."""
    present = torch.arange(int(count.max())) < count[:, None]
    features = place_features(pad_sequence(boxes.split(count.tolist()), batch_first=True),
                            pad_sequence(categories.split(count.tolist()), batch_first=True), sizes,
                            with_same_category=with_same_category, present=present)
    slots = features.cxt_index
    rows = torch.where(slots < 0, -1, slots + first[:, None, None])
    return (features.lfeats[present], features.dif_lfeats[present], rows[present], features.cxt_lfeats[present])
