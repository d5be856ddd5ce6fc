"""Backbones and their registry."""

from pocketface.errors import MissingExtraError

try:
    import safetensors as _safetensors  # noqa: F401
    import torch as _torch  # noqa: F401
except ModuleNotFoundError as error:
    raise MissingExtraError("Building networks (pocketface.models)", "train") from error

from pocketface.models.backbone import Backbone
from pocketface.models.genotype import Genotype
from pocketface.models.iresnet import IResNet
from pocketface.models.mobilefacenet import MobileFaceNet
from pocketface.models.mobilenet import MobileNetV1, MobileNetV2
from pocketface.models.pocketnet import PocketNet
from pocketface.models.registry import create_model, list_models, outline_model

__all__ = [
    "Backbone",
    "Genotype",
    "IResNet",
    "MobileFaceNet",
    "MobileNetV1",
    "MobileNetV2",
    "PocketNet",
    "create_model",
    "list_models",
    "outline_model",
]
