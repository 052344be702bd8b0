"""The embedded world: what a scene promises, checked over many seeds."""
from __future__ import annotations

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from harness.embedded import world
from harness.embedded.casting import Viewpoint
from harness.embedded.drawing import draw
from harness.embedded.drawing.look import Look
from harness.embedded.placing import Placed
from harness.embedded.world import CATEGORIES, KINDS, MIN_AREA, MIN_VISIBLE, make_scene
from harness.errors import InputError

SEEDS = range(12)
SCENES = [(kind, seed) for kind in KINDS for seed in SEEDS]


@pytest.fixture(scope='module')
def scenes():
    return {(kind, seed): make_scene(seed, kind) for kind, seed in SCENES}


def decoded(item):
    return coco_mask.decode({'size': item.rle['size'], 'counts': item.rle['counts'].encode('ascii')}).astype(bool)


def test_same_seed_same_bytes_in_any_order(scenes):
    for key in [('people', 3), ('objects', 0), ('mixed', 7)]:
        again = make_scene(key[1], key[0])
        assert again.image.tobytes() == scenes[key].image.tobytes()
        assert again.objects == scenes[key].objects


def test_same_seed_same_bytes_on_a_processor_that_has_less():
    code = ('import hashlib; from harness.embedded.world import make_scene; h = hashlib.sha256()\n'
            'for seed in range(6):\n'
            '    s = make_scene(seed, "mixed"); h.update(s.image.tobytes() + repr(s.objects).encode())\n'
            'print(h.hexdigest())')
    plain = {'OPENCV_CPU_DISABLE': 'AVX512-SKX,AVX2,FMA3,AVX', 'OPENCV_IPP': 'disabled', 'OMP_NUM_THREADS': '1'}
    hashes = {subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True,
                             env={**os.environ, **extra}).stdout.split()[-1] for extra in ({}, plain)}
    assert len(hashes) == 1


def test_another_seed_or_kind_is_another_scene(scenes):
    assert len({scene.image.tobytes() for scene in scenes.values()}) == len(SCENES)


def test_making_a_scene_leaves_the_global_random_state_alone():
    np.random.seed(5)
    before = np.random.get_state()[1].copy()
    make_scene(1, 'mixed')
    assert (np.random.get_state()[1] == before).all()


def test_pictures_are_small_colour_pictures(scenes):
    sizes = set()
    for scene in scenes.values():
        height, width, channels = scene.image.shape
        assert scene.image.dtype == np.uint8 and channels == 3
        assert 224 <= height <= 320 and 224 <= width <= 320
        sizes.add((height, width))
    assert len(sizes) > 20


def test_four_to_fifteen_objects_of_known_categories(scenes):
    for scene in scenes.values():
        assert 4 <= len(scene.objects) <= 15
        assert all(item.category in CATEGORIES for item in scene.objects)
    assert {item.category for scene in scenes.values() for item in scene.objects} == set(CATEGORIES)


def test_boxes_and_areas_are_those_of_the_masks(scenes):
    for scene in scenes.values():
        for item in scene.objects:
            mask = decoded(item)
            assert mask.shape == scene.image.shape[:2]
            rows, columns = np.nonzero(mask)
            assert item.area == len(rows) >= MIN_AREA
            assert item.xywh == (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)
            assert all(isinstance(value, float) for value in item.xywh)
            assert isinstance(item.rle['counts'], str)


def test_no_two_objects_share_a_pixel(scenes):
    for scene in scenes.values():
        assert sum(decoded(item).astype(int) for item in scene.objects).max() == 1


def test_visible_is_what_nearer_things_and_the_frame_leave_of_the_silhouette():
    stage = Viewpoint('meadow', 240, 230, 60, 100.0)
    def orange(x, y, depth):
        look = Look('orange', 'orange', 'orange')
        return Placed(look, x, y, 60.0, depth, sprite=draw(look, 60.0, np.random.Generator(np.random.PCG64(4))))

    alone, far, near, cut = orange(40, 100, 1), orange(130, 150, 2), orange(150, 150, 3), orange(240, 220, 4)
    clutter = Placed(None, 40, 200, 60.0, 5, sprite=alone.sprite)
    behind_clutter = orange(40, 225, 4.5)
    kept, objects = world._visible([alone, far, near, cut, clutter, behind_clutter], stage)
    full = int(alone.sprite.silhouette.sum())
    assert len(kept) == 6 and [item.depth for item in objects] == [1, 2, 3, 4, 4.5]
    assert objects[0].visible == 1.0 and objects[2].visible == 1.0
    assert objects[0].area == full

    shifted = np.zeros((300, 300), int)
    h, w = alone.sprite.silhouette.shape
    shifted[:h, :w] += alone.sprite.silhouette
    shifted[:h, 20:20 + w] += alone.sprite.silhouette
    assert objects[1].area == full - (shifted == 2).sum()
    assert objects[1].visible == objects[1].area / full
    assert 0.4 < objects[3].visible < 0.6
    assert objects[4].visible < 1.0


