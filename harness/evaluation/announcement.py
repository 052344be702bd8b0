"""What a run is going to do, in one line."""
from __future__ import annotations

from harness.evaluation.plan import Plan, images


def announcement(plan: Plan) -> str:
    """The numbers of expressions and images, and for each task its rules and grounders.

    All datasets of a run have the same rules and grounders.
    """
    chosen_by = next(iter(plan.chosen_by().values()))
    said = []
    if 'recall' in plan.tasks:
        said.append(f'recall of {", ".join(chosen_by)}')
    by_grounders: dict[tuple[str, ...], list[str]] = {}
    for name, grounders in chosen_by.items():
        by_grounders.setdefault(tuple(grounders), []).append(name)
    tasks = ' and '.join(task.upper() for task in plan.tasks if task != 'recall')
    said += [f'{tasks} by {", ".join(grounders)} on {", ".join(rules)}'
             for grounders, rules in by_grounders.items() if grounders]
    expressions = sum(map(len, plan.expressions.values()))
    return f'{expressions} expressions on {len(images(plan))} images: {"; ".join(said)}'
