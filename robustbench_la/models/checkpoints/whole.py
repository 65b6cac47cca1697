"""Checkpoints that hold a whole network, or say all that is needed to build one: folders, ONNX, trusted pickles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import nn

from robustbench_la.images.decoding import ImageChoice
from robustbench_la.images.normalization import Normalization


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeNetwork:
    """What a checkpoint says about its network; anything that it does not say is None or empty."""

    architecture: str
    """``timm:NAME``, ``hf``, ``onnx``, ``torchscript`` or ``pickled:CLASS``."""
    make: Callable[[str | None], tuple[nn.Module, tuple[str, ...]]] = field(repr=False)
    """From the weights to use, if there are several, to the network with its weights, and remarks."""
    channels: int | None = None
    classes: int | None = None
    normalization: Normalization | None = None
    images: ImageChoice | None = None
    """Size of the images, without the name of a dataset."""
    class_names: tuple[str, ...] = ()
    """Of the outputs, in their order."""

    @property
    def preprocessing(self) -> str:
        """What it says about the preprocessing of images, in words; empty if it says nothing."""
        words = [] if self.images is None else [str(self.images).strip()]
        return "; ".join([*words, *([] if self.normalization is None else [f"normalization {self.normalization}"])])