def test_what_is_hidden_too_much_is_taken_out_with_what_it_carries():
    def sprite(look, height):
        return draw(look, height, np.random.Generator(np.random.PCG64(1)))

    stage = Viewpoint('table', 240, 230, 60, 50.0)
    bowl, apple, vase = Look('bowl', 'bowl', 'red'), Look('apple', 'apple', 'red'), Look('vase', 'vase', 'blue')
    hidden = Placed(bowl, 120, 150, 20.0, 1, sprite=sprite(bowl, 20.0))
    carried = Placed(apple, 200, 120, 30.0, 0.9, on=hidden, sprite=sprite(apple, 30.0))
    cover = Placed(vase, 120, 200, 200.0, 2, sprite=sprite(vase, 200.0))
    kept, objects = world._visible([hidden, carried, cover], stage)
    assert kept == [cover] and [item.category for item in objects] == ['vase']


def test_every_object_shows_enough(scenes):
    for scene in scenes.values():
        for item in scene.objects:
            assert MIN_VISIBLE <= item.visible <= 1
    fractions = [item.visible for scene in scenes.values() for item in scene.objects]
    assert np.mean(np.array(fractions) < 0.8) > 0.1


def test_supports_are_objects_of_the_scene_that_can_carry(scenes):
    carriers = {'person': 'chair', 'umbrella': 'person', 'apple': 'bowl', 'orange': 'bowl', 'cat': 'chair',
                'teddy bear': 'chair', 'cup': 'chair', 'bottle': 'chair'}
    seen = set()
    for scene in scenes.values():
        for item in scene.objects:
            if item.on is not None:
                seen.add(item.category)
                assert scene.objects[item.on].category == carriers[item.category]
    assert {'person', 'umbrella'} <= seen


def test_words_are_those_of_the_contract(scenes):
    poses = {'person': {'standing', 'sitting', 'walking', 'arms up'}, 'sheep': {'standing', 'lying'}}
    kinds = {'person': {'man', 'woman', 'boy', 'girl'}, 'dog': {'dog', 'puppy'}, 'cat': {'cat', 'kitten'},
             'sheep': {'sheep', 'lamb'}}
    for scene in scenes.values():
        for item in scene.objects:
            animal = {'standing', 'lying', 'sitting'} if item.category in ('dog', 'cat') else {''}
            assert item.pose in poses.get(item.category, animal)
            assert item.kind in kinds.get(item.category, {item.category})
            assert item.facing in ('', 'left', 'right')
            assert bool(item.lower_color) == (item.category == 'person')
            assert item.color


def test_people_scenes_show_people_and_object_scenes_hardly_any(scenes):
    for (kind, _), scene in scenes.items():
        people = sum(item.category == 'person' for item in scene.objects)
        assert kind != 'people' or people >= 2
        assert kind != 'objects' or people <= 1


def test_referents_have_competitors_of_their_own_category(scenes):
    same = [sum(other.category == item.category for other in scene.objects)
            for scene in scenes.values() for item in scene.objects]
    assert 2.5 < np.mean(same) < 4.5


def test_small_and_large_objects(scenes):
    sides = [item.area ** 0.5 for scene in scenes.values() for item in scene.objects]
    assert np.percentile(sides, 10) < 20 and np.percentile(sides, 95) > 70


def test_an_object_that_faces_left_is_the_mirror_image_of_one_that_faces_right():
    left, right = (draw(Look('dog', 'dog', 'brown', 'standing', side), 80.0, np.random.Generator(np.random.PCG64(2)))
                   for side in ('left', 'right'))
    mirrored = cv2.flip(right.alpha, 1)
    shape = tuple(min(a, b) for a, b in zip(left.alpha.shape, mirrored.shape, strict=True))
    best = max(np.mean(left.alpha[:shape[0] - 8, 4 + d:shape[1] - 4 + d] == mirrored[:shape[0] - 8, 4:shape[1] - 4])
               for d in range(-4, 5))
    assert best > 0.99


def test_an_unknown_kind_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match='people, objects, mixed'):
        make_scene(0, 'portrait')
