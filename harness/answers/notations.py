"""How models write a box: one grammar of the notations of the field, and the one function that reads it.

:data:`NOTATIONS` is the grammar. A text is looked through once, from its beginning to its end; wherever a notation
begins, the first of the table that fits is read. So a box is found in a fence (```` ```json ````), between tags
(``<answer>``), in nested lists and records, and among words. Nothing is evaluated, and whatever the text, the time is
linear in its length.

Where a text begins with ``<think>…</think>``, a box behind that part counts before one in it. Tags that stand further
in belong to the words of an answer, such as ``"label": "<think>the left one</think>"``, and change nothing. Where no
box stands behind the thinking, the whole text is read.

What the numbers of marks and tags are is known from the programs that read them: ``processing_kosmos2.py`` and
``processing_florence2.py`` of huggingface/transformers (``src/transformers/models``), ``eval_mm/evaluate_grounding.py``
of QwenLM/Qwen-VL, ``internvl_chat/eval/refcoco/evaluate_grounding.py`` of OpenGVLab/InternVL,
``eval_scripts/eval_ref.py`` of Vision-CAIR/MiniGPT-4, ``tasks/mm_tasks/refcoco.py`` of OFA-Sys/OFA, ``web_demo.py`` of
deepseek-ai/DeepSeek-VL2, and, for PaliGemma, 1024 bins with y before x.

Boxes are x1, y1, x2, y2 in the words' own units; ``coordinates`` names them where the notation says what they are
(:mod:`harness.answers.coordinates`).
"""
from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from harness.boxes import XYXY
from harness.data.answers import Kind
from harness.files.fields import MAX_COORDINATE

#: No more boxes of one answer are kept.
MOST_BOXES = 100
#: A longer number is none.
LONGEST_NUMBER = 400
#: Kosmos-2 divides an image into so many patches a side.
_PATCHES = 32


class Notation(NamedTuple):
    """A way to write a box.

    Attributes:
        name: of the notation.
        examples: texts that it reads.
        written_by: who writes so, and what the numbers are with each where the notation does not say.
        coordinates: what its numbers are; ``None``: it does not say.
        pattern: a regular expression with a group for each number.
        corners: from the numbers of the groups to x1, y1, x2, y2.
        fixed: its marks are a grid of their own, which no option changes.
    """

    name: str
    examples: tuple[str, ...]
    written_by: str
    coordinates: str | None
    pattern: str
    corners: Callable[[Sequence[float]], XYXY] = lambda numbers: (numbers[0], numbers[1], numbers[2], numbers[3])
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """What an answer says.

    Attributes:
        kind: ``read``: one box; ``several``: more, of which the first counts; ``empty``: the model declined or said
            nothing; ``unreadable``: anything else.
        why: what is behind the kind; ``None`` for one box.
        boxes: x1, y1, x2, y2 in the words' own units, the one that counts first.
        notation: the name of the first box's notation.
        coordinates: what the numbers are, where the notation says so.
        fixed: no option changes that.
    """

    kind: Kind
    why: str | None = None
    boxes: tuple[XYXY, ...] = ()
    notation: str | None = None
    coordinates: str | None = None
    fixed: bool = False


def _y_first(numbers: Sequence[float]) -> XYXY:
    return numbers[1], numbers[0], numbers[3], numbers[2]


def _patches(numbers: Sequence[float]) -> XYXY:
    """Two patches to fractions of the image: from centre to centre, or whole patches where they share a row or column.

    Source: ``patch_index_to_coordinate`` in ``src/transformers/models/kosmos2/processing_kosmos2.py`` of
    huggingface/transformers.
    """
    (y1, x1), (y2, x2) = (divmod(number, _PATCHES) for number in numbers)
    near, far = (0., 1.) if x1 == x2 or y1 == y2 else (.5, .5)
    return (x1 + near) / _PATCHES, (y1 + near) / _PATCHES, (x2 + far) / _PATCHES, (y2 + far) / _PATCHES


# No quantifier gives back what it took, so that no text is looked at twice.
_N = r'([-+]?+(?i:(?:\d++(?:\.\d*+)?+|\.\d++)(?:e[-+]?+\d++)?+|nan|inf(?:inity)?+))'
_COMMA = r'(?:\s*+,\s*+|\s++)'
_FOUR = _COMMA.join([_N] * 4)
_LIST = rf'\[\s*+{_FOUR}\s*+\]'
#: A list, or a list in one.
_NESTED = rf'(?:\[\s*+)?{_LIST}'
_CORNERS = rf'\(\s*+{_N}{_COMMA}{_N}\s*+\)\s*+,?+\s*+\(\s*+{_N}{_COMMA}{_N}\s*+\)'


