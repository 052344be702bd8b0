"""Whether the tests would notice: ``python -m tests.mutations`` breaks the code in the places that matter most.

Each breakage is made in a copy of the tree, one at a time, and the tests that should catch it are run there. Printed is
the first test that failed for each; one that survives, or that no longer fits the code, makes the exit code 1. Words on
the command line choose the breakages whose description or file has one of them.
"""
from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
LEFT_OUT = shutil.ignore_patterns('.git', '.venv', 'results', 'build', '__pycache__', '.*_cache', '.hypothesis')


class Breakage(NamedTuple):
    """A piece of a file's text, which is there once, what takes its place, and the tests that should notice."""

    what: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...]


BREAKAGES = (
    # IoU and metrics
    Breakage('REC IoU without inclusive pixels', 'harness/boxes.py',
             'sides = last - first + 1', 'sides = last - first', ('test_metrics_iou',)),
    Breakage('boxes that overlap in one direction only', 'harness/boxes.py',
             'sides = (bottom_right - top_left + offset).clip(min=0)', 'sides = bottom_right - top_left + offset',
             ('test_metrics_iou', 'test_proposals_nms')),
    Breakage('xywh to xyxy less a pixel', 'harness/boxes.py',
             'boxes[..., :2] + boxes[..., 2:]), axis=-1)', 'boxes[..., :2] + boxes[..., 2:] - 1), axis=-1)',
             ('test_metrics_iou',)),
    Breakage('accuracy over 0.5 instead of from 0.5 on', 'harness/metrics/rec.py',
             'int(iou >= 0.5)', 'int(iou > 0.5)', ('test_metrics_registered',)),
    Breakage('recall from 0.5 on instead of over 0.5', 'harness/metrics/recall.py',
             'int(iou > HIT_IOU)', 'int(iou >= HIT_IOU)', ('test_metrics_registered',)),
    Breakage('context recall of all objects instead of a mean over expressions', 'harness/metrics/recall.py',
             'self.expressions[n_context] += 1', 'self.expressions[n_context] += n_context',
             ('test_metrics_registered',)),
    Breakage('overall IoU counts the shared pixels twice', 'harness/metrics/res.py',
             "self.union += row['mask_union']\n", "self.union += row['mask_union'] + row['mask_intersection']\n",
             ('test_metrics_registered',)),
    Breakage('Pr@X over X instead of from X on', 'harness/metrics/res.py',
             'sum(iou >= x for iou in ious)', 'sum(iou > x for iou in ious)', ('test_metrics_registered',)),
    # Proposals
    Breakage('among equal scores the later box wins', 'harness/proposals/nms.py',
             'order = scores.argsort(dim=1, descending=True, stable=True)',
             'order = scores.shape[1] - 1 - scores.flip(1).argsort(dim=1, descending=True, stable=True)',
             ('test_proposals_nms',)),
    Breakage('NMS at the IoU threshold too', 'harness/proposals/nms.py',
             'else overlap > iou_threshold', 'else overlap >= iou_threshold', ('test_proposals_nms',)),
    Breakage('Soft-NMS takes the last of equal scores', 'harness/proposals/soft_nms.py',
             'best = int(np.where(waiting, left, -np.inf).argmax())',
             'best = len(left) - 1 - int(np.where(waiting, left, -np.inf)[::-1].argmax())',
             ('test_proposals_rivals',)),
    Breakage('greedy lowers its threshold twice as far', 'harness/proposals/greedy.py',
             'threshold -= self.step', 'threshold -= 2 * self.step', ('test_proposals_greedy',)),
    Breakage('greedy needs more than its threshold', 'harness/proposals/greedy.py',
             '(image.class_scores >= least)', '(image.class_scores > least)', ('test_proposals_greedy',)),
    Breakage('a sum in the place of relatedness times confidence', 'harness/proposals/ref_nms.py',
             'return relatedness * confidence', 'return relatedness + confidence',
             ('test_ref_nms', 'test_proposals_relatedness')),
    Breakage('candidates at δ too', 'harness/proposals/candidates.py',
             'labels, regions = (class_scores > delta)', 'labels, regions = (class_scores >= delta)',
             ('test_ref_nms',)),
    Breakage('δ is lowered by half a step', 'harness/proposals/candidates.py',
             'delta -= step', 'delta -= step / 2', ('test_ref_nms',)),
    Breakage('an expression may be left without its best box', 'harness/proposals/ref_nms_network.py',
             'ranked[:max(1, ', 'ranked[:max(0, ', ('test_ref_nms',)),
    Breakage('what is remembered ignores its arguments', 'harness/types.py',
             'key = compute, *arguments\n', 'key = compute\n', ('test_overriding_rules',)),
    Breakage('relatedness of other expressions is remembered', 'harness/proposals/ref_nms.py',
             'self.delta, tuple(expressions))', 'self.delta, tuple(expressions[:1]))', ('test_overriding_rules',)),
    Breakage('a noun at γ names a category', 'harness/words/critical_objects.py',
             'categories) > self.gamma', 'categories) >= self.gamma', ('test_critical_objects',)),
    Breakage('an overlap of exactly 0.9 is the referent', 'harness/words/critical_objects.py',
             'annotated_iou(a.xywh, e.gt_xywh) <= SAME_OBJECT', 'annotated_iou(a.xywh, e.gt_xywh) < SAME_OBJECT',
             ('test_critical_objects',)),
    # Images and features
    Breakage('crops are sampled between the edges', 'harness/detection/crop.py',
             'x = 2 * x / max(width - 1, 1) - 1', 'x = 2 * x / width - 1', ('test_detector',)),
    Breakage('boxes are pooled in image pixels', 'harness/detection/detector.py',
             'boxes.to(self.device) * image.scale', 'boxes.to(self.device)',
             ('test_detector', 'test_parity_mask_rcnn')),
    Breakage('the last pixel is one too far in location features', 'adapters/modular/place_features.py',
             '(x + w - 1) / width', '(x + w) / width', ('test_place_features', 'test_parity_place_features')),
    Breakage('of equally near boxes the earlier comes first', 'adapters/modular/place_features.py',
             'squared.shape[-1] - 1 - squared.flip(-1).argsort(dim=-1, stable=True)',
             'squared.argsort(dim=-1, stable=True)', ('test_place_features', 'test_parity_place_features')),
    # Data in and out
    Breakage('a split takes in those whose names begin alike', 'harness/types.py',
             'if e.split == name]', 'if e.split.startswith(name)]', ('test_data_plain',)),
    Breakage("a mask's size is width and height", 'harness/data/masks.py',
             'list(size) != [height, width]', 'list(size) != [width, height]', ('test_data_masks',)),
    Breakage('the worst candidates come first', 'harness/data/candidates.py',
             'np.argsort(-boxes[:, 4]', 'np.argsort(boxes[:, 4]', ('test_data_candidates',)),
    Breakage('boxes are written with both end pixels', 'harness/boxes.py',
             'boxes[..., 2:] - boxes[..., :2]), axis=-1)', 'boxes[..., 2:] - boxes[..., :2] + 1), axis=-1)',
             ('test_predictions',)),
    Breakage('among equal objects the referent is not the chosen one', 'harness/evaluation/predictions.py',
             'key=lambda a: a.ann_id != expression.ann_id', 'key=lambda a: a.ann_id == expression.ann_id',
             ('test_predictions',)),
    Breakage('of two answers the first is judged', 'harness/evaluation/judge.py',
             'if len(one) == 1 else None', 'if one else None', ('test_judge',)),
    # Training
    Breakage('a resumed epoch begins with its first batch', 'harness/training/resuming.py',
             'self.dataloader.batch_sampler.skip = done', 'self.dataloader.batch_sampler.skip = 0',
             ('test_training_runner',)),
    Breakage('a resumed training draws other random numbers', 'harness/training/resuming.py',
             "torch.set_rng_state(state['torch'].cpu())", 'torch.manual_seed(0)', ('test_training_runner',)),
    Breakage('the calibrated threshold lets one box too many in', 'harness/training/ref_nms/calibration.py',
             'float(others[max(allowed, 0)])', 'float(others[max(allowed + 1, 0)])', ('test_ref_nms_training',)),
    Breakage('Eq. 4 asks for the margin the other way round', 'harness/training/ref_nms/ranking_loss.py',
             '+ self.margin)', '- self.margin)', ('test_ref_nms_levels',)),
    Breakage('a region at an overlap of 0.5 is level 1', 'harness/training/ref_nms/levels.py',
             '.ceil().long()', '.floor().long().add(1)', ('test_ref_nms_levels',)),
    Breakage('the margin of a wrong pair has the wrong sign', 'grounders/objectives.py',
             'F.relu(margin + wrong - right)', 'F.relu(margin + right - wrong)', ('test_erasing',)),
    # Reports
    Breakage('intervals of 90 % that say 95 %', 'reports/statistics/intervals.py',
             'left_out = int(len(drawn) * (1 - LEVEL) / 2)', 'left_out = int(len(drawn) * (1 - LEVEL))',
             ('test_intervals',)),
    Breakage("intervals draw rows and not images", 'reports/statistics/intervals.py',
             'sums = image_sums(images, part, whole)\n',
             'sums = image_sums(np.arange(len(images)), part, whole)\n', ('test_intervals',)),
    Breakage("McNemar's p is one-sided", 'reports/statistics/intervals.py',
             'binomtest(only_a, n)', "binomtest(min(only_a, only_b), n, alternative='less')", ('test_intervals',)),
    Breakage('numerator and denominator are drawn from different images', 'reports/statistics/intervals.py',
             '@ sums for count', '@ np.column_stack([sums[:, 0], sums[::-1, 1:]]) for count', ('test_intervals',)),
    Breakage('the check counts boxes without inclusive pixels', 'reports/recount.py',
             '(last - corner + 1).prod', '(last - corner).prod', ('test_check', 'test_sabotage')),
    Breakage('a report counts recall from 0.5 on', 'reports/statistics/outcomes.py',
             'share(rows[column] > HIT_IOU', 'share(rows[column] >= HIT_IOU', ('test_prediction_rows',)),
    # Every row of the paper's tables
    Breakage('a jittered box of another level than the place that it fills', 'harness/training/ref_nms/jitter_pool.py',
             '(self._numbers.cumsum(0) - self._numbers)[levels] + within', 'within',
             ('test_ref_nms_regions', 'test_ref_nms_sampling')),
    Breakage('the number of proposals is a contest', 'reports/tables/paper_tables.py',
             'unranked = [place for place, column in enumerate(columns) if column.metric == NUMBER]', 'unranked = []',
             ('test_paper_tables',)),
    Breakage('a shipped Ref-NMS beside one of another detector', 'harness/evaluation/asked.py',
             'if name is None or name in request.weights)', 'if name != "")', ('test_plan_rules',)),
    # Forms of the data, answers and the ledger
    Breakage('corners become sizes without the digits that they had', 'harness/data/box_forms.py',
             'return rounded if abs(rounded - number) < 1e-9 else number', 'return number',
             ('test_data_assembly',)),
    Breakage('an ambiguous file of boxes is taken for xywh', 'harness/data/assembly/boxes.py',
             'if shares[form] >= POSSIBLE and shares[other] < IMPOSSIBLE:', 'if shares[form] >= POSSIBLE:',
             ('test_data_assembly',)),
    Breakage('rows that were published twice are double', 'harness/data/passport.py',
             'max(0, n - whole[key])', 'max(0, n - 1)', ('test_passport',)),
    Breakage('the same words on another referent are the published expression', 'harness/data/passport.py',
             'return [place for place in places if int(known.boxes[known.referent[place]]) in mine]',
             'return list(places)', ('test_passport',)),
    Breakage('thousandths are read as over 999', 'harness/answers/coordinates.py',
             "'thousandths of the image, 0 to 1000', 1000.)", "'thousandths of the image, 0 to 1000', 999.)",
             ('test_answer_coordinates',)),
    Breakage('the first sentence of a referent is its last', 'reports/conventions/rec_rules.py',
             'first[np.unique(answers.referent, return_index=True)[1]] = True',
             'first[-1 - np.unique(answers.referent[::-1], return_index=True)[1]] = True', ('test_conventions',)),
    Breakage('the last batch counts', 'reports/conventions/rec_rules.py',
             'np.arange(n) < n - n % answers.batch_size', 'np.arange(n) < n', ('test_conventions',)),
    Breakage('a step is mended as if nothing were lost behind it', 'reports/headroom.py',
             'onward = np.where(rate > 0, right / n / rate, np.nan)', 'onward = (right + lost) / n',
             ('test_headroom',)),
    Breakage('labels that nobody reviewed are faulty', 'reports/rows/reviews.py',
             'return np.nan if said is None else float(said)', 'return 1.0 if said is None else float(said)',
             ('test_reviews',)),
)


