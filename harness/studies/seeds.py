"""``run_benchmark.py study seeds``: how much of Ref-NMS's gain is due to the loss, to the text, and to chance.

Ref-NMS B, R and text-blind are trained with several seeds each, the detector's head frozen, and every one is evaluated
with one checkpoint of each grounder. Beside them stand greedy and the shipped B and R, whose heads were trained by the
same recipe, R's in half the epochs. Finished parts are not repeated: the same command resumes where a killed one
stopped.
"""
from __future__ import annotations

import json
import shutil
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabulate import tabulate

from harness.data.results import read_results_file
from harness.detection.detector import Detector
from harness.device import pick_device
from harness.embedded.known import load_embedded
from harness.errors import InputError, shown
from harness.evaluation.datasets import EMBEDDED as DATASETS
from harness.evaluation.plan import Plan
from harness.evaluation.plan_record import versions
from harness.evaluation.prepare import Prepared, prepare
from harness.evaluation.request import Request
from harness.evaluation.result_folder import new_folder
from harness.evaluation.results import run_record, write_results
from harness.evaluation.run import run
from harness.files.fingerprint import Record, code_of, differences, keep, listed, read, sha256_of
from harness.files.weights import load_weights, shipped_path
from harness.files.writing import write_text
from harness.names import pick
from harness.options import MOST_SEED, within
from harness.program import program
from harness.progress import track
from harness.registry import GROUNDERS, PROPOSAL_RULES, names
from harness.studies.contestants import CONTESTANTS, rules_of
from harness.studies.fair import choose, competing, on_val
from harness.studies.parsers import VARIANTS, seeds_parser
from harness.studies.spread import Spread, paired, spread
from harness.studies.survey import DEEPEST, survey
from harness.training.finished import finish, is_finished
from harness.training.ref_nms.options import EMBEDDED, TrainingOptions, refuse_without_effect, with_settings
from harness.training.ref_nms.pooled_regions import pooled_split
from harness.training.ref_nms.records import DETECTING, ref_nms_record, vectors_record
from harness.training.ref_nms.training import train_ref_nms
from harness.training.runner import check_checkpoints, console
from harness.types import Dataset
from harness.words.vectors import load_vectors

BESIDE = {'greedy': 'greedy', 'ref-nms-b': 'ref-nms-b, head trained', 'ref-nms-r': 'ref-nms-r, head trained'}
#: Rules that are evaluated too where a number of proposals is given.
AT_A_NUMBER = ('greedy-swept', 'category-name', 'category-name-0.1')
SHOWN = {'recall': ('referent_recall', 'context_recall', 'mean_proposals'), 'rec': ('accuracy',),
         'res': ('overall_iou',)}
#: Differences that the tables show, seed by seed.
PAIRS = (('ref-nms-b', 'ref-nms-r'), ('ref-nms-b', 'ref-nms-blind'), ('ref-nms-b', 'greedy'), ('ref-nms-r', 'greedy'),
         ('ref-nms-blind', 'greedy'), *(('ref-nms-b', name) for name in AT_A_NUMBER),
         ('ref-nms-b', BESIDE['ref-nms-b']))
#: The code that computes a run, beside its rules, its grounders and the detector.
CODE = ('harness.evaluation.one_image', 'harness.evaluation.prepare', 'harness.studies.fair', 'harness.studies.survey',
        'harness.studies.contestants', 'harness.metrics.recall', 'harness.metrics.rec', 'harness.metrics.res')

Key = tuple[str, str, str, str]


def main(argv: Sequence[str]) -> int:
    """Parse the options, train and evaluate whatever is unfinished, and print the tables."""
    args = seeds_parser().parse_args(argv)
    within('--proposals-per-expression', args.proposals_per_expression, 1, DEEPEST)
    within('--limit', args.limit, 1, 10 ** 9)
    dataset, = pick('--dataset', [args.dataset], DATASETS, ())
    study = Study(dataset, _seeds(args.seeds), pick('--variant', args.variant, VARIANTS, tuple(VARIANTS)),
                  _grounders(args.grounder, dataset), args.settings, args.limit, args.out, args.work,
                  args.proposals_per_expression)
    study.check()
    study.run()
    return 0


