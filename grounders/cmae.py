"""CM-A-E: the network of "Improving Referring Expression Grounding with Cross-modal Attention-guided Erasing".

Liu, Wang, Shao, Wang and Li, CVPR 2019; ChopinSharp/CM-Erase-REG, ``lib/layers``. It is MAttNet
(:mod:`grounders.mattnet`) with three differences, which are the three encoders of this file:

1. :class:`ImageFirstEncoder`: the sentence is read with the whole image before its first word, and words have a
   pretrained vector beside the learned one;
2. :class:`LocationAttention`: the location is attended over the box itself and its five neighbours of the same
   category, given the phrase, where MAttNet joins them into one vector;
3. :class:`RelationAttention`: the five context slots are attended softly and matched once, where MAttNet matches each
   and takes the best.

The fourth difference, erasing, is in training only: :mod:`grounders.erasing`.
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from grounders.language import PAD, recurrent, run_recurrent
from grounders.modular import Grounding, ModularNetwork, Rows, Sentences, grounding_of, weighted
from grounders.options import ModularOptions
from grounders.visual import AdditiveAttention, ContextEncoder, NormalizeScale, Places, SubjectCells


@dataclass(frozen=True, kw_only=True)
class CMAEOptions(ModularOptions):
    """The options of CM-A-E: ``embedding_dim`` counts the pretrained part of a word, and ``word_dim`` must be
    ``joint_dim``. The original has the two of its own as constants.

    Attributes:
        pretrained_dim: how many numbers of a word's embedding are pretrained.
        image_hidden_dim: channels between the convolutions that the whole image goes through.

    Raises:
        ValueError: ``word_dim`` is not ``joint_dim``.
    """

    pretrained_dim: int = 300
    image_hidden_dim: int = 256

    def __post_init__(self) -> None:
        if self.joint_dim != self.word_dim:
            raise ValueError(f'joint_dim ({self.joint_dim}) and word_dim ({self.word_dim}) must be equal: the image is '
                             "the LSTM's first step, and location and relation normalise the phrase at joint_dim")


class Slots(NamedTuple):
    """The slots that a module attends over, in p places: ``features`` (p, slots, joint), and ``attention_half``, the
    part of their attention that does not depend on the phrase."""

    features: Tensor
    attention_half: Tensor


class Attended(NamedTuple):
    """What the modules see in n rows: ``features``, and the ``attention`` of subject (n, 49 cells), location (n, 6) and
    relation (n, 5)."""

    features: tuple[Tensor, ...]
    attention: tuple[Tensor, ...]


class ImageFirstEncoder(nn.Module):
    """Difference 1: the image is step 0 of the recurrent network, and a word is [learned; pretrained].

    The image's output is dropped, but the last states include it. The pretrained half is fine-tuned, as in the source:
    ``lib/layers/lang_encoder.py: RNNEncoderImgGlove``.
    """

    def __init__(self, options: CMAEOptions) -> None:
        super().__init__()
        words, pretrained = options.vocabulary_size, options.pretrained_dim
        self.embedding1 = nn.Embedding(words, options.embedding_dim - pretrained)
        self.embedding2 = nn.Embedding(words, pretrained)
        self.input_dropout = nn.Dropout(options.word_dropout)
        self.mlp = nn.Sequential(nn.Linear(options.embedding_dim, options.word_dim), nn.ReLU())
        self.rnn = recurrent(options)

    def forward(self, labels: Tensor, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """From ``labels`` (s, L), at least one word per sentence, and ``image`` (s, word) to the outputs of the words
        (s, L, hidden), the last states (s, layers · hidden) and the embeddings of the words (s, L, word)."""
        words = torch.cat([self.embedding1(labels), self.embedding2(labels)], 2)
        words = self.mlp(self.input_dropout(words))
        output, last = run_recurrent(self.rnn, torch.cat([image[:, None], words], 1), (labels != PAD).sum(1) + 1)
        return output[:, 1:], last, words


class LocationAttention(nn.Module):
    """Difference 2: attention over the box itself and its five neighbours of the same category, empty slots included.

    Source: ``lib/layers/visual_encoder.py: LocationEncoderAtt``.
    """

    def __init__(self, options: ModularOptions) -> None:
        super().__init__()
        joint, norm = options.joint_dim, options.initial_norm
        self.lfeat_normalizer = NormalizeScale(5, norm)
        self.dif_lfeat_normalizer = NormalizeScale(5, norm)
        self.phrase_normalizer = NormalizeScale(joint, norm)
        self.fc_lfeats = nn.Sequential(nn.Linear(5, joint), nn.ReLU())
        self.fc_diff = nn.Sequential(nn.Linear(5, joint), nn.ReLU())
        self.attn_subj = AdditiveAttention(joint, joint, joint)
        self.attn_obj = AdditiveAttention(joint, joint, joint)

    def encode(self, lfeats: Tensor, dif_lfeats: Tensor) -> Slots:
        """Once per place: ``(p, 5)`` and ``(p, 25)`` to six slots, the box itself first."""
        own = self.fc_lfeats(self.lfeat_normalizer(lfeats))[:, None]
        others = self.fc_diff(self.dif_lfeat_normalizer(dif_lfeats.unflatten(1, (-1, 5))))
        halves = torch.cat([self.attn_subj.visual_half(own), self.attn_obj.visual_half(others)], 1)
        return Slots(torch.cat([own, others], 1), halves)

    def attend(self, slots: Slots, phrases: Tensor, row_place: Tensor, row_sentence: Tensor) -> tuple[Tensor, Tensor]:
        """Once per row: attended feature (n, joint) and attention (n, 6)."""
        phrases = self.phrase_normalizer(phrases)
        halves = slots.attention_half.index_select(0, row_place)
        own = self.attn_subj(halves[:, :1], self.attn_subj.phrase_half(phrases)[row_sentence])
        others = self.attn_obj(halves[:, 1:], self.attn_obj.phrase_half(phrases)[row_sentence])
        attention = torch.cat([own, others], 1).softmax(1)
        return torch.bmm(attention[:, None], slots.features.index_select(0, row_place)).squeeze(1), attention


class RelationAttention(ContextEncoder):
    """Difference 3: attention over the five context slots, empty ones included.

    Source: ``lib/layers/visual_encoder.py: RelationEncoderAtt``.
    """

    def __init__(self, options: ModularOptions) -> None:
        super().__init__(options)
        joint = options.joint_dim
        self.phrase_normalizer = NormalizeScale(joint, options.initial_norm)
        self.attn_fuse = AdditiveAttention(joint, joint, joint)

    def encode(self, places: Places) -> Slots:
        """Once per place: its context slots."""
        features = self(places)
        return Slots(features, self.attn_fuse.visual_half(features))

    def attend(self, slots: Slots, phrases: Tensor, row_place: Tensor, row_sentence: Tensor) -> tuple[Tensor, Tensor]:
        """Once per row: attended feature (n, joint) and attention (n, 5)."""
        said = self.attn_fuse.phrase_half(self.phrase_normalizer(phrases))
        attention = self.attn_fuse(slots.attention_half.index_select(0, row_place), said[row_sentence]).softmax(1)
        return torch.bmm(attention[:, None], slots.features.index_select(0, row_place)).squeeze(1), attention


class CMAE(ModularNetwork):
    """The whole network."""

    rnn_encoder: ImageFirstEncoder
    loc_encoder: LocationAttention
    rel_encoder: RelationAttention

    def __init__(self, options: CMAEOptions) -> None:
        super().__init__(options, ImageFirstEncoder, LocationAttention, RelationAttention)
        pool5, width = options.pool5_dim, options.image_hidden_dim
        self.process_pool5 = nn.Sequential(
            nn.Conv2d(pool5, width, 1), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, pool5, 1), nn.BatchNorm2d(pool5))
        self.proj_img = nn.Linear(pool5, options.joint_dim)

    def view(self, image_pool5: Tensor) -> Tensor:
        """Once an image: its crop ``(i, C, 7, 7)`` to the vector ``(i, joint)`` that sentences are read with."""
        return self.proj_img((self.process_pool5(image_pool5) + image_pool5).mean((2, 3)))

    def read(self, labels: Tensor, image: Tensor) -> Sentences:
        """Once per sentence: ``labels`` (s, L), zeros at the end, and ``image`` (s, joint), the vector of its image.

        A sentence without words is read as one unknown word.
        """
        return self.listen(labels, image)

    def survey(self, places: Places) -> tuple[Slots, Slots]:
        """Once per place: location slots (p, 6, joint) and relation slots (p, 5, joint)."""
        return self.loc_encoder.encode(places.lfeats, places.dif_lfeats), self.rel_encoder.encode(places)

    def attend(self, sentences: Sentences, cells: SubjectCells, slots: tuple[Slots, Slots], rows: Rows,
               blank: Tensor | None = None) -> Attended:
        """Once per row: what each module sees, given its phrase; ``blank`` as in :meth:`SubjectEncoder.attend`."""
        subject, location, relation = sentences.phrases
        attended = (self.sub_encoder.attend(cells, subject, rows.box, rows.sentence, blank),
                    self.loc_encoder.attend(slots[0], location, rows.place, rows.sentence),
                    self.rel_encoder.attend(slots[1], relation, rows.place, rows.sentence))
        features, attention = zip(*attended, strict=True)
        return Attended(features, attention)

    def match(self, sentences: Sentences, features: tuple[Tensor, ...], row_sentence: Tensor) -> tuple[Tensor, Tensor]:
        """Once per row: the scores ``(n,)``, and the match of each module before it is weighted ``(n, 3)``."""
        modules = (self.sub_matching, self.loc_matching, self.rel_matching)
        matches = torch.stack([module(seen, phrases, row_sentence) for module, seen, phrases
                               in zip(modules, features, sentences.phrases, strict=True)], 1)
        return weighted(matches, sentences, row_sentence), matches

    def compare(self, sentences: Sentences, cells: SubjectCells, places: Places, rows: Rows) -> Grounding:
        """Once per row: attend, then match."""
        attended = self.attend(sentences, cells, self.survey(places), rows)
        scores, matches = self.match(sentences, attended.features, rows.sentence)
        grid, _, slots = attended.attention
        sub_feats, loc_feats, _ = attended.features
        return grounding_of(sentences, cells, rows, scores=scores, sub_grid_attn=grid, rel_ixs=slots.argmax(1),
                            sub_scores=matches[:, 0], sub_feats=sub_feats, loc_feats=loc_feats)

    def ground(self, pool5: Tensor, fc7: Tensor, places: Places, labels: Tensor, image_pool5: Tensor,
               sentence_image: Tensor, rows: Rows) -> Grounding:
        """Match any pairs of s sentences and b boxes of i images, each encoded once.

        Args:
            pool5: ``(b, C, 7, 7)`` crops of the boxes.
            fc7: ``(b, F, 7, 7)`` their last-stage features.
            places: the boxes among their neighbours, p of them; one box can have several.
            labels: ``(s, L)`` word ids, zeros at the end.
            image_pool5: ``(i, C, 7, 7)`` crops of the whole images.
            sentence_image: ``(s,)`` the image that each sentence is read with.
            rows: the n pairs.
        """
        sentences = self.read(labels, self.view(image_pool5)[sentence_image])
        return self.compare(sentences, self.look(pool5, fc7), places, rows)

    def forward(self, pool5: Tensor, fc7: Tensor, lfeats: Tensor, dif_lfeats: Tensor, cxt_fc7: Tensor,
                cxt_lfeats: Tensor, labels: Tensor, img_pool5: Tensor) -> Grounding:
        """The original's call: row i is box i with sentence i in image i, nothing shared.

        ``pool5`` (n, C, 7, 7), ``fc7`` (n, F, 7, 7), ``lfeats`` (n, 5), ``dif_lfeats`` (n, 25), ``cxt_fc7`` (n, 5, F),
        ``cxt_lfeats`` (n, 5, 5), ``labels`` (n, L), ``img_pool5`` (n, C, 7, 7).
        """
        places = Places.apart(lfeats, dif_lfeats, cxt_fc7, cxt_lfeats)
        rows = Rows.each_alone(len(labels), labels.device)
        return self.ground(pool5, fc7, places, labels, img_pool5, rows.sentence, rows)