def fault(breakage: Breakage, tree: Path) -> str:
    """Why a breakage can't be made or tried there; empty where it can."""
    count = (tree / breakage.file).read_text().count(breakage.before) if (tree / breakage.file).is_file() else 0
    if count != 1:
        return f'{breakage.file}: {breakage.before!r} is there {count} times; write what stands there now'
    missing = [name for name in breakage.tests if not (tree / 'tests' / f'{name}.py').is_file()]
    return f'there are no tests {", ".join(missing)}' if missing else ''


def failing(tree: Path, tests: tuple[str, ...]) -> str:
    """The first failing test of some test files; empty where none fails.

    Raises:
        RuntimeError: they could not be run, which proves nothing.
    """
    done = subprocess.run(
        [sys.executable, '-m', 'pytest', '-q', '-x', '-p', 'no:cacheprovider', *(f'tests/{name}.py' for name in tests)],
        cwd=tree, capture_output=True, text=True, env={**os.environ, 'CI': 'true', 'PYTHONDONTWRITEBYTECODE': '1'})
    if done.returncode == 0:
        return ''
    found = re.search(r'^(?:FAILED|ERROR) (\S+)', done.stdout, flags=re.M)
    if done.returncode != 1 or found is None:
        raise RuntimeError(f'pytest: exit code {done.returncode}\n{done.stdout[-2000:]}')
    return found[1].removeprefix('tests/')


