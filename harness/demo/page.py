"""The page: Gradio's controls on one side, and the drawings of :mod:`harness.demo.drawing` as HTML.

Moving a slider draws another part of rankings that are there; the grounders, whose choice depends on what else is
proposed, follow as fast as they can.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import gradio as gr

from harness.demo import drawing
from harness.demo.look import DIGITS, GREEDY, LONGEST_TEXT, REF_NMS, RULES, Look, Viewer
from harness.demo.sessions import Sessions
from harness.errors import InputError

TITLE = 'Which one do you mean?'
INTRODUCTION = (f'<h1>{TITLE}</h1><p>A detector finds candidates. A rule proposes some of them, and a grounder chooses '
                'among those. Greedy NMS proposes what the detector is sure of. Ref-NMS proposes what the sentence is '
                'about.</p>')
CANDIDATES = ('<h2>Candidates</h2><p class="about">What the detector finds, before any is suppressed. The colour says '
              'how related a box is to the sentence.</p>')
ABOUT = {GREEDY: 'Least confidence', REF_NMS: 'Least relatedness × confidence'}
#: Networks run for one page at a time.
ONE_AT_A_TIME: dict[str, Any] = dict(concurrency_id='networks', concurrency_limit=1)
Updates = dict[Any, Any]
Found = TypeVar('Found')


class Side(NamedTuple):
    """One rule's half of the page."""

    rule: str
    slider: gr.Slider
    proposals: gr.HTML
    choices: gr.HTML


