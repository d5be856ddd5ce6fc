"""The recipe: everything that decides a run's outcome but the code and the machine.

A recipe is a YAML file. Unknown keys are refused. The recipe in force, with every default and
every change from the command line, is written to the run's folder.
"""

import difflib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pocketface import atomic
from pocketface.distill import Precision
from pocketface.distill.methods import AnyDistillConfig
from pocketface.errors import RecipeError
from pocketface.heads.config import HeadConfig
from pocketface.train.augment import AugmentConfig
from pocketface.train.divergence import DivergenceConfig
from pocketface.train.sampler import SamplerConfig
from pocketface.train.schedule import OptimiserConfig, ScheduleConfig, StepSchedule
from pocketface.train.settings import parse_settings


class ModelConfig(BaseModel):
    """The backbone: its name in the registry and the options of `create_model`."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    architecture: str
    embedding_size: int | None = Field(default=None, gt=0, description="none: the model's own")
    image_size: int | None = Field(default=None, ge=16, description="none: the model's own")
    options: dict[str, Any] = Field(default_factory=dict)
    init: Path | None = Field(default=None, description="weights to start from (fine-tuning)")

    @field_validator("options")
    @classmethod
    def _not_keys_of_ours(cls, options: dict[str, Any]) -> dict[str, Any]:
        reserved = {"embedding_size", "image_size", "weights", "generator"} & options.keys()
        if reserved:
            raise ValueError(
                f"{', '.join(sorted(reserved))} cannot be set here: use model.embedding_size, "
                "model.image_size, model.init and seed"
            )
        return options


class DataConfig(BaseModel):
    """The training images: folders of people and RecordIO files; their people are joined.

    `unlabelled` are images of nobody known, in folders of any depth (and RecordIO files, whose
    people are then forgotten): a teacher alone speaks of them, no head.

    `in_memory` decodes all images once (the number of images x size x size x 3 bytes); otherwise
    `workers` processes decode them again in every epoch.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    train: tuple[Path, ...] = ()
    unlabelled: tuple[Path, ...] = ()
    people: Path | None = Field(
        default=None,
        description="names of the people to use from folders: a JSON list, or lines of text",
    )
    in_memory: bool = False
    workers: int = Field(default=4, ge=0)
    licence: str = "unknown"


class ValidationConfig(BaseModel):
    """Pair sets to measure on while training; the best weights are kept by their mean accuracy."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pairs: tuple[Path, ...] = ()
    images: Path | None = Field(default=None, description="folder of images of pair lists")
    every_epochs: int = Field(default=1, ge=1)


class Recipe(BaseModel):
    """A whole run. The defaults are PocketNet's; `batch_size` is per process."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: ModelConfig
    data: DataConfig = DataConfig()
    head: HeadConfig = HeadConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    schedule: ScheduleConfig = StepSchedule()
    augment: AugmentConfig = AugmentConfig()
    sampler: SamplerConfig = SamplerConfig()
    validation: ValidationConfig = ValidationConfig()
    divergence: DivergenceConfig = DivergenceConfig()
    distill: AnyDistillConfig | None = None
    epochs: int = Field(default=26, ge=1)
    batch_size: int = Field(default=128, ge=2)
    seed: int = Field(default=0, ge=0)
    precision: Precision = "32-true"
    channels_last: bool = True
    compile: Literal[False, True, "graphs"] = Field(
        default=False,
        description="torch.compile the student (true; needs a C++ compiler on a CPU), and replay "
        "its kernels as CUDA graphs (graphs; on a GPU)",
    )
    sync_batch_norm: bool = Field(
        default=False, description="batch statistics over the images of all processes; GPUs only"
    )
    milestones: bool = Field(
        default=False, description="keep the weights of every epoch, to teach in steps"
    )
    checkpoint_minutes: float = Field(default=10.0, gt=0)

    @property
    def balanced_share(self) -> float:
        """How much of each batch are groups of a person: the sampler's, or what the loss needs."""
        if self.sampler.balanced_share is not None:
            return self.sampler.balanced_share
        return 0.0 if self.distill is None else self.distill.balanced_share

    @model_validator(mode="after")
    def _unlabelled_images_are_taught(self) -> "Recipe":
        if self.data.unlabelled and (self.distill is None or self.distill.needs_people):
            raise ValueError(
                "data.unlabelled needs a teacher whose loss does without identities (distill.loss: "
                "embedding, angular or relational). "
                + ("There is no teacher." if self.distill is None else f"Got {self.distill.loss}.")
            )
        return self

    @model_validator(mode="after")
    def _a_sharded_head_is_used(self) -> "Recipe":
        if self.head.sharded and self.distill is not None and self.distill.replaces_head:
            raise ValueError(
                f"head.sharded needs a head, and distill.loss {self.distill.loss} classifies "
                "people itself, with centres that each process holds whole. Set head.sharded: "
                "false, or choose another loss."
            )
        return self

    @model_validator(mode="after")
    def _a_sharded_head_has_no_loss_scale(self) -> "Recipe":
        # Each process would find the overflows of its own centres alone.
        if self.head.sharded and self.precision == "16-mixed":
            raise ValueError(
                "head.sharded cannot be trained with precision: 16-mixed. Set precision: "
                "bf16-mixed or 32-true."
            )
        return self

    @model_validator(mode="after")
    def _warm_up_ends(self) -> "Recipe":
        if self.schedule.warm_up_epochs >= self.epochs:
            raise ValueError(
                f"schedule.warm_up_epochs must be less than epochs ({self.epochs}). "
                f"Got {self.schedule.warm_up_epochs} instead."
            )
        return self


