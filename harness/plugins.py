"""What a rule, grounder, metric, detector or form of answers derives from: its attributes, typed, with their defaults.

Everything that the harness asks of a plug-in is declared here, and nothing else is looked for. Registration
(:mod:`harness.registry`) holds a class against its base: an attribute that is nearly called as one of these, one of
another type and a method that is missing are refused, with what was probably meant. A class of one's own that derives
from nothing is taken as if it derived from its base.
"""
from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, get_args, get_origin, get_type_hints

from harness.errors import InputError
from harness.options import wanted_by

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from mmengine.structures import InstanceData
    from torch import Tensor

    from harness.types import Annotation, Dataset, Expression, FormRow, ImageFeatures, ImageInfo, Sample

#: How alike a misspelt attribute and the one that is meant are, of 1.
NEARLY = 0.8
#: One line of ``predictions.jsonl``.
Row = Mapping[str, Any]
#: ``{name: (value, n)}``; the value is ``None`` where no row had what it takes.
Results = dict[str, tuple[float | None, int]]


class Plugin:
    """What rules and grounders have alike.

    A constructor's keywords are what ``--set NAME.OPTION=VALUE`` sets, checked by their annotations
    (:mod:`harness.options`); three of them are given by the harness, where the class asks for them here.

    Attributes:
        name: under which it is registered; set by registration.
        weights: name in ``--weights NAME=FILE``; the loaded file comes as the keyword ``weights``.
        in_folder: its weights are the folder of another library (``--weights NAME=DIR``), which it reads itself.
        needs: names of other plug-ins' weights, which come as keywords of those names.
        with_vectors: word vectors come as the keyword ``vectors``.
        not_shipped: how to make its weights, where the project ships none.
        packages: distributions that compute its scores beside those that every run needs; ``results.json`` names their
            versions, and a run is not continued with others.
    """

    name: ClassVar[str] = ''
    weights: ClassVar[str | None] = None
    in_folder: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ()
    with_vectors: ClassVar[bool] = False
    not_shipped: ClassVar[str | None] = None
    packages: ClassVar[tuple[str, ...]] = ()


class Rule(Plugin, ABC):
    """Proposes boxes of an image to each of its expressions.

    Attributes:
        recall_only: its proposals are not grounded unless the rule is asked for by name.
        needs_candidates: it proposes boxes from outside (``--candidates``, ``--detections``).
        needs_annotations: it needs the annotated boxes of the image.
        with_controls: chance and shuffled words are measured on its proposals.
    """

    recall_only: ClassVar[bool] = False
    needs_candidates: ClassVar[bool] = False
    needs_annotations: ClassVar[bool] = False
    with_controls: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, image: ImageFeatures, expressions: Sequence[Expression]) -> list[InstanceData]:
        """One ``InstanceData`` per expression: ``bboxes`` (n, 4) xyxy float32 in image pixels, ``scores`` (n,) best
        first, ``labels`` (n,) int64 into ``image.classes`` (-1: none of them), ``det_scores`` (n,) confidence and,
        where the rule has one, ``relatedness`` (n,)."""

    def ranked(self, image: ImageFeatures, expressions: Sequence[Expression]) -> list[InstanceData]:
        """Everything that could be proposed, best first, one ``InstanceData`` per expression."""
        return self(image, expressions)

    def kept(self, scores: Tensor) -> int:
        """How many of a ranking's boxes are proposed, given their ``scores`` ``(n,)``, best first."""
        return len(scores)


class Grounder(Plugin, ABC):
    """Scores each expression's proposals; the best one is its answer.

    Attributes:
        control: it is there for comparison; ``--grounder all`` leaves it out.
        needs_image: whether it looks at the image's features.
        longest: words of an expression that it reads, ``None``: all of them.
        recipe: a class method ``recipe(material, seed, options)``, how ``train NAME`` trains it
            (:mod:`harness.training.grounder`); ``None``: it cannot be trained here.
        recipes: named options of its training, each a frozen dataclass of typed fields
            (:mod:`harness.training.settings`); ``'embedded'`` is taken where none is named. Empty: it has no options,
            and its class method is ``recipe(material, seed)``.
    """

    control: ClassVar[bool] = False
    needs_image: bool = True
    longest: int | None = None
    recipe: ClassVar[Any] = None
    recipes: ClassVar[Mapping[str, Any]] = MappingProxyType({})

    @abstractmethod
    def __call__(self, image: ImageFeatures, expressions: Sequence[Expression],
                 proposals: Sequence[InstanceData]) -> Sequence[Tensor]:
        """Scores ``(n,)`` of each expression's n proposals, the higher the better."""


