"""The embedded benchmark's sentences: each is true of one object of the image, clearly, and of no other."""
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.embedded.language.expressions import Sentence, choose_referents, describe, holds
from harness.embedded.language.logic import CONCEPTS, RELATIONS, View
from harness.embedded.language.wording import NOUNS, STYLES, word

WIDTH, HEIGHT = 300, 240
PLACE_WORDS = (
    'left right top bottom middle center front back behind above under underneath near far farthest furthest '
    'closest close second third fourth first 1st 2nd 3rd 4th leftmost rightmost upper lower corner side '
    'foreground background')
PLACES = set(PLACE_WORDS.split())


@dataclass
class Thing:
    """One object of a scene written by hand: the fields of the world's SceneObject that sentences look at."""

    category: str
    kind: str
    color: str
    xywh: tuple[float, float, float, float]
    pose: str = ''
    facing: str = ''
    accessory: str = ''
    lower_color: str = ''
    depth: float = 0.5
    on: int | None = None
    visible: float = 1.0

    @property
    def area(self):
        return int(self.xywh[2] * self.xywh[3] * 0.7)


def random_scene(seed):
    rng = np.random.default_rng(seed)
    pick = lambda options: options[int(rng.integers(len(options)))]  # noqa: E731
    things = []
    for _ in range(int(rng.integers(4, 13))):
        kind = pick([kind for kinds in CONCEPTS.values() for kind in kinds])
        category = {'puppy': 'dog', 'kitten': 'cat', 'lamb': 'sheep'}.get(kind, kind)
        category = 'person' if kind in ('man', 'woman', 'boy', 'girl') else category
        w, h = rng.uniform(15, 80, 2)
        x, base = rng.uniform(0, WIDTH - w), rng.uniform(h, HEIGHT)
        person, animal = category == 'person', category in ('dog', 'cat', 'sheep')
        things.append(Thing(
            category, kind, pick(['red', 'blue', 'green', 'white', 'brown', 'tan']), (x, base - h, w, h),
            pose=pick(['standing', 'sitting', 'walking']) if person else pick(['standing', 'lying']) if animal else '',
            facing=pick(['left', 'right', '']), accessory=pick(['', 'hat']) if person else '',
            lower_color=pick(['black', 'blue']) if person else '', depth=base / HEIGHT,
            on=int(rng.integers(len(things))) if things and rng.random() < 0.15 else None,
            visible=float(rng.uniform(0.3, 1))))
    return things


def sentences_of(seed, style, count=9, kind='mixed'):
    things = random_scene(seed)
    return things, describe(things, WIDTH, HEIGHT, style, np.random.default_rng(seed), count, kind)


def view(*things):
    return View(things, WIDTH, HEIGHT)


def cup(x, color='white', **more):
    return Thing('cup', 'cup', color, (x, 100, 30, 30), **more)


# What a form is true of


def test_a_form_is_true_of_the_objects_that_all_its_parts_fit():
    things = [cup(10, 'red'), cup(100, 'blue'), Thing('bowl', 'bowl', 'red', (200, 100, 40, 30))]
    assert [holds({'is': 'cup', 'color': 'red'}, things, i, WIDTH, HEIGHT) for i in range(3)] == [True, False, False]
    assert view(*things).determined({'is': 'cup'}) is None
    assert view(*things).determined({'is': 'cup', 'color': 'red'}) == 0
    assert view(*things).determined({'is': 'cup', 'color': 'green'}) is None


def test_a_concept_covers_its_kinds():
    puppy, dog = (Thing('dog', kind, 'brown', (x, 50, 40, 30)) for kind, x in (('puppy', 10), ('dog', 200)))
    assert view(puppy, dog).extension({'is': 'dog'}) == (0b11, 0b11)
    assert view(puppy, dog).determined({'is': 'puppy'}) == 0


def test_leftmost_needs_a_clear_distance():
    assert view(cup(10), cup(60)).determined({'is': 'cup', 'order': {'from': 'left', 'rank': 1, 'of': 2}}) == 0
    near = {'is': 'cup', 'order': {'from': 'left', 'rank': 1, 'of': 2}}
    assert view(cup(10), cup(10 + 0.06 * WIDTH)).extension(near) == (0, 0b11)


