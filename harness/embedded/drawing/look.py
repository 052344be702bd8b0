"""How one object looks, before it is placed: the input of every drawing function."""
from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Look:
    """The words for one object; see `harness.embedded.world.SceneObject` for the values of each field.

    holding ('umbrella' or '') only bends a person's arm: the thing held is an object of its own.
    """
    category: str
    kind: str
    color: str
    pose: str = ''
    facing: str = ''
    accessory: str = ''
    lower_color: str = ''
    holding: str = ''
