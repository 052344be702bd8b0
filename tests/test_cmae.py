"""CM-A-E as a grounder: an image's expressions and proposals to scores."""
from pathlib import Path

import pytest
import torch
from mmengine.structures import InstanceData

from adapters.box_features import box_features, gather_context, xyxy_to_xywh
from adapters.cmae import CMAEGrounder
from adapters.object_features import ObjectFeatures, whole_image
from adapters.vocabulary import Vocabulary
from grounders.cmae import CMAE
from harness.errors import InputError
from harness.registry import GROUNDERS
from harness.types import Expression, ImageFeatures, ImageInfo
from harness.weights import Weights

VOCABULARY = Vocabulary(('<PAD>', '<UNK>', 'left', 'red', 'cup', 'dog'), max_length=3)
OPT = dict(vocab_size=6, word_embedding_size=7, glove_size=4, word_vec_size=8, jemb_dim=8, rnn_hidden_size=5,
           bidirectional=1, rnn_num_layers=1, rnn_type='lstm', word_drop_out=.5, rnn_drop_out=.2, jemb_drop_out=.1,
           visual_drop_out=.2, visual_init_norm=20, pool5_dim=3, fc7_dim=4, num_atts=2, num_cxt=5, with_st=1,
           unk_token=1, img_hidden=6)


class FakeDetector:
    """Pools constants that tell boxes apart, and counts the boxes that it was asked for."""

    def __init__(self):
        self.pooled = []

    def pool(self, image, boxes):
        self.pooled += boxes.tolist()
        scale = torch.linspace(.1, 1, 49).view(1, 1, 7, 7)
        return boxes[:, :3, None, None] * scale / 100

    def head(self, crops):
        return torch.cat([crops, crops.square().sum(1, keepdim=True)], 1).sin()


def an_image():
    info, feature_map = ImageInfo(1, 120, 160), torch.zeros(1, 3, 16, 21)
    return ImageFeatures(info, 2.0, feature_map, None, None, ('cup', 'dog'), FakeDetector())


def weights(**changes):
    torch.manual_seed(0)
    meta = {'opt': OPT, 'vocabulary': VOCABULARY.to_json(), **changes}
    network = CMAE(OPT)
    for module in network.modules():
        if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            module.running_mean.normal_()
            module.running_var.uniform_(.5, 2)
    return Weights(Path('cmae.safetensors'), network.state_dict(), meta, '')


def say(*sentences):
    return [Expression('d', 'val', 1, i, sent, tuple(sent.split()), (0, 0, 1, 1)) for i, sent in enumerate(sentences)]


def propose(boxes, labels):
    return InstanceData(bboxes=torch.tensor(boxes, dtype=torch.float32).view(-1, 4), labels=torch.tensor(labels).long())


BOXES = [[10., 10., 30., 40.], [50., 20., 90., 80.], [0., 60., 20., 90.], [100., 5., 150., 70.]]
LABELS = [0, 1, 0, 1]


def one_by_one(grounder, image, expression, proposals):
    """The original's way: one expression, every row with everything of its own."""
    boxes = proposals.bboxes
    n = len(boxes)
    pool5 = image.pool(boxes - torch.tensor([0., 0., 1., 1.]))
    fc7 = image.head(pool5)
    place = box_features(xyxy_to_xywh(boxes), proposals.labels, (160, 120))
    labels = VOCABULARY.encode([expression.tokens]).expand(n, -1)
    context = gather_context(fc7.mean((2, 3)), place.cxt_index)
    with torch.no_grad():
        return grounder.network(pool5, fc7, place.lfeats, place.dif_lfeats, context, place.cxt_lfeats, labels,
                                whole_image(image).expand(n, -1, -1, -1)).scores


def test_it_is_found_by_name():
    assert GROUNDERS.get('cmae') is CMAEGrounder
    assert CMAEGrounder.weights == 'cmae'


def test_all_expressions_at_once_score_as_each_alone():
    grounder = CMAEGrounder(weights())
    expressions = say('left cup', 'dog', 'red unheard cup beyond the limit', '')
    own = [propose(BOXES, LABELS), propose(BOXES[:1] + BOXES[2:], [0, 0, 1]), propose(BOXES, LABELS),
           propose(BOXES[1:2], [1])]
    scores = grounder(an_image(), expressions, own)
    for expression, proposals, got in zip(expressions, own, scores, strict=True):
        torch.testing.assert_close(got, one_by_one(grounder, an_image(), expression, proposals), rtol=0, atol=1e-5)


