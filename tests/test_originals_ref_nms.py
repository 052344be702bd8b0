"""Ref-NMS's databases, words and pickles, each made as its own tools make them."""
import gzip
import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.originals.outside import read_expressions
from adapters.originals.ref_nms_data import (
    CriticalBox,
    CriticalBoxes,
    read_ctxdb,
    read_refdb,
    read_vocabulary,
    read_words,
    write_ctxdb,
)
from adapters.originals.ref_nms_proposals import Proposals, read_proposals, write_proposals
from harness.boxes import corners
from harness.errors import InputError

#: ChopinSharp/ref-nms tools/build_refdb.py:27-48; boxes are x, y, x + w, y + h, words ids of std_vocab.
REFDB = {
    'dataset_splitby': 'refcoco+_unc',
    'val': [{'exp_id': 31, 'ref_id': 3, 'image_id': 7, 'bbox': [10.5, 20.25, 40.5, 60.25], 'tokens': [2, 0, 1]},
            {'exp_id': 32, 'ref_id': 3, 'image_id': 7, 'bbox': [10.5, 20.25, 40.5, 60.25], 'tokens': []}],
    'testA': [{'exp_id': 33, 'ref_id': 4, 'image_id': 8, 'bbox': [0, 0, 5, 6], 'tokens': [1]}],
}
#: ChopinSharp/ref-nms tools/build_ctxdb.py:81-97, sentences as JSON's keys.
CTXDB = {
    'train': {},
    'val': {'31': {'gt': {'box': [10.5, 20.25, 40.5, 60.25], 'cat_id': 18},
                   'ctx': [{'box': [1, 2, 4, 6], 'cat_id': 1}]},
            '32': {'gt': {'box': [10.5, 20.25, 40.5, 60.25], 'cat_id': 18}, 'ctx': []}},
}
#: ChopinSharp/ref-nms tools/save_ref_nms_proposals.py:58-62, 80-90.
PROPOSALS = {
    'val': {31: [{'score': 0.25, 'box': [1.5, 2.5, 30.5, 40.5], 'cls_idx': 1},
                 {'score': 0.75, 'box': [10.0, 20.0, 39.0, 59.0], 'cls_idx': 17},
                 {'score': 0.5, 'box': [11.0, 20.0, 39.0, 59.0], 'cls_idx': 80}], 32: []},
    'testA': {33: [{'score': 1.0, 'box': [0.0, 0.0, 5.0, 6.0], 'cls_idx': 1}]},
}


def refusal(read, *paths):
    with pytest.raises(InputError) as error:
        read(*paths)
    message = str(error.value)
    assert len(message.splitlines()) == 1
    return message


def saved(path, value):
    path.write_text(json.dumps(value))
    return path


class TestRefDB:
    def test_rows_by_split(self, tmp_path):
        refdb = read_refdb(saved(tmp_path / 'std_refdb_refcoco+_unc.json', REFDB))
        assert refdb.dataset_splitby == 'refcoco+_unc' and list(refdb.splits) == ['val', 'testA']
        first = refdb.splits['val'][0]
        assert (first.sent_id, first.ref_id, first.image_id, first.words) == (31, 3, 7, (2, 0, 1))
        assert first.xyxy == (10.5, 20.25, 40.5, 60.25)

    def test_as_expressions(self, tmp_path):
        refdb = read_refdb(saved(tmp_path / 'std_refdb.json', REFDB))
        dataset = refdb.dataset(('<unk>', 'dog', 'red'))
        assert (dataset.name, dataset.splits, dataset.annotations) == ('refcoco+', ('val', 'testA'), None)
        first = dataset.expressions[0]
        assert (first.sent, first.gt_xywh) == ('red <unk> dog', (10.5, 20.25, 30, 40))
        assert 'beyond the 2 words' in refusal(refdb.dataset, ('<unk>', 'dog'))

    @pytest.mark.parametrize('change, complaint', [
        ({'bbox': [3, 4, 1, 9]}, "val[0]: 'bbox' must be four numbers x1, y1, x2, y2"),
        ({'bbox': [0, 0, 1e9, 9]}, "val[0]: 'bbox' must be four numbers"),
        ({'tokens': ['red']}, "val[0]: 'tokens' must be ids"),
        ({'exp_id': 1.5}, "val[0]: 'exp_id' must be an integer"),
    ])
    def test_refusals(self, tmp_path, change, complaint):
        path = saved(tmp_path / 'a.json', {**REFDB, 'val': [{**REFDB['val'][0], **change}]})
        assert complaint in refusal(read_refdb, path)


    @pytest.mark.parametrize('name', ['../../etc/passwd_unc', '..\\\\x_unc', 'refcoco\0_unc', 'refcoco\n_unc',
                                      'refcoco', '_unc', '', '/tmp/x_unc', '\x1b[2J_unc'])
    def test_a_name_stays_in_its_folder(self, tmp_path, name):
        """The vocabulary beside the file is looked for by this name."""
        path = saved(tmp_path / 'a.json', {**REFDB, 'dataset_splitby': name})
        assert f"{path}: 'dataset_splitby'" in refusal(read_expressions, path)

    def test_a_split_has_a_name(self, tmp_path):
        path = saved(tmp_path / 'a.json', {**REFDB, ' ': []})
        assert "'split' is empty" in refusal(read_refdb, path)


