"""Training one part on one dataset, whichever command asks for it; a finished part is not trained again."""
from __future__ import annotations

import time
from typing import Any

from harness.errors import InputError

#: Trainings of Ref-NMS: the loss, and the text that they read.
REF_NMS = {'ref-nms-b': ('binary', 'read'), 'ref-nms-r': ('ranking', 'read'), 'ref-nms-blind': ('binary', 'blind')}


def train_part(request: Any, options: Any, dry: bool, command: str) -> None:
    """Train one part on one dataset, or print what that would take."""
    training: Any
    estimate: Any
    if request.part in REF_NMS:
        from harness.commands import ref_nms_training as training
        from harness.training.ref_nms import dry_run as estimate
    else:
        from harness.commands import grounder_dry_run as estimate
        from harness.commands import grounder_training as training
    job, detector = training.prepared(request, options, dry)
    if dry:
        found = estimate.dry_run(job, detector)
        print(found.table)
        if found.refusal:
            raise InputError(found.refusal)
        return
    from harness.training.finished import finish, is_finished
    from harness.training.runner import console, is_main_process
    record = training.record_of(job)
    if is_finished(request.out, request.work, record):
        console.print(f'{request.part}: finished before, {request.out}')
        return
    start = time.monotonic()
    training.train(job, detector, command)
    if is_main_process():
        seconds = time.monotonic() - start
        finish(request.out, request.work, record, seconds)
        console.print(f'{request.part}: {request.out}, {request.out.stat().st_size / 1e6:.1f} MB, '
                      f'{seconds / 60:.1f} min')
