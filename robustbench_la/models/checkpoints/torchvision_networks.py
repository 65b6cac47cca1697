"""Recognises torchvision's classifiers from the keys and shapes of a state dict, without building more than a few of them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from robustbench_la.errors import UserError
from robustbench_la.models.architectures import NetworkSpec
from robustbench_la.models.bounded import no_larger_than
from robustbench_la.models.checkpoints.keys import is_counter
from robustbench_la.models.unallocated import unallocated

if TYPE_CHECKING:
    from torch import Tensor, nn

_BY_NUMBER_OF_TENSORS: Mapping[int, tuple[str, ...]] = MappingProxyType(
    {
        16: ("alexnet",),
        22: ("vgg11",),
        26: ("vgg13",),
        32: ("vgg16",),
        38: ("vgg19",),
        52: ("squeezenet1_1", "squeezenet1_0"),
        54: ("vgg11_bn",),
        66: ("vgg13_bn",),
        84: ("vgg16_bn",),
        102: ("vgg19_bn", "resnet18"),
        152: ("vit_b_16", "vit_b_32"),
        182: ("convnext_tiny", "resnet34"),
        185: ("swin_t",),
        210: ("mobilenet_v3_small",),
        233: ("swin_v2_t",),
        262: ("mnasnet0_5", "mnasnet0_75", "mnasnet1_0", "mnasnet1_3", "mobilenet_v2"),
        266: ("mobilenet_v3_large",),
        267: ("resnet50", "resnext50_32x4d", "wide_resnet50_2", "regnet_x_800mf"),
        282: ("shufflenet_v2_x0_5", "shufflenet_v2_x1_0", "shufflenet_v2_x1_5", "shufflenet_v2_x2_0"),
        293: ("regnet_y_800mf",),
        296: ("vit_l_16", "vit_l_32"),
        297: ("regnet_x_1_6gf",),
        305: ("googlenet",),
        311: ("efficientnet_b0",),
        331: ("regnet_y_400mf",),
        344: ("convnext_base", "convnext_large", "convnext_small"),
        350: ("regnet_y_8gf",),
        353: ("swin_b", "swin_s"),
        357: ("regnet_x_16gf", "regnet_x_400mf"),
        369: ("regnet_y_16gf",),
        372: ("regnet_x_8gf", "regnet_x_32gf"),
        392: ("vit_h_14",),
        402: ("regnet_x_3_2gf",),
        407: ("regnet_y_32gf",),
        426: ("regnet_y_3_2gf",),
        439: ("efficientnet_b1", "efficientnet_b2"),
        449: ("swin_v2_b", "swin_v2_s"),
        484: ("inception_v3",),
        496: ("efficientnet_b3",),
        522: ("resnet101", "resnext101_32x8d", "resnext101_64x4d", "wide_resnet101_2"),
        540: ("regnet_y_128gf", "regnet_y_1_6gf"),
        548: ("maxvit_t",),
        606: ("densenet121",),
        610: ("efficientnet_b4",),
        672: ("efficientnet_v2_s",),
        738: ("efficientnet_b5",),
        777: ("resnet152",),
        806: ("densenet161",),
        846: ("densenet169",),
        852: ("efficientnet_b6",),
        963: ("efficientnet_v2_m",),
        1006: ("densenet201",),
        1037: ("efficientnet_b7",),
        1331: ("efficientnet_v2_l",),
    }
)
"""Classifiers by the number of entries of their state dict, without the counters of BatchNorm: which of them are worth building.
A classifier that is missing here needs ``--arch torchvision:NAME``."""


def recognise_torchvision(state: Mapping[str, Tensor]) -> NetworkSpec | None:
    """Recognise a classifier of torchvision.

    Args:
        state: A state dict.

    Returns:
        The network, if all keys and shapes are equal; None otherwise.
    """
    shapes = {key: tuple(tensor.shape) for key, tensor in state.items() if not is_counter(key)}
    if len(shapes) not in _BY_NUMBER_OF_TENSORS:
        return None
    classes = max((shape[0] for key, shape in list(shapes.items())[-2:] if shape), default=0)
    first = next((shape for shape in shapes.values() if len(shape) == 4), (0, 0))
    values = sum(tensor.numel() for tensor in state.values())
    if not classes or first[1] != 3 or classes > values:
        return None
    for name in _BY_NUMBER_OF_TENSORS[len(shapes)]:
        model = _built(name, classes, values)
        if model is None:
            continue
        expected = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items() if not is_counter(key)}
        if expected == shapes:
            return NetworkSpec(architecture=f"torchvision:{name}", classes=classes, channels=3, height=0, width=0)
    return None


def _built(name: str, classes: int, values: int) -> nn.Module | None:
    """A classifier whose weights take no memory (but RegNets, whose widths are tensors); None if it has more values."""
    import torchvision

    extra = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    try:
        with contextlib.nullcontext() if name.startswith("regnet") else unallocated(), no_larger_than(values):
            model: nn.Module = torchvision.models.get_model(name, weights=None, num_classes=classes, **extra)
    except (UserError, RuntimeError):  # RuntimeError: no memory for its last layer
        return None
    return model
