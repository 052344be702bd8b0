"""What ``--pictures`` and ``--only`` take, known without importing the gallery."""
from __future__ import annotations

#: How many expressions have a picture, unless ``--pictures`` says otherwise.
SAMPLE = 300
#: What ``--only`` takes.
FORMS = ('changed', 'right on RULE', 'right on RULE only', 'wrong on RULE', 'BIN on RULE, a bin of reports failures',
         'each also … with GROUNDER')
