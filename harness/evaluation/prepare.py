"""From a request to a :class:`~harness.evaluation.plan.Plan`: names are resolved, files read and weights loaded.

Whatever can be refused is refused here, before a run writes its first byte.
"""
from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from harness.data.answers import Answers
from harness.data.assembly.datasets import load_data
from harness.data.candidates import load_candidates
from harness.data.detection_results import DetectionResults
from harness.data.needed_masks import Referents, check_stored_masks, referent_masks
from harness.data.results import SeenImages
from harness.detection.outside import OutsideCandidates
from harness.detection.source import FromMaps, FromNowhere, FromPictures, check_images
from harness.detection.store import DetectionStore
from harness.detection.training_images import seen_images, seen_notes
from harness.detection.weight_files import detector_in
from harness.device import pick_device
from harness.errors import InputError
from harness.evaluation.asked import (
    TABLE_1,
    check_data,
    check_image_folder,
    check_numbers,
    detector_of,
    grounders_of,
    has_candidates,
    has_proposals,
    rules_of,
    splits_of,
)
from harness.evaluation.controls import Chance, WordsShuffled
from harness.evaluation.datasets import EMBEDDED, find_datasets, notes_on
from harness.evaluation.detection_candidates import detection_candidates, unknown_categories
from harness.evaluation.plan import Plan, Plugins, images
from harness.evaluation.request import DETECTOR, OWN_FORMS, TASKS, Readers, Request
from harness.evaluation.settings import CRITICAL_OBJECTS, check_settings
from harness.evaluation.tasks import JUDGED, check_judged, tasks_of
from harness.evaluation.unused import refuse_unused
from harness.evaluation.weights import WeightStore
from harness.files.image_header import MAX_PIXELS
from harness.names import pick
from harness.plugins import Detector, Grounder
from harness.program import program
from harness.proposals.given import Given, OutsideBoxes
from harness.registry import DETECTORS, GROUNDERS, PROPOSAL_RULES
from harness.types import Annotation, Dataset, Expression, ImageInfo
from harness.words.critical_objects import CriticalObjects, words_to_look_up
from harness.words.vectors import WordVectors, load_vectors

Chosen = dict[tuple[str, str], list[Expression]]


@dataclass
class Prepared:
    """A plan with its provenance."""

    plan: Plan
    weights: dict[str, dict[str, Any]]
    data: dict[str, str]
    notes: list[str]
    detector_seen: Mapping[str, Mapping[str, SeenImages]]