def shipped_recipes() -> list[str]:
    """The names of the recipes that come with the package."""
    folder = resources.files("pocketface") / "recipes"
    return sorted(Path(entry.name).stem for entry in folder.iterdir() if "yaml" in entry.name)


def load_recipe(name: str, changes: Mapping[str, Any] | None = None) -> Recipe:
    """Read a recipe from a YAML file, or by the name of a shipped one, and apply `changes`.

    Args:
        name: a path, or a name from `shipped_recipes`.
        changes: values by dotted key, such as {"optimiser.learning_rate": 0.05}.

    Raises:
        RecipeError: if there is no such recipe, or a key or value is not allowed.
    """
    path = Path(name)
    if path.is_file():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise RecipeError(f"{name} is not a text file: {error}. Give a YAML file.") from error
    elif name in shipped_recipes():
        source = resources.files("pocketface") / "recipes" / f"{name}.yaml"
        text = source.read_text(encoding="utf-8")
    else:
        near = difflib.get_close_matches(name, shipped_recipes(), 1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise RecipeError(
            f"no recipe '{name}': neither a file nor one of {', '.join(shipped_recipes())}.{hint}"
        )
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{name} is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise RecipeError(f"{name} must hold keys and values. Got {type(content).__name__}.")
    return parse_recipe(content, name, changes)


def parse_recipe(
    content: dict[str, Any], name: str, changes: Mapping[str, Any] | None = None
) -> Recipe:
    """Check the content of a recipe, changed as in `load_recipe`; `name` stands in the errors."""
    return parse_settings(Recipe, content, "recipe", f"{name} cannot be used as a recipe", changes)


def dump_recipe(recipe: BaseModel) -> str:
    """The recipe as YAML, every default included."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)


def save_recipe(recipe: BaseModel, path: Path) -> None:
    """Write the recipe as YAML, whole or not at all."""
    atomic.write_text(path, dump_recipe(recipe))


def differences(ours: BaseModel, theirs: BaseModel) -> list[str]:
    """What differs between two recipes, one line per key."""
    left, right = _flat(ours.model_dump(mode="json")), _flat(theirs.model_dump(mode="json"))
    return [
        f"{key}: {left.get(key)!r} here, {right.get(key)!r} there"
        for key in sorted(left.keys() | right.keys())
        if left.get(key) != right.get(key)
    ]


def _flat(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
