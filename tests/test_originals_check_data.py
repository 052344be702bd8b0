"""What of a data root is there: made here as a small copy of REFER's layout and of the originals' repositories."""
import json
import pickle
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from harness.commands.check_data import _first, main
from harness.commands.data_root import Found, look
from harness.data.counts import PUBLISHED, Counts
from harness.errors import InputError
from harness.files.weights import save_weights
from harness.program import program

REFS = [{'ref_id': 3, 'ann_id': 70, 'image_id': 7, 'split': 'val', 'category_id': 18, 'sent_ids': [31],
         'sentences': [{'sent_id': 31, 'sent': 'red dog', 'raw': 'Red dog', 'tokens': ['red', 'dog']}]}]
INSTANCES = {
    'images': [{'id': 7, 'height': 100, 'width': 200, 'file_name': 'COCO_train2014_000000000007.jpg'}],
    'annotations': [{'id': 70, 'image_id': 7, 'category_id': 18, 'bbox': [10, 20, 30, 40]}],
    'categories': [{'id': 18, 'name': 'dog'}],
}
DETECTOR = 'res101_coco_minus_refer_notime'


def annotate(root: Path) -> None:
    """REFER's layout of ``refcoco``, one expression."""
    (root / 'refcoco').mkdir(parents=True)
    (root / 'refcoco' / 'refs(unc).p').write_bytes(pickle.dumps(REFS))
    (root / 'refcoco' / 'instances.json').write_text(json.dumps(INSTANCES))


def picture(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / 'COCO_train2014_000000000007.jpg').write_bytes(b'')


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b'x')
    return path


def said(root):
    """The table's rows of ``refcoco``, or all with ``-``, as a dict from what to its states."""
    states = {}
    for row in look(root).rows:
        if row.dataset in ('refcoco', '-'):
            states.setdefault(row.what, []).append(row.state)
    return states


class TestRefersLayout:
    def test_with_images(self, tmp_path):
        annotate(tmp_path)
        picture(tmp_path / 'images' / 'train2014')
        states = said(tmp_path)
        assert states['val expressions'] == ['1'] and states['images'] == ['1 of 1']
        assert 'differ: refcoco val: 1 referents, published are 3,811' in states['counts']
        assert look(tmp_path).commands == [
            f'python run_benchmark.py --data-root {tmp_path} --dataset refcoco --grounder cmae']

    def test_with_the_published_counts(self, tmp_path, monkeypatch):
        monkeypatch.setitem(PUBLISHED, 'refcoco', {'val': Counts(1, 1, 1)})
        annotate(tmp_path)
        assert said(tmp_path)['counts'] == ['as published']

    @pytest.mark.parametrize('size, states', [((200, 100), []), ((100, 50), ['1 of the first 1 are not as recorded'])])
    def test_images_are_held_against_their_record(self, tmp_path, size, states):
        annotate(tmp_path)
        (tmp_path / 'images').mkdir()
        Image.new('RGB', size).save(tmp_path / 'images' / '7.png')
        assert said(tmp_path).get('image sizes', []) == states

    def test_other_images_are_no_way_to_run(self, tmp_path, capsys):
        annotate(tmp_path)
        (tmp_path / 'images').mkdir()
        Image.new('RGB', (100, 50)).save(tmp_path / 'images' / '7.png')
        assert main(['--data-root', str(tmp_path)]) == 1
        told, = (line for line in capsys.readouterr().out.splitlines() if 'refuses' in line)
        assert told == (f'refcoco: a run refuses the images in {tmp_path}/images: of the first 1 images 1 have another '
                        'size than their record; give the images that the annotations were made on, for RefCOCO '
                        "COCO's train2014, or train2017 and val2017, with --images DIR")

    def test_images_of_coco_2017_are_the_same_photographs(self, tmp_path):
        annotate(tmp_path)
        (tmp_path / 'images' / 'val2017').mkdir(parents=True)
        Image.new('RGB', (200, 100)).save(tmp_path / 'images' / 'val2017' / '000000000007.jpg')
        states = said(tmp_path)
        assert states['images'] == ['1 of 1'] and 'image sizes' not in states and not look(tmp_path).refused

    def test_without_images(self, tmp_path):
        annotate(tmp_path)
        assert said(tmp_path)['images'] == ['missing'] and look(tmp_path).commands == []

    def test_a_damaged_file_is_told_and_the_rest_goes_on(self, tmp_path):
        annotate(tmp_path)
        (tmp_path / 'refcoco' / 'refs(unc).p').write_bytes(b'cos\nsystem\n.')
        states = said(tmp_path)
        assert len(states['annotations']) == 1 and 'cannot be read' in states['annotations'][0]
        assert 'references os.system' in states['annotations'][0]

    def test_a_dataset_of_ones_own_by_the_split_maker_who_is_asked_for(self, tmp_path):
        annotate(tmp_path)
        (tmp_path / 'refcoco').rename(tmp_path / 'mine')
        (tmp_path / 'mine' / 'refs(google).json').write_text(json.dumps(REFS))
        picture(tmp_path / 'train2014')
        found = look(tmp_path, 'google')
        assert found.datasets == ['mine by google: 1 expressions, 1 of 1 images']
        assert found.commands == [f'python run_benchmark.py --data-root {tmp_path} --dataset mine --split-by google '
                                  '--grounder cmae']
        assert not [row for row in found.rows if row.dataset == 'mine' and row.what == 'counts'], 'none are published'
        ambiguous, = (row for row in look(tmp_path).rows if row.what == 'annotations')
        assert ambiguous.dataset == 'mine' and ambiguous.state.endswith('has the refs of google, unc; choose one')

    def test_published_counts_are_those_of_the_published_splits(self, tmp_path):
        annotate(tmp_path)
        (tmp_path / 'refcoco' / 'refs(unc).p').rename(tmp_path / 'refcoco' / 'refs(google).p')
        assert 'counts' not in said(tmp_path)

    def test_other_datasets_are_missing(self, tmp_path):
        annotate(tmp_path)
        assert ('refcocog', 'refs(umd).p', 'missing') in [row[:3] for row in look(tmp_path).rows]


