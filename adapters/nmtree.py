"""NMTree as a grounder: MAttNet's features of an image's proposals and the trees of its expressions to scores."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from mmengine.structures import InstanceData
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from adapters.mattnet import MAttNetGrounder
from adapters.trees import Parser, TreeVocabulary
from grounders.nmtree import NMTree
from harness.errors import InputError
from harness.registry import GROUNDERS
from harness.types import Expression, ImageFeatures
from harness.weights import Weights, fill

if TYPE_CHECKING:
    from harness.training.grounder import Material, Recipe


@GROUNDERS.register_module(name='nmtree')
class NMTreeGrounder:
    """NMTree: modules on a dependency tree, over MAttNet's features (ICCV 2019).

    Args:
        weights: ``meta['opt']`` are the network's options, ``meta['word_to_ix']``, ``'tag_to_ix'`` and ``'dep_to_ix'``
            its vocabularies.
        mattnet: MAttNet's weights, those that it was trained with.

    Raises:
        InputError: the weights are of another network, or the two don't belong together.
    """

    weights = 'nmtree'
    needs = ('mattnet',)

    def __init__(self, weights: Weights, mattnet: Weights) -> None:
        try:
            opt = dict(weights.meta['opt'])
            self.vocabulary = TreeVocabulary.from_json(weights.meta)
            self.network = NMTree(opt).eval()
            small = [name for name, size in self.vocabulary.sizes.items() if size > opt[name]]
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise InputError(f'{weights.path}: no weights of NMTree ({type(error).__name__}: {error}); train them with '
                             '"make weights" or name others with --weights nmtree=FILE') from error
        if small:
            raise InputError(f'{weights.path}: its vocabulary has more ids than the {small[0]} of its network; give '
                             'the file that belongs here')
        fill(self.network, weights.tensors, weights.path)
        self.mattnet = MAttNetGrounder(mattnet)
        width = self.mattnet.opt['fc7_dim'] + 2 * self.mattnet.opt['jemb_dim']
        if width != opt['vis_dim']:
            raise InputError(f'{weights.path}: NMTree takes features of {opt["vis_dim"]} numbers, but MAttNet of '
                             f'{mattnet.path} gives {width}; name the one that it was trained with by --weights '
                             'mattnet=FILE')
        self.parser = Parser()

    @classmethod
    def recipe(cls, material: Material, seed: int) -> Recipe:
        """How ``train nmtree`` trains it, on what the trained MAttNet sees."""
        from adapters.nmtree_training import nmtree_recipe
        return nmtree_recipe(material, seed)

    @torch.inference_mode()
    def __call__(self, image: ImageFeatures, expressions: Sequence[Expression],
                 proposals: Sequence[InstanceData]) -> list[Tensor]:
        """Log scores ``(n_i,)`` of each expression's proposals, none for an expression without any."""
        some = [i for i, found in enumerate(proposals) if len(found)]
        if not some:
            return [image.feature_map.new_zeros(0) for _ in proposals]
        seen = self.mattnet.visual(image, [expressions[i] for i in some], [proposals[i] for i in some])
        device = image.feature_map.device
        counts = torch.tensor([len(one) for one in seen], device=device)
        forest = self.vocabulary.forest(self.parser([expressions[i].tokens for i in some])).to(device)
        present = torch.arange(int(counts.max()), device=device) < counts[:, None]
        scores = self.network.to(device)(pad_sequence(seen, batch_first=True), forest, present).log_scores
        none = image.feature_map.new_zeros(0)
        by_expression = dict(zip(some, scores[present].split(counts.tolist()), strict=True))
        return [by_expression.get(i, none) for i in range(len(proposals))]
