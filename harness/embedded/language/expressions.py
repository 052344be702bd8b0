"""Choosing referents, and claims that are true of one object alone.

Claims are drawn at random as a dataset's writers would make them, and kept if they determine the referent
(``View.determined``). Objects that are hard to tell apart therefore get longer sentences.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.embedded.language.logic import CONCEPTS, PEOPLE, RELATIONS, View, holds
from harness.embedded.language.wording import STYLES, chance, choose, word

__all__ = ['STYLES', 'Sentence', 'choose_referents', 'describe', 'holds', 'sentences_for']

LOOK_ALIKES = ({'cup', 'bowl', 'vase'}, {'apple', 'orange'}, {'dog', 'cat', 'sheep'}, {'car', 'bus', 'truck'})
PLACELESS_RELATIONS = ('next to', 'on', 'in', 'holding', 'held by')
CONTACTS = ('on', 'in', 'holding', 'held by')
SIDES = ('left of', 'right of')
RELATION_WEIGHTS = {'next to': 8, 'in front of': 2, 'behind': 2, 'left of': 1, 'right of': 1, 'under': 3}
ONE_COLOR = ('banana', 'orange')
ATTEMPTS = 40
NAMEABLE_AREA, NAMEABLE_PART = 70, 0.2
SMALL_PART = 0.012
HIDDEN_PART = 0.75


@dataclass(frozen=True)
class Sentence:
    """One expression of a scene.

    Attributes:
        sent: the words, lower case, single spaces.
        tokens: its words.
        target: index of the referent among the scene's objects.
        context: indices of the contextual objects that it mentions.
        logic: its logical form (``logic.py``), JSON-able.
    """

    sent: str
    tokens: list[str]
    target: int
    context: list[int]
    logic: dict[str, Any]


@dataclass(frozen=True)
class Habit:
    """How often the writers of a dataset mention each part of a claim, as probabilities."""

    order: float
    place: float
    color: float
    shirt: float
    lower: float
    accessory: float
    pose: float
    facing: float
    size: float
    person_relation: float
    relation: float
    general: float
    nameless: float


HABITS = {
    'refcoco': Habit(order=0.36, place=0.25, color=0.32, shirt=0.30, lower=0.04, accessory=0.07, pose=0.10, facing=0.03,
                     size=0.08, person_relation=0.05, relation=0.22, general=0.25, nameless=0.10),
    'refcoco+': Habit(order=0, place=0, color=0.60, shirt=0.55, lower=0.07, accessory=0.12, pose=0.15, facing=0,
                      size=0.25, person_relation=0.06, relation=0.75, general=0.25, nameless=0.11),
    'refcocog': Habit(order=0.03, place=0.03, color=0.55, shirt=0.60, lower=0.20, accessory=0.30, pose=0.35,
                      facing=0.04, size=0.15, person_relation=0.42, relation=0.86, general=0.08, nameless=0.0),
}


def describe(objects: Sequence[Any], width: int, height: int, style: str, rng: np.random.Generator, count: int,
             kind: str = 'mixed', per_referent: int | None = None) -> list[Sentence]:
    """Up to about ``count`` sentences on a scene, several per referent, each true of exactly one object.

    Args:
        objects: have the attributes of ``world.SceneObject``.
        width, height: of the image in pixels.
        style: one of ``STYLES``.
        rng: the only source of chance.
        count: about how many; whole referents are added, so that the number holds on average.
        kind: ``'people'``: referents are people; ``'objects'``: they are not; ``'mixed'``: both.
        per_referent: sentences per referent, by default 3 (refcocog: 2).
    """
    view = View(objects, width, height)
    per_referent = per_referent or (2 if style == 'refcocog' else 3)
    sentences: list[Sentence] = []
    for target in choose_referents(objects, width, height, kind, rng):
        if (count - len(sentences)) / per_referent <= rng.random():
            break
        sentences += sentences_for(view, target, style, rng, per_referent)
    return sentences


def choose_referents(objects: Sequence[Any], width: int, height: int, kind: str,
                     rng: np.random.Generator) -> list[int]:
    """Every object that can be named, in random order; those hard to find or to tell apart tend to be first."""
    weights = []
    for o in objects:
        person = o.category == 'person'
        wanted = {'people': person, 'objects': not person, 'mixed': True}[kind]
        weights.append(_difficulty(o, objects, width * height) if wanted and _nameable(o) else 0.0)
    chances = np.array(weights)
    keys = np.where(chances > 0, rng.random(len(chances)) ** (1 / np.maximum(chances, 1e-9)), -1)
    return [int(i) for i in np.argsort(-keys, kind='stable') if keys[i] >= 0]


def sentences_for(view: View, target: int, style: str, rng: np.random.Generator, count: int) -> list[Sentence]:
    """Up to ``count`` differently worded sentences for one object; none if no claim singles it out."""
    found: dict[str, Sentence] = {}
    for _ in range(ATTEMPTS):
        logic = _claim(view, target, HABITS[style], style, rng)
        if logic is None or view.determined(logic) != target:
            continue
        tokens = word(logic, style, rng)
        if not tokens:  # an unnamed thing whose pose stays unsaid
            continue
        sent = ' '.join(tokens)
        found.setdefault(sent, Sentence(sent, tokens, target, view.context(logic), logic))
        if len(found) == count:
            break
    return list(found.values())


def _nameable(o: Any) -> bool:
    return o.area >= NAMEABLE_AREA and o.visible >= NAMEABLE_PART


def _difficulty(o: Any, objects: Sequence[Any], pixels: int) -> float:
    others = [other.category for other in objects if other is not o]
    weight = 1.0
    if o.category in others:
        weight *= 2.0
    if any(o.category in group and group & set(others) - {o.category} for group in LOOK_ALIKES):
        weight *= 1.4
    if o.visible < HIDDEN_PART:
        weight *= 1.8
    if o.area < SMALL_PART * pixels:
        weight *= 1.6
    return weight


def _claim(view: View, target: int, habit: Habit, style: str, rng: np.random.Generator) -> dict[str, Any] | None:
    """A random claim that is clearly true of the target; ``None`` if this draw fails."""
    o = view.objects[target]
    logic: dict[str, Any] = {'is': _concept(o, habit, rng)}
    _add_looks(logic, o, habit, rng)
    if chance(rng, habit.person_relation if o.category == 'person' else habit.relation):
        if style != 'refcocog':  # short sentences leave out some of what they could say
            logic = {name: value for name, value in logic.items() if name == 'is' or chance(rng, 0.5)}
        if not _add_relation(logic, view, target, style, rng):
            return None
    if 'relation' in logic and (style != 'refcocog' or 'facing' in logic or logic['relation']['name'] in SIDES):
        return logic
    if chance(rng, habit.size) and o.category != 'person' and logic['is'] != 'thing':
        if view.comparison_class(logic) > 1:
            logic['size'] = _true_of(view, target, logic, 'size', ('big', 'small'))
    elif chance(rng, habit.order):
        logic['order'] = _order(view, target, logic, rng)
    elif 'relation' not in logic and chance(rng, habit.place):
        logic['place'] = _true_of(view, target, logic, 'place',
                                  ('top left', 'top right', 'bottom left', 'bottom right')
                                  if chance(rng, 0.15) else ('left', 'right', 'middle')
                                  if chance(rng, 0.85) else ('top', 'bottom'))
    if None in logic.values() or list(logic) == ['is'] and logic['is'] in ('thing', 'person', 'animal', 'fruit'):
        return None
    return logic


def _concept(o: Any, habit: Habit, rng: np.random.Generator) -> str:
    """The concept to call an object by: its kind, its category, something more general, or just 'thing'."""
    if chance(rng, habit.nameless):
        return 'thing'
    fitting = [concept for concept, kinds in CONCEPTS.items() if o.kind in kinds]
    fitting.sort(key=lambda concept: len(CONCEPTS[concept]))
    if o.category == 'person':
        general = [concept for concept in fitting if len(CONCEPTS[concept]) > 1 and concept not in ('male', 'female')]
        if chance(rng, 0.03):
            general = [concept for concept in fitting if concept in ('male', 'female')]
        return choose(rng, general) if chance(rng, max(habit.general * 1.6, 0.15)) else fitting[0]
    specific = fitting[0] if chance(rng, 0.7) else o.category
    return fitting[-1] if chance(rng, habit.general * 0.25) else specific


def _add_looks(logic: dict[str, Any], o: Any, habit: Habit, rng: np.random.Generator) -> None:
    whole = o.visible >= HIDDEN_PART
    person = o.category == 'person'
    named = logic['is'] != 'thing'
    if o.category not in ONE_COLOR and (named or not person) and chance(rng, habit.shirt if person else habit.color):
        logic['color'] = o.color
    if o.lower_color and whole and logic['is'] in PEOPLE and chance(rng, habit.lower):
        logic['lower'] = o.lower_color
    if o.accessory and whole and named and chance(rng, habit.accessory if person else habit.color):
        logic['accessory'] = o.accessory
    if o.pose and whole and chance(rng, habit.pose * (0.3 if o.pose == 'standing' else 1)):
        logic['pose'] = o.pose
    if o.facing and whole and o.category != 'chair' and chance(rng, habit.facing):
        logic['facing'] = o.facing


def _true_of(view: View, target: int, logic: dict[str, Any], name: str, values: Sequence[str]) -> str | None:
    """The value that makes the claim clearly true of the target; the target has at most one."""
    for value in values:
        if view.extension({**logic, name: value})[0] >> target & 1:
            return value
    return None


def _order(view: View, target: int, logic: dict[str, Any], rng: np.random.Generator) -> dict[str, Any] | None:
    """The target's place in a row of those that the claim fits so far."""
    of = view.comparison_class(logic)
    if of < 2:
        return None
    options = []
    for side, weight in (('left', 4), ('right', 4), ('front', 2), ('middle', 3), ('back', 1), ('top', 1),
                         ('bottom', 1)):
        for rank in (1, 2, 3) if side in ('left', 'right') and of > 3 else (1, 2) if (
                side in ('left', 'right') and of == 3) else (1,):
            order = {'from': side, 'rank': rank, 'of': of}
            if view.extension({**logic, 'order': order})[0] >> target & 1:
                options += [order] * (weight if rank == 1 else 2)
    return choose(rng, options) if options else None


