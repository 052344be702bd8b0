"""The metadata of weight files of Ref-NMS."""
from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, ConfigDict, with_config
from typing_extensions import TypedDict

from harness.files.metadata import Layers, Metadata, Text, each_once
from harness.options import Count, Share, Step
from harness.words.vectors import UNKNOWN


def _unknown_first(words: list[str]) -> list[str]:
    if not words or words[0] != UNKNOWN:
        raise ValueError(f'must begin with {UNKNOWN}')
    return words


@with_config(ConfigDict(strict=True, extra='forbid'))
class RefNMSOptions(TypedDict, total=False):
    """Arguments of :class:`harness.proposals.ref_nms_network.RefNMS`."""

    in_channels: Count
    planes: Count
    blocks: Layers
    word_dim: Count
    hidden: Count
    mlp: Count
    threshold: Share | None
    nms_iou: Share
    delta: Share
    delta_step: Step
    att_dropout: Share
    rank_dropout: Share
    relu: bool


class RefNMSMetadata(Metadata):
    """``model``: options of the network; ``vocabulary``: its words; ``sentence``: the constant of a text-blind one."""

    of = 'ref-nms'
    title = 'weights of Ref-NMS'
    name = 'ref-nms-b'

    model: RefNMSOptions
    vocabulary: Annotated[list[str], AfterValidator(_unknown_first), AfterValidator(each_once)]
    threshold: Share | None = None
    sentence: Text = ''