def _seeds(text: str) -> list[int]:
    parts = text.split(',')
    seeds = [int(part) for part in parts if part.strip().isdecimal() and len(part) < 10]
    if len(seeds) != len(parts) or len(set(seeds)) != len(seeds) or max(seeds) > MOST_SEED:
        raise InputError(f'--seeds {shown(text)}: write different whole numbers separated by commas, for instance '
                         f'1,2,3, none over {MOST_SEED}')
    return seeds


def _grounders(wanted: Sequence[str] | None, dataset: str) -> list[str]:
    """The grounders asked for, or those with weights for the dataset; ``none`` means no grounder."""
    there = [name for name in names(GROUNDERS)
             if not GROUNDERS.get(name).control and shipped_path(name, dataset).exists()]
    if wanted is not None and 'all' in ','.join(wanted).split(','):
        return there
    asked = pick('--grounder', wanted, [*names(GROUNDERS), 'none'], there)
    if 'none' in asked and len(asked) > 1:
        raise InputError('--grounder none: is no grounder at all, so it stands alone; leave it or the others out')
    return [] if asked == ['none'] else asked


@dataclass(frozen=True)
class Entrant:
    """One thing that is compared: its row in the tables, its own name, its rule, and its weights, if any."""

    row: str
    name: str
    rule: str
    weights: Path | None


