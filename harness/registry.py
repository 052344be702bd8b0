"""Where plug-ins are found by name.

A plug-in is a class in a file of its own that registers itself under the name users type::

    from harness.registry import PROPOSAL_RULES

    @PROPOSAL_RULES.register_module(name='greedy')
    class Greedy:
        ...

Importing the file is all it takes: ``--proposals greedy`` then finds it, ``--list`` prints it with the first line of
its docstring, and no other file is edited. The registries are mmengine's; ``locations`` are imported at the first
look-up, so the command line need not know any plug-in.

What each registry holds:

``DATASETS``        functions ``load(root) -> Dataset``
``PROPOSAL_RULES``  classes whose instances map ``(ImageFeatures, [Expression])`` to one ``InstanceData`` an expression
                    (``bboxes`` (n, 4) xyxy float32, ``scores`` (n,) best first, ``labels`` (n,) int64 index into the
                    detector's classes, ``det_scores`` (n,) confidence, ``relatedness`` (n,) where the rule has one)
``GROUNDERS``       classes whose instances map ``(ImageFeatures, [Expression], [InstanceData])`` to one ``(n,)`` tensor
                    of scores an expression, the higher the better
``METRICS``         classes with ``reset()``, ``process(rows)``, ``merge(other)`` and ``compute()``

A rule or grounder that needs trained weights sets the class attribute ``weights = 'its-weights-name'``; the run then
passes the loaded file as the keyword ``weights``; weights of other plug-ins that it ``needs = ('their-name',)`` come as
keywords of those names; ``with_vectors = True`` lets word vectors come as the keyword ``vectors``. A rule whose weights
the project does not ship says in ``not_shipped`` how to make them. Options of ``--set NAME.KEY=VALUE`` arrive as
further keywords.
"""
from typing import Any

from mmengine.registry import Registry

DATASETS = Registry('dataset', locations=['harness.data.known', 'harness.embedded.known'])
PROPOSAL_RULES = Registry('proposal rule', locations=['harness.proposals'])
GROUNDERS = Registry('grounder', locations=['harness.evaluation.controls', 'adapters.registered'])
METRICS = Registry('metric', locations=['harness.metrics'])


def names(registry: Any) -> list[str]:
    """Registered names, in order of registration."""
    registry.import_from_location()
    return list(registry.module_dict)
