"""The axis order of an array of images: inferred if it is unambiguous, otherwise the user must give it. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

from robustbench_la.errors import ArgumentError, lookup

Layout = Literal["NCHW", "NHWC", "NHW", "CHW", "HWC", "HW"]
LAYOUTS: Mapping[Layout, str] = MappingProxyType(
    {
        "NCHW": "images, channels first, as in torch",
        "NHWC": "images, channels last, as in numpy and PIL",
        "NHW": "grey images",
        "CHW": "one image, channels first",
        "HWC": "one image, channels last",
        "HW": "one grey image",
    }
)
"""N images, C channels, H rows, W columns."""
_CHANNELS = (1, 3)
"""Lengths that an axis may have to be taken for the channel axis."""


def layout_of(shape: Sequence[int], given: str | None = None) -> Layout:
    """The layout of an array. Three axes are taken for a single image unless ``given`` is NHW.

    Args:
        shape: Shape of the array.
        given: The layout that the user gave; None to infer it.

    Returns:
        A key of LAYOUTS.

    Raises:
        ArgumentError: If no layout fits the shape, or more than one does.

    >>> layout_of((100, 3, 32, 32)), layout_of((32, 32, 3)), layout_of((8, 8))
    ('NCHW', 'HWC', 'HW')
    """
    if given is not None:
        return _checked(shape, given)
    if len(shape) == 2:
        return "HW"
    if len(shape) not in (3, 4):
        raise ArgumentError(f"images must have 2, 3 or 4 axes, not shape {_text(shape)}")
    first, last = shape[-3] in _CHANNELS, shape[-1] in _CHANNELS
    many = len(shape) == 4
    names: tuple[Layout, Layout] = ("NCHW", "NHWC") if many else ("CHW", "HWC")
    if first and last:
        raise ArgumentError(
            f'the layout of images of shape {_text(shape)} is ambiguous; give layout="{names[0]}" (channels first) or '
            f'layout="{names[1]}" (channels last)'
        )
    if not first and not last:
        grey = "" if many else ', or layout="NHW" if these are grey images'
        raise ArgumentError(
            f"images of shape {_text(shape)} have no channel axis of length 1 or 3; "
            f'give layout="{names[0]}" or layout="{names[1]}"{grey}'
        )
    return names[0] if first else names[1]


def _checked(shape: Sequence[int], given: str) -> Layout:
    layouts: dict[str, Layout] = {name: name for name in LAYOUTS}
    layout = lookup(layouts, given.upper(), kind="layout")
    if len(layout) != len(shape):
        raise ArgumentError(f'layout="{layout}" has {len(layout)} axes, but the images have shape {_text(shape)}')
    return layout


def _text(shape: Sequence[int]) -> str:
    return f"({', '.join(map(str, shape))})"