class TestMattNetsRepository:
    @pytest.fixture
    def root(self, tmp_path):
        """lichengunc/MAttNet data/README.md, tools/eval_dets.py:46-63, as one folder of the data root."""
        repository = tmp_path / 'MAttNet'
        annotate(repository / 'data')
        picture(repository / 'data' / 'images' / 'mscoco' / 'images' / 'train2014')
        cache = repository / 'cache'
        touch(cache / 'prepro' / 'refcoco_unc' / 'data.json')
        touch(cache / 'detections' / 'refcoco_unc' / f'{DETECTOR}_dets.json')
        touch(cache / 'feats' / 'refcoco_unc' / 'mrcn' / DETECTOR / '7.h5')
        touch(cache / 'results' / 'refcoco_unc' / 'dets' / 'mrcn_cmr_with_st_val.json')
        touch(cache / 'results' / 'refcoco_unc' / 'easy' / 'mrcn_cmr_with_st_val.json')
        touch(repository / 'output' / 'refcoco_unc' / 'mrcn_cmr_with_st.pth')
        with h5py.File(cache / 'feats' / 'refcoco_unc' / 'mrcn' / f'{DETECTOR}_det_feats.h5', 'w') as file:
            file['fc7'] = np.zeros((5, 3), np.float32)
        return tmp_path

    def test_what_is_there(self, root):
        states = said(root)
        assert states['images'] == ['1 of 1']
        assert states['MAttNet data.json'] == ['1 bytes'] and states['MAttNet data.h5'] == ['missing']
        assert states['MAttNet head features'] == ['1 images']
        assert states['MAttNet detection features'][0].startswith('5 rows, ')
        assert states['weights, mattnet'] == ['1 bytes, to be converted']

    def test_what_can_be_run(self, root):
        start = f'python run_benchmark.py --data-root {root}/MAttNet/data --dataset refcoco'
        cache, output = f'{root}/MAttNet/cache', f'{root}/MAttNet/output/refcoco_unc/mrcn_cmr_with_st'
        detections = f'{start} --detections {cache}/detections/refcoco_unc/{DETECTOR}_dets.json'
        assert look(root).commands == [
            f'python run_benchmark.py convert {output}.pth {output}.safetensors --as mattnet '
            f'--vocabulary {cache}/prepro/refcoco_unc/data.json',
            f'{start} --grounder cmae',
            f'{detections} --task recall',
            f'{start} --predictions {cache}/results/refcoco_unc/dets/mrcn_cmr_with_st_val.json']

    def test_converted_weights_are_used(self, root):
        output = root / 'MAttNet' / 'output' / 'refcoco_unc' / 'mrcn_cmr_with_st.safetensors'
        save_weights(output, {'a': torch.zeros(1)}, {'kind': 'mattnet'})
        save_weights(root / 'detector.safetensors', {'a': torch.zeros(1)}, {'kind': 'detector'})
        touch(root / 'other.safetensors')
        assert said(root)['weights, mattnet'][0].endswith('converted')
        commands = look(root).commands
        assert not any(' convert ' in line for line in commands)
        grounding, = (line for line in commands if '--features' in line)
        assert grounding.endswith(f'--features {root}/MAttNet/cache/feats/refcoco_unc/mrcn/{DETECTOR} --grounder '
                                  f'mattnet --weights detector={root}/detector.safetensors --weights mattnet={output}')

    def test_features_that_cannot_be_read(self, root):
        touch(root / 'MAttNet' / 'cache' / 'feats' / 'refcoco_unc' / 'mrcn' / f'{DETECTOR}_ann_feats.h5')
        state, = said(root)['MAttNet annotation features']
        assert 'cannot be read' in state and 'is not an HDF5 file' in state

    def test_detections_go_with_prepared_data_too(self, root):
        (root / 'MAttNet' / 'data' / 'refcoco' / 'refs(unc).p').unlink()
        assert (f'python run_benchmark.py --expressions {root}/MAttNet/cache/prepro/refcoco_unc/data.json --detections '
                f'{root}/MAttNet/cache/detections/refcoco_unc/{DETECTOR}_dets.json --task recall'
                ) in look(root).commands


