"""Which setting a scene has and what it shows: a viewpoint, and the look of each person, animal and thing."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.embedded.drawing.background import SETTINGS
from harness.embedded.drawing.look import Look

_BRIGHT = ('red', 'blue', 'green', 'yellow', 'orange', 'purple', 'pink', 'white')
_COLORS = {
    'person': (*_BRIGHT, 'black', 'gray', 'brown', 'red', 'blue', 'white'),
    'car': ('red', 'blue', 'green', 'yellow', 'orange', 'white', 'black', 'gray'),
    'bus': ('red', 'blue', 'green', 'yellow', 'orange', 'white'),
    'truck': ('red', 'blue', 'green', 'yellow', 'orange', 'white'),
    'cat': ('orange', 'black', 'white', 'gray', 'brown'), 'dog': ('brown', 'black', 'white', 'gray', 'brown'),
    'sheep': ('white', 'white', 'black', 'brown', 'gray'), 'umbrella': (*_BRIGHT, 'black'),
    'bottle': ('green', 'brown', 'blue', 'white', 'red'), 'cup': (*_BRIGHT, 'black'), 'bowl': (*_BRIGHT, 'black'),
    'banana': ('yellow', 'yellow', 'yellow', 'green'), 'apple': ('red', 'red', 'green', 'yellow'),
    'orange': ('orange',), 'chair': ('brown', 'white', 'black', 'red', 'blue', 'green', 'yellow', 'gray'),
    'potted plant': ('brown', 'white', 'red', 'blue', 'black', 'yellow'),
    'vase': (*_BRIGHT, 'black'), 'teddy bear': ('brown', 'brown', 'white', 'pink', 'gray', 'blue'),
}
_TROUSERS = ('blue', 'black', 'gray', 'brown', 'white', 'green', 'red')
_YOUNG = {'dog': 'puppy', 'cat': 'kitten', 'sheep': 'lamb'}
#: groups of look-alikes or companions that share a setting, with how often each leads
_GROUPS: dict[str, list[tuple[str, ...]]] = {
    'meadow': [('dog', 'sheep', 'cat'), ('sheep', 'dog'), ('sheep', 'cat'), ('umbrella', 'chair'), ('cat', 'dog'),
               ('chair', 'potted plant'), ('chair', 'cat', 'teddy bear'), ('teddy bear', 'dog'), ('car', 'truck')],
    'street': [('car', 'truck', 'bus'), ('car', 'bus'), ('truck', 'car'), ('bus', 'truck'), ('dog', 'cat'),
               ('potted plant', 'chair')],
    'beach': [('umbrella', 'chair'), ('dog', 'cat'), ('chair', 'umbrella'), ('bottle', 'teddy bear')],
    'room': [('cat', 'dog'), ('chair', 'potted plant'), ('teddy bear', 'cat'), ('vase', 'potted plant', 'bottle'),
             ('chair', 'cat', 'teddy bear'), ('dog', 'cat', 'teddy bear')],
    'table': [('cup', 'bowl', 'vase'), ('apple', 'orange'), ('orange', 'apple', 'banana'), ('vase', 'bottle'),
              ('bowl', 'cup'), ('bowl', 'apple', 'orange'), ('bottle', 'cup'), ('banana', 'orange'),
              ('potted plant', 'vase'), ('teddy bear', 'cat')],
}
#: what may lie in or on what
HOSTS = {'apple': 'bowl', 'orange': 'bowl', 'cat': 'chair', 'teddy bear': 'chair', 'cup': 'chair', 'bottle': 'chair'}
_SETTING_WEIGHTS = {'people': (0.28, 0.2, 0.22, 0.18, 0.12), 'objects': (0.19, 0.19, 0.06, 0.18, 0.38),
                    'mixed': (0.22, 0.2, 0.12, 0.2, 0.26)}


@dataclass
class Viewpoint:
    """The setting of a scene and its perspective.

    zoom: pixels of a metre (a tenth of one on a table) at the lower edge of the picture.
    """
    setting: str
    width: int
    height: int
    horizon: float
    zoom: float

    def size_at(self, y: float) -> float:
        """Pixels of a metre (a tenth of one) for what stands at y."""
        t = (y - self.horizon) / (self.height - self.horizon)
        return self.zoom * (0.5 + 0.5 * t if self.setting == 'table' else max(t, 0.15))


def draw_viewpoint(kind: str, rng: np.random.Generator) -> Viewpoint:
    setting = SETTINGS[rng.choice(len(SETTINGS), p=_SETTING_WEIGHTS[kind])]
    width, height = int(rng.integers(256, 321)), int(rng.integers(224, 289))
    if rng.random() < 0.25:
        width, height = height, width
    horizon, zoom = {'meadow': ((0.2, 0.42), (75, 150)), 'street': ((0.25, 0.42), (45, 85)),
                     'beach': ((0.25, 0.42), (70, 140)), 'room': ((0.3, 0.5), (80, 150)),
                     'table': ((0.25, 0.5), (30, 62))}[setting]
    near = 1.4 if rng.random() < 0.15 else 1.0
    return Viewpoint(setting, width, height, round(rng.uniform(*horizon) * height), near * rng.uniform(*zoom))


def cast(view: Viewpoint, kind: str, rng: np.random.Generator) -> list[Look]:
    """The looks to show: a few people, and a few groups of one category with look-alikes."""
    people = {'people': int(rng.integers(3, 8)), 'mixed': int(rng.integers(0, 5)),
              'objects': int(rng.random() < 0.3)}[kind]
    wanted = int(rng.integers(2, 6)) if kind == 'people' else int(rng.integers(5, 13)) - people // 2
    groups = _GROUPS[view.setting]
    names: list[str] = []
    while len(names) < wanted:
        group = groups[rng.integers(len(groups))]
        for rank, name in enumerate(group):
            names += [name] * int(rng.integers(2, 6) if rank == 0 else rng.integers(0, 4))
    looks = [_person(view, rng) for _ in range(people)] + [thing_look(name, rng) for name in names[:wanted]]
    mixed = [looks[i] for i in rng.permutation(len(looks))]
    return sorted(mixed, key=lambda look: look.category not in HOSTS.values())


def _person(view: Viewpoint, rng: np.random.Generator) -> Look:
    kind = ('man', 'woman', 'boy', 'girl')[rng.choice(4, p=(0.34, 0.32, 0.17, 0.17))]
    pose = ('standing', 'walking', 'sitting', 'arms up')[rng.choice(4, p=(0.45, 0.22, 0.2, 0.13))]
    if view.setting == 'table' or (view.setting == 'street' and pose == 'sitting'):
        pose = 'standing'
    color = _COLORS['person'][rng.integers(len(_COLORS['person']))]
    lower = [c for c in _TROUSERS if c != color]
    look = Look('person', kind, color, pose, lower_color=lower[rng.integers(len(lower))])
    if rng.random() < 0.4:
        look.accessory = ('hat', 'glasses', 'backpack')[rng.choice(3, p=(0.45, 0.3, 0.25))]
    if pose == 'walking' or rng.random() < 0.4:
        look.facing = ('left', 'right')[rng.integers(2)]
    if pose == 'standing' and rng.random() < 0.2 and view.setting != 'table':
        look.holding, look.facing = 'umbrella', look.facing or ('left', 'right')[rng.integers(2)]
    return look


def thing_look(category: str, rng: np.random.Generator) -> Look:
    color = _COLORS[category][rng.integers(len(_COLORS[category]))]
    look = Look(category, category, color)
    if category in _YOUNG:
        if rng.random() < 0.3:
            look.kind = _YOUNG[category]
        sitting = 0.0 if category == 'sheep' else 0.3
        look.pose = ('standing', 'lying', 'sitting')[rng.choice(3, p=(0.72 - sitting, 0.28, sitting))]
    if category in _YOUNG or category in ('car', 'bus', 'truck', 'chair'):
        look.facing = ('left', 'right')[rng.integers(2)]
    if category in ('cup', 'bowl', 'vase', 'umbrella') and rng.random() < 0.3:
        look.accessory = ('striped', 'dotted')[rng.integers(2)]
    return look
