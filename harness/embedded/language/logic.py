"""What a sentence claims, and of which objects of a scene that is clearly true.

A logical form is a JSON-able dict, a conjunction of what is present::

    {'is': 'dog',                                   concept (CONCEPTS); 'thing' is every object
     'color': 'brown', 'lower': 'blue',             colours: of a person's shirt and trousers or skirt, else of the body
     'pose': 'lying', 'facing': 'left', 'accessory': 'hat',
     'place': 'top left',                           where in the image
     'size': 'small',                               smallest or largest ('big') of those that all of the above fits
     'order': {'from': 'left', 'rank': 2, 'of': 4}, second from left of the four that all but the size fits;
                                                    'from' is left, right, top, bottom, front, back or middle
     'relation': {'name': 'next to', 'to': {...}}}  to an object that its own form determines

Truth has three values, because a sentence that a person could doubt must not be used: a claim's *extension* is a pair
of bit sets over the objects, those of which it is clearly true and those of which it may be true. A form determines an
object if it is clearly true of it and clearly false of every other. Boxes are xywh in image pixels.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

PEOPLE = ('man', 'woman', 'boy', 'girl')
CONCEPTS: dict[str, tuple[str, ...]] = {
    'man': ('man',), 'woman': ('woman',), 'boy': ('boy',), 'girl': ('girl',),
    'male': ('man', 'boy'), 'female': ('woman', 'girl'), 'child': ('boy', 'girl'), 'person': PEOPLE,
    'dog': ('dog', 'puppy'), 'puppy': ('puppy',), 'cat': ('cat', 'kitten'), 'kitten': ('kitten',),
    'sheep': ('sheep', 'lamb'), 'lamb': ('lamb',), 'animal': ('dog', 'puppy', 'cat', 'kitten', 'sheep', 'lamb'),
    'car': ('car',), 'bus': ('bus',), 'truck': ('truck',), 'vehicle': ('car', 'bus', 'truck'),
    'banana': ('banana',), 'apple': ('apple',), 'orange': ('orange',), 'fruit': ('banana', 'apple', 'orange'),
    'umbrella': ('umbrella',), 'bottle': ('bottle',), 'cup': ('cup',), 'bowl': ('bowl',), 'chair': ('chair',),
    'potted plant': ('potted plant',), 'vase': ('vase',), 'teddy bear': ('teddy bear',),
}
"""Concept -> the kinds it is true of. People, animals, vehicles and fruit have concepts above the category."""

PATTERNS = ('striped', 'dotted')

NEARLY_THE_SAME = tuple(map(frozenset, (('orange', 'brown'), ('orange', 'yellow'), ('pink', 'purple'))))
"""Pairs of colour names between which a person may waver."""

X_MARGIN = 0.07
"""Objects whose centres are nearer to each other, as a part of the image's width or height, have no clear order."""
BASE_MARGIN = 0.05
"""The same for the lower edges that tell near from far."""
SIZE_RATIO = 1.6
"""How many times larger the larger one's silhouette must be."""
SEEN = 0.6
"""An object of which a smaller part is visible has pose, trousers and accessories that may be hidden."""
DETAIL_PIXELS, GLASSES_PIXELS = 250, 1000
"""The same holds for an object whose silhouette has fewer pixels than this; glasses need more."""

Extension = tuple[int, int]


