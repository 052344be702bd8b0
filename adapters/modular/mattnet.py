"""MAttNet as a grounder: an image's proposals and expressions to scores, all of them in one call of the network."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mmengine.structures import InstanceData
from torch import Tensor

from adapters.modular import recipes
from adapters.modular.grounding import ModularGrounder, Seen
from adapters.modular.metadata import MAttNetMetadata
from grounders.mattnet import MAttNet
from grounders.modular import Grounding
from harness.registry import GROUNDERS
from harness.types import Expression, ImageFeatures

if TYPE_CHECKING:
    from adapters.modular.recipes import MAttNetTraining
    from harness.training.grounder import Material, Recipe


@GROUNDERS.register_module(name='mattnet')
class MAttNetGrounder(ModularGrounder):
    """MAttNet: modular attention (CVPR 2018)."""

    weights = 'mattnet'
    title = 'MAttNet'
    metadata = MAttNetMetadata
    recipes = recipes.MATTNET
    network: MAttNet

    @classmethod
    def recipe(cls, material: Material, seed: int, options: MAttNetTraining | None = None) -> Recipe:
        """How ``train mattnet`` trains it."""
        from adapters.modular.mattnet_training import mattnet_recipe
        return mattnet_recipe(material, seed, options)

    def match(self, image: ImageFeatures, seen: Seen) -> Grounding:
        """MAttNet sees boxes only, and no crop of the whole image."""
        return self.network.ground(*seen)

    def visual(self, image: ImageFeatures, expressions: Sequence[Expression],
               proposals: Sequence[InstanceData]) -> list[Tensor]:
        """What NMTree sees of the proposals of each expression, ``(n_i, visual_dim)``.

        It depends on the expression, since MAttNet attends to the cells of a box by what is said of its subject.
        """
        grounding = self.ground(image, expressions, proposals)
        none = image.feature_map.new_zeros(0, self.options.visual_dim)
        visual = none if grounding is None else grounding.nmtree_visual
        return list(visual.split([len(p) for p in proposals]))