def test_ranks_are_counted_from_their_side():
    row = view(cup(10), cup(80), cup(150), cup(220))
    by_rank = [row.determined({'is': 'cup', 'order': {'from': side, 'rank': rank, 'of': 4}})
               for side in ('left', 'right') for rank in (1, 2, 3)]
    assert by_rank == [0, 1, 2, 3, 2, 1]
    three = {'is': 'cup', 'order': {'from': 'middle', 'rank': 1, 'of': 3}}
    assert row.determined(three) is None
    assert view(cup(220), cup(80), cup(10)).determined(three) == 1


def test_front_needs_both_a_nearer_depth_and_a_lower_edge():
    front = {'is': 'cup', 'order': {'from': 'front', 'rank': 1, 'of': 2}}
    far, near = cup(10, depth=0.2), Thing('cup', 'cup', 'red', (200, 180, 30, 40), depth=0.9)
    assert view(far, near).determined(front) == 1
    assert view(far, near).determined({**front, 'order': {**front['order'], 'from': 'back'}}) == 0
    near.depth = 0.1
    assert view(far, near).determined(front) is None


def test_a_place_is_doubtful_between_its_bounds():
    left = {'is': 'cup', 'place': 'left'}
    assert view(cup(20), cup(260)).determined(left) == 0
    assert view(cup(20), cup(0.45 * WIDTH - 15)).determined(left) is None
    assert view(cup(20), cup(260)).determined({'is': 'cup', 'place': 'middle'}) is None


def test_a_size_must_differ_clearly_and_be_seen():
    big = {'is': 'bowl', 'size': 'big'}
    bowls = [Thing('bowl', 'bowl', 'red', (10, 50, w, 40)) for w in (40, 70)]
    assert view(*bowls).determined(big) == 1
    bowls[1].xywh = (10, 50, 60, 40)
    assert view(*bowls).determined(big) is None
    assert view(bowls[0]).determined(big) is None


def test_the_size_of_a_hidden_object_is_that_of_its_whole_silhouette():
    hidden = Thing('bowl', 'bowl', 'red', (10, 50, 40, 40), visible=0.4)
    whole = Thing('bowl', 'bowl', 'red', (100, 50, 60, 40))
    assert view(hidden, whole).determined({'is': 'bowl', 'size': 'big'}) is None


def test_nearly_the_same_colours_are_not_told_apart():
    assert view(cup(10, 'pink'), cup(200, 'purple')).determined({'is': 'cup', 'color': 'pink'}) is None
    assert view(cup(10, 'pink'), cup(200, 'green')).determined({'is': 'cup', 'color': 'pink'}) == 0


def test_what_is_hidden_may_be_so():
    people = [Thing('person', 'man', 'red', (x, 50, 30, 90), pose=pose, visible=visible)
              for x, pose, visible in ((10, 'sitting', 1.0), (200, 'standing', 0.4))]
    assert view(*people).determined({'is': 'man', 'pose': 'sitting'}) is None


def test_the_red_one_is_not_said_beside_a_person_in_red():
    red_one = {'is': 'thing', 'color': 'red'}
    man = Thing('person', 'man', 'red', (200, 50, 30, 90))
    plant = Thing('potted plant', 'potted plant', 'red', (200, 50, 30, 90))
    assert view(cup(10, 'red'), cup(60, 'blue')).determined(red_one) == 0
    assert view(cup(10, 'red'), man).determined(red_one) is None
    assert view(cup(10, 'red'), man).determined({'is': 'person', 'color': 'red'}) == 1
    assert view(cup(10, 'green'), plant).determined({'is': 'thing', 'color': 'green'}) is None


@pytest.mark.parametrize('name, figure, ground', [
    ('next to', (50, 100, 30, 30), (90, 100, 30, 30)),
    ('left of', (50, 100, 30, 30), (200, 100, 30, 30)),
    ('in front of', (60, 120, 40, 60), (50, 90, 80, 50)),
])
def test_a_relation_picks_the_one_that_stands_in_it(name, figure, ground):
    dogs = [Thing('dog', 'dog', 'brown', figure, depth=0.8), Thing('dog', 'dog', 'brown', (260, 5, 30, 20), depth=0.1)]
    car = Thing('car', 'car', 'blue', ground, depth=0.5)
    logic = {'is': 'dog', 'relation': {'name': name, 'to': {'is': 'car'}}}
    assert view(*dogs, car).determined(logic) == 0
    assert view(*dogs, car).context(logic) == [2]
    opposite = {'next to': 'next to', 'left of': 'right of', 'in front of': 'behind'}[name]
    assert view(*dogs, car).related(opposite, 2, 0)


