"""``--set``: every option of every rule and grounder says what it takes, and whatever passes runs."""
from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import adapters.modular.cmae
import adapters.modular.mattnet
import adapters.nmtree.grounding  # noqa: F401 (they register their grounders)
from harness.errors import InputError, one_line
from harness.evaluation.settings import check_settings, parse_setting, parse_settings, parse_weights
from harness.options import LOADED, check_options
from harness.registry import GROUNDERS, PROPOSAL_RULES, names
from harness.types import Expression, ImageFeatures, ImageInfo
from harness.words.critical_objects import CriticalObjects

PLUGINS = {name: registry.get(name) for registry in (PROPOSAL_RULES, GROUNDERS) for name in names(registry)}
PLUGINS['critical-objects'] = CriticalObjects
OPTIONS = [(name, option) for name, plugin in PLUGINS.items() for option in inspect.signature(plugin).parameters
           if option not in (*LOADED, *getattr(plugin, 'needs', ()))]
WRONG = ('abc', '', '2.5.1', '[1]', '{}', '{[]}', '(1,', '"', "b'x'", '1j', '{1: 2}', '1e999', '-1e999', '1e308', '-7',
         '9' * 400, '0x' + 'f' * 5000, '[' * 500, '-' * 9000 + '1', '10**4000', 'nan', 'True', '\udcff', 'a\nb',
         '\x1b[31m', '\x00', '"' + 'x' * 9000 + '"', '1e-300', '2.5', '0')


@pytest.mark.parametrize(('name', 'option'), OPTIONS)
def test_every_option_says_what_it_takes(name: str, option: str) -> None:
    with pytest.raises(InputError, match=rf'^--set {name}\.{option}=.*: must be '):
        check_options(PLUGINS[name], {option: object()}, f'--set {name}')


@pytest.mark.parametrize(('name', 'option'), OPTIONS)
def test_a_wrong_value_is_refused_in_one_short_line(name: str, option: str) -> None:
    passed = []
    for value in WRONG:
        try:
            check_settings(parse_settings([f'{name}.{option}={value}']))
            passed.append(value)
        except InputError as error:
            assert len(one_line(str(error))) < 600
    takes_text = option in ('trees', 'features', 'neutral')
    assert takes_text or set(passed) <= {'-7', '2.5', '0', 'True', '1e-300'}, 'what some option takes'


@pytest.mark.parametrize('setting', ['greedy.step=abc', 'greedy.step=1e-12', 'greedy.step=0', 'greedy.threshold=7',
                                     'greedy-100.top=2.5', 'ref-nms-b.delta=1e308', 'ref-nms-b.delta=1e999',
                                     'soft-nms.method=cubic', 'soft-nms.sigma=1e-300', 'greedy-top-n.top=101',
                                     'cmae.with_st=0', 'nmtree.trees=7', 'chance.seed=-1', 'critical-objects.gamma=2'])
def test_values_that_made_no_sense_or_never_ended(setting: str) -> None:
    with pytest.raises(InputError, match='^--set .*: must be '):
        check_settings(parse_settings([setting]))


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_whatever_passes_runs_to_the_end(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(['greedy', 'greedy-100', 'greedy-top-n', 'soft-nms', 'class-agnostic',
                                      'confidence', 'oracle']))
    numbers = st.sampled_from([0, 1, 0.001, 1e-9, 1e-300, 0.3, 0.65, 7, 1e9, 10 ** 9, -1, 2.5, None])
    options = {option: data.draw(numbers) for of, option in OPTIONS if of == name and option != 'method'}
    try:
        check_settings({name: options})
    except InputError:
        return
    boxes = torch.tensor([[0., 0, 9, 9], [0, 0, 4, 9], [50, 50, 59, 59]])[:, None]
    image = ImageFeatures(ImageInfo(7, 100, 100), 1.0, None, boxes, torch.tensor([[0.2], [0.1], [0]]), ('cup',), None)
    asked = Expression('d', 'val', 7, 1, 'cup', ('cup',), (0, 0, 9, 9))
    proposals, = PROPOSAL_RULES.get(name)(**options)(image, [asked])
    assert 1 <= len(proposals) <= 4 and torch.isfinite(proposals.scores).all()


def test_an_option_given_twice_is_refused() -> None:
    assert parse_settings(['a.b=1', 'a.c=2', 'd.b=3']) == {'a': {'b': 1, 'c': 2}, 'd': {'b': 3}}
    with pytest.raises(InputError, match=r'--set a\.b: given twice'):
        parse_settings(['a.b=1', 'a.b=2'])
    assert parse_weights(['a=x', 'b=y']) == {'a': Path('x'), 'b': Path('y')}
    with pytest.raises(InputError, match='--weights a: given twice'):
        parse_weights(['a=x', 'a=y'])


@settings(deadline=None)
@given(st.text())
def test_any_text_is_a_value(text: str) -> None:
    assert parse_setting(f'a.b={text}')[:2] == ('a', 'b')
