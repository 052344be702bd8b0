"""MAttNet and CM-A-E as grounders: an image's expressions and proposals to scores."""
import pytest
import torch

from adapters.modular.object_features import whole_image
from adapters.modular.place_features import gather_context, place_features
from harness.boxes import xyxy_to_xywh
from harness.errors import InputError
from harness.registry import GROUNDERS
from tests.small_grounders import BOXES, GROUNDERS_OF, LABELS, OPT, VOCABULARY, an_image, propose, say, weights

pytestmark = pytest.mark.parametrize('kind', ['mattnet', 'cmae'])


def grounder_of(kind, **options):
    return GROUNDERS_OF[kind](weights(kind, opt={**weights(kind).meta['opt'], **options}))


def one_by_one(grounder, kind, image, expression, proposals, slots=5):
    """The originals' way: one expression, every row with everything of its own."""
    boxes = proposals.bboxes
    n = len(boxes)
    pool5 = image.pool(boxes - torch.tensor([0., 0., 1., 1.]))
    fc7 = image.head(pool5)
    place = place_features(xyxy_to_xywh(boxes), proposals.labels, (160, 120))
    labels = VOCABULARY.encode([expression.tokens]).expand(n, -1)
    context = gather_context(fc7.mean((2, 3)), place.cxt_index)
    also = [whole_image(image).expand(n, -1, -1, -1)] if kind == 'cmae' else []
    with torch.no_grad():
        return grounder.network(pool5, fc7, place.lfeats, place.dif_lfeats, context[:, :slots],
                                place.cxt_lfeats[:, :slots], labels, *also)


def test_it_is_found_by_name(kind):
    assert GROUNDERS.get(kind) is GROUNDERS_OF[kind]
    assert GROUNDERS_OF[kind].weights == kind
    assert grounder_of(kind).longest == 3


def test_all_expressions_at_once_score_as_each_alone(kind):
    grounder = grounder_of(kind)
    expressions = say('left cup', 'dog', 'red unheard cup beyond the limit', '')
    own = [propose(BOXES, LABELS), propose(BOXES[:1] + BOXES[2:], [0, 0, 1]), propose(BOXES, LABELS),
           propose(BOXES[1:2], [1])]
    scores = grounder(an_image(), expressions, own)
    for expression, proposals, got in zip(expressions, own, scores, strict=True):
        want = one_by_one(grounder, kind, an_image(), expression, proposals).scores
        torch.testing.assert_close(got, want, rtol=0, atol=1e-5)


def test_fewer_context_slots_leave_the_neighbours_of_the_same_category_alone(kind):
    grounder = grounder_of(kind, num_cxt=2)
    expression, = say('left cup')
    proposals = propose(BOXES, LABELS)
    got, = grounder(an_image(), [expression], [proposals])
    want = one_by_one(grounder, kind, an_image(), expression, proposals, slots=2).scores
    torch.testing.assert_close(got, want, rtol=0, atol=1e-5)


def test_neighbours_are_an_expressions_own_proposals(kind):
    grounder = grounder_of(kind)
    expressions = say('left cup', 'left cup')
    all_four, first_two = propose(BOXES, LABELS), propose(BOXES[:2], LABELS[:2])
    more, fewer = grounder(an_image(), expressions, [all_four, first_two])
    assert not torch.allclose(more[:2], fewer)


def test_the_order_of_proposals_does_not_matter(kind):
    grounder = grounder_of(kind)
    order = [2, 0, 3, 1]
    straight, = grounder(an_image(), say('red dog'), [propose(BOXES, LABELS)])
    turned, = grounder(an_image(), say('red dog'), [propose([BOXES[i] for i in order], [LABELS[i] for i in order])])
    torch.testing.assert_close(turned, straight[order])


def test_an_expression_without_proposals_gets_no_scores(kind):
    grounder = grounder_of(kind)
    none = propose([], [])
    scores = grounder(an_image(), say('a', 'dog', 'b'), [none, propose(BOXES, LABELS), none])
    assert [len(s) for s in scores] == [0, 4, 0]
    assert [len(s) for s in grounder(an_image(), say('a', 'b'), [none, none])] == [0, 0]
    assert grounder(an_image(), [], []) == []


def test_a_box_is_pooled_once_an_image_to_its_last_pixel(kind):
    image, grounder = an_image(), grounder_of(kind)
    grounder(image, say('dog', 'cup'), [propose(BOXES, LABELS), propose(BOXES[1:], LABELS[1:])])
    grounder(image, say('dog', 'cup'), [propose(BOXES[2:], LABELS[2:])] * 2)
    expected = [[x1, y1, x2 - 1, y2 - 1] for x1, y1, x2, y2 in BOXES]
    whole = [[0, 0, 160, 120]] if kind == 'cmae' else []  # 16 · 20 and 16 · 15 input pixels, two an image pixel
    assert sorted(image.detector.pooled) == sorted(expected + whole)


def test_without_same_category_context(kind):
    def first_slots(with_st):
        grounder = GROUNDERS_OF[kind](weights(kind), with_st=with_st)
        return grounder.see(an_image(), say('cup'), [propose(BOXES[:3:2], [0, 0])]).places.cxt_index[:, 0].tolist()

    assert sorted(first_slots(True)) == [0, 1] and first_slots(False) == [-1, -1]


def refused(kind, given):
    with pytest.raises(InputError) as error:
        GROUNDERS_OF[kind](given)
    assert f'{kind}.safetensors' in str(error.value) and '\n' not in str(error.value)
    return str(error.value)


def test_weights_of_something_else_are_refused(kind):
    bare = weights(kind)
    bare.meta = {'kind': 'detector'}
    assert "holds 'detector', not weights of" in refused(kind, bare) and f'--weights {kind}=' in refused(kind, bare)
    bare.meta = {'kind': kind}
    assert "no 'opt'" in refused(kind, bare)
    assert 'words' in refused(kind, weights(kind, vocabulary={'words': ['<PAD>', '<UNK>'], 'max_length': 3}))
    assert refused(kind, weights(kind, vocabulary={'words': ['dog'], 'max_length': 3}))
    assert '(' in refused(kind, weights(kind, opt={**OPT, 'glove_size': 4, 'img_hidden': 6, 'rnn_hidden_size': 4}))
    lacking = weights(kind)
    del lacking.tensors['weight_fc.bias']
    assert 'weight_fc.bias' in refused(kind, lacking)