class TestContextDB:
    def test_by_split_and_sentence(self, tmp_path):
        ctxdb = read_ctxdb(saved(tmp_path / 'std_ctxdb_refcoco+_unc.json', CTXDB))
        assert list(ctxdb) == ['train', 'val'] and ctxdb['train'] == {}
        assert ctxdb['val'][31] == CriticalBoxes(CriticalBox((10.5, 20.25, 40.5, 60.25), 18),
                                                 (CriticalBox((1, 2, 4, 6), 1),))
        assert ctxdb['val'][32].context == ()

    def test_writing_gives_the_same_file(self, tmp_path):
        ctxdb = read_ctxdb(saved(tmp_path / 'a.json', CTXDB))
        write_ctxdb(tmp_path / 'b.json', ctxdb)
        assert json.loads((tmp_path / 'b.json').read_text()) == CTXDB

    def test_corners(self):
        assert corners((10.5, 20.25, 30, 40)) == (10.5, 20.25, 40.5, 60.25)

    @pytest.mark.parametrize('value, complaint', [
        ([], 'must hold, per split,'),
        ({'val': {'x': {}}}, "'x' must be the sent_id"),
        ({'val': {'9' * 50: {}}}, 'must be the sent_id'),
        ({'val': {'31': {'gt': {'box': [0, 0, 1, 1], 'cat_id': 1}}}}, "val sent_id 31: has no 'ctx'"),
        ({'val': {'31': {'ctx': []}}}, "val sent_id 31: has no 'gt'"),
    ])
    def test_refusals(self, tmp_path, value, complaint):
        assert complaint in refusal(read_ctxdb, saved(tmp_path / 'a.json', value))


