"""What a run wrote, in the originals' files: the run's rows are made here, two images of two splits."""
import json
import pickle

import pytest

from adapters.originals.detections import read_detections
from adapters.originals.ref_nms_data import read_ctxdb
from adapters.originals.ref_nms_proposals import read_proposals
from adapters.originals.results import read_original_predictions, read_results
from harness.commands.export import main
from harness.data.answers import Answer
from harness.errors import InputError

RLE = {'size': [4, 6], 'counts': '04'}


def proposals_row(sent_id, split, boxes, labels, confidence, relatedness=None, rule='ref-nms-b', image_id=7):
    return {'dataset': 'mini-refcoco', 'split': split, 'image_id': image_id, 'sent_id': sent_id, 'proposals': rule,
            'boxes': boxes, 'labels': labels, 'confidence': confidence, 'relatedness': relatedness,
            'word_attention': None}


def predictions_row(sent_id, split, box=None, rule='ref-nms-b', grounder='cmae', image_id=7, **fields):
    return {'dataset': 'mini-refcoco', 'split': split, 'image_id': image_id, 'ref_id': 3, 'ann_id': 70,
            'sent_id': sent_id, 'sent': 'red dog', 'proposals': rule, 'grounder': grounder, 'box': box,
            'score': None if box is None else 0.5, 'label': None, 'rle': None, 'iou': 0.0, 'mask_intersection': None,
            'mask_union': None, 'gt_box': [10.0, 20.0, 30.0, 40.0], **fields}


PROPOSALS = [
    proposals_row(31, 'testA', [[10.0, 20.0, 29.0, 39.0], [1.5, 2.5, 3.0, 4.0]], ['dog', 'person'], [0.5, 0.25],
                  [0.5, 0.75]),
    proposals_row(32, 'val', [[1.5, 2.5, 3.0, 4.0]], ['toothbrush'], [1.0], [0.125], image_id=8),
    proposals_row(33, 'testA', [], [], [], []),
    proposals_row(31, 'testA', [[0.0, 0.0, 1.0, 1.0]], ['dog'], [0.75], rule='greedy'),
]
PREDICTIONS = [
    predictions_row(31, 'testA', [1.5004, 2.5, 3.0, 4.0], iou=0.25, rle=RLE, mask_intersection=1, mask_union=4),
    predictions_row(32, 'val', [1.5, 2.5, 3.0, 4.0], iou=0.5, image_id=8, mask_intersection=3, mask_union=3),
    predictions_row(33, 'testA', mask_intersection=0, mask_union=4),
    predictions_row(31, 'testA', [0.0, 0.0, 1.0, 1.0], rule='greedy'),
]


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / 'run 20'
    write(folder, PREDICTIONS, PROPOSALS)
    return folder


def write(folder, predictions, proposals, record=None):
    folder.mkdir(exist_ok=True)
    for name, rows in (('predictions.jsonl', predictions), ('proposals.jsonl', proposals)):
        (folder / name).write_text(''.join(json.dumps(row) + '\n' for row in rows))
    (folder / 'results.json').write_text(json.dumps({'records': [], 'run': record or {}}))


def refusal(*argv):
    with pytest.raises(InputError) as error:
        main([str(argument) for argument in argv])
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


class TestDetections:
    def test_under_the_name_that_eval_ref_opens(self, run, capsys):
        """ChopinSharp/CM-Erase-REG tools/eval_ref.py:47-48; splits in ref-nms's own order."""
        assert main([str(run), '--as', 'matt-dets', '--proposals', 'ref-nms-b']) == 0
        path = run / 'originals' / 'matt_dets_att_vanilla_run-20_mini-refcoco_unc_0.json'
        rows = json.loads(path.read_text())
        assert [(row['det_id'], row['sent_id'], row['split'], row['category_id']) for row in rows] == [
            (0, 32, 'val', 90), (1, 31, 'testA', 18), (2, 31, 'testA', 1)]
        assert rows[1] == {'det_id': 1, 'h5_id': 1, 'ref_id': 3, 'sent_id': 31, 'image_id': 7,
                           'box': [10.0, 20.0, 29.0, 39.0], 'category_id': 18, 'category_name': 'dog',
                           'split': 'testA'}
        said = capsys.readouterr().out
        assert '--dataset mini-refcoco --splitBy unc --m att_vanilla --tid run-20 --top-N 0' in said
        assert '1 expressions have no proposal' in said

    def test_another_rule_keeps_its_name(self, run, tmp_path):
        main([str(run), '--as', 'matt-dets', '--proposals', 'greedy', '--tid', '7', '--out', str(tmp_path / 'o')])
        detections = read_detections(tmp_path / 'o' / 'matt_dets_greedy_7_mini-refcoco_unc_0.json')
        assert (detections.kind, len(detections)) == ('ref-nms', 1)


