"""What the options of CLIP may be: text that is checked before anything is loaded."""
from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

#: The ways to show a box.
WAYS = ('crop', 'blur', 'circle')
#: Where a prompt has the sentence.
GAP = '{}'


def _ways(text: str) -> str:
    ways = text.split('+')
    if not set(ways) <= set(WAYS) or len(set(ways)) < len(ways):
        raise PydanticCustomError('ways', 'crop, blur or circle, or several of them, each once, as in crop+blur')
    return text


def _prompt(text: str) -> str:
    if text.count(GAP) != 1 or not text.isprintable():
        raise PydanticCustomError('prompt', 'printable text that holds {gap} once, in the place of the sentence',
                                  {'gap': GAP})
    return text


def _printable(text: str) -> str:
    if not text.isprintable():
        raise PydanticCustomError('printable', 'printable text')
    return text


#: How a box is shown: some of :data:`WAYS`, joined by ``+``.
Isolate = Annotated[str, AfterValidator(_ways)]
#: What is read, with :data:`GAP` in the place of the sentence.
Prompt = Annotated[str, AfterValidator(_prompt)]
#: Sentences with ``;`` between them.
Sentences = Annotated[str, AfterValidator(_printable)]