class TestWords:
    """ChopinSharp/ref-nms tools/build_vocab.py:58-76: ``<unk>`` first, then sorted; its vector is zeros."""

    @pytest.fixture
    def files(self, tmp_path):
        words, vectors = tmp_path / 'std_vocab_refcoco_unc.txt', tmp_path / 'std_glove_refcoco_unc.npy'
        words.write_text(''.join(word + '\n' for word in ('<unk>', 'dog', 'más', 'red')), encoding='utf-8')
        table = np.arange(4 * 300, dtype=np.float32).reshape(4, 300)
        table[0] = 0
        np.save(vectors, table)
        return words, vectors

    def test_words_and_their_vectors(self, files):
        assert read_words(files[0]) == ('<unk>', 'dog', 'más', 'red')
        vocabulary = read_vocabulary(*files)
        assert vocabulary.ids(['red', 'cat']).tolist() == [3, 0]
        assert vocabulary(['red', 'cat'])[:, 0].tolist() == [900, 0]

    def test_files_that_do_not_belong_together(self, files):
        files[0].write_text('<unk>\ndog\n')
        assert 'has 4 vectors for the 2 words' in refusal(read_vocabulary, *files)

    @pytest.mark.parametrize('text, complaint', [
        (b'dog\nred\n', '<unk> first'), (b'', '<unk> first'), (b'<unk>\ndog\ndog\n', 'word dog comes twice'),
        (b'<unk>\n\xff\n', 'not UTF-8')])
    def test_no_words(self, files, text, complaint):
        files[0].write_bytes(text)
        assert complaint in refusal(read_words, files[0])

    def test_vectors_of_objects_would_be_a_pickle(self, files, tmp_path):
        class Payload:
            def __reduce__(self):
                return open, (str(tmp_path / 'ran'), 'w')
        np.save(files[1], np.array([[Payload()]], object), allow_pickle=True)
        assert 'holds no plain numbers' in refusal(read_vocabulary, *files)
        assert not (tmp_path / 'ran').exists()

    @pytest.mark.parametrize('at', [11, 12, 20, 30, 40, 60])
    def test_a_header_that_is_overwritten(self, files, at):
        data = bytearray(files[1].read_bytes())
        data[at:at + 64] = bytes(64)
        files[1].write_bytes(data)
        assert 'is not an .npy file of numbers' in refusal(read_vocabulary, *files)

    def test_lying_headers(self, files):
        whole = files[1].read_bytes()
        for changed in (whole.replace(b'(4, 300)', b'(9, 300)'), whole[:-1], whole + b'0', whole[:40],
                        whole.replace(b"'<f4'", b"'<M8'"), whole.replace(b'(4, 300)', b'(4,1200)'),
                        whole.replace(b'(4, 300)', b'(-4,300)'), b'', b'\x93NUMPY\x09\x00' + whole[8:]):
            files[1].write_bytes(changed)
            if changed[:128] != whole[:128] or len(changed) != len(whole):
                refusal(read_vocabulary, *files)

    def test_numbers_that_are_not_finite(self, files):
        np.save(files[1], np.full((4, 300), np.nan, np.float32))
        assert 'not finite' in refusal(read_vocabulary, *files)


