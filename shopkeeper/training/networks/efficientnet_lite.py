"""A small convolutional network that turns a picture into 1,280 numbers: EfficientNet-Lite0.

Source: Tan and Le, EfficientNet, ICML 2019, in the Lite form that TensorFlow published in 2020:
no squeeze-and-excitation, ReLU6, a stem and head of fixed width. The weights were learned there,
so strided convolutions are padded as TensorFlow pads: more at the end than at the beginning.
Knows nothing of files and of classes: the last layer, which names them, is left out.
"""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional

# B pictures, C channels, H height, W width, D width of a vector

SIDE = 224
"""Pixels to a side that the weights were learned with."""
WIDTH = 1280
"""Numbers in a vector, D."""

STAGES = (
    # repeats, kernel, stride, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)

_OURS = (
    ("_blocks.", "blocks."),
    ("_conv_stem.", "stem.convolution."),
    ("_conv_head.", "head.convolution."),
    ("_expand_conv.", "expand.convolution."),
    ("_depthwise_conv.", "depthwise.convolution."),
    ("_project_conv.", "project.convolution."),
)
"""Names of layers in the published weights, and here."""


class EfficientNetLite(nn.Module):  # type: ignore[misc]
    """Pictures to vectors; made with random weights, `load` takes the published ones."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _Layer(3, 32, kernel=3, stride=2)
        blocks, channels = [], 32
        for repeats, kernel, stride, expansion, out in STAGES:
            for number in range(repeats):
                step = 1 if number else stride
                blocks.append(_Block(channels, out, kernel, step, expansion))
                channels = out
        self.blocks = nn.Sequential(*blocks)
        self.head = _Layer(channels, WIDTH, kernel=1)

    def forward(self, pixels_BHWC: Tensor) -> Tensor:
        """Return one vector of length 1 per picture, [B, D], from RGB values in [0, 255]."""
        scaled = (pixels_BHWC.permute(0, 3, 1, 2).float() - 127.0) / 128.0
        states = self.head(self.blocks(self.stem(scaled)))
        return functional.normalize(states.mean((2, 3)), dim=1)

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Take published weights.

        Args:
            weights: Tensors by the names of the published file.

        Raises:
            RuntimeError: A tensor is missing, too many, or of another shape.
        """
        named = {_ours(name): value for name, value in weights.items() if "_fc." not in name}
        self.load_state_dict(named)


class _Layer(nn.Module):  # type: ignore[misc]
    """A convolution, its normalisation, and perhaps ReLU6."""

    def __init__(
        self,
        channels: int,
        out: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        bent: bool = True,
    ) -> None:
        super().__init__()
        # Sides are even wherever the stride is 2: one pixel less is padded, at the beginning.
        whole = kernel - stride if stride > 1 else kernel - 1
        before = whole // 2
        self.padding = (before, whole - before, before, whole - before)
        self.convolution = nn.Conv2d(channels, out, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(out, eps=1e-3)
        self.bent = bent

    def forward(self, states: Tensor) -> Tensor:
        if any(self.padding):
            states = functional.pad(states, self.padding)
        states = self.norm(self.convolution(states))
        return functional.relu6(states) if self.bent else states


class _Block(nn.Module):  # type: ignore[misc]
    """An inverted residual: widen, look around in each channel, narrow."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.expand = _Layer(channels, wide, kernel=1) if expansion > 1 else nn.Identity()
        self.depthwise = _Layer(wide, wide, kernel, stride, groups=wide)
        self.project = _Layer(wide, out, kernel=1, bent=False)
        self.residual = stride == 1 and channels == out

    def forward(self, states: Tensor) -> Tensor:
        found = self.project(self.depthwise(self.expand(states)))
        return found + states if self.residual else found


def _ours(name: str) -> str:
    """Return the name of a published tensor in this file's network."""
    expands = not name.startswith("_blocks.0.")
    layers = ("expand", "depthwise", "project") if expands else ("", "depthwise", "project")
    for theirs, ours in _OURS:
        name = name.replace(theirs, ours)
    if not name.startswith("blocks."):
        return name.replace("_bn0.", "stem.norm.").replace("_bn1.", "head.norm.")
    for number, layer in enumerate(layers):
        name = name.replace(f"_bn{number}.", f"{layer}.norm.")
    return name