def test_holding_and_lying_on_are_facts_of_the_scene():
    woman = Thing('person', 'woman', 'red', (50, 60, 40, 120))
    umbrella = Thing('umbrella', 'umbrella', 'green', (40, 30, 70, 60), on=0)
    chair = Thing('chair', 'chair', 'brown', (200, 100, 50, 60))
    cat = Thing('cat', 'cat', 'black', (205, 90, 40, 30), on=2)
    scene = view(woman, umbrella, chair, cat)
    facts = {(name, a, b) for name in ('on', 'holding', 'held by', 'under') for a in range(4) for b in range(4)
             if a != b and scene.related(name, a, b)}
    assert facts == {('holding', 0, 1), ('held by', 1, 0), ('under', 0, 1), ('on', 3, 2)}


def test_a_contextual_object_must_itself_be_determined():
    logic = {'is': 'dog', 'relation': {'name': 'next to', 'to': {'is': 'car'}}}
    dog = Thing('dog', 'dog', 'brown', (50, 100, 30, 30))
    cars = [Thing('car', 'car', 'blue', (x, 100, 60, 30)) for x in (90, 220)]
    assert view(dog, *cars).determined(logic) is None
    assert not holds(logic, [dog, *cars], 0, WIDTH, HEIGHT)


@given(st.integers(0, 10_000), st.sampled_from(['left', 'right']), st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_a_mirror_turns_left_into_right(seed, side, rank):
    things = random_scene(seed)
    mirrored = random_scene(seed)
    for thing in mirrored:
        x, y, w, h = thing.xywh
        thing.xywh = (WIDTH - x - w, y, w, h)
    other = {'left': 'right', 'right': 'left'}[side]
    order = {'rank': rank, 'of': len(things)}
    assert view(*things).extension({'is': 'thing', 'order': {'from': side, **order}}) == view(*mirrored).extension(
        {'is': 'thing', 'order': {'from': other, **order}})


# What is said


@pytest.mark.parametrize('style', STYLES)
@pytest.mark.parametrize('seeds', [range(0, 40), range(40, 80)])
def test_every_sentence_is_true_of_one_object_and_its_context_is_determined(style, seeds):
    for seed in seeds:
        things, sentences = sentences_of(seed, style)
        for sentence in sentences:
            true_of = [i for i in range(len(things)) if holds(sentence.logic, things, i, WIDTH, HEIGHT)]
            assert sentence.tokens and true_of == [sentence.target]
            assert [i for i in range(len(things)) if naively(sentence.logic, things, i)] == [sentence.target]
            assert len(sentence.context) == len(relations_of(sentence.logic))
            for relation, index in zip(relations_of(sentence.logic), sentence.context, strict=True):
                assert [i for i in range(len(things)) if naively(relation['to'], things, i)] == [index]


def test_a_claim_that_words_leave_unsaid_is_no_sentence(monkeypatch):
    from harness.embedded.language import expressions
    monkeypatch.setattr(expressions, 'word', lambda *_: [])
    things, _ = sentences_of(0, 'refcoco')
    assert describe(things, WIDTH, HEIGHT, 'refcoco', np.random.default_rng(0), 7) == []


def relations_of(logic):
    return [logic['relation'], *relations_of(logic['relation']['to'])] if 'relation' in logic else []


def naively(logic, things, i):
    """The truth of a form without any margin: what is clearly true or false must be so here as well."""
    thing = things[i]
    named = {'color': thing.color, 'lower': thing.lower_color, 'pose': thing.pose, 'facing': thing.facing,
             'accessory': thing.accessory}
    if logic['is'] != 'thing' and thing.kind not in CONCEPTS[logic['is']]:
        return False
    if any(logic[name] != value for name, value in named.items() if name in logic):
        return False
    cx, cy, base = lambda t: t.xywh[0] + t.xywh[2] / 2, lambda t: t.xywh[1] + t.xywh[3] / 2, lambda t: sum(t.xywh[1::2])
    for place in logic.get('place', '').split():
        x, y = cx(thing) / WIDTH, cy(thing) / HEIGHT
        if not {'left': x < 0.45, 'right': x > 0.55, 'top': y < 0.45, 'bottom': y > 0.55,
                'middle': abs(x - 0.5) < 0.15}[place]:
            return False
    if 'relation' in logic:
        name, to = logic['relation']['name'], logic['relation']['to']
        others = [j for j in range(len(things)) if j != i and naively(to, things, j)]
        if not others:
            return False
        held = {'on': thing.on in others, 'held by': thing.on in others,
                'in': thing.on in others, 'holding': any(things[j].on == i for j in others),
                'under': any(things[j].on == i for j in others)}
        other = things[others[0]]
        gap = max(other.xywh[0] - thing.xywh[0] - thing.xywh[2], thing.xywh[0] - other.xywh[0] - other.xywh[2])
        apart = {'left of': cx(thing) < cx(other), 'right of': cx(thing) > cx(other),
                 'in front of': base(thing) > base(other) and gap < 0, 'behind': base(thing) < base(other) and gap < 0,
                 'next to': gap < 0.15 * WIDTH and abs(base(thing) - base(other)) < 0.2 * HEIGHT}
        touching = thing.on in others or other.on == i
        if not (held | {key: value and not touching for key, value in apart.items()})[name]:
            return False
    rest = {name: value for name, value in logic.items() if name not in ('size', 'order')}
    members = [t for j, t in enumerate(things) if j == i or naively(rest, things, j)] if rest != logic else []
    whole = lambda t: t.area / t.visible  # noqa: E731
    if 'size' in logic and thing is not (max if logic['size'] == 'big' else min)(members, key=whole):
        return False
    if 'order' in logic:
        side, rank = logic['order']['from'], logic['order']['rank']
        if side == 'middle':
            side, rank = 'left', 2
        key = {'left': cx, 'right': lambda t: -cx(t), 'top': cy, 'bottom': lambda t: -cy(t),
               'front': lambda t: -base(t), 'back': base}[side]
        return sorted(members, key=key)[rank - 1] is thing
    return True


@pytest.mark.parametrize('style', STYLES)
def test_sentences_are_lower_case_words_and_differ(style):
    for seed in range(60):
        _, sentences = sentences_of(seed, style)
        assert len({(s.target, s.sent) for s in sentences}) == len(sentences)
        for sentence in sentences:
            assert isinstance(sentence, Sentence) and sentence.sent == ' '.join(sentence.tokens)
            assert sentence.tokens and all(token.isalnum() and token == token.lower() for token in sentence.tokens)


def test_refcoco_plus_names_no_place():
    for seed in range(150):
        for sentence in sentences_of(seed, 'refcoco+')[1]:
            assert PLACES.isdisjoint(sentence.tokens), sentence.sent


@pytest.mark.parametrize('style', STYLES)
def test_the_words_say_the_colours_of_the_form_and_no_others(style):
    colors = {'red', 'blue', 'green', 'white', 'brown', 'tan', 'black'}
    for seed in range(60):
        for sentence in sentences_of(seed, style)[1]:
            forms = [sentence.logic, *(relation['to'] for relation in relations_of(sentence.logic))]
            said = {form[name] for form in forms for name in ('color', 'lower') if name in form}
            assert colors & set(sentence.tokens) == said, sentence.sent


def test_the_same_chance_gives_the_same_sentences():
    assert sentences_of(3, 'refcocog')[1] == sentences_of(3, 'refcocog')[1]


def test_styles_differ_in_length():
    short, long = ([len(s.tokens) for seed in range(100) for s in sentences_of(seed, style)[1]]
                   for style in ('refcoco', 'refcocog'))
    assert np.mean(short) < 4.5 < 6.5 < np.mean(long)


def test_scenes_of_people_and_of_objects_speak_of_them_alone():
    for kind in ('people', 'objects'):
        for seed in range(40):
            things, sentences = sentences_of(seed, 'refcoco', kind=kind)
            assert all((things[s.target].category == 'person') == (kind == 'people') for s in sentences)


def test_every_nameable_object_may_be_chosen_and_hard_ones_come_first():
    things = [cup(10), cup(100), Thing('bowl', 'bowl', 'red', (200, 100, 40, 30), visible=0.5),
              Thing('car', 'car', 'red', (20, 150, 90, 60)), Thing('vase', 'vase', 'red', (1, 1, 5, 5))]
    orders = [choose_referents(things, WIDTH, HEIGHT, 'mixed', np.random.default_rng(i)) for i in range(400)]
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders)  # the vase is too small to be named
    first = np.bincount([order[0] for order in orders])
    assert min(first[:3]) > first[3] > 0


def test_every_concept_and_relation_has_words():
    rng = np.random.default_rng(0)
    assert set(NOUNS) == set(CONCEPTS)
    for style in STYLES:
        for name in RELATIONS:
            assert len(word({'is': 'dog', 'relation': {'name': name, 'to': {'is': 'cat'}}}, style, rng)) >= 3