class TestTheOtherRepositories:
    def test_ref_nms(self, tmp_path):
        """ChopinSharp/ref-nms README.md and data/README.md; the root is the repository itself."""
        annotate(tmp_path / 'data' / 'refer')
        picture(tmp_path / 'data' / 'refer' / 'images' / 'train2014')
        for name in ('cache/std_refdb_refcoco_unc.json', 'cache/std_ctxdb_refcoco_unc.json',
                     'cache/std_vocab_refcoco_unc.txt', 'cache/std_glove_refcoco_unc.npy',
                     'cache/proposals_att_vanilla_refcoco_0114.pkl', 'data/rpn_boxes.pkl',
                     'output/matt_dets_att_vanilla_0114_refcoco_unc_0.json', 'output/att_vanilla_refcoco_0114_b.pth',
                     'data/res101_mask_rcnn_iter_1250000_cpu.pth', 'data/head_feats/refcoco_unc/7.h5'):
            touch(tmp_path / name)
        states = said(tmp_path)
        there = {what for what, state in states.items() if state != ['missing'] and what.startswith('Ref-NMS')}
        assert there == {'Ref-NMS expressions', 'Ref-NMS contextual objects', 'Ref-NMS words', 'Ref-NMS word vectors',
                         'Ref-NMS proposals', 'Ref-NMS regions', 'Ref-NMS detections', 'Ref-NMS head features'}
        commands = look(tmp_path).commands
        assert any(line.endswith(f'--as ref-nms --vocabulary {tmp_path}/cache/std_vocab_refcoco_unc.txt')
                   for line in commands)
        assert any(line.endswith('--as mask-rcnn') for line in commands)
        assert any('matt_dets_att_vanilla_0114' in line and '--task recall' in line for line in commands)
        assert f'python run_benchmark.py --data-root {tmp_path}/data/refer --dataset refcoco --grounder cmae' in (
            commands)

    def test_nmtree(self, tmp_path):
        """daqingliu/NMTree data/README.md, utils/eval_utils.py:136-137; images lie beside the annotations' folder."""
        annotate(tmp_path / 'data' / 'datasets')
        picture(tmp_path / 'data' / 'images' / 'train2014')
        touch(tmp_path / 'data' / 'feats' / 'refcoco_unc' / 'data_dep.pth')
        touch(tmp_path / 'log' / 'refcoco_unc_det_nmtree_01' / 'val_det_res.json')
        touch(tmp_path / 'log' / 'refcoco_unc_det_nmtree_01' / 'model-best.pth')
        states = said(tmp_path)
        assert states['NMTree trees'] == ['1 bytes'] and states['images'][0] == '1 of 1'
        commands = look(tmp_path).commands
        assert any(line.endswith('val_det_res.json') and '--predictions' in line for line in commands)
        assert any(line.endswith('--as nmtree') for line in commands)