@dataclass(frozen=True)
class Study:
    """Everything that the study does, in order; each part is skipped where it is finished.

    Attributes:
        dataset: an embedded one.
        seeds: of the trainings.
        variants: among :data:`VARIANTS`.
        grounders: that are run on the proposals.
        settings: ``OPTION=VALUE`` changes of the recipe.
        limit: expressions of each split; ``None``: all.
        out: weights, runs and tables.
        work: the frozen head's features, for all studies.
        number: mean proposals per expression on val that thresholds are set for; ``None``: thresholds stay as trained.
    """

    dataset: str
    seeds: Sequence[int]
    variants: Sequence[str]
    grounders: Sequence[str]
    settings: Sequence[str]
    limit: int | None
    out: Path
    work: Path
    number: float | None = None

    def check(self) -> None:
        """Refuse bad settings and missing weights before anything is trained.

        Raises:
            InputError: an unknown option, a value that it cannot have, one that tells the variants apart or has no
                effect on any of them, or a grounder whose weights are missing.
        """
        for name in self.grounders:
            self._check_weights(name)
        trainings = [self.options(variant) for variant in self.variants]
        for name in (setting.partition('=')[0] for setting in self.settings):
            if name in ('loss', 'head', 'text'):
                raise InputError(f'--set {name}: tells the variants apart; choose them by --variant')
        refuse_without_effect(self.settings, *trainings)

    def _check_weights(self, grounder: str) -> None:
        plugin = GROUNDERS.get(grounder)
        for weights in filter(None, (plugin.weights, *plugin.needs)):
            if not (path := shipped_path(weights, self.dataset)).is_file():
                raise InputError(f'--grounder {grounder}: its weights {path} are missing; train them with '
                                 f'"{program()} train {weights}", or choose a grounder that has weights')

    def run(self) -> None:
        """Train, evaluate, write ``seeds.json`` and ``seeds.md``, or ``seeds-at-X.…``, and print."""
        entrants = self.entrants()
        found = {e.name: self.evaluated(e) for e in entrants} if self.number is None else self.at_number(entrants)
        values: dict[str, list[dict[Key, float]]] = {}
        for e in entrants:
            values.setdefault(e.row, []).append(found[e.name])
        text = as_markdown(values, self.dataset, self.seeds, self.number, self.limit)
        write_text(self.out / f'seeds{self._at}.json', json.dumps(
            {'dataset': self.dataset, 'seeds': list(self.seeds), 'settings': list(self.settings),
             'proposals_per_expression': self.number, 'limit': self.limit,
             'values': {name: [[*key, value] for one in mine for key, value in one.items()]
                        for name, mine in values.items()}}, indent=1) + '\n')
        write_text(self.out / f'seeds{self._at}.md', text)
        print(text)

    def entrants(self) -> list[Entrant]:
        """Everything that is compared; weights that do not exist yet are trained."""
        beside = BESIDE if self.number is None else BESIDE | {name: name for name in AT_A_NUMBER}
        return [*(Entrant(row, row.replace(', ', '-').replace(' ', '-'), rule,
                          shipped_path(rule, self.dataset) if rule in VARIANTS else None)
                  for rule, row in beside.items()),
                *(Entrant(variant, f'{variant}-seed{seed}', variant, self.trained(variant, seed))
                  for seed in self.seeds for variant in self.variants)]

    @property
    def _at(self) -> str:
        return '' if self.number is None else f'-at-{self.number:g}'

    def options(self, variant: str) -> TrainingOptions:
        """The shipped recipe with the head frozen; draws depend on the seed alone, so that seeds are told apart."""
        what = dict(VARIANTS[variant])
        options = EMBEDDED[what['loss']].changed(head='frozen', draws='index', **what)
        return with_settings(options, self.settings)

    def trained(self, variant: str, seed: int) -> Path:
        """The weights of one variant and seed.

        Raises:
            InputError: the folder holds weights of another recipe.
        """
        options, path = self.options(variant), self.out / 'weights' / f'{variant}-seed{seed}.safetensors'
        work = self.out / 'work' / f'{variant}-seed{seed}'
        detector = shipped_path('detector')
        vectors, train, val = load_vectors(), self._data('train'), self._data('eval')
        record = ref_nms_record(options, train, val, sha256_of(detector), vectors, seed)
        if is_finished(path, work, record):
            return path
        check_checkpoints(work, record)
        start = time.monotonic()
        seeing = Detector(load_weights(detector), pick_device())
        seen, seen_of_val = (pooled_split(dataset, split, seeing, vectors, self.work, detector_hash=sha256_of(detector),
                                          sampling=options.sampling)
                             for dataset, split in ((train, 'train'), (val, 'val')))
        train_ref_nms(train, val, seen, seen_of_val, seeing, vectors, path, work, detector_hash=sha256_of(detector),
                      seed=seed, options=options, command=self._command(f'--seeds {seed}'))
        finish(path, work, record, time.monotonic() - start)
        return path

    def _data(self, part: str) -> Dataset:
        return load_embedded(self.dataset, part)

    def _command(self, *more: str) -> str:
        settings = [f'--set {setting}' for setting in self.settings]
        return ' '.join(['python run_benchmark.py study seeds', f'--dataset {self.dataset}', *more, *settings])

    def evaluated(self, entrant: Entrant) -> dict[Key, float]:
        """The figures of a run of one entrant, by split, task, metric and grounder."""
        folder = self.out / 'runs' / entrant.name
        record = self._record([entrant])
        if not _is_done(folder, record):
            prepared = self._prepared(entrant)
            self._run(folder, record, prepared.plan, prepared, prepared.weights)
        return _values(folder)[entrant.rule]

    def at_number(self, entrants: Sequence[Entrant]) -> dict[str, dict[Key, float]]:
        """The figures of all entrants from a single run, with thresholds set for the number of proposals on val."""
        folder = self.out / f'runs{self._at}'
        record = self._record(entrants)
        if not _is_done(folder, record):
            prepared = {e.name: self._prepared(e) for e in entrants}
            contestants = {e.name: CONTESTANTS[e.rule] for e in entrants}
            rules = {name: rules_of({name: contestant}, prepared[name].plan.plugins[self.dataset].rules)[name]
                     for name, contestant in contestants.items()}
            first = prepared[entrants[0].name]
            found = survey(on_val(first.plan), {self.dataset: rules})
            choose(self.dataset, rules, contestants, found, self.number)
            self._run(folder, record, competing(first.plan, {self.dataset: rules}, None), first,
                      {f'{name}: {of}': used for name, mine in prepared.items() for of, used in mine.weights.items()})
        return _values(folder)

    def _record(self, entrants: Sequence[Entrant]) -> Record:
        """What shapes a run: data, and the weights and code of all that takes part in it."""
        plugins = [GROUNDERS.get(name) for name in self.grounders]
        rules = [PROPOSAL_RULES.get(CONTESTANTS[e.rule].rule) for e in entrants]
        used = dict.fromkeys([*self.grounders, *(other for p in plugins for other in p.needs)])
        weights = {'detector': shipped_path('detector'), **{name: shipped_path(name, self.dataset) for name in used},
                   **{e.name: e.weights for e in entrants if e.weights is not None}}
        return {'dataset': self.dataset, 'limit': self.limit, 'proposals per expression': self.number,
                'grounders': list(self.grounders), 'entrants': [e.name for e in entrants],
                'sha256 of data': self._data('eval').data_hash, **vectors_record(load_vectors()),
                **{f'sha256 of {name}': sha256_of(path) for name, path in weights.items() if path.exists()},
                'code of runs': code_of(*CODE, *DETECTING, *(plugin.__module__ for plugin in (*plugins, *rules)))}

    def _prepared(self, entrant: Entrant) -> Prepared:
        return prepare(Request(
            grounders=list(self.grounders), datasets=[self.dataset], rules=[CONTESTANTS[entrant.rule].rule],
            limit=self.limit, weights={} if entrant.weights is None else {entrant.rule: entrant.weights}))

    def _run(self, folder: Path, record: Record, plan: Plan, prepared: Prepared, weights: Mapping[str, Any]) -> None:
        start = time.monotonic()
        shutil.rmtree(folder, ignore_errors=True)
        with new_folder(folder):
            outcome = run(plan, folder, lambda work: track(work, folder.name, console))
        keep(folder, record)
        rules = ', '.join(plan.plugins[self.dataset].rules)
        number = [] if self.number is None else [f'--proposals-per-expression {self.number:g}']
        limit = [] if self.limit is None else [f'--limit {self.limit}']
        write_results(folder, outcome, run_record(
            outcome, command=self._command(*number, *limit), options={'proposals': rules}, seed=0,
            data=prepared.data, weights=weights, notes=prepared.notes, wall=time.monotonic() - start,
            versions_of=versions(plan)))