def prepare(request: Request, readers: Readers = OWN_FORMS,
            say: Callable[[str], object] = lambda what: None) -> Prepared:
    """Check a request and load everything that it needs.

    Args:
        request: what is asked for.
        readers: the readers of the files that it names.
        say: called with a line before a long step.

    Raises:
        InputError: the request is wrong, or a file that it names.
    """
    check_numbers(request)
    tasks = pick('--task', request.tasks, TASKS, TASKS)
    rules = rules_of(request)
    grounders = grounders_of(request, tasks)
    if not grounders:
        tasks = ['recall']
    check_settings(request.settings)
    pick_device(request.device)
    stored_masks = None if request.masks is None else readers.masks(request.masks)
    datasets, notes = load_datasets(request, readers)
    expressions = _expressions(request, datasets)
    store = WeightStore(request.weights)
    rules, said = _that_can_run(request, rules, datasets, store)
    notes += said
    detector = cache(lambda: _detector(request, store))
    results, said = detection_candidates(request, datasets, expressions)
    notes += said
    vectors = cache(lambda: _vectors(request, [e for es in expressions.values() for e in es], datasets, rules,
                                     lambda: (*detector().classes, *(results.classes if results else ()))))
    plugins: dict[str, Plugins] = {}
    outside = _outside_boxes(request, readers, grounders, results if rules == ['given'] else None)
    if outside is not None:
        expressions, said = _covered(outside, datasets, expressions)
        notes += said
    for name in datasets:
        built = {g: _build(GROUNDERS.get(g), g, name, store, request, vectors) for g in grounders}
        plugins[name] = Plugins({r: Given(outside) if outside is not None else
                                 _build(PROPOSAL_RULES.get(r), r, name, store, request, vectors) for r in rules}, built,
                                _controls(built, request.seed))
    source = _source(request, readers, detector, outside, [g for p in plugins.values() for g in p.grounders.values()])
    if results is not None and outside is None and isinstance(source, FromPictures | FromMaps):
        source.candidates = OutsideCandidates.of(results, source.detector.classes)
        notes += unknown_categories(source.candidates)
    seen: Mapping[str, Mapping[str, SeenImages]] = {}
    if isinstance(source, FromPictures | FromMaps) and source.candidates is None and outside is None:
        seen = seen_images(source.detector.trained_on, expressions)
        notes += seen_notes(source.detector.trained_on, expressions)
    has_images = any(info.path is not None for d in datasets.values() for info in d.images.values())
    if isinstance(source, FromPictures) and not has_images:
        given = f'--expressions {request.expressions}' if request.expressions else f'--data {request.data[0]}'
        raise InputError(f'{given}: does not say where its images are; add --images DIR')
    tasks, said = tasks_of(request, tasks, datasets, expressions, source)
    notes += said
    looks_for_context = 'recall' in tasks and any(d.annotations is not None for d in datasets.values())
    parts = [*rules, *grounders, *[CRITICAL_OBJECTS] * looks_for_context]
    refuse_unused(request.weights, store.taken, request.settings, parts, {
        '--vectors': (request.vectors, looks_for_context or vectors.cache_info().currsize > 0),
        '--features': (request.features, isinstance(source, FromMaps)),
        '--masks': (request.masks, 'res' in tasks),
        '--images': (request.images, has_images),
        '--data-root': (request.data_root, request.expressions is None and not set(datasets) <= set(EMBEDDED)),
        '--detector': (None if request.detector == DETECTOR else request.detector,
                       isinstance(source, FromPictures | FromMaps)),
        '--store': (None if request.store == 'boxes' else request.store,
                    isinstance(source, FromPictures) and source.candidates is None),
        '--precision': (None if request.precision == 'fp32' else request.precision,
                        isinstance(source, FromPictures | FromMaps)),
        '--device': (None if request.device in ('cpu', 'auto') else request.device,
                     isinstance(source, FromPictures | FromMaps))})
    referents: Referents = {}
    if 'res' in tasks:
        referents, said = referent_masks(datasets, expressions)
        notes += said
        if stored_masks is not None and outside is not None:  # now, so that none fails halfway
            check_stored_masks(stored_masks, outside.for_expression, datasets, expressions)
    plan = Plan(datasets, expressions, plugins, source, tuple(tasks),
                ground_recall_only=request.rules is not None or outside is not None,
                referents=referents, masks=stored_masks, seed=request.seed)
    if isinstance(source, FromPictures) and request.reads_images:
        unpack_images(datasets.values(), say)
    if source is not None and request.reads_images:
        check_images(source, [groups[0].info for groups in images(plan)])
    if looks_for_context:
        vectors()  # so that a wrong file of vectors is refused at once
        say('looking for contextual objects …')
        context, said = _context(request, datasets, expressions, vectors)
        plan = replace(plan, context=context)
        notes += said
    notes += notes_on(datasets.values(), source is not None and store.uses_shipped())
    return Prepared(plan, store.provenance(), {d.name: d.data_hash for d in datasets.values()}, notes, seen)


def unpack_images(datasets: Iterable[Dataset], say: Callable[[str], object]) -> None:
    """Write the images that files of data hold themselves to where their records say."""
    for dataset in datasets:
        if dataset.unpack is not None:
            say(f'{dataset.name}: unpacking its images …')
            dataset.unpack()


def prepare_judgement(request: Request, sets: Sequence[Answers], readers: Readers = OWN_FORMS,
                      datasets: dict[str, Dataset] | None = None) -> tuple[dict[str, Dataset], Chosen, list[str]]:
    """The datasets, expressions and tasks of answers from outside; by default the splits that they answer.

    Args:
        request: what is asked for.
        sets: the answers.
        readers: the readers of its files.
        datasets: those of the request, where they have been loaded.

    Raises:
        InputError: it is not clear which dataset the answers belong to, or the request is wrong in another way.
    """
    tasks = pick('--task', request.tasks, JUDGED, JUDGED)
    if datasets is None and request.datasets is None and request.expressions is None and not request.data:
        named = sorted({name for answers in sets for name in answers.datasets})
        if not named:
            raise InputError('--predictions: the file does not say to which dataset its sent_ids belong; add --dataset')
        request = replace(request, datasets=named)
    if datasets is None:
        datasets, _ = load_datasets(request, readers)
    if request.data_root is not None and (request.expressions is not None or set(datasets) <= set(EMBEDDED)):
        refuse_unused((), (), (), (), {'--data-root': (request.data_root, False)})
    expressions = _expressions(request, datasets)
    if request.splits is None:
        answered = {key: es for key, es in expressions.items()
                    if any(answers.of(e.dataset, e.sent_id) for answers in sets for e in es)}
        expressions = answered or expressions
    check_judged(request, tasks, sets, datasets, expressions)
    return datasets, expressions, tasks