class View:
    """The objects of a scene, for judging claims; caches the extension of every simple claim.

    Args:
        objects: have the attributes of ``world.SceneObject``.
        width, height: of the image in pixels.
    """

    def __init__(self, objects: Sequence[Any], width: int, height: int) -> None:
        self.objects = objects
        self.width, self.height = float(width), float(height)
        self.everything = (1 << len(objects)) - 1
        self._memo: dict[Any, Any] = {}
        boxes = [tuple(map(float, o.xywh)) for o in objects]
        self.left = [x for x, _, _, _ in boxes]
        self.right = [x + w for x, _, w, _ in boxes]
        self.top = [y for _, y, _, _ in boxes]
        self.base = [y + h for _, y, _, h in boxes]
        self.cx = [(a + b) / 2 for a, b in zip(self.left, self.right, strict=True)]
        self.cy = [(a + b) / 2 for a, b in zip(self.top, self.base, strict=True)]
        self.size = [o.area / max(o.visible, 0.05) for o in objects]

    def extension(self, logic: dict[str, Any]) -> Extension:
        """The objects of which ``logic`` is clearly true, and those of which it may be: two bit sets."""
        yes, maybe = self._described(logic)
        if 'size' in logic:
            size_yes, size_maybe = self._largest(maybe, logic['size'])
        if 'order' in logic:
            order = logic['order']
            order_yes, order_maybe = self._ordered(maybe, order['from'], order['rank'], order['of'])
            yes, maybe = yes & order_yes, maybe & order_maybe
        if 'size' in logic:
            yes, maybe = yes & size_yes, maybe & size_maybe
        return yes, maybe

    def determined(self, logic: dict[str, Any]) -> int | None:
        """The index of the one object that ``logic`` is clearly true of, if it is clearly false of all others."""
        yes, maybe = self.extension(logic)
        return yes.bit_length() - 1 if yes == maybe and yes and not yes & (yes - 1) else None

    def context(self, logic: dict[str, Any]) -> list[int]:
        """The contextual objects of a form, in the order in which it mentions them."""
        if 'relation' not in logic:
            return []
        other = logic['relation']['to']
        index = self.determined(other)
        return ([] if index is None else [index]) + self.context(other)

    def comparison_class(self, logic: dict[str, Any]) -> int:
        """How many objects ``size`` and ``order`` would compare."""
        return self._described(logic)[1].bit_count()

    def related(self, name: str, a: int, b: int) -> bool:
        """Whether object ``a`` clearly stands in a relation to object ``b``."""
        return bool(self._related(name, b)[0] >> a & 1)

    def relations(self, a: int) -> list[tuple[str, int]]:
        """All (relation, other object) in which object ``a`` clearly stands."""
        if ('relations', a) not in self._memo:
            self._memo['relations', a] = [(name, b) for name in RELATIONS for b in range(len(self.objects))
                                          if a != b and self.related(name, a, b)]
        return self._memo['relations', a]

    def _described(self, logic: dict[str, Any]) -> Extension:
        yes = maybe = self.everything
        for name in ('is', 'color', 'lower', 'pose', 'facing', 'accessory', 'place'):
            if name in logic:
                named = logic.get('is', 'thing') != 'thing'
                more_yes, more_maybe = self._simple(name, logic[name], named)
                yes, maybe = yes & more_yes, maybe & more_maybe
        if 'relation' in logic:
            other = self.determined(logic['relation']['to'])
            if other is None:
                return 0, maybe
            more_yes, more_maybe = self._related(logic['relation']['name'], other)
            yes, maybe = yes & more_yes, maybe & more_maybe
        return yes, maybe

    def _simple(self, name: str, value: str, named: bool) -> Extension:
        key = name, value, named
        if key not in self._memo:
            judge = getattr(self, f'_judge_{name}')
            self._memo[key] = _bits(judge(i, value) for i in range(len(self.objects)))
            if name == 'color' and not named:
                self._memo[key] = self._colored_one(value, self._memo[key])
        return self._memo[key]

    def _colored_one(self, color: str, extension: Extension) -> Extension:
        """'The red one': a person in red is not quite red, and a plant is green, whatever its pot."""
        people, plants = (self._simple('is', concept, True)[0] for concept in ('person', 'potted plant'))
        yes, maybe = extension
        return (yes & ~people & ~plants, maybe | plants) if color == 'green' else (yes & ~people, maybe)

    def _related(self, name: str, other: int) -> Extension:
        key = 'relation', name, other
        if key not in self._memo:
            judge = RELATIONS[name]
            self._memo[key] = _bits(i != other and judge(self, i, other) for i in range(len(self.objects)))
        return self._memo[key]

    def _judge_is(self, i: int, concept: str) -> bool:
        return concept == 'thing' or self.objects[i].kind in CONCEPTS[concept]

    def _judge_color(self, i: int, color: str) -> bool | None:
        return _same_color(self.objects[i].color, color)

    def _judge_lower(self, i: int, color: str) -> bool | None:
        return _same_color(self.objects[i].lower_color, color) if self._shows(i) else None

    def _judge_pose(self, i: int, pose: str) -> bool | None:
        return self.objects[i].pose == pose if self._shows(i) or not self.objects[i].pose else None

    def _judge_facing(self, i: int, facing: str) -> bool | None:
        return self.objects[i].facing == facing if self._shows(i) or not self.objects[i].facing else None

    def _judge_accessory(self, i: int, accessory: str) -> bool | None:
        pixels = GLASSES_PIXELS if accessory == 'glasses' else DETAIL_PIXELS
        return self.objects[i].accessory == accessory if self._shows(i, pixels) else None

    def _shows(self, i: int, pixels: float = DETAIL_PIXELS) -> bool:
        """Whether the pose and clothing of an object can be seen."""
        return self.objects[i].visible >= SEEN and self.size[i] >= pixels

    def _judge_place(self, i: int, place: str) -> bool | None:
        x, y = self.cx[i] / self.width, self.cy[i] / self.height
        parts = []
        for word in place.split():
            if word == 'middle':
                distance = abs(x - 0.5)
                parts.append(True if distance < 0.1 else None if distance < 0.22 else False)
            else:
                distance = {'left': x, 'right': 1 - x, 'top': y, 'bottom': 1 - y}[word]
                parts.append(True if distance < 0.36 else None if distance < 0.5 else False)
        return False if False in parts else None if None in parts else True

    def _largest(self, members: int, size: str) -> Extension:
        indices = _indices(members)
        if len(indices) < 2:
            return 0, members
        sign = 1 if size == 'big' else -1

        def verdict(i: int) -> bool | None:
            ratios = [(self.size[i] / self.size[j]) ** sign for j in indices if j != i]
            if min(ratios) >= SIZE_RATIO:
                return True if self.objects[i].visible >= SEEN else None
            return False if min(ratios) <= 1 / SIZE_RATIO else None

        return _bits((i, verdict(i)) for i in indices)

    def _ordered(self, members: int, side: str, rank: int, of: int) -> Extension:
        indices = _indices(members)
        if len(indices) != of or of < 2:
            return 0, members
        if side == 'middle':
            if of != 3:
                return 0, members
            side, rank = 'left', 2

        def verdict(i: int) -> bool | None:
            others = [self._before(j, i, side) for j in indices if j != i]
            before, unclear = others.count(True), others.count(None)
            if not unclear:
                return before == rank - 1
            return None if before <= rank - 1 <= before + unclear else False

        return _bits((i, verdict(i)) for i in indices)

    def _before(self, a: int, b: int, side: str) -> bool | None:
        """Whether ``a`` comes before ``b``, counted from a side; ``None`` where that is not clear."""
        if side in ('front', 'back'):
            by_base = _clear(self.base[b] - self.base[a], BASE_MARGIN * self.height)
            by_depth = self.objects[a].depth > self.objects[b].depth
            nearer = by_base if by_base == by_depth else None
            return nearer if side == 'front' or nearer is None else not nearer
        values, extent = (self.cx, self.width) if side in ('left', 'right') else (self.cy, self.height)
        sign = 1 if side in ('left', 'top') else -1
        return _clear(sign * (values[a] - values[b]), X_MARGIN * extent)


