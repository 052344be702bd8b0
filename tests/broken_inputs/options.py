"""What someone can type: every option of every rule and grounder, and the command line's own."""
from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harness.files.weights import shipped_path
from harness.registry import GROUNDERS, PROPOSAL_RULES, names
from harness.training.ref_nms.options import RELEASED
from harness.words.critical_objects import CriticalObjects
from tests.broken_inputs import sound
from tests.broken_inputs.damage import TYPED, Content, dumped
from tests.broken_inputs.trials import Trial

_ROOT = ('--data-root', '.', '--dataset', 'refcoco', '--out', 'out', '--limit', '1')
#: Keywords that a run fills in.
_LOADED = ('weights', 'vectors', 'candidates')


def settings() -> Iterator[Trial]:
    """``--set`` of every option of every rule and grounder."""
    for registry, base in ((PROPOSAL_RULES, ('--task', 'recall', '--proposals')),
                           (GROUNDERS, ('--proposals', 'greedy', '--task', 'rec', '--grounder'))):
        for name in names(registry):
            plugin = registry.get(name)
            if name == 'given':  # with boxes from outside alone
                continue
            if plugin.in_folder and find_spec('transformers') is None:  # the extra clip is not installed
                continue
            argv = (*_ROOT, *base, name)
            files = sound.refer()
            if plugin.in_folder:
                argv, files = (*argv, '--weights', f'{plugin.weights}=clip'), {**files, **_clip()}
            elif plugin.not_shipped is not None:  # those of another rule fit
                argv = (*argv, '--weights', f'{plugin.weights}={shipped_path("ref-nms-b", "mini-refcoco")}')
            yield Trial(f'{name}, sound', argv, files, sound=True)
            for option in _options(plugin):
                yield from _typed(argv, f'{name}.{option}', files=files)
    argv = (*_ROOT, '--task', 'recall', '--proposals', 'greedy')
    for option in _options(CriticalObjects):
        yield from _typed(argv, f'critical-objects.{option}')
    for name in ('greedy.wings', 'gredy.step', 'greedy', '.', '.step', 'greedy.', '', 'greedy.step.step', '\x1b[2J.x',
                 'weights', 'ref-nms-b.weights', 'given.candidates', 'category-name.vectors', 'nmtree.mattnet',
                 'greedy.self'):
        yield from _typed(argv, name, TYPED[:4])


def _options(plugin: Any) -> list[str]:
    loaded = (*_LOADED, *getattr(plugin, 'needs', ()))
    return [name for name in inspect.signature(plugin).parameters if name not in loaded]


def _typed(argv: tuple[str, ...], name: str, values: tuple[str, ...] = TYPED,
           files: Mapping[str, Content] | None = None) -> Iterator[Trial]:
    for value in values:
        yield Trial(f'{name}={value[:20]!r}', (*argv, '--set', f'{name}={value}'), files or sound.refer())


@cache
def _clip() -> dict[str, Content]:
    """The files of a small CLIP, in a folder ``clip``."""
    from tests.extras.small_clip import small_clip
    with TemporaryDirectory() as folder:
        return {f'clip/{file.name}': file.read_bytes() for file in small_clip(Path(folder)).iterdir()}


