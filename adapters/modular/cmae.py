"""CM-A-E as a grounder: an image's proposals and expressions to scores, all of them in one call of the network."""
from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from adapters.modular import recipes
from adapters.modular.grounding import ModularGrounder, Seen
from adapters.modular.metadata import CMAEMetadata
from adapters.modular.object_features import whole_image
from grounders.cmae import CMAE
from grounders.modular import Grounding
from harness.registry import GROUNDERS
from harness.types import ImageFeatures

if TYPE_CHECKING:
    from adapters.modular.recipes import CMAETraining
    from harness.training.grounder import Material, Recipe


@GROUNDERS.register_module(name='cmae')
class CMAEGrounder(ModularGrounder):
    """CM-A-E: modular attention trained with erasing (CVPR 2019)."""

    weights = 'cmae'
    title = 'CM-A-E'
    metadata = CMAEMetadata
    recipes = recipes.CMAE
    network: CMAE

    @classmethod
    def recipe(cls, material: Material, seed: int, options: CMAETraining | None = None) -> Recipe:
        """How ``train cmae`` trains it: attention first, then erasing from it."""
        from adapters.modular.cmae_training import cmae_recipe
        return cmae_recipe(material, seed, options)

    def match(self, image: ImageFeatures, seen: Seen) -> Grounding:
        """Every sentence is read with a crop of the whole image."""
        read_with = torch.zeros(len(seen.labels), dtype=torch.int64, device=seen.labels.device)
        return self.network.ground(*seen[:-1], whole_image(image), read_with, seen.rows)
