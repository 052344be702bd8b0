"""The commands, a module each with ``main(argv) -> int``; shared options are in :mod:`harness.arguments`."""

#: Subcommands, each a module with ``main(argv)``, and what it does.
COMMANDS = {
    'show': ('harness.commands.show', 'one picture and one sentence: the grounded box and mask, drawn'),
    'merge': ('harness.commands.merge', 'the shards of a run to one: checked, counted, tables'),
    'train': ('harness.commands.train', 'train weights: the shipped ones again, or Ref-NMS with any option'),
    'study': ('harness.studies', 'what could explain the gain away: fair, number, gamma, seeds'),
    'convert': ('harness.commands.convert', 'an original\'s checkpoint to weights for --weights'),
    'export': ('harness.commands.export', 'a run\'s proposals and choices in the originals\' layouts'),
    'store': ('harness.commands.store', 'detections that are kept for later runs: info, verify, clear'),
    'check-data': ('harness.commands.check_data', 'what of --data-root is there, and what can be run with it'),
}
