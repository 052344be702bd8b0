"""``run_benchmark.py convert``: turns a checkpoint of an original program into a weight file of the harness.

The work is done by :mod:`harness.commands.checkpoint_conversion`, which also says where the checkpoints come from.
"""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.errors import InputError
from harness.files.reading import require_file
from harness.loading import loading
from harness.names import OneLineParser

#: Whose checkpoints can be converted.
KINDS = ('mattnet', 'cmae', 'nmtree', 'ref-nms', 'mask-rcnn', 'detector')


def main(argv: Sequence[str]) -> int:
    """Parse the options, convert, write, and print what was mapped."""
    parser = OneLineParser(prog='run_benchmark.py convert', allow_abbrev=False, description=__doc__.split('\n')[0])
    parser.add_argument('checkpoint', type=Path, metavar='IN.pth', help="the original's checkpoint")
    parser.add_argument('out', type=Path, metavar='OUT.safetensors', help='where the weights go; OUT.json beside them')
    parser.add_argument('--as', required=True, choices=KINDS, dest='kind', help='whose checkpoint it is')
    parser.add_argument('--vocabulary', type=Path, metavar='FILE',
                        help="the original's words: data.json of MAttNet and CM-A-E, data_dep.json of NMTree, "
                             'std_vocab_….txt of Ref-NMS')
    parser.add_argument('--vectors', type=Path, metavar='FILE',
                        help="Ref-NMS's std_glove_….npy (default: the one beside its vocabulary)")
    parser.add_argument('--config', metavar='NAME', help='config of --as detector: one of the installed mmdet, such as '
                        'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py, or your own file, which is Python and is run')
    parser.add_argument('--classes', type=Path, metavar='FILE',
                        help='names of the classes of --as detector, one per line (default: as the checkpoint says)')
    parser.add_argument('--trained-on', metavar='NAME', help='images that --as detector was trained on: train2017, '
                        'train2014, …, or a file of image ids, one per line')
    args = parser.parse_args(argv)
    if args.out.suffix != '.safetensors':
        raise InputError(f'{args.out}: the output must be called something.safetensors')
    if args.vocabulary is not None and args.kind in ('mask-rcnn', 'detector'):
        raise InputError('--vocabulary: a detector has no words; leave it out')
    if args.vectors is not None and (args.kind != 'ref-nms' or args.vocabulary is None):
        raise InputError('--vectors: belongs to the words of --as ref-nms; give --vocabulary too, or leave it out')
    if (args.config is None) == (args.kind == 'detector'):
        raise InputError('--config: --as detector needs the config of its checkpoint; add --config NAME'
                         if args.config is None else '--config: belongs to --as detector; leave it out')
    for option, given in (('--classes', args.classes), ('--trained-on', args.trained_on)):
        if given is not None and args.kind != 'detector':
            raise InputError(f'{option}: belongs to --as detector; leave it out')
    require_file(args.checkpoint)
    loading('torch')
    from harness.commands.checkpoint_conversion import DetectorFiles, WordFiles, convert
    print(convert(args.checkpoint, args.out, args.kind, WordFiles(args.vocabulary, args.vectors),
                  None if args.config is None else DetectorFiles(args.config, args.classes, args.trained_on)))
    return 0