def _add_relation(logic: dict[str, Any], view: View, target: int, style: str, rng: np.random.Generator,
                  depth: int = 0) -> bool:
    """Relate the target to an object that can itself be described; False if this draw finds none."""
    names = CONTACTS if depth else PLACELESS_RELATIONS if style == 'refcoco+' else tuple(RELATIONS)
    pairs = []
    for name, other in view.relations(target):
        if name in names and _nameable(view.objects[other]):
            pairs += [(name, other)] * RELATION_WEIGHTS.get(name, 6)
    if not pairs:
        return False
    name, other = choose(rng, pairs)
    description = _context(view, other, target, style, rng, depth)
    if description is None:
        return False
    if logic.get('pose') == 'arms up' and name in ('on', 'holding'):
        del logic['pose']
    logic['relation'] = {'name': name, 'to': description}
    return True


def _context(view: View, index: int, target: int, style: str, rng: np.random.Generator,
             depth: int) -> dict[str, Any] | None:
    """A short claim that determines a contextual object by its looks."""
    o = view.objects[index]
    long = style == 'refcocog'
    for _ in range(8):
        logic: dict[str, Any] = {'is': o.kind if o.kind in CONCEPTS and chance(rng, 0.8) else o.category}
        if o.category not in ONE_COLOR and chance(rng, 0.5 if long else 0.3):
            logic['color'] = o.color
        if o.accessory and o.visible >= HIDDEN_PART and chance(rng, 0.3 if long else 0.15):
            logic['accessory'] = o.accessory
        if o.pose and o.pose != 'standing' and o.visible >= HIDDEN_PART and chance(rng, 0.15 if long else 0.05):
            logic['pose'] = o.pose
        if long and depth == 0 and chance(rng, 0.15):
            _add_relation(logic, view, index, style, rng, depth + 1)
        if view.determined(logic) == index and target not in view.context(logic):
            return logic
    return None

