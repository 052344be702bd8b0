"""The words for a logical form, in the style of each dataset.

``refcoco``: short, telegraphic, with places; ``refcoco+``: the same without any place; ``refcocog``: whole noun phrases
with articles. The same form has many wordings; the generator chooses among them.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from harness.embedded.language.logic import PATTERNS

T = TypeVar('T')

STYLES = ('refcoco', 'refcoco+', 'refcocog')

NOUNS: dict[str, tuple[str, ...]] = {
    'man': ('man', 'man', 'man', 'guy', 'guy', 'guy', 'dude', 'gentleman', 'fellow'),
    'woman': ('woman', 'woman', 'lady', 'lady'), 'boy': ('boy', 'boy', 'little boy', 'young boy'),
    'girl': ('girl', 'girl', 'little girl', 'young girl'), 'male': ('male',), 'female': ('female',),
    'child': ('kid', 'kid', 'kid', 'child', 'child', 'little kid', 'youngster'), 'person': ('person',),
    'dog': ('dog',) * 6 + ('doggy', 'pooch'), 'puppy': ('puppy', 'puppy', 'pup', 'baby dog'),
    'cat': ('cat',) * 5 + ('kitty', 'kitty', 'feline'), 'kitten': ('kitten', 'kitten', 'baby cat'),
    'sheep': ('sheep',), 'lamb': ('lamb', 'lamb', 'baby sheep'), 'animal': ('animal',),
    'car': ('car',) * 8 + ('automobile',), 'bus': ('bus',), 'truck': ('truck',), 'vehicle': ('vehicle',),
    'banana': ('banana',), 'apple': ('apple',), 'orange': ('orange',), 'fruit': ('fruit', 'piece of fruit'),
    'umbrella': ('umbrella',) * 6 + ('parasol',), 'bottle': ('bottle',),
    'cup': ('cup', 'cup', 'cup', 'mug', 'mug', 'coffee cup'), 'bowl': ('bowl', 'bowl', 'dish'),
    'chair': ('chair', 'chair', 'seat'), 'vase': ('vase',),
    'potted plant': ('plant', 'plant', 'plant', 'potted plant', 'potted plant', 'house plant'),
    'teddy bear': ('teddy bear', 'teddy bear', 'teddy', 'bear', 'bear', 'stuffed bear', 'stuffed animal', 'toy bear'),
}
"""Concept -> its nouns; one that is named twice is chosen twice as often."""

ONE = ('one', 'one', 'one', 'one', 'thing')
PEOPLE = ('man', 'woman', 'boy', 'girl', 'male', 'female', 'child', 'person')
SHIRTS = ('shirt', 'shirt', 'shirt', 'shirt', 'sweater', 'sweater', 'tee', 'pullover')
BELOW_THE_WAIST = {'man': 'pants', 'boy': 'shorts', 'woman': 'skirt', 'girl': 'skirt'}
BIG = ('big', 'big', 'large', 'bigger', 'biggest', 'larger', 'largest')
SMALL = ('small', 'small', 'smaller', 'smallest', 'little', 'tiny')
RANKS = {1: ('first', '1st'), 2: ('second', 'second', '2nd'), 3: ('third', 'third', '3rd'), 4: ('fourth', '4th')}

POSES = {
    'standing': ('standing', 'standing', 'standing up'), 'sitting': ('sitting', 'sitting', 'sitting down', 'seated'),
    'lying': ('lying down', 'laying down', 'lying'), 'walking': ('walking',),
    'arms up': ('with arms up', 'arms up', 'with hands up', 'with arms raised', 'raising arms'),
}
SHORT_RELATIONS = {
    'next to': ('next to', 'by', 'beside'), 'left of': ('left of', 'to left of'),
    'right of': ('right of', 'to right of'), 'in front of': ('in front of',), 'behind': ('behind',), 'on': ('on',),
    'in': ('in',), 'holding': ('holding', 'with'), 'held by': ('held by',), 'under': ('under',),
}
LONG_RELATIONS = {
    'next to': ('next to', 'next to', 'beside', 'by'), 'left of': ('to the left of', 'on the left of'),
    'right of': ('to the right of', 'on the right of'), 'in front of': ('in front of',), 'behind': ('behind',),
    'on': ('on', 'on', 'on top of'), 'in': ('in', 'inside'), 'holding': ('holding', 'with', 'carrying'),
    'held by': ('held by', 'being held by', 'carried by'), 'under': ('under', 'underneath'),
}


def choose(rng: np.random.Generator, options: Sequence[T]) -> T:
    """One of ``options``, each equally likely."""
    return options[int(rng.random() * len(options))]


def chance(rng: np.random.Generator, probability: float) -> bool:
    return bool(rng.random() < probability)


def word(logic: dict[str, Any], style: str, rng: np.random.Generator) -> list[str]:
    """The words of one sentence that says ``logic``: lower case, no punctuation."""
    phrase = _long(logic, rng) if style == 'refcocog' else _short(logic, rng)
    words = ' '.join(phrase).split()
    return ['grey' if w == 'gray' else w for w in words] if chance(rng, 0.3) else words


def _short(logic: dict[str, Any], rng: np.random.Generator, is_context: bool = False) -> list[str]:
    before: list[str] = []
    after: list[str] = []
    _add_order(logic, before, after, rng)
    _add_place(logic, before, after, rng)
    if 'size' in logic:
        before.append(choose(rng, BIG if logic['size'] == 'big' else SMALL))
    head = _short_person(logic, before, rng, is_context) if logic['is'] in PEOPLE else _short_thing(logic, before, rng)
    if 'pose' in logic:
        _either(before if logic['pose'] in ('sitting', 'standing', 'walking') and logic['is'] not in ('person', 'thing')
                else [], after,
                [logic['pose']], [choose(rng, POSES[logic['pose']])], rng)
    if 'facing' in logic:
        after.insert(0, f'{choose(rng, ("facing", "facing", "looking"))} {logic["facing"]}')
    if 'relation' in logic:
        relation = logic['relation']
        after.append(choose(rng, SHORT_RELATIONS[relation['name']]))
        other = _short(relation['to'], rng, is_context=True)
        after += ['the', *other] if other[0] != 'the' and chance(rng, 0.25) else other
    words = before + head + after
    if head and chance(rng, 0.12) and before != ['far right'] and words[0] not in ('the', 'in', 'with'):
        words.insert(0, 'the')
    return words


def _short_thing(logic: dict[str, Any], before: list[str], rng: np.random.Generator) -> list[str]:
    if logic.get('accessory') in PATTERNS:
        before.append(logic['accessory'])
    if 'color' in logic:
        before.append(logic['color'])
    if logic['is'] != 'thing':
        return [choose(rng, NOUNS[logic['is']])]
    says_enough = any(name in logic for name in ('order', 'place', 'color', 'pose'))
    return [] if says_enough and chance(rng, 0.5) else [choose(rng, ONE)]


def _short_person(logic: dict[str, Any], before: list[str], rng: np.random.Generator,
                  is_context: bool) -> list[str]:
    clothes = _short_clothes(logic, rng)
    if clothes and logic['is'] == 'person' and not is_context and not (before and clothes[0] in ('in', 'with')):
        return clothes if chance(rng, 0.85) else ['person', *clothes]
    noun = choose(rng, NOUNS[logic['is']])
    if not clothes:
        return [noun]
    if 'accessory' in logic or chance(rng, 0.65):
        link = {'in': 'in', 'with': 'with'}.get(clothes[0]) or choose(rng, ('in', 'in', 'with', 'wearing'))
        return [noun, *clothes] if clothes[0] == link or chance(rng, 0.15) else [noun, link, *clothes]
    return [noun, *clothes] if clothes[0] in ('in', 'with') or chance(rng, 0.4) else [*clothes, noun]


def _short_clothes(logic: dict[str, Any], rng: np.random.Generator) -> list[str]:
    """'red shirt', 'in red', 'red shirt blue pants', 'hat'."""
    clothes: list[str] = []
    if 'color' in logic:
        color = logic['color']
        clothes = ['in', color] if chance(rng, 0.4) else [color, choose(rng, SHIRTS)]
    if 'lower' in logic:
        clothes += [logic['lower'], BELOW_THE_WAIST[logic['is']]]
    if 'accessory' in logic:
        item = ['with' if not clothes or chance(rng, 0.6) else 'and', logic['accessory']]
        clothes += item if clothes or chance(rng, 0.75) else item[1:]
    return clothes


def _add_order(logic: dict[str, Any], before: list[str], after: list[str], rng: np.random.Generator) -> None:
    if 'order' not in logic:
        return
    side, rank, of = logic['order']['from'], logic['order']['rank'], logic['order']['of']
    if rank > 1:
        nth = choose(rng, RANKS[rank])
        article = 'the ' if chance(rng, 0.2) else ''
        _either(before, after, [nth], [f'{nth} from {article}{side}'], rng, 0.0)
        return
    words: tuple[tuple[str, bool], ...]  # word, whether before the noun
    if side == 'middle':
        words = (('middle', True), ('middle', True), ('center', True), ('in middle', False), ('in the middle', False))
    elif side == 'front':
        words = (('front', True), ('front', True), ('closest', True), ('in front', False), ('closest to us', False),
                 ('close', True))
    elif side == 'back':
        words = (('back', True), ('in back', False), ('in the back', False), ('farthest', True))
    elif side in ('top', 'bottom'):
        words = ((side, True), (side, True), (f'{side}most', True) if of > 2 else (side, True))
    elif of == 2:
        words = ((side, True), (side, True), (side, True), (f'on {side}', False), (side, False))
    else:
        words = ((side, True), (f'far {side}', True), (f'far {side}', False), (f'{side}most', True), (side, True),
                 (f'on far {side}', False), (f'furthest {side}', False), (f'on the far {side}', False),
                 (f'first from {side}', False))
    text, is_before = choose(rng, words)
    (before if is_before else after).append(text)


def _add_place(logic: dict[str, Any], before: list[str], after: list[str], rng: np.random.Generator) -> None:
    if 'place' not in logic:
        return
    place = logic['place']
    options: tuple[str, ...]
    if place == 'middle':
        options = ('in middle', 'in the middle', 'in center', 'middle')
    elif ' ' in place:
        options = (place, f'{place} corner', f'in {place}', place.replace('top', 'upper').replace('bottom', 'lower'))
    elif place in ('top', 'bottom'):
        options = (f'at {place}', f'on {place}', place)
    else:
        options = (f'on {place}', f'on the {place}', place, f'on {place} side', f'to the {place}', place)
    _either(before, after, [place], [choose(rng, options)], rng, 0.4)


def _either(before: list[str], after: list[str], first: list[str], second: list[str], rng: np.random.Generator,
            share: float = 0.25) -> None:
    """Put ``first`` before the noun in a ``share`` of the cases, else ``second`` behind it."""
    if chance(rng, share):
        before += first
    else:
        after += second


def _long(logic: dict[str, Any], rng: np.random.Generator, depth: int = 0) -> list[str]:
    before: list[str] = []
    after: list[str] = []
    superlative = 'size' in logic or 'order' in logic
    if 'size' in logic:
        before.append(choose(rng, BIG if logic['size'] == 'big' else SMALL))
    if 'order' in logic:
        _add_long_order(logic['order'], before, after, rng)
    if logic['is'] in PEOPLE:
        after += _long_clothes(logic, rng)
    else:
        if logic.get('accessory') in PATTERNS:
            if chance(rng, 0.4):
                after.append({'striped': 'with stripes', 'dotted': 'with dots'}[logic['accessory']])
            else:
                before.append(logic['accessory'])
        if 'color' in logic:
            before.append(logic['color'])
    noun = choose(rng, NOUNS[logic['is']])
    moving = _long_pose(logic, rng)
    if 'facing' in logic:
        moving.append(f'facing {choose(rng, ("", "to the ", "the "))}{logic["facing"]}')
    if 'place' in logic:
        moving.append(_long_place(logic['place'], rng))
    if 'relation' in logic:
        relation = logic['relation']
        if 'pose' not in logic and relation['name'] in ('next to', 'in front of', 'behind', 'on'):
            moving.append(_resting(logic['is'], rng))
        moving.append(choose(rng, LONG_RELATIONS[relation['name']]))
        moving += _long(relation['to'], rng, depth + 1)
    if logic['is'] in PEOPLE and depth == 0 and 'relation' not in logic and after and moving and chance(rng, 0.5):
        phrase = before + [noun] + moving + after
    else:
        phrase = before + [noun] + after + moving
    return [_article(superlative, depth > 0, phrase[0], rng), *phrase]


def _article(superlative: bool, is_context: bool, following: str, rng: np.random.Generator) -> str:
    if superlative:
        return 'the'
    article = choose(rng, ('a', 'the') if is_context else ('a', 'a', 'a', 'the', 'the', ''))
    if article == 'a' and following[0] in 'aeiou':
        return 'an'
    return article


def _long_pose(logic: dict[str, Any], rng: np.random.Generator) -> list[str]:
    pose = logic.get('pose')
    if pose is None:
        return []
    if pose == 'arms up':
        return [choose(rng, ('with arms up', 'with both arms raised', 'raising both arms'))]
    words = POSES[pose]
    if 'relation' in logic:  # 'sitting on', never 'sitting down on'
        words = ('lying', 'laying') if pose == 'lying' else (pose,)
    who = 'who is' if logic['is'] in PEOPLE else 'that is'
    return [who, choose(rng, words)] if chance(rng, 0.12) else [choose(rng, words)]


def _resting(concept: str, rng: np.random.Generator) -> str:
    """'parked', 'sitting': how writers join an object to its neighbour."""
    verbs: tuple[str, ...] = ('',) if concept in PEOPLE else ('that is', 'which is', '', '')
    if concept in ('car', 'bus', 'truck', 'vehicle'):
        verbs = ('parked', 'parked', 'that is parked', 'that is', '')
    elif concept in ('cup', 'bowl', 'vase', 'bottle', 'teddy bear', 'potted plant', 'apple', 'orange', 'banana'):
        verbs = ('sitting', 'sitting', 'placed', 'that is', 'that is sitting', '', '')
    return choose(rng, verbs)


def _long_clothes(logic: dict[str, Any], rng: np.random.Generator) -> list[str]:
    words: list[str] = []
    if 'color' in logic:
        link = choose(rng, ('in', 'in', 'wearing', 'wearing', 'with', 'dressed in'))
        if 'lower' not in logic and link != 'with' and chance(rng, 0.2):
            words = [link, logic['color']]
        else:
            words = [link, 'a', logic['color'], choose(rng, SHIRTS)]
    if 'lower' in logic:
        garment = BELOW_THE_WAIST[logic['is']]
        words += ['and' if words else choose(rng, ('in', 'wearing')), *(['a'] if garment == 'skirt' else []),
                  logic['lower'], garment]
    if 'accessory' in logic:
        item = logic['accessory']
        words += ['and' if words and 'a' in words else choose(rng, ('with', 'wearing')),
                  item if item.endswith('s') else f'a {item}']
    return _with_articles(words)


def _with_articles(words: list[str]) -> list[str]:
    """'a' before a vowel is 'an'."""
    following = [*words[1:], ' '] if words else []
    return ['an' if w == 'a' and n[0] in 'aeiou' else w for w, n in zip(words, following, strict=True)]


def _add_long_order(order: dict[str, Any], before: list[str], after: list[str], rng: np.random.Generator) -> None:
    side, rank, of = order['from'], order['rank'], order['of']
    if rank > 1:
        nth = RANKS[rank][0]
        if chance(rng, 0.5):
            before.append(nth)
            after.append(f'from the {side}')
        else:
            after.append(f'{nth} from the {side}')
    elif side == 'middle':
        if chance(rng, 0.5):
            before.append('middle')
        else:
            after.append(choose(rng, ('in the middle', 'in the middle of three')))
    elif side == 'front':
        after.append(choose(rng, ('in front', 'closest to the camera', 'in the front', 'in the foreground')))
    elif side == 'back':
        after.append(choose(rng, ('in the back', 'farthest from the camera', 'in the background')))
    elif side in ('top', 'bottom'):
        before.append(side)
    elif of == 2:
        if chance(rng, 0.3):
            before.append(side)
        else:
            after.append(choose(rng, (f'on the {side}', f'on the {side} side')))
    else:
        after.append(choose(rng, (f'on the far {side}', f'to the far {side}', f'furthest to the {side}',
                                  f'on the {side}')))


def _long_place(place: str, rng: np.random.Generator) -> str:
    if place == 'middle':
        return choose(rng, ('in the middle', 'in the center', 'in the middle of the picture'))
    if ' ' in place:
        return choose(rng, (f'in the {place} corner', f'in the {place} of the picture'))
    if place in ('top', 'bottom'):
        return choose(rng, (f'at the {place}', f'at the {place} of the picture'))
    return choose(rng, (f'on the {place}', f'on the {place}', f'on the {place} side', f'on the {place} of the picture'))