def tried(breakage: Breakage, tree: Path) -> tuple[bool, str]:
    """Whether a breakage is caught, and what is to be said of it."""
    if wrong := fault(breakage, tree):
        return False, wrong
    file = tree / breakage.file
    whole = file.read_text()
    file.write_text(whole.replace(breakage.before, breakage.after))
    try:
        caught = failing(tree, breakage.tests)
    finally:
        file.write_text(whole)
    return bool(caught), caught or f'SURVIVED {", ".join(breakage.tests)}'


def main(words: list[str]) -> int:
    """Try the breakages that one of the words chooses, all without words."""
    chosen = [b for b in BREAKAGES if not words or any(word in f'{b.what} {b.file}' for word in words)]
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / 'tree'
        shutil.copytree(ROOT, tree, ignore=LEFT_OUT)
        tests = tuple(dict.fromkeys(name for b in chosen for name in b.tests))
        if already := failing(tree, tests):
            print(f'{already} fails in the code as it is')
            return 1
        survivors = 0
        for number, breakage in enumerate(chosen, 1):
            caught, by = tried(breakage, tree)
            survivors += not caught
            print(f'{number}/{len(chosen)} {breakage.file}: {breakage.what}\n    {by}', flush=True)
    print(f'{len(chosen) - survivors} of {len(chosen)} caught')
    return 1 if survivors else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