def command_line() -> Iterator[Trial]:
    """Every option of a run, of ``demo``, ``convert``, ``show``, ``export`` and of reports with whatever can be
    typed."""
    base = ('--data-root', '.', '--dataset', 'refcoco', '--candidates', 'c.json', '--task', 'recall')
    files = {**sound.refer(), **sound.plain(), 'c.json': dumped(sound.CANDIDATES)}
    yield Trial('sound', (*base, '--out', 'out'), files, sound=True)
    values = tuple(value for value in TYPED if value != '/dev/zero')
    for option in ('--limit', '--seed', '--device', '--split', '--dataset', '--task', '--proposals', '--grounder',
                   '--weights', '--set', '--candidates', '--data-root', '--expressions', '--images', '--vectors',
                   '--detections', '--masks', '--features', '--predictions', '--unknown'):
        for value in values:
            yield Trial(f'{option} {value[:20]!r}', (*base, '--out', 'out', f'{option}={value}'), files)
    for value in ('', '\0', 'a\nb', 'x' * 300, 'x' * 5000, '/dev/null', '/dev/null/a', '/proc/x', 'c.json', 'c.json/a',
                  'images', '\udc80', '\x1b[2J'):
        yield Trial(f'--out {value[:20]!r}', (*base, f'--out={value}'), files)
    for command in ('convert', 'show', 'demo', 'export', 'check-data', 'train', 'study', 'convrt', ''):
        for value in ('', 'c.json', '--help=x', '-1', '\x1b[2J', 'a\nb', '\udc80'):
            yield Trial(f'{command} {value!r}', (command, value), files)
    for option in ('--host', '--weights', '--device'):
        for value in values:  # never a port that could be listened on: it would be served
            yield Trial(f'demo {option} {value[:20]!r}', ('demo', '--port=0', f'{option}={value}'), files)
    for command in ('tables', 'compare', 'failures', 'check', 'html', 'published', 'tabels', ''):
        for value in ('', 'c.json', '--help=x', '-1', '\x1b[2J', 'a\nb', '\udc80', 'none'):
            yield Trial(f'reports {command} {value!r}', (command, value), files, 'reports')


def trainings() -> Iterator[Trial]:
    """``train``: every option of Ref-NMS's, which a dry run takes, and of the others up to what always refuses them."""
    files = _to_train_on()
    base = ('train', 'ref-nms', '--config', 'refcoco', '--data-root', '.', '--recipe', 'embedded', '--dry-run',
            '--weights', f'detector={shipped_path("detector")}', '--set', 'batch_size=1')
    yield Trial('sound', base, files, sound=True)
    for loss, options in RELEASED.items():
        for name in options.flat:
            for value in TYPED:
                argv = (*base, '--loss', loss, '--set', f'{name}={value}')
                yield Trial(f'{loss}: {name}={value[:20]!r}', argv, files)
    for option in ('--config', '--data-root', '--loss', '--recipe', '--set', '--weights', '--vectors', '--maps',
                   '--seed', '--checkpoint-every', '--workers', '--device', '--out', '--work', '--dry-run'):
        yield from _each(base, option, files)
    never = ('train', 'detector', 'cmae', '--out', 'out', '--overwrite')  # both say where weights go
    for option in ('--dataset', '--seed', '--out', '--work', '--overwrite', '--unknown'):
        yield from _each(never, option, files)
    for value in TYPED:
        yield Trial(f'part {value[:20]!r}', ('train', value, *never[2:]), files)


def studies() -> Iterator[Trial]:
    """``study``: each with every option, on the smallest data there are; what takes long, up to its last refusal."""
    files = sound.refer()
    small = ('--data-root', '.', '--dataset', 'refcoco', '--split', 'val', '--limit', '2')
    rule = (*small, '--proposals', 'greedy')
    for name, base, own in (('number', rule, ('--at', '--device', '--split-by')),
                            ('fair', rule, ('--grounder', '--task', '--proposals-per-expression')),
                            ('gamma', small, ())):  # which takes generated scenes alone
        argv = ('study', name, *base)
        if own:
            yield Trial(f'{name}, sound', (*argv, '--out', 'out'), files, sound=True)
        for option in (*own, '--limit', '--split', '--dataset', '--data-root', '--vectors', '--set', '--weights',
                       '--proposals', '--unknown'):
            yield from _each((*argv, '--out', 'out'), option, files)
    never = ('study', 'seeds', '--set', 'loss=ranking')  # what its variants are told apart by
    for option in ('--dataset', '--seeds', '--variant', '--grounder', '--set', '--proposals-per-expression', '--limit'):
        yield from _each(never, option, files)
    for value in TYPED:
        yield Trial(f'{value[:20]!r}', ('study', value), files)


def _each(argv: tuple[str, ...], option: str, files: dict[str, Any]) -> Iterator[Trial]:
    for value in TYPED:
        yield Trial(f'{argv[1]} {option} {value[:20]!r}', (*argv, f'{option}={value}'), files)


def _to_train_on() -> dict[str, Any]:
    """A data root with a split to train on and one to validate on."""
    refs = [{**ref, 'split': split} for ref, split in zip(sound.REFS, ('train', 'val'), strict=True)]
    return {**sound.refer(), 'refcoco/refs(unc).json': dumped(refs)}
