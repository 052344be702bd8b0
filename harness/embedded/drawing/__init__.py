"""The drawing of the embedded world: one module per family of objects, all using the same brush."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from harness.embedded.drawing import animals, belongings, food, furniture, people, tableware, vehicles
from harness.embedded.drawing.brush import Brush, Sprite
from harness.embedded.drawing.look import Look

#: category -> (drawing function, half width of its layer in units)
_DRAWN: dict[str, tuple[Callable[[Brush, Look, np.random.Generator], None], float]] = {
    'person': (people.person, 0.4), 'car': (vehicles.car, 1.35), 'bus': (vehicles.bus, 1.35),
    'truck': (vehicles.truck, 1.3), 'cat': (animals.cat, 1.05), 'dog': (animals.dog, 1.1),
    'sheep': (animals.sheep, 0.9), 'umbrella': (belongings.umbrella, 0.8), 'bottle': (tableware.bottle, 0.3),
    'cup': (tableware.cup, 0.9), 'bowl': (tableware.bowl, 1.25), 'banana': (food.banana, 1.4),
    'apple': (food.apple, 0.6), 'orange': (food.orange, 0.6), 'chair': (furniture.chair, 0.55),
    'potted plant': (furniture.potted_plant, 0.75), 'vase': (tableware.vase, 0.5),
    'teddy bear': (belongings.teddy_bear, 0.65),
}


def draw(look: Look, height: float, rng: np.random.Generator) -> Sprite:
    """Draw one object, `height` image pixels for its unit of height; an object without a facing gets a random one."""
    function, half_width = _DRAWN[look.category]
    flip = look.facing == 'left' if look.facing else bool(rng.random() < 0.5)
    brush = Brush(height, flip, half_width)
    function(brush, look, rng)
    return brush.sprite(rng)