def holds(logic: dict[str, Any], objects: Sequence[Any], i: int, width: int, height: int) -> bool:
    """Whether ``logic`` is clearly true of ``objects[i]``; False too where what it mentions is not determined."""
    return bool(View(objects, width, height).extension(logic)[0] >> i & 1)


def _next_to(v: View, a: int, b: int) -> bool | None:
    gap = max(v.left[b] - v.right[a], v.left[a] - v.right[b]) / v.width
    base = abs(v.base[a] - v.base[b]) / v.height
    if _touching(v, a, b) or gap > 0.2 or base > 0.25:
        return False
    narrower = min(v.right[a] - v.left[a], v.right[b] - v.left[b]) / v.width
    return True if -0.3 * narrower < gap < 0.09 and base < 0.12 and _shared_height(v, a, b) > 0.3 else None


def _left_of(v: View, a: int, b: int) -> bool | None:
    ahead = (v.cx[b] - v.cx[a]) / v.width
    if ahead <= 0 or _touching(v, a, b):
        return False
    clear = ahead > 0.12 and v.right[a] < v.cx[b] and v.cx[a] < v.left[b]
    return True if clear and _shared_height(v, a, b) > 0.4 else None


def _right_of(v: View, a: int, b: int) -> bool | None:
    return _left_of(v, b, a)