def test_neighbours_are_an_expressions_own_proposals():
    grounder = CMAEGrounder(weights())
    expressions = say('left cup', 'left cup')
    all_four, first_two = propose(BOXES, LABELS), propose(BOXES[:2], LABELS[:2])
    more, fewer = grounder(an_image(), expressions, [all_four, first_two])
    assert not torch.allclose(more[:2], fewer)


def test_the_order_of_proposals_does_not_matter():
    grounder = CMAEGrounder(weights())
    order = [2, 0, 3, 1]
    straight, = grounder(an_image(), say('red dog'), [propose(BOXES, LABELS)])
    turned, = grounder(an_image(), say('red dog'), [propose([BOXES[i] for i in order], [LABELS[i] for i in order])])
    torch.testing.assert_close(turned, straight[order])


def test_an_expression_without_proposals_gets_no_scores():
    grounder = CMAEGrounder(weights())
    none = propose([], [])
    scores = grounder(an_image(), say('a', 'dog', 'b'), [none, propose(BOXES, LABELS), none])
    assert [len(s) for s in scores] == [0, 4, 0]
    assert [len(s) for s in grounder(an_image(), say('a', 'b'), [none, none])] == [0, 0]
    assert grounder(an_image(), [], []) == []


def test_a_box_is_pooled_once_an_image_to_its_last_pixel():
    image, grounder = an_image(), CMAEGrounder(weights())
    grounder(image, say('dog', 'cup'), [propose(BOXES, LABELS), propose(BOXES[1:], LABELS[1:])])
    grounder(image, say('dog', 'cup'), [propose(BOXES[2:], LABELS[2:])] * 2)
    expected = [[x1, y1, x2 - 1, y2 - 1] for x1, y1, x2, y2 in BOXES]
    whole = [0, 0, 160, 120]  # 16 · 20 and 16 · 15 input pixels at two input pixels per image pixel
    assert sorted(image.detector.pooled) == sorted([*expected, whole])


def test_object_features_find_rows_of_boxes_seen_before():
    image = an_image()
    objects = ObjectFeatures(image)
    first = objects.rows(torch.tensor(BOXES[:2] + BOXES[:1]))
    again = objects.rows(torch.tensor(BOXES[1:3]))
    assert first[0] == first[2] and first[1] == again[0]
    assert torch.equal(objects.boxes[again], torch.tensor(BOXES[1:3]))
    assert len(objects.boxes) == len(objects.pool5) == len(objects.fc7) == 3


def test_without_same_category_context():
    boxes = [propose(BOXES[:1] + BOXES[2:3], [0, 0])]
    scores = [CMAEGrounder(weights(), with_st=with_st)(an_image(), say('cup'), boxes)[0] for with_st in (True, False)]
    assert not torch.allclose(*scores)


def refused(given):
    with pytest.raises(InputError) as error:
        CMAEGrounder(given)
    assert 'cmae.safetensors' in str(error.value) and '\n' not in str(error.value)
    return str(error.value)


def test_weights_of_something_else_are_refused():
    bare = weights()
    bare.meta = {'kind': 'detector'}
    assert 'opt' in refused(bare)
    assert 'words' in refused(weights(vocabulary={'words': ['<PAD>', '<UNK>'], 'max_length': 3}))
    assert refused(weights(vocabulary={'words': ['dog'], 'max_length': 3}))
    assert 'jemb_dim' in refused(weights(opt={**OPT, 'jemb_dim': 9}))
    assert '(' in refused(weights(opt={**OPT, 'rnn_hidden_size': 4}))
    lacking = weights()
    del lacking.tensors['proj_img.bias']
    assert 'proj_img.bias' in refused(lacking)


def test_a_wordless_sentence_is_one_unknown_word():
    network = CMAE(OPT).eval()
    image = torch.randn(1, 8)
    with torch.no_grad():
        unknown = network.read(torch.tensor([[1]]), image)
        for wordless in (torch.zeros(1, 3, dtype=torch.long), torch.zeros(1, 0, dtype=torch.long)):
            read = network.read(wordless, image)
            torch.testing.assert_close(read.weights, unknown.weights)
            torch.testing.assert_close(read.phrases, unknown.phrases)