def _marks(mark: str, number: str, count: int) -> str:
    return r'\s*+'.join([f'<{mark}({number})>'] * count)


def _named(*names: str) -> str:
    return r'\s*+,\s*+'.join(rf'"{name}"\s*+:\s*+"?+{_N}"?+' for name in names)


#: The grammar. Where two notations begin at the same sign, the first that fits is read.
NOTATIONS = (
    Notation('four-digit loc marks, y first', ('<loc0064><loc0128><loc0512><loc0896> dog',),
             'PaliGemma, PaliGemma 2', 'bins-1024', _marks('loc', r'\d{4}', 4), _y_first, fixed=True),
    Notation('loc marks', ('the dog<loc_52><loc_333><loc_932><loc_774>',),
             'Florence-2', 'bins-1000', _marks('loc_', r'\d{1,4}', 4), fixed=True),
    Notation('bin marks', ('<bin_126><bin_63><bin_876><bin_501>',),
             'OFA, PolyFormer', 'over-999', _marks('bin_', r'\d{1,4}', 4), fixed=True),
    Notation('patch marks', ('<phrase>a dog</phrase><object><patch_index_0044><patch_index_0863></object>',),
             'Kosmos-2', 'fraction', _marks('patch_index_', r'\d{4}', 2), _patches, fixed=True),
    Notation('numbers in angle brackets', ('<p>dog</p> {<12><6><88><50>}',),
             'MiniGPT-v2', 'hundredths', r'\{\s*+' + _marks('', r'\d{1,3}', 4) + r'\s*+\}', fixed=True),
    Notation('det tags', ('<|ref|>the dog<|/ref|><|det|>[[126, 63, 876, 501]]<|/det|>',),
             'DeepSeek-VL2', 'over-999', rf'<\|det\|>\s*+{_NESTED}'),
    Notation('box_start tags', ('<|object_ref_start|>dog<|object_ref_end|><|box_start|>(126,63),(876,501)<|box_end|>',),
             'Qwen2-VL', 'thousandths', rf'<\|box_start\|>\s*+{_CORNERS}'),
    Notation('box tags around corners', ('<ref>the dog</ref><box>(126,63),(876,501)</box>',),
             'Qwen-VL', 'over-999', rf'<box>\s*+{_CORNERS}'),
    Notation('box tags around a list', ('<ref>the dog</ref><box>[[126, 63, 876, 501]]</box>',),
             'InternVL', 'thousandths', rf'<box>\s*+{_NESTED}'),
    Notation('bbox_2d', ('{"bbox_2d": [80, 30, 560, 240], "label": "the dog"}',
                         '```json\n[\n\t{"bbox_2d": [80, 30, 560, 240], "label": "the dog"}\n]\n```',
                         '<think>It is on the left.</think><answer>{"bbox_2d": [80, 30, 560, 240]}</answer>'),
             'Qwen2.5-VL and VLM-R1 (resized), Qwen3-VL (thousandths)', None,
             rf'"bbox_2d"\s*+:\s*+{_NESTED}'),
    Notation('named corners', ('{"x1": 80, "y1": 30, "x2": 560, "y2": 240}',
                               '{"xmin": 80, "ymin": 30, "xmax": 560, "ymax": 240}',
                               '{"left": 80, "top": 30, "right": 560, "bottom": 240}'),
             'any model that is asked for JSON', None,
             '(?:' + '|'.join(map(lambda names: _named(*names), (('x1', 'y1', 'x2', 'y2'), (
                 'x_?+min', 'y_?+min', 'x_?+max', 'y_?+max'), ('left', 'top', 'right', 'bottom')))) + ')'),
    Notation('a list', ('[80, 30, 560, 240]', '[0.125,0.063,0.875,0.5]', 'the dog [126, 63, 876, 501] runs',
                        '[[126,063,876,501]]', '{"dog": {"box": [80.5, 30, 560, 240]}}'),
             'most models; LLaVA and Shikra (padded-fraction), Ferret, CogVLM and InternVL without its tags '
             '(thousandths)', None, _LIST),
    Notation('two corners', ('(80,30),(560,240)',), 'Qwen-VL without its tags (over-999)', None, _CORNERS),
    Notation('four numbers in parentheses', ('(0.125, 0.063, 0.875, 0.5)',), 'models that are asked for such', None,
             rf'\(\s*+{_FOUR}\s*+\)'),
)
#: How any of them begins: most places of a text are passed over by this alone.
_BEGINNING = r'(?=[\[(]\s*+[-+.\dnNiI]|\{\s*+<|<[lbp|]|"[bxl])'
_GRAMMAR = re.compile(_BEGINNING + '(?:' + '|'.join(
    f'(?P<n{i}>{notation.pattern})' for i, notation in enumerate(NOTATIONS)) + ')')