class Metric(ABC):
    """Counts over rows of ``predictions.jsonl``, of one dataset, split, rule and grounder.

    Attributes:
        names: of what :meth:`compute` gives.
        task: ``recall``, ``rec`` or ``res``: when it is measured.
    """

    names: ClassVar[tuple[str, ...]]
    task: ClassVar[str]

    def __init__(self) -> None:
        self.reset()

    @abstractmethod
    def reset(self) -> None:
        """Forget all rows."""

    @abstractmethod
    def process(self, rows: Sequence[Row]) -> None:
        """Count some more rows."""

    @abstractmethod
    def compute(self) -> Results:
        """``{name: (value, n)}`` of :attr:`names`; the value is ``None`` where no row had what it takes."""


class Detector(ABC):
    """Everything before NMS, once per image (``--detector NAME``).

    Grounders and Ref-NMS look at its features by ``pool`` and ``head``; a detector without them is for rules that need
    boxes and confidences alone.

    Attributes:
        name: under which it is registered; set by registration.
        weights: name in ``--weights NAME=FILE``; the loaded file comes as the keyword ``weights``. ``None``: it has
            none.
        precisions: those of ``--precision`` that it can compute in.
        classes: names of the K categories.
        trained_on: its training images, see :mod:`harness.detection.training_images`; ``None``: unknown.
        makes_masks: whether :meth:`masks` does.
        precision: the one to compute in; what it gives is float32 in any case.
    """

    name: ClassVar[str] = ''
    weights: ClassVar[str | None] = 'detector'
    precisions: ClassVar[tuple[str, ...]] = ('fp32',)
    classes: tuple[str, ...] = ()
    trained_on: str | list[int] | None = None
    makes_masks: bool = True
    precision: str = 'fp32'

    @abstractmethod
    def features(self, image: np.ndarray, info: ImageInfo,
                 annotations: list[Annotation] | None = None) -> ImageFeatures:
        """``(H, W, 3)`` uint8 BGR to the class boxes and confidences of its regions, and its map."""

    def maps_of(self, image: np.ndarray, info: ImageInfo) -> ImageFeatures:
        """The same without looking for boxes, where those of another detector are used."""
        return self.features(image, info)

    def prepare_to_run(self) -> None:  # noqa: B027 (most detectors have nothing to prepare)
        """Called once before the first image of a run: what training needs may be given up for speed."""

    def identity(self) -> str | None:
        """What tells its results from those of another detector: weights, config and code; ``None``: they are not
        kept (``--store``)."""
        return None

    def to_store(self, image: ImageFeatures, maps: bool) -> dict[str, Tensor]:
        """What is kept of an image: ``class_boxes`` and ``class_scores``, and the map where ``maps`` are kept."""
        raise NotImplementedError

    def from_store(self, kept: Mapping[str, Tensor], image: np.ndarray, info: ImageInfo) -> ImageFeatures:
        """What :meth:`features` gives, to the last bit, from what is kept."""
        raise NotImplementedError

    def from_map(self, feature_map: Tensor, scale: float, info: ImageInfo, annotations: list[Annotation] | None = None,
                 input_size: tuple[int, int] | None = None) -> ImageFeatures:
        """What :meth:`features` gives, from a stored map (``--features``)."""
        raise InputError(f'--detector {self.name}: starts from no stored maps; leave --features out')

    def check_map(self, feature_map: Tensor, where: str) -> None:
        """Refuse a stored map of another detector; ``where`` is its file."""
        raise InputError(f'{where}: --detector {self.name} starts from no stored maps; leave --features out')

    def pool(self, image: ImageFeatures, boxes: Tensor) -> Tensor:
        """``(n, 4)`` xyxy image pixels to ``(n, C, 7, 7)`` crops of the map."""
        raise InputError(f'--detector {self.name}: gives no features to ground by or to relate; choose rules and '
                         'grounders that need none')

    def head(self, crops: Tensor) -> Tensor:
        """``(n, C, 7, 7)`` crops to ``(n, F, 7, 7)`` features of the last stage."""
        raise InputError(f'--detector {self.name}: gives no features to ground by; choose grounders that need none')

    def masks(self, image: ImageFeatures, boxes: Tensor, labels: Tensor) -> list[dict]:
        """Run lengths of pycocotools for ``(n, 4)`` xyxy boxes of classes ``labels`` ``(n,)``."""
        raise InputError(f'--detector {self.name}: makes no masks; leave res out (--task recall,rec)')


