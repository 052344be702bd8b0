"""The embedded benchmark on disk: REFER's layout, the same bytes every time, never half-made."""
import json
import multiprocessing
import pickle
import pickletools
import threading

import cv2
import pytest
from pycocotools import mask as coco_mask

from harness.data.embedded_names import SPLIT_BY
from harness.embedded import build as building
from harness.embedded.build import PARTS, Split, build_part, cache_root, finished, part_folder
from harness.embedded.known import load_embedded
from harness.embedded.language.expressions import holds
from harness.embedded.world import make_scene
from harness.errors import InputError
from harness.registry import DATASETS

SMALL = (
    Split('val', ('mini-refcoco', 'mini-refcoco+'), 11, 2, ('mixed',), 'mixed'),
    Split('testA', ('mini-refcoco', 'mini-refcoco+'), 21, 2, ('people',), 'people'),
    Split('testB', ('mini-refcoco', 'mini-refcoco+'), 31, 2, ('objects',), 'objects'),
    Split('val', ('mini-refcocog',), 41, 3, ('mixed',), 'mixed'),
)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('small') / 'eval'
    build_part(folder, SMALL, processes=1)
    return folder


@pytest.fixture()
def small_cache(tmp_path, monkeypatch):
    """A cache whose parts are small ones."""
    monkeypatch.setenv('REFNMS_CACHE', str(tmp_path))
    monkeypatch.setattr(building, 'PARTS', {'eval': SMALL[:1], 'train': (
        Split('train', tuple(SPLIT_BY), 1, 2, ('mixed', 'people'), 'mixed'),)})
    return tmp_path


def read(folder, dataset):
    with (folder / dataset / f'refs({SPLIT_BY[dataset]}).p').open('rb') as file:
        refs = pickle.load(file)
    return refs, json.loads((folder / dataset / 'instances.json').read_text())


def contents(folder):
    return {file.relative_to(folder): file.read_bytes() for file in folder.rglob('*') if file.is_file()}


@pytest.mark.parametrize('dataset', SPLIT_BY)
def test_refs_have_refers_keys_and_point_at_their_annotations(folder, dataset):
    refs, instances = read(folder, dataset)
    annotations = {a['id']: a for a in instances['annotations']}
    images = {image['id']: image for image in instances['images']}
    assert refs and len(annotations) == len(instances['annotations'])
    sent_ids = [sentence['sent_id'] for ref in refs for sentence in ref['sentences']]
    assert len(set(sent_ids)) == len(sent_ids)
    assert len({ref['ref_id'] for ref in refs}) == len(refs)
    for ref in refs:
        annotation = annotations[ref['ann_id']]
        assert annotation['image_id'] == ref['image_id'] and annotation['category_id'] == ref['category_id']
        assert images[ref['image_id']]['file_name'] == ref['file_name']
        assert ref['sent_ids'] == [sentence['sent_id'] for sentence in ref['sentences']]
        for sentence in ref['sentences']:
            assert {'sent_id', 'sent', 'raw', 'tokens', 'context_ann_ids', 'logic'} == set(sentence)
            assert sentence['sent'].split() == sentence['tokens']
            assert all(annotations[i]['image_id'] == ref['image_id'] for i in sentence['context_ann_ids'])
            assert ref['ann_id'] not in sentence['context_ann_ids']


@pytest.mark.parametrize('dataset', SPLIT_BY)
def test_sentences_are_true_of_their_annotation_alone(folder, dataset):
    refs, instances = read(folder, dataset)
    for ref in refs:
        split = next(s for s in SMALL if dataset in s.datasets and ref['split'] == s.name)
        number = ref['image_id'] - split.first_image
        scene = make_scene(building.SEED + ref['image_id'], split.scenes[number % len(split.scenes)])
        height, width = scene.image.shape[:2]
        mine = [a['id'] for a in instances['annotations'] if a['image_id'] == ref['image_id']]
        assert len(mine) == len(scene.objects)
        for sentence in ref['sentences']:
            true_of = [mine[i] for i in range(len(mine)) if holds(sentence['logic'], scene.objects, i, width, height)]
            assert true_of == [ref['ann_id']]


