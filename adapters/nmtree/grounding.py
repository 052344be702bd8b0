"""NMTree as a grounder: it scores proposals by their features from MAttNet and the trees of the expressions."""
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
from adapters.nmtree.recipes import NMTREE
from adapters.nmtree.trees import Parse, trees_of
from harness.errors import InputError
from harness.files.metadata import read_metadata
from harness.files.weights import Weights, built, moved_to
from harness.plugins import Grounder
from harness.registry import GROUNDERS
from harness.types import Expression, ImageFeatures

if TYPE_CHECKING:
    from adapters.nmtree.recipes import NMTreeTraining
    from harness.training.grounder import Material, Recipe


@GROUNDERS.register_module(name='nmtree')
class NMTreeGrounder(Grounder):
    """NMTree: modules on a dependency tree, over MAttNet's features (ICCV 2019).

    Args:
        weights: with the metadata that :mod:`adapters.nmtree.metadata` describes.
        mattnet: the weights of the MAttNet that it was trained with.
        trees: the original's ``data_dep.pth``; sentences that it lacks are parsed here.
        features: the original's ``matt_res_det_feats.pth`` or ``matt_res_gt_feats.pth``, to be used instead of
            MAttNet; no image is needed then.

    Raises:
        InputError: the weights are of another network, the two do not belong together, or a file is not as described.
    """

    weights = 'nmtree'
    needs = ('mattnet',)
    recipes = NMTREE

    def __init__(self, weights: Weights, mattnet: Weights, trees: str | None = None,
                 features: str | None = None) -> None:
        meta = read_metadata(weights, NMTreeMetadata)
        options, self.vocabulary = meta.opt.options, meta.read_vocabulary()
        self.network = built(meta.opt.network, weights.tensors, weights.path)
        self.trees = {} if trees is None else read_trees(trees)
        self.needs_image = features is None
        self.seen: Callable[..., list[Tensor]]
        if features is None:
            seen = MAttNetGrounder(mattnet)
            width, whose = seen.options.visual_dim, f'MAttNet of {mattnet.path}'
            self.seen = seen.visual
        else:
            stored = StoredFeatures(features)
            width, whose, self.seen = stored.width, features, stored
        if width != options.visual_dim:
            raise InputError(f'{weights.path}: NMTree takes features of {options.visual_dim} numbers, but {whose} '
                             f'gives {width}; name the one that it was trained with by --weights mattnet=FILE')
        if features is None and meta.mattnet_sha256 not in (None, mattnet.sha256):
            raise InputError(f'{weights.path}: NMTree learned on the MAttNet of SHA-256 {meta.mattnet_sha256[:12]}…, '
                             f'but {mattnet.path} is {mattnet.sha256[:12]}…; name the one that it was trained with by '
                             '--weights mattnet=FILE')

    @classmethod
    def recipe(cls, material: Material, seed: int, options: NMTreeTraining | None = None) -> Recipe:
        """How ``train nmtree`` trains it, on what the trained MAttNet sees."""
        from adapters.nmtree.training import nmtree_recipe
        return nmtree_recipe(material, seed, options)

    @torch.inference_mode()
    def __call__(self, image: ImageFeatures, expressions: Sequence[Expression],
                 proposals: Sequence[InstanceData]) -> list[Tensor]:
        """Log scores ``(n_i,)`` of the proposals of each expression; empty for an expression without proposals."""
        some = [i for i, found in enumerate(proposals) if len(found)]
        if not some:
            return [image.feature_map.new_zeros(0) for _ in proposals]
        seen = self.seen(image, [expressions[i] for i in some], [proposals[i] for i in some])
        device = image.feature_map.device
        counts = torch.tensor([len(one) for one in seen], device=device)
        forest = self.vocabulary.forest(self._parses([expressions[i] for i in some])).to(device)
        present = torch.arange(int(counts.max()), device=device) < counts[:, None]
        scores = moved_to(self.network, device)(pad_sequence(seen, batch_first=True), forest, present).log_scores
        none = image.feature_map.new_zeros(0)
        by_expression = dict(zip(some, scores[present].split(counts.tolist()), strict=True))
        return [by_expression.get(i, none) for i in range(len(proposals))]

    def _parses(self, expressions: Sequence[Expression]) -> list[Parse]:
        """The trees of the expressions, from the file if it has them."""
        made = iter(trees_of(e.tokens for e in expressions if e.sent_id not in self.trees))
        return [self.trees[e.sent_id] if e.sent_id in self.trees else next(made) for e in expressions]


class StoredFeatures:
    """MAttNet's features as the original stored them: one row per proposal, in the order of detections or annotations.

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
            stored = 'no features' if rows is None else f'features of {len(rows)} boxes'
            raise InputError(f'{self.path}: has {stored} for sent_id {expression.sent_id}, which has {len(proposals)} '
                             'proposals; give the boxes that they were made of, by --detections or '
                             '--proposals ground-truth')
        return rows[proposals.det_ids.argsort().argsort()] if 'det_ids' in proposals else rows