class Page:
    """The blocks and what they do.

    Args:
        viewer: with everything loaded.

    Attributes:
        blocks: to be launched.
        sessions: what each open page looks at.
    """

    def __init__(self, viewer: Viewer) -> None:
        self.viewer, self.sessions = viewer, Sessions()
        with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(60, 60), fill_width=False) as self.blocks:
            self._lay_out()
            self._connect()

    def _lay_out(self) -> None:
        gr.HTML(INTRODUCTION, elem_classes='intro')
        with gr.Row(equal_height=True):
            self.dataset = gr.Dropdown(self.viewer.datasets, value=self.viewer.datasets[0], label='Dataset',
                                       min_width=200, elem_id='dataset')
            self.split = gr.Dropdown([], label='Split', min_width=120, elem_id='split')
            self.image = gr.Dropdown([], label='Image', min_width=120, elem_id='image')
            self.loaded = gr.UploadButton('Load your own picture', size='md', min_width=200,
                                          file_types=['.png', '.jpg', '.jpeg'], elem_id='loaded')
        with gr.Row(equal_height=True):
            self.annotated = gr.Dropdown([], label='Its own sentences', min_width=300, elem_id='annotated')
            self.sentence = gr.Textbox(label='Sentence', placeholder='the left cup', max_length=LONGEST_TEXT,
                                       submit_btn='Ground', min_width=300, elem_id='sentence')
        self.words = gr.HTML(elem_id='words')
        self.banner = gr.HTML(visible=False, elem_id='banner')
        with gr.Row():
            with gr.Column(min_width=300, elem_classes='side'):
                gr.HTML(CANDIDATES)
                self.candidates = gr.HTML(elem_id='candidates')
            self.sides = [self._side(rule) for rule in RULES]

    @staticmethod
    def _side(rule: str) -> Side:
        with gr.Column(min_width=300, elem_classes='side'):
            gr.HTML(f'<h2>{drawing.TITLES[rule]}</h2>')
            slider = gr.Slider(0, 1, step=10 ** -DIGITS, label=ABOUT[rule], elem_id=f'{rule}-slider', buttons=[])
            return Side(rule, slider, gr.HTML(elem_id=f'{rule}-proposals'), gr.HTML(elem_id=f'{rule}-choices'))

    def _connect(self) -> None:
        sliders = [side.slider for side in self.sides]
        drawn = [self.banner, self.words, self.candidates,
                 *(block for side in self.sides for block in (side.proposals, side.choices))]
        picked = [self.dataset, self.split, self.image]
        everything = [self.split, self.image, self.annotated, self.sentence, *sliders, *drawn]
        private: dict[str, Any] = dict(api_visibility='private', show_progress='minimal', trigger_mode='always_last',
                                       **ONE_AT_A_TIME)
        # What is picked is checked by the functions: Gradio would refuse an image that the dataset before had.
        gr.on([self.blocks.load, *(block.input for block in picked)], self.pick, picked, everything, preprocess=False,
              **private)
        self.loaded.upload(self.load_picture, [self.loaded, self.dataset, self.sentence, *sliders], everything,
                           **private)
        taken = self.annotated.input(lambda sentence: sentence, self.annotated, self.sentence, preprocess=False,
                                     api_visibility='private', show_progress='hidden')
        taken.then(self.ask, [self.sentence, *sliders], drawn, **private)
        self.sentence.submit(self.ask, [self.sentence, *sliders], drawn, **private)
        quiet: dict[str, Any] = dict(api_visibility='private', show_progress='hidden', trigger_mode='always_last')
        for side in self.sides:
            side.slider.input(self.propose_by(side.rule), side.slider, side.proposals, **quiet)
            side.slider.input(self.choose_by(side.rule), side.slider, side.choices, **quiet, **ONE_AT_A_TIME)
        self.blocks.unload(self.forget)

    def pick(self, dataset: str | None, split: str | None, image: int | None, request: gr.Request) -> Updates:
        """Another dataset, split or image: its first sentence, at the thresholds of a run."""
        dataset = dataset if dataset in self.viewer.datasets else self.viewer.datasets[0]
        splits = self.viewer.splits(dataset)
        shown: Updates = {self.split: _offered(splits, split)}
        split = split if split in splits else splits[0]
        images = self.viewer.images(dataset, split)
        shown[self.image] = _offered(images, image)
        image = image if image in images else images[0]
        scene = self.viewer.scene(dataset, split, image)
        sentences = [expression.sent for expression in scene.annotated]
        thresholds = [self.viewer.threshold(dataset, rule) for rule in RULES]
        look = self._looked(request, self.viewer.look(scene, sentences[0]))
        sliders = {side.slider: threshold for side, threshold in zip(self.sides, thresholds, strict=True)}
        return {**shown, **sliders, self.annotated: gr.Dropdown(sentences, value=sentences[0]),
                self.sentence: sentences[0], **self._drawn(look, thresholds)}

    def load_picture(self, file: str, dataset: str, sentence: str, greedy: float, ref_nms: float,
                     request: gr.Request) -> Updates:
        """A picture of somebody's own: its file is deleted as soon as it has been read.

        One that cannot be taken changes nothing, and a line says why.
        """
        try:
            scene = self.viewer.load_picture(Path(file), dataset)
        except InputError as error:
            gr.Warning(escape(str(error)))
            return {self.banner: gr.skip()}
        look = self._looked(request, self.viewer.look(scene, sentence))
        return {self.image: gr.Dropdown(value=None), self.annotated: gr.Dropdown([], value=None),
                **self._drawn(look, (greedy, ref_nms))}

    def ask(self, sentence: str, greedy: float, ref_nms: float, request: gr.Request) -> Updates:
        """Another sentence of the same picture."""
        look = self._looked(request, self.viewer.look(self._last(request).scene, sentence or ''))
        return self._drawn(look, (greedy, ref_nms))

    def propose_by(self, rule: str) -> Any:
        """What moving a rule's slider draws at once: no network runs."""
        def propose(threshold: float, request: gr.Request) -> str:
            look = self._last(request)
            return drawing.proposals(look, rule, self.viewer.proposed(look, rule, threshold))
        return propose

    def choose_by(self, rule: str) -> Any:
        """What the grounders choose among the proposals at a threshold."""
        def choose(threshold: float, request: gr.Request) -> str:
            return self._chosen(self._last(request), rule, threshold)
        return choose

    def forget(self, request: gr.Request) -> None:
        """The page was closed."""
        self.sessions.drop(request.session_hash or '')

    def _looked(self, request: gr.Request, look: Look) -> Look:
        self.sessions.put(request.session_hash or '', look)
        return look

    def _last(self, request: gr.Request) -> Look:
        look = self.sessions.get(request.session_hash or '')
        if look is None:
            raise gr.Error('this page was open for too long; reload it', print_exception=False)
        return look

    def _drawn(self, look: Look, thresholds: Sequence[float]) -> Updates:
        banner = drawing.banner(look, self.viewer.embedded_weights)
        drawn: Updates = {self.banner: gr.HTML(banner, visible=bool(banner)), self.words: drawing.sentence(look),
                          self.candidates: drawing.candidates(look)}
        for side, threshold in zip(self.sides, thresholds, strict=True):
            drawn[side.proposals] = drawing.proposals(look, side.rule, self.viewer.proposed(look, side.rule, threshold))
            drawn[side.choices] = self._chosen(look, side.rule, threshold)
        return drawn

    def _chosen(self, look: Look, rule: str, threshold: float) -> str:
        proposed = self.viewer.proposed(look, rule, threshold)
        return drawing.choices(look, _plainly(lambda: list(self.viewer.choices(look, proposed))))


def theme() -> gr.themes.Base:
    """Gradio's own, with fonts that are there: none is fetched."""
    return gr.themes.Default(primary_hue='blue', font=['system-ui', 'sans-serif'],
                             font_mono=['ui-monospace', 'monospace'])


def _offered(choices: Sequence[Any], chosen: Any) -> gr.Dropdown:
    """Another list for a control. It keeps its choice where the list has it: the user may have gone on by then."""
    return gr.Dropdown(choices) if chosen in choices else gr.Dropdown(choices, value=choices[0])


def _plainly(do: Callable[[], Found]) -> Found:
    """What is wrong with somebody's input is said on the page, in one line."""
    try:
        return do()
    except InputError as error:
        raise gr.Error(escape(str(error)), print_exception=False) from None
