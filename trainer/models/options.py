"""What each architecture lets you choose.

Apart from the architectures themselves, so that a configuration is checked without importing Keras.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from typing_extensions import Self


class UNetOptions(BaseModel, extra="forbid", frozen=True):
    """Options of the U-Net; `UNetOptions.paper()` is the network as drawn in the paper."""

    width: PositiveInt = Field(32, description="channels of the first block; each level doubles it")
    depth: PositiveInt = Field(4, description="how many times the resolution is halved")
    padding: Literal["same", "valid"] = Field(
        "same", description="valid is the paper's: the output is smaller than the input"
    )
    normalisation: Literal["batch", "group", "none"] = Field(
        "batch",
        description="batch over all images of a step; group over each image alone, in 8 groups of "
        "channels or the greatest common divisor of 8 and their number "
        "(https://arxiv.org/abs/1803.08494), for small batches: what it says of a pixel depends on "
        "the whole image, so tiles do not add up to it exactly; the paper has none",
    )
    dropout: float = Field(
        0.0, ge=0, lt=1, description="at the end of the contracting path; the paper has 0.5"
    )
    upsampling: Literal["transposed", "resize"] = Field(
        "transposed",
        description="by a 2 x 2 transposed convolution, as in the paper, or by resize and a 3 x 3 "
        "convolution, which leaves no checkerboard",
    )

    @classmethod
    def paper(cls) -> UNetOptions:
        """Figure 1 of Ronneberger, Fischer, Brox 2015."""
        return cls(width=64, depth=4, padding="valid", normalisation="none", dropout=0.5)


class FCNOptions(BaseModel, extra="forbid", frozen=True):
    """What FCN-32s, FCN-16s and FCN-8s have in common.

    Attributes:
      finest: the finest stride at which there are scores.
    """

    finest: ClassVar[int]

    backbone: Literal["mobilenet", "vgg16", "resnet50", "squeezenet", "alexnet"] = Field(
        "mobilenet", description="the classifier in front; the paper's are vgg16 and alexnet"
    )
    weights: str = Field(
        "random",
        description="of the backbone: random, imagenet (Keras downloads them), or a Keras file "
        "(.h5, .keras), relative to overtile.yaml",
    )
    train_backbone: Literal["fine_tuned", "frozen"] = Field(
        "fine_tuned",
        description="frozen keeps its weights and trains the rest (feature extraction)",
    )
    alpha: float = Field(1.0, gt=0, le=1, description="MobileNet's width multiplier")
    fc_width: PositiveInt = Field(
        4096, description="channels of fc6 and fc7 of vgg16 and alexnet; fewer on small machines"
    )
    dropout: float = Field(0.5, ge=0, lt=1, description="after fc6 and fc7 of vgg16 and alexnet")
    last_upsampling: Literal["learnt", "bilinear"] = Field(
        "learnt", description="to the image's resolution; the paper's stays bilinear"
    )

    @model_validator(mode="after")
    def _keras_has_these_weights(self) -> FCNOptions:
        if self.weights == "imagenet" and self.backbone in ("squeezenet", "alexnet"):
            raise ValueError(
                f"weights: Keras has none of ImageNet for {self.backbone}; give a .h5 file of them"
            )
        return self

    @classmethod
    def paper(cls) -> Self:
        """The network of Long, Shelhamer, Darrell 2015, with random weights."""
        return cls(backbone="vgg16", last_upsampling="bilinear")


class FCN32sOptions(FCNOptions):
    """Options of FCN-32s."""

    finest: ClassVar[int] = 32


class FCN16sOptions(FCNOptions):
    """Options of FCN-16s."""

    finest: ClassVar[int] = 16

    scale_skips: bool = Field(
        False, description="weaker skips, for training all at once from a pretrained vgg16"
    )


class FCN8sOptions(FCN16sOptions):
    """Options of FCN-8s."""

    finest: ClassVar[int] = 8


class CRFOptions(BaseModel, extra="forbid", frozen=True):
    """Of the fully connected CRF after a network; weights and deviations begin as in DeepLab."""

    iterations: NonNegativeInt = Field(
        0, description="of the mean field; 0 is no CRF, the paper has 10"
    )
    bilateral_weight: PositiveFloat = Field(
        4.0, description="pull of pixels that are close and alike; the paper tries 3 to 6"
    )
    bilateral_deviation: PositiveFloat = Field(
        67.0, description="what close is, in pixels; the paper tries 30 to 100"
    )
    colour_deviation: PositiveFloat = Field(
        3.0,
        description="what alike is, in grey levels of 8 bits; the paper tries 3 to 6; more where "
        "images are noisy",
    )
    spatial_weight: PositiveFloat = Field(3.0, description="pull of neighbours of any colour")
    spatial_deviation: PositiveFloat = Field(3.0, description="how far they reach, in pixels")


class AutoencoderFCNOptions(BaseModel, extra="forbid", frozen=True):
    """Options of the FCN whose encoder has learnt to reproduce images first."""

    width: PositiveInt = Field(32, description="channels of the first level; each doubles them")
    depth: int = Field(4, ge=3, description="how many times the resolution is halved")
    pretrain_steps: NonNegativeInt = Field(
        1000, description="steps of reproducing training images, before those with masks"
    )


class PatchClassifierOptions(BaseModel, extra="forbid", frozen=True):
    """Options of the sliding-window classifier; the default is N4 of its paper.

    Attributes:
      window: side of the window, in pixels.
    """

    width: PositiveInt = Field(48, description="channels of each convolution")
    kernels: tuple[PositiveInt, ...] = Field(
        (4, 5, 4, 4),
        min_length=1,
        description="sides of the convolutions' kernels; pooling by 2 follows each",
    )
    last_features: PositiveInt = Field(
        3, description="side of the features that the dense layer sees"
    )
    fc_width: PositiveInt = Field(200, description="channels of the dense layer")

    @property
    def window(self) -> int:
        """From the features back to the pixels: pooling doubles, a kernel of k adds k - 1."""
        side = self.last_features
        for kernel in reversed(self.kernels):
            side = 2 * side + kernel - 1
        return side

    @model_validator(mode="after")
    def _a_window_has_a_middle(self) -> PatchClassifierOptions:
        if self.window % 2 == 0:
            raise ValueError(
                f"kernels: a window of {self.window} pixels has no middle; the first kernel's side "
                f"must be even, and is {self.kernels[0]}"
            )
        return self


class _VGGOptions(BaseModel, extra="forbid", frozen=True):
    """Of a network whose encoder is VGG16's."""

    width: PositiveInt = Field(
        64, description="channels of the first block, eight times as many at the end; paper: 64"
    )
    weights: str = Field(
        "random",
        description="of the encoder: random, imagenet (VGG16's; Keras downloads them), or a .h5 "
        "file of VGG16",
    )

    @model_validator(mode="after")
    def _weights_fit(self) -> Self:
        if self.weights != "random" and self.width != 64:
            raise ValueError(f"weights: VGG16's have a width of 64, not {self.width}")
        return self


