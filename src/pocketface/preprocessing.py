"""How a network wants its images: the one description of size, channel order, mean and scale.

A face travels as `uint8 (N, H, W, 3)` RGB. It is normalised once, where the network runs:
`(x / 255 - mean) / std`, per channel, after the channels are put in the network's order.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Preprocessing(BaseModel):
    """What is done to an aligned `uint8` RGB face before a network sees it.

    The defaults are the field's usual ones (facts of the pair protocol): RGB, 112x112,
    `(x / 255 - 0.5) / 0.5`. `mean` and `std` are in the network's channel order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_size: int = Field(default=112, ge=16, description="height and width in pixels")
    channel_order: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