class TestProposals:
    def test_as_the_originals_pickle(self, run):
        main([str(run), '--as', 'proposals', '--proposals', 'ref-nms-b', '--tid', '1'])
        path = run / 'originals' / 'proposals_att_vanilla_mini-refcoco_1.pkl'
        assert pickle.loads(path.read_bytes()) == {
            'val': {32: [{'score': 0.125, 'box': [1.5, 2.5, 4.5, 6.5], 'cls_idx': 80}]},
            'testA': {31: [{'score': 0.25, 'box': [10.0, 20.0, 39.0, 59.0], 'cls_idx': 17},
                           {'score': 0.1875, 'box': [1.5, 2.5, 4.5, 6.5], 'cls_idx': 1}], 33: []}}

    def test_as_json_and_of_a_rule_without_relatedness(self, run):
        main([str(run), '--as', 'proposals', '--proposals', 'greedy', '--tid', '1', '--json'])
        splits = read_proposals(run / 'originals' / 'proposals_greedy_mini-refcoco_1.json')
        assert splits['testA'][31].scores.tolist() == [0.75]


class TestResults:
    def test_a_file_a_split(self, run):
        main([str(run), '--as', 'results', '--proposals', 'ref-nms-b', '--tid', '1'])
        folder = run / 'originals' / 'mini-refcoco_unc'
        first, = read_original_predictions(folder / 'att_vanilla_1_testA.json')
        assert (first.sent_id, first.pred_det_id, first.pred_box, first.rle) == (31, 2, (1.5004, 2.5, 3, 4), RLE)
        record = json.loads((folder / 'att_vanilla_1_testA.json').read_text())
        assert (record['acc'], record['iou']) == (0.0, 0.125)
        assert json.loads((folder / 'att_vanilla_1_val.json').read_text())['acc'] == 1.0
        answers = read_results(folder / 'att_vanilla_1_val.json')
        assert answers.of('mini-refcoco', 32) == [Answer((1.5, 2.5, 3, 4), 0.5)]

    def test_without_a_grounder(self, run):
        write(run, [{**row, 'grounder': '-', 'box': None} for row in PREDICTIONS], PROPOSALS)
        assert 'no grounder ran on greedy' in refusal(run, '--as', 'results', '--proposals', 'greedy')

    def test_with_two_grounders_one_is_named(self, run):
        write(run, PREDICTIONS + [{**row, 'grounder': 'chance'} for row in PREDICTIONS], PROPOSALS)
        arguments = run, '--as', 'results', '--proposals', 'greedy'
        assert '--grounder: the run has several; name one of cmae, chance' in refusal(*arguments)
        assert main([*map(str, arguments), '--grounder', 'chance']) == 0


class TestContext:
    def test_boxes_are_the_datasets_own(self, small_benchmark, tmp_path):
        from harness.embedded.known import load_embedded
        dataset = load_embedded('mini-refcoco', 'eval')
        e = dataset.split('val')[0]
        other = next(a for a in dataset.annotations[e.image_id] if a.ann_id != e.ann_id)
        row = predictions_row(e.sent_id, 'val', image_id=e.image_id, ann_id=e.ann_id, context_ann_ids=[other.ann_id])
        record = {'options': {'data_root': None}, 'data': {'mini-refcoco': dataset.data_hash}}
        write(tmp_path, [{**row, 'ann_id': e.ann_id}], [], record)
        assert main([str(tmp_path), '--as', 'ctxdb', '--out', str(tmp_path / 'cache')]) == 0
        found = read_ctxdb(tmp_path / 'cache' / 'std_ctxdb_mini-refcoco_unc.json')['val'][e.sent_id]
        x, y, w, h = e.gt_xywh
        assert found.referent.xyxy == (x, y, x + w, y + h)
        x, y, w, h = other.xywh
        assert [box.xyxy for box in found.context] == [(x, y, x + w, y + h)]

    def test_of_other_data(self, small_benchmark, tmp_path):
        record = {'options': {'data_root': None}, 'data': {'mini-refcoco': 'another hash'}}
        write(tmp_path, [predictions_row(31, 'val', context_ann_ids=[])], [], record)
        assert 'differs from the data of the run' in refusal(tmp_path, '--as', 'ctxdb')

    def test_where_none_were_looked_for(self, run):
        assert 'looked for no contextual objects' in refusal(run, '--as', 'ctxdb')


