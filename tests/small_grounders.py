"""Networks of a few numbers with weights to match, and an image whose features can be told by heart."""
from pathlib import Path

import torch
from mmengine.structures import InstanceData

from adapters.modular.cmae import CMAEGrounder
from adapters.modular.mattnet import MAttNetGrounder
from adapters.modular.metadata import CMAEOpt, MAttNetOpt
from adapters.modular.vocabulary import ModularVocabulary
from grounders.cmae import CMAE
from grounders.mattnet import MAttNet
from harness.files.weights import Weights
from harness.types import Expression, ImageFeatures, ImageInfo

VOCABULARY = ModularVocabulary(('<PAD>', '<UNK>', 'left', 'red', 'cup', 'dog'), max_length=3)
OPT = dict(vocab_size=6, word_embedding_size=7, word_vec_size=8, jemb_dim=8, rnn_hidden_size=5, bidirectional=1,
           rnn_num_layers=1, rnn_type='lstm', word_drop_out=.5, rnn_drop_out=.2, jemb_drop_out=.1, visual_drop_out=.2,
           visual_init_norm=20, pool5_dim=3, fc7_dim=4, num_atts=2, num_cxt=5, with_st=1, unk_token=1)
OPTS = {'cmae': {**OPT, 'glove_size': 4, 'img_hidden': 6}, 'mattnet': OPT}
OPTIONS = {'cmae': CMAEOpt(**OPTS['cmae']).options, 'mattnet': MAttNetOpt(**OPTS['mattnet']).options}
NETWORKS = {'cmae': CMAE, 'mattnet': MAttNet}
GROUNDERS_OF = {'cmae': CMAEGrounder, 'mattnet': MAttNetGrounder}


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


def a_network(kind):
    """With batch statistics that are not those of a new network."""
    torch.manual_seed(0)
    network = NETWORKS[kind](OPTIONS[kind])
    for module in network.modules():
        if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            module.running_mean.normal_()
            module.running_var.uniform_(.5, 2)
    return network.eval()


def weights(kind, **changes):
    meta = {'kind': kind, 'opt': OPTS[kind], 'vocabulary': VOCABULARY.to_json(), **changes}
    return Weights(Path(f'{kind}.safetensors'), a_network(kind).state_dict(), meta, '')


def say(*sentences):
    return [Expression('d', 'val', 1, i, sent, tuple(sent.split()), (0, 0, 1, 1)) for i, sent in enumerate(sentences)]


def propose(boxes, labels):
    return InstanceData(bboxes=torch.tensor(boxes, dtype=torch.float32).view(-1, 4), labels=torch.tensor(labels).long())


BOXES = [[10., 10., 30., 40.], [50., 20., 90., 80.], [0., 60., 20., 90.], [100., 5., 150., 70.]]
LABELS = [0, 1, 0, 1]
