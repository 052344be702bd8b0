"""The commands, one module each with ``main(argv) -> int``; shared options are in :mod:`harness.arguments`."""

#: The module of each command, and what the command does.
COMMANDS = {
    'show': ('harness.commands.show', 'ground one sentence in one picture, and draw the box and mask'),
    'demo': ('harness.commands.demo', 'a page to try it: pictures, sentences, proposals, choices and masks'),
    'merge': ('harness.commands.merge', 'merge the shards of a run, and print its tables'),
    'train': ('harness.commands.train', 'train Ref-NMS and grounders: the shipped weights again, or on your data'),
    'paper': ('harness.commands.paper', 'from data and a detector to the paper\'s tables, step by step'),
    'study': ('harness.studies', 'test what else could explain the gain: fair, number, gamma, seeds'),
    'convert': ('harness.commands.convert', 'convert an original checkpoint to weights for --weights'),
    'export': ('harness.commands.export', 'write a run\'s proposals and choices in the originals\' layouts'),
    'data': ('harness.commands.data', 'export datasets in other tools\' forms: MDETR, ODVG, Qwen-VL, …'),
    'store': ('harness.commands.store', 'show, verify or clear the detections that are kept for later runs'),
    'check-data': ('harness.commands.check_data', 'list what --data-root holds, and what can be run with it'),
}