class TestRefusals:
    @pytest.mark.parametrize('arguments, complaint', [
        (['--as', 'coco'], 'invalid choice'),
        ([], '--as'),
        (['--as', 'matt-dets'], '--proposals: the run has several; name one of ref-nms-b, greedy'),
        (['--as', 'matt-dets', '--proposals', 'gredy'], 'did you mean greedy?'),
        (['--as', 'matt-dets', '--dataset', 'refcoco'], '--dataset refcoco: unknown'),
        (['--as', 'matt-dets', '--proposals', 'greedy', '--tid', '../x'], '--tid'),
        (['--as', 'matt-dets', '--propos', 'greedy'], 'unrecognized arguments'),
    ])
    def test_of_options(self, run, arguments, complaint):
        assert complaint in refusal(run, *arguments)

    def test_of_a_folder_without_a_run(self, tmp_path):
        assert 'there is no such file' in refusal(tmp_path, '--as', 'matt-dets')
        (tmp_path / 'predictions.jsonl').write_text('{"a": 1}\n')
        assert 'line 1: is no row of a run' in refusal(tmp_path, '--as', 'matt-dets')

    def test_of_categories_that_are_not_cocos(self, run):
        write(run, PREDICTIONS, [{**row, 'labels': [None] * len(row['labels'])} for row in PROPOSALS])
        assert "have none of these: None" in refusal(run, '--as', 'matt-dets', '--proposals', 'greedy')
        assert "have none of these: None" in refusal(run, '--as', 'proposals', '--proposals', 'greedy')

    def test_of_expressions_without_a_ref(self, run):
        write(run, [{**row, 'ref_id': None} for row in PREDICTIONS], PROPOSALS)
        assert 'have no ref_id' in refusal(run, '--as', 'matt-dets', '--proposals', 'greedy')

    @pytest.mark.parametrize(('change', 'said'), [
        ({'split': '../../../outside'}, "'split' must be a name that can be printed, without folders"),
        ({'dataset': 'a\nb'}, "'dataset' must be a name"), ({'image_id': '7'}, "'image_id' must be a whole number"),
        ({'boxes': [[0, 0, 1]]}, "'boxes.0' must be"), ({'boxes': [[0, 0, 1e308, 1]]}, "'boxes.0.2' must be"),
        ({'boxes': [[0, 0, 1, []]]}, "'boxes.0.3' must be a number, not a list"),
        ({'labels': -1}, "'labels' must be"), ({'labels': ['dog'] * 9}, "are not of its 1 boxes"),
        ({'confidence': [float('nan')]}, 'not valid JSON'), ({'sent_id': 99}, 'do not have the same expressions'),
        ({'split': 'val'}, 'do not have the same expressions'),
    ])
    def test_of_proposals_that_no_run_writes(self, run, change, said):
        write(run, PREDICTIONS, [*PROPOSALS[:3], {**PROPOSALS[3], **change}])
        assert said in refusal(run, '--as', 'matt-dets', '--proposals', 'greedy')
        assert sorted(path.name for path in run.iterdir()) == ['predictions.jsonl', 'proposals.jsonl', 'results.json']

    @pytest.mark.parametrize(('change', 'said'), [
        ({'grounder': '/x'}, "'grounder' must be a name"), ({'gt_box': None}, "'gt_box' must be"),
        ({'score': None}, 'has a box without a score'), ({'mask_union': -1}, "'mask_union' must be"),
        ({'sent_id': 32, 'split': 'val'}, 'comes twice'),
    ])
    def test_of_answers_that_no_run_writes(self, run, change, said):
        write(run, [{**PREDICTIONS[0], **change}, *PREDICTIONS[1:]], PROPOSALS)
        assert said in refusal(run, '--as', 'results', '--proposals', 'ref-nms-b')
