"""MiniGPT-v2's answers: ``{"COCO_train2014_000000581282_10": ["{<5><33><25><98>}", …], …}``.

A key is a referent: an image's name and the number that REFER puts behind it. Its answers stand in the order of its
sentences, in hundredths; those that the script could not read are left out, so that which sentence is lost. An answer
is matched by the image and the order of referents and sentences, which is that of the published files; where an image
has not as many keys as referents, its answers are left over. What the form lacks: sentences, true boxes, sizes.

Source: ``eval_scripts/eval_ref.py`` of Vision-CAIR/MiniGPT-4.
"""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.answers.reading import json_value
from harness.answers.records import Asked, RawAnswer, said
from harness.answers.signs import of_form
from harness.data.assembly.names import image_id_of
from harness.errors import InputError, shown
from harness.files import fields
from harness.plugins import AnswerForm
from harness.registry import ANSWER_FORMS


@ANSWER_FORMS.register_module(name='minigpt')
class MiniGpt(AnswerForm):
    """MiniGPT-v2's ``{img_id: ["{<x1><y1><x2><y2>}", …]}``, in hundredths."""

    coordinates = 'hundredths'

    def read(self, path: Path) -> Iterator[RawAnswer]:
        for name, answers in of_form(self, 'a record of lists by img_id', json_value(path), dict, str(path)).items():
            where = f'{path}: {shown(name)}'
            if image_id_of(name) is None:
                raise InputError(f'{where}: is no img_id such as COCO_train2014_000000581282_10')
            for i, words in enumerate(fields.items({'answers': answers}, 'answers', where)):
                yield RawAnswer(f'{name}[{i}]', said(words, where), Asked(image=name, group=name))
