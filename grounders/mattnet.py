"""MAttNet: the network of "MAttNet: Modular Attention Network for Referring Expression Comprehension".

Yu, Lin, Shen, Yang, Lu, Bansal and Berg, CVPR 2018; lichengunc/MAttNet, ``lib/layers``. A sentence is read once and
heard three times (Section 3.1): each module attends to its own words, and the sentence weighs the modules. What they
match their phrases with (Section 3.2):

1. subject: the cells of the box, attended given the phrase, with attributes;
2. location (:class:`LocationEncoder`): the box in the image and its neighbours of the same category, one vector;
3. relation: each of the context slots (:class:`grounders.visual.ContextEncoder`), of which the best match counts.

Only the subject depends on the sentence: places are encoded, and embedded for matching, without it.
"""
from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from grounders.language import PAD, recurrent, run_recurrent
from grounders.modular import Grounding, ModularNetwork, Rows, Sentences, grounding_of, weighted
from grounders.options import ModularOptions
from grounders.visual import ContextEncoder, NormalizeScale, Places, SubjectCells


class WordEncoder(nn.Module):
    """Section 3.1: words to vectors, read in both directions. Source: ``lib/layers/lang_encoder.py: RNNEncoder``."""

    def __init__(self, options: ModularOptions) -> None:
        super().__init__()
        self.embedding = nn.Embedding(options.vocabulary_size, options.embedding_dim)
        self.input_dropout = nn.Dropout(options.word_dropout)
        self.mlp = nn.Sequential(nn.Linear(options.embedding_dim, options.word_dim), nn.ReLU())
        self.rnn = recurrent(options)

    def forward(self, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """From ``labels`` (s, L), at least one word per sentence, to the outputs of the words (s, L, hidden), the last
        states (s, layers · hidden) and the embeddings of the words (s, L, word)."""
        words = self.mlp(self.input_dropout(self.embedding(labels)))
        output, last = run_recurrent(self.rnn, words, (labels != PAD).sum(1))
        return output, last, words


class LocationEncoder(nn.Module):
    """Section 3.2.2: where the box is, in the image and among five of its category, as one vector.

    Source: ``lib/layers/visual_encoder.py: LocationEncoder``.
    """

    def __init__(self, options: ModularOptions) -> None:
        super().__init__()
        self.lfeat_normalizer = NormalizeScale(5, options.initial_norm)
        self.dif_lfeat_normalizer = NormalizeScale(25, options.initial_norm)
        self.fc = nn.Linear(5 + 25, options.joint_dim)

    def forward(self, places: Places) -> Tensor:
        """Once per place: ``(p, joint)``."""
        own, others = self.lfeat_normalizer(places.lfeats), self.dif_lfeat_normalizer(places.dif_lfeats)
        return self.fc(torch.cat([own, others], 1))


class Surveyed(NamedTuple):
    """What p places look like, before any sentence is read.

    ``location`` (p, joint) features; ``location_embedded`` (p, joint) and ``context_embedded`` (p, slots, joint), the
    unit vectors that are matched with phrases; ``filled`` (p, slots) bool, which context slots are not empty.
    """

    location: Tensor
    location_embedded: Tensor
    context_embedded: Tensor
    filled: Tensor


class MAttNet(ModularNetwork):
    """The whole network."""

    def __init__(self, options: ModularOptions) -> None:
        super().__init__(options, WordEncoder, LocationEncoder, ContextEncoder)

    def read(self, labels: Tensor) -> Sentences:
        """Once per sentence: ``labels`` (s, L), zeros at the end; one without words is read as one unknown word."""
        return self.listen(labels)

    def survey(self, places: Places) -> Surveyed:
        """Once per place. A context slot is empty where its numbers sum to 0, as in the original."""
        location = self.loc_encoder(places)
        return Surveyed(location, self.loc_matching.see(location), self.rel_matching.see(self.rel_encoder(places)),
                        places.cxt_lfeats.sum(2) != 0)

    def compare(self, sentences: Sentences, cells: SubjectCells, places: Places, rows: Rows) -> Grounding:
        """Once per row: the subject attends and is matched; location and relation are matched as embedded
        by :meth:`survey`."""
        surveyed, (subject, location, relation) = self.survey(places), sentences.phrases
        seen, grid = self.sub_encoder.attend(cells, subject, rows.box, rows.sentence)
        sub = self.sub_matching(seen, subject, rows.sentence)
        heard = self.loc_matching.hear(location)[rows.sentence]
        loc = (surveyed.location_embedded.index_select(0, rows.place) * heard).sum(1)
        rel, rel_ixs = self.best_context(surveyed, relation, rows)

        scores = weighted(torch.stack([sub, loc, rel], 1), sentences, rows.sentence)
        return grounding_of(sentences, cells, rows, scores=scores, sub_grid_attn=grid, rel_ixs=rel_ixs, sub_scores=sub,
                            sub_feats=seen, loc_feats=surveyed.location[rows.place])

    def best_context(self, surveyed: Surveyed, phrases: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """Section 3.2.3: the best match ``(n,)`` of ``phrases`` (s, word) among the context slots of each row,
        and its slot.

        An empty slot takes part with a match of 0, which beats slots that match worse. Source:
        ``lib/layers/joint_match.py: RelationMatching``.
        """
        heard = self.rel_matching.hear(phrases)[rows.sentence]
        matches = torch.einsum('nkj,nj->nk', surveyed.context_embedded.index_select(0, rows.place), heard)
        best = (matches * surveyed.filled[rows.place]).max(1)
        return best.values, best.indices

    def ground(self, pool5: Tensor, fc7: Tensor, places: Places, labels: Tensor, rows: Rows) -> Grounding:
        """Match any pairs of s sentences and b boxes, each encoded once.

        Args:
            pool5: ``(b, C, 7, 7)`` crops of the boxes.
            fc7: ``(b, F, 7, 7)`` their last-stage features.
            places: the boxes among their neighbours, p of them; one box can have several.
            labels: ``(s, L)`` word ids, zeros at the end.
            rows: the n pairs.
        """
        return self.compare(self.read(labels), self.look(pool5, fc7), places, rows)

    def forward(self, pool5: Tensor, fc7: Tensor, lfeats: Tensor, dif_lfeats: Tensor, cxt_fc7: Tensor,
                cxt_lfeats: Tensor, labels: Tensor) -> Grounding:
        """The original's call: row i is box i with sentence i, nothing shared.

        ``pool5`` (n, C, 7, 7), ``fc7`` (n, F, 7, 7), ``lfeats`` (n, 5), ``dif_lfeats`` (n, 25), ``cxt_fc7``
        (n, slots, F), ``cxt_lfeats`` (n, slots, 5), ``labels`` (n, L).
        """
        places = Places.apart(lfeats, dif_lfeats, cxt_fc7, cxt_lfeats)
        return self.ground(pool5, fc7, places, labels, Rows.each_alone(len(labels), labels.device))