def _is_done(folder: Path, record: Record) -> bool:
    """Whether the folder holds a finished run with this record; a run with another record is moved aside."""
    if not (folder / 'results.json').exists():
        return False
    kept = read(folder)
    if kept is not None and not (found := differences(kept, record)):
        return True
    aside = next(path for i in range(1, 10 ** 6) if not (path := folder.with_name(f'{folder.name}.{i}')).exists())
    folder.rename(aside)
    why = 'it does not say what shaped it' if kept is None else listed(found)
    console.print(f'{folder}: held another run ({why}): it is now {aside.name}, and this run starts again')
    return False


def _values(folder: Path) -> dict[str, dict[Key, float]]:
    """The figures of a finished run, by rule."""
    values: dict[str, dict[Key, float]] = defaultdict(dict)
    for r in read_results_file(folder).records:
        if r['metric'] in SHOWN[r['task']]:
            values[r['proposals']][r['split'], r['task'], r['metric'], r['grounder']] = r['value']
    return values


def as_markdown(values: Mapping[str, Sequence[Mapping[Key, float]]], dataset: str, seeds: Sequence[int],
           number: float | None = None, limit: int | None = None) -> str:
    """Markdown: each variant's mean and standard deviation over its seeds, then differences paired by seed."""
    keys = list(dict.fromkeys(key for mine in values.values() for one in mine for key in one))
    splits = list(dict.fromkeys(key[0] for key in keys))
    at = '' if number is None else f', thresholds for {number:g} proposals per expression on val'
    at += '' if limit is None else f', the first {limit} expressions of each split alone'
    parts = [f'# {dataset}, seeds {", ".join(map(str, seeds))}{at}\n\n'
             'Mean ± standard deviation over the seeds, in percent or proposals; differences are paired by seed. The '
             'head is frozen but where it says otherwise. A number alone is of one run.']
    for what in list(dict.fromkeys(key[1:] for key in keys)):
        task, metric, grounder = what
        title = metric if grounder == '-' else f'{metric}, {grounder}'
        rows = [[name, *(_told(spread([one[split, *what] for one in mine if (split, *what) in one]))
                         for split in splits)] for name, mine in values.items()]
        pairs = [[f'{a} - {b}', *(_told(paired(_column(values[a], (split, *what)), _column(values[b], (split, *what))),
                                        sign='+') for split in splits)]
                 for a, b in PAIRS if a in values and b in values]
        parts.append(f'## {title}\n\n' + tabulate(rows + pairs, ['', *splits], 'pipe', disable_numparse=True))
    return '\n\n'.join(parts) + '\n'


def _column(mine: Sequence[Mapping[Key, float]], key: Key) -> list[float]:
    return [one[key] for one in mine if key in one]


def _told(found: Spread | None, sign: str = '') -> str:
    if found is None:
        return ''
    mean = f'{found.mean:{sign}.2f}'
    return mean if found.deviation is None else f'{mean} ± {found.deviation:.2f}'
