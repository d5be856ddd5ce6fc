"""What a recipe says of augmentation."""

from pydantic import BaseModel, ConfigDict, Field


class AugmentConfig(BaseModel):
    """Augmentations of a recipe; the default is PocketNet's: a mirror image half of the time.

    The others are ours, and off by default. Every number that is drawn is uniform.

    Attributes:
        mirror: mirrors half of the images.
        shift: moves the face by up to so many pixels in each direction; the border is reflected.
        brightness: scales the image by up to 1 +- the number.
        contrast: scales the distance to the image's mean likewise.
        erase: greys a random square of up to half the side with that probability.
        crop: takes up to that share off height and width, at a random place, and enlarges the rest.
        colour: scales each of red, green and blue by up to 1 +- the number.
        saturation: scales the distance to the pixel's grey likewise.
        grey: takes all colour away with that probability.
        blur: by a Gaussian of a standard deviation of up to so many pixels.
        low_resolution: takes up to that share of the pixels off height and width, as a smaller
            picture of the same face would have, and enlarges it again.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    mirror: bool = True
    shift: int = Field(default=0, ge=0)
    brightness: float = Field(default=0.0, ge=0, lt=1)
    contrast: float = Field(default=0.0, ge=0, lt=1)
    erase: float = Field(default=0.0, ge=0, le=1)
    crop: float = Field(default=0.0, ge=0, lt=1)
    colour: float = Field(default=0.0, ge=0, lt=1)
    saturation: float = Field(default=0.0, ge=0, le=1)
    grey: float = Field(default=0.0, ge=0, le=1)
    blur: float = Field(default=0.0, ge=0, le=16)
    low_resolution: float = Field(default=0.0, ge=0, lt=1)