_BY_GROUP = {f'n{i}': notation for i, notation in enumerate(NOTATIONS)}
_GROUPS = {name: range(index, index + re.compile(_BY_GROUP[name].pattern).groups)
           for name, index in _GRAMMAR.groupindex.items()}

_THINKING = '<think>', '</think>'
_SAYS_NOTHING = re.compile(r'(?i)["\'`\s]*+(?:none|no|null|nothing|n/a|\[\s*+\]|\{\s*+\})?+["\'`.\s]*+')
#: By these words a model declines; so it does by an empty list.
DECLINES = re.compile(
    r'(?i)\b(?:there (?:is|are|was|were) (?:no|not|none)\b'
    r'|no (?:such )?(?:bounding )?(?:box|object|region|target|match)'
    r'|(?:is|are|does|do) not (?:visible|present|exist|appear|match)|not (?:visible|present|found|possible)'
    r'|none\b|cannot\b|can\'t\b|can not\b|unable\b|doesn\'t exist|n/a\b|sorry\b)|\[\s*+\]')
_SOME_LIST = re.compile(rf'[\[(]\s*+{_N}(?:{_COMMA}{_N})*+\s*+[\])]')
_CUT_SHORT = re.compile(rf'[\[(]\s*+{_N}(?:{_COMMA}{_N}){{0,3}}+\s*+,?+\s*+$')


def read_boxes(text: str) -> Reading:
    """What a model's raw words say; never raises, whatever they are.

    Four zeros are ``empty``: with them many programs say that nothing was found. A box whose corners are reversed, or
    that holds a number that is not finite or over a million, is ``unreadable``: nothing is mended. The same box twice
    is one box.
    """
    if _SAYS_NOTHING.fullmatch(text):
        return Reading('empty', 'says nothing')
    answer = _behind_thinking(text)
    for part in dict.fromkeys((answer, text)):
        found = list(_found(part))
        if found:
            return _reading(found)
    return _without_box(answer)


def read_numbers(boxes: Sequence[XYXY]) -> Reading:
    """The same of boxes that a file holds as numbers."""
    if not boxes:
        return Reading('empty', 'no box is given')
    return _reading([(None, box) for box in boxes[:MOST_BOXES + 1]])


def _behind_thinking(text: str) -> str:
    opened, closed = _THINKING
    if not text.lstrip().startswith(opened):
        return text
    return text.partition(closed)[2] or text


def _found(text: str) -> Iterator[tuple[Notation | None, XYXY]]:
    """The boxes of a text, no more than one over those that are kept."""
    for count, match in enumerate(_GRAMMAR.finditer(text), start=1):
        name = match.lastgroup or ''
        numbers = [_number(group) for i in _GROUPS[name] if (group := match[i + 1]) is not None]
        yield _BY_GROUP[name], _BY_GROUP[name].corners(numbers)
        if count > MOST_BOXES:
            return


def _number(text: str) -> float:
    return float(text) if len(text) <= LONGEST_NUMBER else math.inf


def _reading(found: Sequence[tuple[Notation | None, XYXY]]) -> Reading:
    notation, first = found[0]
    said = (notation.name, notation.coordinates, notation.fixed) if notation else (None, None, False)
    if why := _fault(first):
        return Reading('unreadable', why, (), *said)
    if not any(first):
        return Reading('empty', 'four zeros', (), *said)
    own = dict.fromkeys(box for other, box in found if not _fault(box)
                        and (other.coordinates if other else None) in (said[1], None))
    boxes = tuple(own)[:MOST_BOXES]
    if len(boxes) == 1:
        return Reading('read', None, boxes, *said)
    more = 'more than ' if len(found) > MOST_BOXES else ''
    return Reading('several', f'{more}{len(boxes)} boxes, of which the first counts', boxes, *said)


def _fault(box: XYXY) -> str | None:
    """Why a box cannot count."""
    if not all(map(math.isfinite, box)):
        return 'holds a number that is not finite'
    if max(map(abs, box)) > MAX_COORDINATE:
        return 'holds a number beyond a million'
    if box[2] < box[0] or box[3] < box[1]:
        return 'its corners are reversed: x2 is under x1, or y2 under y1'
    return None


def _without_box(text: str) -> Reading:
    """Why there is no box in a text."""
    if numbers := _SOME_LIST.search(text):
        count = len(re.split(_COMMA, numbers[0][1:-1].strip()))
        return Reading('unreadable', f'a box has four numbers, here {"is" if count == 1 else "are"} {count}')
    if _CUT_SHORT.search(text):
        return Reading('unreadable', 'the box is cut short')
    if DECLINES.search(text):
        return Reading('empty', 'the model declines')
    return Reading('unreadable', 'no box in any notation that is known')