class TestWhatADetectorHasSeen:
    """Beside the data, or as ``--weights`` names it."""

    @staticmethod
    def detector(path: Path, **meta: object) -> Path:
        save_weights(path, {'a': torch.zeros(1)}, {'kind': 'detector', **meta})
        return path

    @pytest.mark.parametrize('trained_on, state', [
        ([7, 9], '1 of 1'), ([9], '0 of 1'), ('train2017', '1 of 1'), ('val2017', '0 of 1'),
        (None, 'unknown, convert it with --trained-on'), ({'a': 1}, 'unknown, convert it with --trained-on')])
    def test_is_said_of_every_split_that_is_evaluated(self, tmp_path, trained_on, state):
        annotate(tmp_path)
        path = self.detector(tmp_path / 'detector.safetensors', trained_on=trained_on)
        row, = (row for row in look(tmp_path).rows if row.what.endswith('seen in training'))
        assert row == ('refcoco', 'val images seen in training', state, str(path))

    def test_without_a_detector_nothing_is_said(self, tmp_path):
        annotate(tmp_path)
        assert 'val images seen in training' not in said(tmp_path)

    def test_the_one_that_is_named_comes_before_those_in_the_folder(self, tmp_path, capsys):
        annotate(tmp_path / 'root')
        picture(tmp_path / 'root' / 'images' / 'train2014')
        self.detector(tmp_path / 'root' / 'detector.safetensors', trained_on='val2017')
        named = self.detector(tmp_path / 'mine.safetensors', trained_on='train2014')
        main(['--data-root', str(tmp_path / 'root'), '--weights', f'detector={named}'])
        out = capsys.readouterr().out
        told, = (line for line in out.splitlines() if 'seen in training' in line)
        assert told.split() == ['refcoco', 'val', 'images', 'seen', 'in', 'training', '1', 'of', '1', str(named)]
        assert f'--dataset refcoco --grounder cmae --weights detector={named}' in out

    def test_what_is_no_detector_is_refused(self, tmp_path):
        other = self.detector(tmp_path / 'cmae.safetensors', kind='cmae')
        for given, what in ((f'cmae={other}', 'nothing is said of it'), (f'detector={other}', 'is no converted detec'),
                            (f'detector={touch(tmp_path / "x.safetensors")}', 'is no converted detector'),
                            (f'detector={tmp_path}/none', 'is no converted detector')):
            with pytest.raises(InputError, match=f'--weights .*{what}'):
                main(['--data-root', str(tmp_path), '--weights', given])


class TestCommand:
    def test_prints_and_ends_with_0_where_something_can_be_run(self, tmp_path, capsys):
        annotate(tmp_path)
        picture(tmp_path / 'images' / 'train2014')
        assert main(['--data-root', str(tmp_path)]) == 0
        out = capsys.readouterr().out
        assert 'refcoco' in out and 'what can be run with it:' in out

    def test_leads_with_what_is_there_and_what_to_run(self, tmp_path, capsys):
        annotate(tmp_path / 'data')
        picture(tmp_path / 'data' / 'images' / 'train2014')
        touch(tmp_path / 'MAttNet' / 'output' / 'refcoco_unc' / 'mrcn_cmr_with_st.pth')
        main(['--data-root', str(tmp_path)])
        assert capsys.readouterr().out.splitlines()[:3] == [
            'there: refcoco by unc: 1 expressions, 1 of 1 images',
            f'run: python run_benchmark.py --data-root {tmp_path}/data --dataset refcoco --grounder cmae', '']

    def test_ends_with_1_where_nothing_can(self, tmp_path, capsys):
        assert main(['--data-root', str(tmp_path)]) == 1
        out = capsys.readouterr().out
        assert out.startswith('there: no annotations that can be read\nrun: nothing')
        assert 'nothing can be run with it' in out

    def test_refuses_what_is_no_folder(self, tmp_path):
        for path in (tmp_path / 'none', touch(tmp_path / 'file')):
            with pytest.raises(InputError, match='there is no such folder'):
                main(['--data-root', str(path)])


@pytest.mark.parametrize('called', ['/usr/bin/ref-nms-benchmark', '../bench/run_benchmark.py'])
def test_a_run_is_more_useful_than_a_conversion_however_it_is_called(called, monkeypatch):
    monkeypatch.setattr(sys, 'argv', [called])
    found = Found()
    found.can('convert', 'a.pth', 'a.safetensors')
    found.can('--data-root', 'here')
    assert _first(found.commands) == f'{program()} --data-root here'