def _controls(grounders: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """The controls: chance, and each grounder with the words of its sentences shuffled."""
    if not grounders:
        return {}
    return {'chance': Chance(seed), **{f'{name}-shuffled': WordsShuffled(grounder, seed)
                                       for name, grounder in grounders.items() if not grounder.control}}


def _that_can_run(request: Request, rules: list[str], datasets: Mapping[str, Dataset],
                  store: WeightStore) -> tuple[list[str], list[str]]:
    """The rules that can run, and notes; ``all`` leaves out those that lack weights or annotations, and says so.

    Raises:
        InputError: a rule that was asked for by name lacks annotations.
    """
    lacking = {}
    for rule, name in itertools.product(rules, datasets):
        plugin = PROPOSAL_RULES.get(rule)
        if plugin.needs_annotations and datasets[name].annotations is None:
            lacking[rule] = f'{name} has no annotated boxes; give a dataset with instances.json, or leave the rule out'
        elif (path := store.missing(plugin, name)) is not None:
            lacking[rule] = f'its weights{_called(plugin, path)} are missing; {_how_to_get(plugin)}'
    if 'all' in ','.join(request.rules or ()).split(','):
        return [r for r in rules if r not in lacking], [f'{rule}: left out, {why}' for rule, why in lacking.items()]
    for rule, why in lacking.items():
        if PROPOSAL_RULES.get(rule).needs_annotations:
            raise InputError(f'--proposals {rule}: {why}')
    return rules, [] if request.rules is not None or has_proposals(request) else _left_out(rules)


def _left_out(rules: Sequence[str]) -> list[str]:
    """Notes on the rules of Table 1 that are not among the default ones."""
    needed = {rule: PROPOSAL_RULES.get(rule).weights for rule in TABLE_1 if rule not in rules}
    return [f'{", ".join(rule for rule in needed if needed[rule] == name)}: left out, --weights gives another Ref-NMS; '
            f'add --weights {name}=FILE' for name in dict.fromkeys(needed.values())]


def _called(plugin: Any, path: Path) -> str:
    """The name of a weight file; a folder may have any."""
    return '' if plugin.in_folder else f' {path.name}'


def _how_to_get(plugin: Any) -> str:
    """What to do if the weights of a rule or grounder are missing."""
    if plugin.in_folder:
        return f'{plugin.not_shipped} and give --weights {plugin.weights}=DIR'
    train = plugin.not_shipped or f'train them with "{program()} train all"'
    return f'{train} or give --weights {plugin.weights}=FILE'


def load_datasets(request: Request, readers: Readers) -> tuple[dict[str, Dataset], list[str]]:
    """The datasets asked for by name, and notes on those that are left out."""
    check_image_folder(request)
    check_data(request)
    loaded = None
    if request.data:
        loaded = load_data(request.data, request.images, request.boxes)
    elif request.expressions is not None:
        loaded = readers.expressions(request.expressions, request.images)
    if loaded is not None:
        wanted = pick('--dataset', request.datasets, loaded, tuple(loaded))
        return {name: loaded[name] for name in wanted}, []
    return find_datasets(request.datasets, request.data_root, request.split_by, request.images)


def _expressions(request: Request, datasets: Mapping[str, Dataset]) -> Chosen:
    """The expressions of the splits asked for, by default all but ``train``; of each, the first ``--limit``."""
    known = list(dict.fromkeys(s for d in datasets.values() for s in d.splits))
    wanted = splits_of(request, known)
    chosen = {(d.name, s): d.split(s)[:request.limit] for d in datasets.values() for s in d.splits if s in wanted}
    if not any(chosen.values()):
        raise InputError('--split: there is no expression to evaluate; choose another split or dataset')
    for name in datasets if request.splits and request.datasets and 'all' not in request.datasets else ():
        if not any(es for (of, _), es in chosen.items() if of == name):
            raise InputError(f'--dataset {name}: has none of the splits {", ".join(wanted)}; '
                             f'it has {", ".join(datasets[name].splits)}')
    return chosen


def _outside_boxes(request: Request, readers: Readers, grounders: Sequence[str],
                   given: DetectionResults | None) -> OutsideBoxes | None:
    """The boxes from outside that are the proposals, if any are; ``given`` are COCO's detection results among them."""
    if request.candidates is None:
        return None if request.detections is None else readers.detections(request.detections)
    if has_candidates(request):
        return given
    if grounders:
        raise InputError('--candidates: boxes without categories are for recall only; use --task recall, or give '
                         'detections with categories by --detections FILE')
    return load_candidates(request.candidates)


def _detector(request: Request, store: WeightStore) -> Detector:
    """The detector asked for, with its weights loaded, on the device asked for."""
    plugin = DETECTORS.get(detector_of(request))
    options = {} if plugin.weights is None else {'weights': store.get(plugin.weights, None)}
    if request.detector == DETECTOR:
        plugin = DETECTORS.get(detector_in(options['weights']))
    if request.precision not in plugin.precisions:
        raise InputError(f'--precision {request.precision}: --detector {plugin.name} computes in '
                         f'{" or ".join(plugin.precisions)}; choose that')
    found: Detector = plugin(**options, device=pick_device(request.device))
    found.precision = request.precision
    found.prepare_to_run()
    return found


def _source(request: Request, readers: Readers, detector: Callable[[], Detector], outside: OutsideBoxes | None,
            grounders: Sequence[Grounder]) -> FromPictures | FromMaps | FromNowhere | None:
    """The source of image features; ``None`` if only the recall of boxes from outside is measured."""
    if request.masks is not None and (request.detections is None or not grounders):
        raise InputError('--masks: are the masks of --detections, among which a grounder chooses; give --detections '
                         'and --grounder as well')
    if outside is not None and not grounders:
        return None
    if outside is not None and not any(grounder.needs_image for grounder in grounders):
        return FromNowhere(outside.classes)
    if request.features is None:
        store = None if request.store == 'none' or not request.reads_images else DetectionStore()
        return FromPictures(detector(), request.max_pixels or MAX_PIXELS, store=store, maps=request.store == 'maps')
    return FromMaps(detector(), readers.features(request.features), detect=outside is None)


def _covered(outside: OutsideBoxes, datasets: Mapping[str, Dataset],
             expressions: Chosen) -> tuple[Chosen, list[str]]:
    """The expressions that have boxes from outside, and notes on the others."""
    covered = {k: [e for e in es if outside.for_expression(e) is not None] for k, es in expressions.items()}
    covered = {k: es for k, es in covered.items() if es}
    everything = sum(map(len, expressions.values()))
    missing = everything - sum(map(len, covered.values()))
    if not covered:
        raise InputError('--candidates or --detections: the file has boxes for none of the expressions; check '
                         '--dataset and --split')
    notes = []
    if missing:
        notes.append(f'{missing} of {everything} expressions are left out, the file of boxes lacks their images')
    sizes: dict[Any, ImageInfo] = {k: info for d in datasets.values() for k, info in d.images.items()}
    sizes |= {(e.dataset, e.sent_id): datasets[e.dataset].images[e.image_id] for es in covered.values() for e in es}
    if reaching := outside.count_outside(sizes):
        notes.append(f'{reaching} candidates reach outside their image; they count as they are')
    return covered, notes


def _context(request: Request, datasets: Mapping[str, Dataset], expressions: Chosen,
             vectors: Callable[[], WordVectors]) -> tuple[dict[tuple[str, int], list[Annotation]], list[str]]:
    """The contextual objects of all expressions whose dataset annotates other objects, and notes."""
    wanted = [e for es in expressions.values() for e in es if datasets[e.dataset].annotations is not None]
    if not wanted:
        return {}, []
    finder = CriticalObjects(vectors(), **request.settings.get('critical-objects', {}))
    found = {}
    for name, dataset in datasets.items():
        mine = [e for e in wanted if e.dataset == name]
        for e, objects in zip(mine, finder.context(mine, dataset.annotations or {}), strict=True):
            found[name, e.sent_id] = objects
    notes = [f'contextual objects: nouns whose similarity to a category name is over γ = {finder.gamma} in '
             f'{finder.vectors.name}']
    if skipped := sorted(finder.without_vector):
        notes.append(f'{len(skipped)} nouns without a word vector were skipped: {", ".join(skipped[:8])}'
                     + (', …' if len(skipped) > 8 else ''))
    return found, notes


def _vectors(request: Request, expressions: Sequence[Expression], datasets: Mapping[str, Dataset],
             rules: Sequence[str], classes: Callable[[], Sequence[str]]) -> WordVectors:
    """The word vectors: the shipped ones, or those of ``--vectors`` for the words that can be looked up."""
    if request.vectors is None:
        return load_vectors()
    categories = {c for d in datasets.values() for c in d.categories}
    if any(PROPOSAL_RULES.get(r).with_vectors for r in rules):
        categories.update(classes())
    return load_vectors(request.vectors, words_to_look_up(expressions, categories))


def _build(plugin: Any, name: str, dataset: str, store: WeightStore, request: Request,
           vectors: Callable[[], WordVectors]) -> Any:
    """A rule or grounder, built with its weights, word vectors and ``--set`` options."""
    options = dict(request.settings.get(name, {}))
    if plugin.with_vectors:
        options['vectors'] = vectors()
    if plugin.not_shipped is not None and (path := store.missing(plugin, dataset)) is not None:
        raise InputError(f'{name}: its weights{_called(plugin, path)} are not shipped; {_how_to_get(plugin)}')
    if plugin.weights is not None:
        options['weights'] = store.folder(plugin.weights) if plugin.in_folder else store.get(plugin.weights, dataset)
    for other in plugin.needs:
        options[other] = store.get(other, dataset)
    return plugin(**options)