def test_masks_images_and_boxes_agree(folder):
    _, instances = read(folder, 'mini-refcoco')
    for image in instances['images']:
        pixels = cv2.imread(str(folder / 'images/train2014' / image['file_name']))
        assert pixels.shape == (image['height'], image['width'], 3)
    sizes = {image['id']: [image['height'], image['width']] for image in instances['images']}
    for annotation in instances['annotations']:
        assert annotation['segmentation']['size'] == sizes[annotation['image_id']]
        assert coco_mask.area(annotation['segmentation']) == annotation['area']
        assert list(coco_mask.toBbox(annotation['segmentation'])) == annotation['bbox']


def test_people_are_the_referents_of_testa_and_never_of_testb(folder):
    for dataset in ('mini-refcoco', 'mini-refcoco+'):
        for ref in read(folder, dataset)[0]:
            if ref['split'] != 'val':
                assert (ref['category_id'] == 1) == (ref['split'] == 'testA')


def test_the_pair_shares_images_and_g_has_its_own(folder):
    images = {dataset: {image['id'] for image in read(folder, dataset)[1]['images']} for dataset in SPLIT_BY}
    assert images['mini-refcoco'] == images['mini-refcoco+']
    assert images['mini-refcoco'].isdisjoint(images['mini-refcocog'])


def test_no_evaluation_image_is_a_training_image():
    ids = {part: [split.first_image + n for split in splits for n in range(split.images)]
           for part, splits in PARTS.items()}
    assert len(set(ids['eval'] + ids['train'])) == len(ids['eval']) + len(ids['train'])
    assert len(ids['train']) >= 2500


def test_every_evaluation_split_is_planned_for_a_thousand_expressions():
    for split in PARTS['eval']:
        for dataset in split.datasets:
            assert split.images * building.EXPRESSIONS_AN_IMAGE[dataset] >= 1100


def test_the_bytes_are_the_same_every_time_and_for_any_number_of_processes(folder, tmp_path):
    again = tmp_path / 'again'
    build_part(again, SMALL, processes=2)
    assert contents(again) == contents(folder)
    many = (Split('val', ('mini-refcocog',), 61, 17, ('mixed', 'people'), 'mixed'),)
    one, two = (build_part(tmp_path / str(n), many, processes=n)['sha256'] for n in (1, 2))
    assert one == two


def test_the_pickle_holds_plain_values_only(folder):
    data = (folder / 'mini-refcoco' / 'refs(unc).p').read_bytes()
    names = {opcode.name for opcode, _, _ in pickletools.genops(data)}
    assert data[:2] == b'\x80\x02'
    assert names.isdisjoint({'GLOBAL', 'STACK_GLOBAL', 'REDUCE', 'BUILD', 'INST', 'OBJ', 'NEWOBJ', 'EXT1'})


def test_a_part_is_built_once_and_read_by_name(small_cache, capsys):
    dataset = DATASETS.get('mini-refcoco')(None)
    assert 'drawing the embedded benchmark' in capsys.readouterr().err
    assert dataset.splits == ('val',)
    assert all(set(e.truth) == {'context_ann_ids', 'logic'} for e in dataset.expressions)
    assert load_embedded('mini-refcoco+').images.keys() == dataset.images.keys()
    assert capsys.readouterr().err == ''
    assert load_embedded('mini-refcocog', 'train').splits == ('train',)


def test_what_a_killed_build_left_is_not_believed(small_cache):
    place = small_cache / '1'
    left_behind = place / '.eval.part-1' / 'mini-refcoco'
    left_behind.mkdir(parents=True)
    (place / 'eval').mkdir()
    (place / 'eval' / 'manifest.json').write_text('{"version": ')
    assert not finished(place / 'eval')
    assert finished(part_folder('eval'))
    assert not left_behind.exists()


def test_an_interrupted_build_leaves_no_part(tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt
    monkeypatch.setattr(building, '_write_dataset', stop)
    with pytest.raises(KeyboardInterrupt):
        build_part(tmp_path / 'eval', SMALL[:1], processes=1)
    assert not (tmp_path / 'eval').exists()


def test_two_at_once_build_it_once(small_cache, capfd):
    threads = [threading.Thread(target=part_folder, args=('eval', small_cache, 1)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert capfd.readouterr().err.count('drawing') == 1
    assert finished(small_cache / '1' / 'eval')
    assert not multiprocessing.active_children()


def test_a_place_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    (tmp_path / 'file').write_text('')
    monkeypatch.setenv('REFNMS_CACHE', str(tmp_path / 'file'))
    assert cache_root() == tmp_path / 'file'
    with pytest.raises(InputError, match='REFNMS_CACHE'):
        part_folder('eval')