class SegNetOptions(_VGGOptions):
    """Options of SegNet; the default is the paper's network."""


class DeconvNetOptions(_VGGOptions):
    """Options of DeconvNet; the default is the paper's network."""

    fc_width: PositiveInt = Field(4096, description="channels of fc6 and fc7; paper: 4096")


class SqueezeUNetOptions(BaseModel, extra="forbid", frozen=True):
    """Options of Squeeze U-Net; the default is the paper's network."""

    encoder: Literal["paper", "squeezenet"] = Field(
        "paper",
        description="the paper's own contracting path, or SqueezeNet 1.1's, whose weights load",
    )
    width: int = Field(
        64, ge=4, multiple_of=4, description="channels at full resolution; the paper has 64"
    )
    weights: str = Field(
        "random", description="of encoder: squeezenet: random, or a .h5 file of SqueezeNet 1.1"
    )

    @model_validator(mode="after")
    def _weights_fit(self) -> SqueezeUNetOptions:
        if self.weights != "random" and self.encoder != "squeezenet":
            raise ValueError("weights: only encoder: squeezenet takes SqueezeNet's weights")
        if self.weights == "imagenet":
            raise ValueError("weights: Keras has none of SqueezeNet; give a .h5 file of them")
        return self


class DeepLabOptions(BaseModel, extra="forbid", frozen=True):
    """What DeepLab v2 and v3 have in common."""

    backbone: Literal["resnet50", "mobilenet", "vgg16"] = Field(
        "resnet50", description="the classifier made atrous"
    )
    weights: str = Field(
        "random",
        description="of the backbone: random, imagenet (Keras downloads them), or a .h5 file",
    )
    train_backbone: Literal["fine_tuned", "frozen"] = Field(
        "fine_tuned",
        description="frozen keeps its weights and trains the rest (feature extraction)",
    )
    alpha: float = Field(1.0, gt=0, le=1, description="MobileNet's width multiplier")
    output_stride: Literal[8, 16] = Field(
        16, description="pixels of the image to one of the features; 8 is finer and dearer"
    )
    crf: CRFOptions = Field(CRFOptions(), description="fully connected CRF on what it says")


class DeepLabV2Options(DeepLabOptions):
    """Options of DeepLab v2."""

    output_stride: Literal[8, 16] = Field(
        8, description="pixels of the image to one of the features; 16 is coarser and cheaper"
    )
    rates: tuple[PositiveInt, ...] = Field(
        (6, 12, 18, 24), min_length=1, description="atrous rates of the pyramid, in features"
    )
    fc_width: PositiveInt = Field(
        1024, description="channels of fc6 and fc7 in each branch over vgg16"
    )


class DeepLabV3Options(DeepLabOptions):
    """Options of DeepLab v3."""

    rates: tuple[PositiveInt, ...] = Field(
        (6, 12, 18),
        min_length=1,
        description="atrous rates of the pyramid at output_stride 16; twice as large at 8",
    )
    channels: PositiveInt = Field(256, description="of each branch of the pyramid")
    image_mean: bool = Field(
        True,
        description="whether the pyramid has the image's mean; false where a device gets one tile "
        "a step, from which batch normalisation cannot learn how means vary",
    )
    multi_grid: tuple[PositiveInt, PositiveInt, PositiveInt] = Field(
        (1, 2, 4), description="factors of the atrous rates of resnet50's last three blocks"
    )
