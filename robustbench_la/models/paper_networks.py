"""The networks of the paper, as modules. Their names and how they are built: architectures.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Padding = Literal["centre", "end"]
Shortcut = Literal["padding", "convolution"]
MakeActivation = Callable[[], nn.Module]


class Mlp(nn.Module):
    """One hidden activation layer on flattened images: the paper's MNIST network (its size is not published)."""

    def __init__(self, make: MakeActivation, *, pixels: int, classes: int, hidden: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(pixels, hidden)
        self.act = make()
        self.output = nn.Linear(hidden, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) to logits (N, classes)."""
        logits: Tensor = self.output(self.act(self.hidden(images.flatten(1))))
        return logits


class Cnn(nn.Module):
    """Two convolutions, each followed by BatchNorm and the activation, for images of 8 to 32 pixels."""

    def __init__(self, make: MakeActivation, *, channels: int, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.act1 = make()
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(32)
        self.act2 = make()
        self.output = nn.Linear(32 * 4 * 4, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) to logits (N, classes)."""
        x = F.max_pool2d(self.act1(self.bn1(self.conv1(images))), 2)
        x = F.adaptive_avg_pool2d(self.act2(self.bn2(self.conv2(x))), 4)
        logits: Tensor = self.output(x.flatten(1))
        return logits


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2016): without parameters (option A), or a 1x1 convolution (option B)."""

    def __init__(
        self,
        make: MakeActivation,
        *,
        width_in: int,
        width: int,
        stride: int,
        conv_bias: bool,
        padding: Padding,
        shortcut: Shortcut,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride=stride, padding=1, bias=conv_bias)
        self.bn1 = nn.BatchNorm2d(width)
        self.act1 = make()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=conv_bias)
        self.bn2 = nn.BatchNorm2d(width)
        self.act2 = make()
        self.stride = stride
        before = (width - width_in) // 2 if padding == "centre" else 0
        self.pad = (0, 0, 0, 0, before, width - width_in - before)
        self.shortcut: nn.Sequential | None = None
        if shortcut == "convolution" and stride != 1:
            convolution = nn.Conv2d(width_in, width, 1, stride=stride, bias=conv_bias)
            self.shortcut = nn.Sequential(convolution, nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        """From (N, width_in, H, W) to (N, width, H / stride, W / stride)."""
        if self.shortcut is not None:
            shortcut = self.shortcut(x)
        else:
            shortcut = x if self.stride == 1 else F.pad(x[:, :, :: self.stride, :: self.stride], self.pad)
        x = self.bn2(self.conv2(self.act1(self.bn1(self.conv1(x)))))
        out: Tensor = self.act2(x + shortcut)
        return out


class ResNet(nn.Module):
    """ResNet for CIFAR (He et al. 2016, section 4.2): 6n + 2 layers with 16, 32 and 64 channels.

    ``padding`` says where shortcuts add their zero channels: on both sides, or after the others. The weights do not show it.
    """

    def __init__(
        self,
        make: MakeActivation,
        *,
        blocks: int,
        channels: int,
        classes: int,
        conv_bias: bool,
        padding: Padding,
        shortcut: Shortcut = "padding",
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=conv_bias)
        self.bn1 = nn.BatchNorm2d(16)
        self.act1 = make()

        def stage(width_in: int, width: int) -> nn.Sequential:
            return nn.Sequential(
                *(
                    BasicBlock(
                        make,
                        width_in=width if block else width_in,
                        width=width,
                        stride=1 if block or width == width_in else 2,
                        conv_bias=conv_bias,
                        padding=padding,
                        shortcut=shortcut,
                    )
                    for block in range(blocks)
                )
            )

        self.layer1 = stage(16, 16)
        self.layer2 = stage(16, 32)
        self.layer3 = stage(32, 64)
        self.linear = nn.Linear(64, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) to logits (N, classes)."""
        x = self.act1(self.bn1(self.conv1(images)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.linear(torch.mean(x, dim=(2, 3)))
        return logits