def _in_front_of(v: View, a: int, b: int) -> bool | None:
    if _touching(v, a, b) or v.objects[a].depth <= v.objects[b].depth:
        return False
    shared = min(v.right[a], v.right[b]) - max(v.left[a], v.left[b])
    if shared <= 0 or v.base[a] < v.base[b]:
        return False
    narrower = min(v.right[a] - v.left[a], v.right[b] - v.left[b])
    near = v.top[a] < v.base[b] + 0.02 * v.height
    clear = v.base[a] > v.base[b] + BASE_MARGIN * v.height and shared > 0.5 * narrower
    return True if clear and near else None


def _behind(v: View, a: int, b: int) -> bool | None:
    return _in_front_of(v, b, a)


def _on(v: View, a: int, b: int) -> bool:
    return v.objects[a].on == b and v.objects[b].category not in ('person', 'bowl')


def _in(v: View, a: int, b: int) -> bool:
    return v.objects[a].on == b and v.objects[b].category == 'bowl'


def _holding(v: View, a: int, b: int) -> bool:
    return v.objects[b].on == a and v.objects[a].category == 'person'


def _held_by(v: View, a: int, b: int) -> bool:
    return _holding(v, b, a)


def _under(v: View, a: int, b: int) -> bool | None:
    if v.objects[b].category != 'umbrella' or v.objects[a].category != 'person':
        return False
    covered = v.left[b] < v.cx[a] < v.right[b] and v.cy[b] < v.cy[a]
    return (True if _holding(v, a, b) else None) if covered else False


RELATIONS = {
    'next to': _next_to, 'left of': _left_of, 'right of': _right_of, 'in front of': _in_front_of, 'behind': _behind,
    'on': _on, 'in': _in, 'holding': _holding, 'held by': _held_by, 'under': _under,
}
"""Relation -> judgement of (view, figure, ground): True, False, or None where a person could doubt."""


def _touching(v: View, a: int, b: int) -> bool:
    return v.objects[a].on == b or v.objects[b].on == a


def _shared_height(v: View, a: int, b: int) -> float:
    """The common part of the vertical extents, relative to the smaller one."""
    shared = min(v.base[a], v.base[b]) - max(v.top[a], v.top[b])
    return shared / min(v.base[a] - v.top[a], v.base[b] - v.top[b])


def _same_color(a: str, b: str) -> bool | None:
    return True if a == b else None if frozenset((a, b)) in NEARLY_THE_SAME else False


def _clear(difference: float, margin: float) -> bool | None:
    """Negative: True; positive: False; nearer to zero than the margin: ``None``."""
    return None if abs(difference) < margin else difference < 0


def _indices(bits: int) -> list[int]:
    return [i for i in range(bits.bit_length()) if bits >> i & 1]


def _bits(verdicts: Any) -> Extension:
    """Verdicts of objects 0, 1, …, or pairs (index, verdict), to the bit sets (clearly true, may be true)."""
    yes = maybe = 0
    for position, verdict in enumerate(verdicts):
        index, value = verdict if isinstance(verdict, tuple) else (position, verdict)
        yes |= (value is True) << index
        maybe |= (value is not False) << index
    return yes, maybe
