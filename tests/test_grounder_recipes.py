"""How grounders are trained: the shipped weights' recipes as they were, the originals' sizes, and single options."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.registry import PARAM_SCHEDULERS
from torch import Tensor, nn

from adapters.modular.cmae import CMAEGrounder
from adapters.modular.mattnet import MAttNetGrounder
from adapters.modular.metadata import MAttNetMetadata
from adapters.modular.recipes import CMAE, MATTNET, CMAETraining, MAttNetTraining
from adapters.nmtree.grounding import NMTreeGrounder
from adapters.nmtree.recipes import NMTREE
from adapters.nmtree.training import nmtree_recipe
from harness.errors import InputError
from harness.files.fingerprint import read
from harness.files.metadata import read_metadata
from harness.files.weights import load_weights
from harness.plugins import Grounder
from harness.registry import GROUNDERS
from harness.training.adam import AdamOptions, optim_wrapper, schedule
from harness.training.grounder import Material, Recipe, TrainingStage, on_device_of, options_record, train_grounder
from harness.training.settings import refuse_without_effect, with_settings
from harness.types import Annotation, Dataset, Expression, ImageInfo
from harness.words.vectors import WordVectors
from tests.small_grounders import weights

PAGE = Path(__file__).parents[1] / 'docs/grounder-options.md'
RECIPES = {'mattnet': MATTNET, 'cmae': CMAE, 'nmtree': NMTREE}
RELEASED = {name: recipes['released'] for name, recipes in RECIPES.items()}
OPTIONS = [(name, field.name) for name, options in RELEASED.items() for field in fields(options)]
VECTORS = WordVectors('two', ('cup', 'dog'), torch.tensor([[1., 2., 3., 4.], [5., 6., 7., 8.]]))
SENTENCES = ('big cup', 'brown dog')
C, F = 3, 4


def a_dataset(split: str, images: int = 2) -> Dataset:
    """Images of two boxes, a cup and a dog, with a sentence for each."""
    annotations = {i: [Annotation(10 * i, i, (0, 0, 10, 10), 'cup'), Annotation(10 * i + 1, i, (20, 0, 10, 20), 'dog')]
                   for i in range(1, images + 1)}
    expressions = [Expression('d', split, i, 2 * i + k, sent, tuple(sent.split()), (0, 0, 1, 1), 10 * i + k, 10 * i + k)
                   for i in annotations for k, sent in enumerate(SENTENCES)]
    return Dataset('d', {i: ImageInfo(i, 80, 100) for i in annotations}, expressions, annotations, ('cup', 'dog'))


def material(images: int = 2, **more: Any) -> Material:
    generator = torch.Generator().manual_seed(0)
    features = {'pool5': torch.randn(2 * images, C, 7, 7, generator=generator).half(),
                'fc7': torch.randn(2 * images, F, 7, 7, generator=generator).half(),
                'image_pool5': torch.randn(images, C, 7, 7, generator=generator).half(),
                'ann_ids': [10 * i + k for i in range(1, images + 1) for k in (0, 1)],
                'image_ids': list(range(1, images + 1))}
    return Material(a_dataset('train', images), a_dataset('val', images), features, features, VECTORS, weights, **more)


def adam(lr: float) -> dict[str, Any]:
    return dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=lr, betas=(0.8, 0.999), eps=1e-8),
                clip_grad=dict(type='value', clip_value=0.1))


def a_tenth_over(epochs: int) -> list[dict[str, Any]]:
    return [dict(type='ExponentialLR', gamma=0.1 ** (1 / epochs), by_epoch=True)]


def shape(stage: TrainingStage) -> tuple:
    return (stage.name, stage.batch_size, stage.epochs, stage.steps, stage.optim_wrapper, stage.param_scheduler,
            stage.validate_every, stage.keep_best)


@pytest.mark.parametrize(('grounder', 'stages', 'opt'), [
    (MAttNetGrounder, [('attention', 10, 2e-3)],
     dict(word_embedding_size=64, word_vec_size=88, jemb_dim=88, rnn_hidden_size=56, word_drop_out=0.2)),
    (CMAEGrounder, [('attention', 8, 1e-3), ('erase', 5, 1e-3)],
     dict(word_embedding_size=150, word_vec_size=96, jemb_dim=96, rnn_hidden_size=64, img_hidden=64, word_drop_out=0.5,
          glove_size=4)),
    (NMTreeGrounder, [('tree', 8, 5e-3)], dict(tag_size=8, dep_size=8, rnn_size=32, drop_prob=0.1, word_size=4)),
])
def test_the_shipped_weights_recipe_is_what_it_was(grounder: type[Grounder], stages: list, opt: dict) -> None:
    recipe: Recipe = grounder.recipe(material(), 1)
    assert [shape(stage) for stage in recipe.stages] == [
        (name, 16, epochs, None, adam(lr), a_tenth_over(epochs), None, False) for name, epochs, lr in stages]
    assert recipe.meta['opt'] | opt == recipe.meta['opt']


def test_mattnet_is_trained_as_released() -> None:
    """``tools/opt.py``, ``tools/train.py`` and ``experiments/scripts/train_mattnet.sh`` of lichengunc/MAttNet."""
    recipe = MAttNetGrounder.recipe(material(images=15), 1, MATTNET['released'])
    stage, = recipe.stages
    falls = [dict(type='ExponentialLR', gamma=0.1 ** (1 / 8000), by_epoch=False, begin=8001)]
    assert shape(stage) == ('attention', 15, 10, 30_000, adam(4e-4), falls, 2000, True)
    assert stage.best_by == ('accuracy on annotated boxes', 'greater')
    opt = recipe.meta['opt']
    assert {opt[name] for name in ('word_embedding_size', 'word_vec_size', 'rnn_hidden_size', 'jemb_dim')} == {512}
    assert [opt[f'{name}_drop_out'] for name in ('word', 'rnn', 'jemb', 'visual')] == [.5, .2, .1, .2]


def test_cmae_is_trained_as_released() -> None:
    """``train_mattnet.sh`` and ``train_erase.sh`` of ChopinSharp/CM-Erase-REG."""
    falls = [dict(type='ExponentialLR', gamma=0.1 ** (1 / 6), by_epoch=True, begin=6)]
    stages = CMAEGrounder.recipe(material(), 1, CMAE['released']).stages
    assert [shape(stage) for stage in stages] == [('attention', 28, 15, None, adam(4e-4), falls, None, True),
                                                  ('erase', 20, 30, None, adam(4e-4), falls, None, True)]
    assert (stages[1].model.erase, stages[1].model.erase_size) == ('sample', 2)


def test_nmtree_is_trained_as_released() -> None:
    """``tools/opts.py``, ``tools/train.py`` and ``README.md`` of daqingliu/NMTree."""
    recipe = nmtree_recipe(material(), 1, NMTREE['released'])
    assert shape(recipe.stages[0]) == ('tree', 128, 40, None, adam(1e-3),
                                       [dict(type='StepLR', step_size=10, gamma=0.9, by_epoch=True)], None, True)
    opt = recipe.meta['opt']
    assert [opt[name] for name in ('tag_size', 'dep_size', 'rnn_size', 'drop_prob')] == [50, 50, 1024, .5]


def rates(config: list[dict[str, Any]], number: int) -> Iterator[float]:
    """What the rate is multiplied by in each epoch or step."""
    optimiser = torch.optim.Adam(nn.Linear(1, 1).parameters(), 1.)
    scheduler = PARAM_SCHEDULERS.build({**config[0], 'optimizer': optimiser})
    for _ in range(number):
        yield optimiser.param_groups[0]['lr']
        optimiser.step()
        scheduler.step()


def test_steps_have_the_rates_of_the_original() -> None:
    """``tools/train.py`` of MAttNet sets the rate after a step: it starts to fall two steps after the start."""
    start, every, rate, wanted = 3, 4, 1., []
    for step in range(20):
        wanted.append(rate)
        if step > start:
            rate = 0.1 ** ((step - start) / every)
    options = AdamOptions(decay_start=start, decay_every=every)
    assert list(rates(schedule(options, 20, by_epoch=False), 20)) == pytest.approx(wanted)


def test_epochs_have_the_rates_of_the_originals() -> None:
    smooth = [0.1 ** (max(0, epoch - 6) / 6) for epoch in range(30)]
    assert list(rates(schedule(AdamOptions(), 30), 30)) == pytest.approx(smooth)
    stairs = [0.9 ** (epoch // 10) for epoch in range(40)]
    assert list(rates(schedule(NMTREE['released'], 40, stairs=True), 40)) == pytest.approx(stairs)
    assert schedule(AdamOptions(decay_by=1.), 30) == [] == schedule(AdamOptions(), 6), 'it never falls'


def test_biases_do_not_decay() -> None:
    assert optim_wrapper(AdamOptions()) == adam(4e-4)
    wrapper = optim_wrapper(AdamOptions(), weight_decay=0.01)
    assert wrapper['optimizer']['weight_decay'] == 0.01 and wrapper['paramwise_cfg'] == dict(bias_decay_mult=0.)


def test_every_option_reaches_the_training() -> None:
    options = with_settings(CMAE['embedded'], [
        'margin=0.3', 'erase_margin=0.2', 'att_weight=2', 'erase=most attended', 'erase_size=3', 'seq_per_ref=5',
        'sample_ratio=0.5', 'longest=1', 'attributes=1', 'with_same_category=false', 'visual_dropout=0.4',
        'rnn_layers=2', 'erase_epochs=2', 'attention_batch_size=1', 'validate_every=7', 'keep=best', 'clip=0.5'])
    recipe = CMAEGrounder.recipe(material(), 1, options)
    attention, erase = recipe.stages
    assert (erase.model.ranking['margin'], erase.model.erasing['erase_margin'], erase.model.att_weight) == (.3, .2, 2)
    assert (erase.model.erase, erase.model.erase_size) == ('most attended', 3)
    assert (attention.train_set.seq_per_ref, attention.train_set.sample_ratio) == (5, .5)
    assert recipe.meta['vocabulary']['max_length'] == 1 and recipe.meta['opt']['num_atts'] == 1
    assert (recipe.meta['opt']['with_st'], recipe.meta['opt']['rnn_num_layers']) == (0, 2)
    assert recipe.meta['opt']['visual_drop_out'] == .4
    assert (erase.epochs, attention.batch_size, attention.validate_every, attention.keep_best) == (2, 1, 7, True)
    assert attention.optim_wrapper['clip_grad']['clip_value'] == .5


def test_a_word_of_cmae_has_room_beside_its_pretrained_vector() -> None:
    with pytest.raises(InputError, match='--set embedding_dim=4: must be over 4, the size of a word vector of two'):
        CMAEGrounder.recipe(material(), 1, replace(CMAE['embedded'], embedding_dim=4))


BAD = ['', 'abc', 'nan', '-inf', '1e308', '[1]', '-1', '1' * 401, '9' * 5000, 'None', '\0', 'a\nb', '²']


@pytest.mark.parametrize(('grounder', 'option'), OPTIONS)
def test_every_option_has_a_type_a_range_and_a_line_in_the_docs(grounder: str, option: str) -> None:
    options = RELEASED[grounder]
    for value in BAD:
        with pytest.raises(InputError) as refused:
            with_settings(options, [f'{option}={value}'])
        message = str(refused.value)
        assert message.startswith(f'--set {option}=') and 'must be' in message
        assert message.isprintable() and len(message) < 300
    assert with_settings(options, [f'{option}={getattr(options, option)}']) == options
    assert f'`{option}`' in PAGE.read_text()


@pytest.mark.parametrize('grounder', RECIPES)
def test_named_recipes_are_within_the_ranges(grounder: str) -> None:
    for options in GROUNDERS.get(grounder).recipes.values():
        names = get_type_hints(type(options))
        assert with_settings(options, [f'{name}={getattr(options, name)}' for name in names
                                       if name in {field.name for field in fields(options)}]) == options
    assert GROUNDERS.get(grounder).recipes is RECIPES[grounder]


@pytest.mark.parametrize(('settings', 'said'), [
    (['epohcs=3'], '--set epohcs=3: write OPTION=VALUE, did you mean epochs?; options are lr, decay_start, '),
    (['epochs'], '--set epochs: write OPTION=VALUE'),
    (['epochs=3', 'epochs=4'], '--set epochs: given twice; give it once'),
    (['rnn=gate'], "--set rnn=gate: must be 'lstm', 'gru' or 'rnn'"),
    (['erase_size=8'], '--set erase_size=8: must be less than or equal to 7'),
    (['bidirectional=1'], '--set bidirectional=1: must be True or False'),
])
def test_a_wrong_setting_is_one_line(settings: list[str], said: str) -> None:
    options: Any = CMAETraining() if 'erase_size' in settings[0] else MAttNetTraining()
    with pytest.raises(InputError) as refused:
        with_settings(options, settings)
    assert str(refused.value).startswith(said)


def test_a_setting_without_effect_is_refused() -> None:
    with pytest.raises(InputError, match='--set epochs: has no effect with the other options as they are; leave it'):
        refuse_without_effect(['epochs=3'], MATTNET['released'])
    refuse_without_effect(['epochs=3'], MATTNET['released'], MATTNET['embedded'])
    assert 'rnn_dropout' in CMAE['released'].without_effect
    assert {'decay_every', 'decay'} <= with_settings(NMTREE['released'], ['decay_by=1']).without_effect
    assert 'erase_size' in with_settings(CMAE['released'], ['erase_allvisual_weight=0']).without_effect


def test_weights_say_what_they_were_trained_with_and_build_the_grounder_again(tmp_path: Path) -> None:
    options = with_settings(MATTNET['released'], ['steps=3', 'batch_size=2', 'validate_every=2', 'rnn_dim=4',
                                                  'word_dim=4', 'joint_dim=4', 'embedding_dim=4'])
    parsed = {2: ('red',), 4: ('red', 'cup')}
    path = train_grounder('mattnet', material(parsed=parsed), tmp_path / 'w.safetensors', tmp_path / 'work',
                          command='c', seed=1, options=options, shaped_by={'data': 'these'})
    trained = load_weights(path)
    meta = trained.meta
    assert meta['options'] == options_record('mattnet', options)['options'] and meta['options']['steps'] == 3
    assert (meta['attributes_from'], meta['attributes']) == ('sents.json', {'words': ['red'], 'counts': [2]})
    assert meta['steps'] == {'attention': 3} and meta['epochs'] == {}
    assert read_metadata(trained, MAttNetMetadata).opt.rnn_dim == 4
    assert MAttNetGrounder(trained).options.joint_dim == 4
    record: Mapping[str, Any] = read(tmp_path / 'work/attention') or {}
    assert (record['data'], record['options.rnn_dim'], record['steps']) == ('these', 4, 3)
    assert len(record['sha256 of parsed sentences']) == 64
    with pytest.raises(InputError, match=r'options.margin was 0.1, is 0.2'):
        train_grounder('mattnet', material(parsed=parsed), path, tmp_path / 'work', command='c', seed=1,
                       options=replace(options, margin=0.2), shaped_by={'data': 'these'})


def test_every_grounder_reads_what_its_training_wrote(tmp_path: Path) -> None:
    small = with_settings(NMTREE['released'], ['epochs=1', 'batch_size=2', 'memory_dim=3'])
    path = train_grounder('nmtree', material(), tmp_path / 'n.safetensors', tmp_path, command='c', seed=1,
                          options=small)
    trained = load_weights(path)
    assert trained.meta['options']['memory_dim'] == 3
    assert NMTreeGrounder(trained, weights('mattnet')).vocabulary.word_to_ix
    both = with_settings(CMAE['embedded'], ['attention_epochs=1', 'erase_epochs=1', 'attention_batch_size=2',
                                            'erase_batch_size=2', 'keep=best'])
    path = train_grounder('cmae', material(), tmp_path / 'c.safetensors', tmp_path, command='c', seed=1, options=both)
    assert CMAEGrounder(load_weights(path)).options.image_hidden_dim == 64
    assert all((tmp_path / stage / 'best.pth').is_file() for stage in ('attention', 'erase'))


def test_nothing_named_is_the_shipped_weights_recipe() -> None:
    assert options_record('mattnet')['options']['embedding_dim'] == 64
    assert options_record('chance') == {}


def test_a_batch_larger_than_the_data_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'd: has 2 items to train on, fewer than a batch of 16 \(stage attention\)'):
        train_grounder('mattnet', material(), tmp_path / 'w.safetensors', tmp_path, command='c', seed=1)


def test_attributes_are_the_sentences_own_unless_they_were_parsed() -> None:
    meta = MAttNetGrounder.recipe(material(), 1).meta
    assert (meta['attributes_from'], meta['attributes']['words']) == ('sentences', ['big', 'brown'])
    assert MAttNetGrounder.recipe(material(parsed={2: ['old']}), 1).meta['attributes']['words'] == ['old']


def test_sentences_without_attributes_are_refused() -> None:
    with pytest.raises(InputError, match='d: its training sentences say no attribute of anything'):
        MAttNetGrounder.recipe(material(parsed={}), 1)


class Bias(BaseModel):
    """Learns one number."""

    def __init__(self) -> None:
        super().__init__()
        self.number = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, mode: str = 'loss') -> dict[str, Tensor]:
        return {'loss': (self.number - x).pow(2).mean()}


class Plain(Grounder):
    """A third party's: its recipe takes no options."""

    @classmethod
    def recipe(cls, material: Material, seed: int) -> Recipe:
        model = Bias()
        stage = TrainingStage('only', model, [1., 2.], lambda items: {'x': torch.tensor(items)}, 2, 1,
                              dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=.1)), [], lambda: {'seen': 1.})
        return Recipe([stage], model.state_dict, {'kind': 'plain'})

    def __call__(self, image: Any, expressions: Any, proposals: Any) -> Any:
        raise NotImplementedError


def test_a_recipe_without_options_is_trained_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GROUNDERS.module_dict, 'plain', Plain)
    path = train_grounder('plain', material(), tmp_path / 'w.safetensors', tmp_path / 'work', command='c', seed=1)
    meta = load_weights(path).meta
    assert meta['epochs'] == {'only': 1} and meta['validation'] == {'only seen': 1.}
    assert not meta.keys() & {'options', 'steps', 'attributes_from'}


def test_a_batch_is_brought_to_the_model() -> None:
    batch = on_device_of(Bias(), {'x': torch.ones(2), 'y': (torch.zeros(1), None)})
    assert batch['x'].tolist() == [1, 1]
