"""NMTree as a grounder: MAttNet's features of an image's proposals and the trees of its expressions to scores."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from mmengine.structures import InstanceData
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from adapters.modular.mattnet import MAttNetGrounder
from adapters.nmtree.metadata import NMTreeMetadata
from adapters.nmtree.original_data import read_trees, read_visual_features
from adapters.nmtree.trees import Parse, Parser
from grounders.nmtree import NMTree
from harness.errors import InputError
from harness.files.metadata import read_metadata
from harness.files.weights import Weights, built
from harness.plugins import Grounder
from harness.registry import GROUNDERS
from harness.types import Expression, ImageFeatures

if TYPE_CHECKING:
    from harness.training.grounder import Material, Recipe


@GROUNDERS.register_module(name='nmtree')
class NMTreeGrounder(Grounder):
    """NMTree: modules on a dependency tree, over MAttNet's features (ICCV 2019).

    Args:
        weights: ``meta['opt']`` are the network's options, ``meta['word_to_ix']``, ``'tag_to_ix'`` and ``'dep_to_ix'``
            its vocabularies.
        mattnet: MAttNet's weights, those that it was trained with.
        trees: the original's ``data_dep.pth``, for the sentences that it has; the others are parsed here.
        features: the original's ``matt_res_det_feats.pth`` or ``matt_res_gt_feats.pth`` in the place of MAttNet; then
            no image is needed.

    Raises:
        InputError: the weights are of another network, or the two don't belong together; or a file is not as described.
    """

    weights = 'nmtree'
    needs = ('mattnet',)

    def __init__(self, weights: Weights, mattnet: Weights, trees: str | None = None,
                 features: str | None = None) -> None:
        meta = read_metadata(weights, NMTreeMetadata)
        opt, self.vocabulary = meta.opt, meta.read_vocabulary()
        self.network = built(lambda: NMTree(dict(opt)), weights.tensors, weights.path)
        self.parser = Parser()
        self.trees = {} if trees is None else read_trees(trees)
        self.needs_image = features is None
        self.seen: Callable[..., list[Tensor]]
        if features is None:
            seen = MAttNetGrounder(mattnet)
            width, whose = seen.opt['fc7_dim'] + 2 * seen.opt['jemb_dim'], f'MAttNet of {mattnet.path}'
            self.seen = seen.visual
        else:
            stored = StoredFeatures(features)
            width, whose, self.seen = stored.width, features, stored
        if width != opt['vis_dim']:
            raise InputError(f'{weights.path}: NMTree takes features of {opt["vis_dim"]} numbers, but {whose} gives '
                             f'{width}; name the one that it was trained with by --weights mattnet=FILE')
        if features is None and meta.mattnet_sha256 not in (None, mattnet.sha256):
            raise InputError(f'{weights.path}: NMTree learned on the MAttNet of SHA-256 {meta.mattnet_sha256[:12]}…, '
                             f'but {mattnet.path} is {mattnet.sha256[:12]}…; name the one that it was trained with by '
                             '--weights mattnet=FILE')

    @classmethod
    def recipe(cls, material: Material, seed: int) -> Recipe:
        """How ``train nmtree`` trains it, on what the trained MAttNet sees."""
        from adapters.nmtree.training import nmtree_recipe
        return nmtree_recipe(material, seed)

    @torch.inference_mode()
    def __call__(self, image: ImageFeatures, expressions: Sequence[Expression],
                 proposals: Sequence[InstanceData]) -> list[Tensor]:
        """Log scores ``(n_i,)`` of each expression's proposals, none for an expression without any."""
        some = [i for i, found in enumerate(proposals) if len(found)]
        if not some:
            return [image.feature_map.new_zeros(0) for _ in proposals]
        seen = self.seen(image, [expressions[i] for i in some], [proposals[i] for i in some])
        device = image.feature_map.device
        counts = torch.tensor([len(one) for one in seen], device=device)
        forest = self.vocabulary.forest(self._parses([expressions[i] for i in some])).to(device)
        present = torch.arange(int(counts.max()), device=device) < counts[:, None]
        scores = self.network.to(device)(pad_sequence(seen, batch_first=True), forest, present).log_scores
        none = image.feature_map.new_zeros(0)
        by_expression = dict(zip(some, scores[present].split(counts.tolist()), strict=True))
        return [by_expression.get(i, none) for i in range(len(proposals))]

    def _parses(self, expressions: Sequence[Expression]) -> list[Parse]:
        """Their trees, from the file where it has them."""
        made = iter(self.parser([e.tokens for e in expressions if e.sent_id not in self.trees]))
        return [self.trees[e.sent_id] if e.sent_id in self.trees else next(made) for e in expressions]


class StoredFeatures:
    """MAttNet's features as the original stored them, a row a proposal in the order of its detections or annotations.

    Called as :meth:`adapters.modular.mattnet.MAttNetGrounder.visual`.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._rows = read_visual_features(path)
        self.width = next(iter(self._rows.values())).shape[1]

    def __call__(self, image: ImageFeatures, expressions: Sequence[Expression],
                 proposals: Sequence[InstanceData]) -> list[Tensor]:
        return [self._of(e, p) for e, p in zip(expressions, proposals, strict=True)]

    def _of(self, expression: Expression, proposals: InstanceData) -> Tensor:
        rows = self._rows.get(expression.sent_id)
        if rows is None or len(rows) != len(proposals):
            there = 'none' if rows is None else str(len(rows))
            raise InputError(f'{self.path}: has features of {there} of the {len(proposals)} proposals of sent_id '
                             f'{expression.sent_id}; give the boxes that they were made of, by --detections or '
                             '--proposals ground-truth')
        return rows[proposals.det_ids.argsort().argsort()] if 'det_ids' in proposals else rows