class DataForm(ABC):
    """A form in which people have the data: one file that registers itself and says what the form lacks.

    Attributes:
        name: under which it is registered; set by registration.
        boxes: how it writes a box in pixels: ``'xywh'``, ``'xyxy'``, or nothing where copies differ, so that the whole
            file or ``--boxes`` has to settle it.
        columns: by which columns a parquet file is known to be of this form; empty: no parquet is.
    """

    name: ClassVar[str] = ''
    boxes: ClassVar[str] = 'xywh'
    columns: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def fits(self, sample: Sample) -> bool:
        """Whether a file is of this form, by its beginning, never by its name."""

    @abstractmethod
    def rows(self, path: Path, sample: Sample) -> Iterator[FormRow]:
        """The sentences of a file in its order, one row each.

        Raises:
            InputError: with file and row, where a record is not of the form.
        """

    def pictures(self, path: Path) -> Iterator[tuple[str, bytes]]:
        """The images in the file itself, each once: the name that its rows have for it, and its bytes."""
        return iter(())


class AnswerForm(ABC):
    """A form in which a program files its answers (``--answers NAME``).

    Attributes:
        name: under which it is registered; set by registration.
        coordinates: what its numbers are (:mod:`harness.answers.coordinates`), where the words do not say; ``None``:
            the form does not say either, so the user has to.
        signs: the fields that every record of it has and that tell it from other forms.
    """

    name: ClassVar[str] = ''
    coordinates: ClassVar[str | None] = None
    signs: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def read(self, path: Path) -> Iterator[Any]:
        """The answers of a file, each a :class:`harness.answers.records.RawAnswer`, one at a time and in its order."""


class FormWriter(ABC):
    """Writes a dataset in a form that is a plain file (``data export --as NAME``), whose reader gives the same rows.

    Attributes:
        name: under which it is registered; set by registration.
        holds: which of :data:`harness.data.export.PARTS` the form has a place for.
    """

    name: ClassVar[str] = ''
    holds: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def files(self, dataset: Dataset,
              splits: Mapping[str, Sequence[Expression]]) -> Iterator[tuple[str, Iterator[bytes]]]:
        """Each file's name, maybe in a folder, and its content in pieces.

        Args:
            dataset: the whole.
            splits: what is asked for of it, by split.

        Raises:
            InputError: the dataset lacks what the form needs.
        """


def conforming(base: type, cls: type, name: str) -> type:
    """A class, once it is known to keep to its base; it derives from it, whatever it did before.

    Args:
        base: one of the classes above.
        cls: what is to be registered.
        name: under which.

    Raises:
        InputError: an attribute is misspelt or of another type, or something is missing.
    """
    if not issubclass(cls, base):
        cls = type(cls.__name__, (cls, base), {'__doc__': cls.__doc__, '__module__': cls.__module__})
    attributes = get_type_hints(base)
    methods = {key for one in base.__mro__[:-1] for key in vars(one) if not key.startswith('_')} - attributes.keys()
    own = sorted({key for one in cls.__mro__ if one not in base.__mro__ for key in vars(one)
                  if not key.startswith('_')})
    for key in own:
        alike = methods if callable(getattr(cls, key)) else attributes
        if key not in alike and (near := get_close_matches(key, alike, n=1, cutoff=NEARLY)):
            raise InputError(f'{name}: nothing asks for {key!r} of its class {cls.__name__}, did you mean {near[0]!r}? '
                             f'(one of its own: call it _{key})')
    lacking = [*(key for key in attributes if not hasattr(cls, key)), *sorted(getattr(cls, '__abstractmethods__', ()))]
    if lacking:
        raise InputError(f'{name}: its class {cls.__name__} has no {lacking[0]}; see harness.plugins.{base.__name__}')
    for key in (key for key in own if key in attributes):
        value, hint = getattr(cls, key), attributes[key]
        kinds = wanted_by(get_args(hint)[0] if get_origin(hint) is ClassVar else hint, value)
        if kinds is not None and not isinstance(value, property):
            raise InputError(f'{name}: {key!r} of its class {cls.__name__} must be {kinds}, not {value!r}')
    return cls