class TestProposals:
    @pytest.fixture(params=[0, 2, 3, 4])
    def path(self, tmp_path, request):
        path = tmp_path / 'proposals_att_vanilla_refcoco_0114.pkl'
        path.write_bytes(pickle.dumps(PROPOSALS, protocol=request.param))
        return path

    def test_by_split_and_sentence(self, path):
        splits = read_proposals(path)
        assert list(splits) == ['val', 'testA'] and list(splits['val']) == [31, 32]
        proposals = splits['val'][31]
        assert proposals.xyxy[1].tolist() == [10, 20, 39, 59]
        assert (proposals.scores.tolist(), proposals.classes.tolist()) == ([.25, .75, .5], [1, 17, 80])
        assert len(splits['val'][32]) == 0

    def test_a_threshold_keeps_the_best_always_and_others_over_it(self, path):
        """ChopinSharp/ref-nms tools/save_matt_dets.py:17-29."""
        proposals = read_proposals(path)['val'][31]
        assert proposals.over(0.25).scores.tolist() == [.75, .5]
        assert proposals.over(0.9).scores.tolist() == [.75]
        assert len(Proposals(np.empty((0, 4)), np.empty(0), np.empty(0, np.int64)).over(0.5)) == 0

    def test_writing_gives_the_same_pickle(self, path, tmp_path):
        write_proposals(tmp_path / 'again.pkl', read_proposals(path))
        data = (tmp_path / 'again.pkl').read_bytes()
        assert pickle.loads(data) == PROPOSALS and data[:2] == b'\x80\x02'

    def test_writing_json_and_reading_it(self, path, tmp_path):
        write_proposals(tmp_path / 'proposals.json', read_proposals(path))
        write_proposals(tmp_path / 'again.pkl', read_proposals(tmp_path / 'proposals.json'))
        assert pickle.loads((tmp_path / 'again.pkl').read_bytes()) == PROPOSALS
        (tmp_path / 'a.json.gz').write_bytes(gzip.compress((tmp_path / 'proposals.json').read_bytes()))
        assert read_proposals(tmp_path / 'a.json.gz')['val'][31].scores.tolist() == [.25, .75, .5]

    @settings(max_examples=20, deadline=None)
    @given(st.dictionaries(st.text(st.characters(exclude_categories=['Cs']), max_size=5), st.dictionaries(
        st.integers(0, 2**50), st.lists(st.tuples(st.tuples(*[st.floats(-1e6, 1e6)] * 4), st.floats(0, 1),
                                                  st.integers(1, 80)), max_size=3), max_size=3), max_size=3),
        st.sampled_from(['pkl', 'json']))
    def test_what_is_written_is_read(self, tmp_path_factory, splits, ending):
        path = tmp_path_factory.mktemp('proposals') / f'proposals.{ending}'
        written = {split: {sent_id: Proposals(
            np.array([row[0] for row in rows]).reshape(-1, 4), np.array([row[1] for row in rows], np.float64),
            np.array([row[2] for row in rows], np.int64)) for sent_id, rows in by_sentence.items()}
            for split, by_sentence in splits.items()}
        write_proposals(path, written)
        read = read_proposals(path)
        assert {split: list(rows) for split, rows in read.items()} == {s: list(rows) for s, rows in written.items()}
        for split, by_sentence in written.items():
            for sent_id, proposals in by_sentence.items():
                for name, column in vars(proposals).items():
                    np.testing.assert_array_equal(getattr(read[split][sent_id], name), column)

    @pytest.mark.parametrize('value, complaint', [
        ([], 'must hold, per split,'),
        ({'val': {31: {}}}, 'val sent_id 31: must be a list of proposals'),
        ({'val': {31: [{'score': 1.0, 'box': [1, 2, 3]}]}}, "with 'score', 'box' and 'cls_idx'"),
        ({'val': {31: [{'score': 1.0, 'box': [1, 2, 3], 'cls_idx': 1}]}}, "'box' must be four numbers"),
        ({'val': {31: [{'score': 1.0, 'box': [1, 2, 3, float('inf')], 'cls_idx': 1}]}}, 'not finite'),
        ({'val': {31: [{'score': 1.0, 'box': [1, 2, 3, 4], 'cls_idx': 81}]}}, 'must be a class from 1 to 80'),
        ({'val': {31: [{'score': 1.0, 'box': [1, 2, 3, 4], 'cls_idx': 1.5}]}}, 'must be a class from 1 to 80'),
        ({'val': {31: [{'score': 1.0, 'box': [1, 2, 3, 4], 'cls_idx': 1e300}]}}, 'must be a class from 1 to 80'),
        ({'val': {31: [{'score': 1.0, 'box': [1, 2, 3, 4], 'cls_idx': True}]}}, "'score' and 'cls_idx' one"),
        ({'val': {31: [{'score': '1', 'box': [1, 2, 3, 4], 'cls_idx': 1}]}}, "'score' and 'cls_idx' one"),
        ({'val': {31: [{'score': 1.0, 'box': '1234', 'cls_idx': 1}]}}, "'box' must be four numbers"),
        ({'val': {'a': []}}, "'a' must be the sent_id"),
        ({'val': {None: []}}, 'must be the sent_id'), ({'val': {True: []}}, 'must be the sent_id'),
        ({'val': {'031': []}}, "'031' must be the sent_id"), ({'val': {10 ** 400: []}}, 'a key of type int'),
        ({'val': {31: [], '31': []}}, 'expression 31 comes twice'),
    ])
    @pytest.mark.filterwarnings('error')
    def test_refusals(self, tmp_path, value, complaint):
        path = tmp_path / 'a.pkl'
        path.write_bytes(pickle.dumps(value))
        assert complaint in refusal(read_proposals, path)

    def test_a_pickle_that_runs_something(self, tmp_path):
        path = tmp_path / 'a.pkl'
        path.write_bytes(b'cos\nsystem\n(S"touch ' + str(tmp_path / 'ran').encode() + b'"\ntR.')
        assert 'references os.system' in refusal(read_proposals, path)
        assert not (tmp_path / 'ran').exists()
