"""The design of a comparison: arms, seeds, what is measured; one YAML file.

    title: What a teacher gives
    recipe: pocketnet_nano             # a shipped recipe, a file, or a recipe written out here
    set: {data.train: [faces], epochs: 5}          # changes for all, by dotted key
    seeds: 3                           # 0, 1, 2; or a list
    prepare:                           # trained first; others name it as $teacher
      teacher: {recipe: iresnet_nano, set: {epochs: 10}}
    arms:
      alone: {}
      taught: {title: embedding distillation, teacher: $teacher}
    baseline: alone                    # else the first arm
    measure:
      LFW: {path: lfw_pairs.txt, images: lfw112}
    fixed: {raw pixels: pixels}        # measured beside, never trained

In values, `$out` is the comparison's folder, `$seed` the run's seed, and the name of a prepared
run its folder; a dollar sign itself is `$$`. Paths are relative to the current folder.
"""

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from pocketface.errors import RecipeError
from pocketface.preprocessing import Preprocessing

PIXELS = "pixels"
"""The fixed network that is none: the pixels themselves as an embedding."""

_FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
_PREPARED_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_TAKEN = ("prepared", "fixed", "figures", "logs")
"""Folders that a comparison makes beside those of its arms."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Arm(_Section):
    """One way of training: how it differs from the common recipe.

    Attributes:
        title: what to call it in tables; none: its name.
        recipe: instead of the common one.
        init, teacher, genotype: short for the keys `model.init`, `distill.teacher`, and
            `model.options.genotype`, which may be a preset or a JSON file.
        changes: by dotted key, after those for all (`set` in the file).
    """

    title: str | None = None
    recipe: str | dict[str, Any] | None = None
    init: str | None = None
    teacher: str | None = None
    genotype: str | None = None
    changes: dict[str, Any] = Field(default_factory=dict, alias="set")


class Prepared(Arm):
    """A run that others need: trained once with `seed`, or once for each seed of the arms."""

    seed: int | Literal["each"] = 0


class Benchmark(_Section):
    """A pair set, or the folder of IJB-B, IJB-C or MegaFace, as `pocketface evaluate` takes it.

    Attributes:
        path: of the set.
        images: the folder of the images of a pair list.
        figure: which of the set's figures is compared, as its report calls it; none: the first,
            which for pairs is the accuracy.
    """

    path: Path
    images: Path | None = None
    figure: str | None = None


class Fixed(_Section):
    """Weights that are only measured; a file without a card is described here."""

    weights: str
    preprocessing: Preprocessing | None = None
    architecture: str | None = None


def _from_path(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


def _from_weights(value: Any) -> Any:
    return {"weights": value} if isinstance(value, str) else value


def _nothing(value: Any) -> Any:
    return {} if value is None else value


class Design(_Section):
    """A whole comparison; see the module's example.

    `flip` and `replicates` are as in `pocketface evaluate`.
    """

    title: str
    recipe: str | dict[str, Any]
    changes: dict[str, Any] = Field(default_factory=dict, alias="set")
    seeds: tuple[int, ...]
    baseline: str
    prepare: dict[str, Annotated[Prepared, BeforeValidator(_nothing)]] = Field(default_factory=dict)
    arms: dict[str, Annotated[Arm, BeforeValidator(_nothing)]] = Field(min_length=1)
    measure: dict[str, Annotated[Benchmark, BeforeValidator(_from_path)]] = Field(min_length=1)
    fixed: dict[str, Annotated[Fixed, BeforeValidator(_from_weights)]] = Field(default_factory=dict)
    flip: bool = True
    replicates: int = Field(default=1000, ge=10)

    @model_validator(mode="before")
    @classmethod
    def _first_arm_is_the_baseline(cls, content: Any) -> Any:
        if not isinstance(content, dict):
            return content
        arms = content.get("arms")
        first = next(iter(arms)) if isinstance(arms, dict) and arms else ""
        return {"baseline": first, **content}

    @field_validator("seeds", mode="before")
    @classmethod
    def _counted(cls, seeds: Any) -> Any:
        whole = type(seeds) is int
        listed = list(range(seeds)) if whole else seeds
        if (
            not isinstance(listed, list)
            or not listed
            or not all(type(seed) is int and seed >= 0 for seed in listed)
            or len(set(listed)) < len(listed)
        ):
            raise ValueError(
                "give how many seeds, at least 1, or a list of different whole numbers from 0 on. "
                f"Got {seeds!r}"
            )
        return listed

    @model_validator(mode="after")
    def _names_can_be_used(self) -> "Design":
        for name in self.arms:
            if not _FOLDER_NAME.fullmatch(name) or name in _TAKEN:
                raise ValueError(
                    f"an arm's name becomes a folder: letters, digits, _ . + - only, and none of "
                    f"{', '.join(_TAKEN)}. Got '{name}'; its title may be anything"
                )
        for name in self.prepare:
            if not _PREPARED_NAME.fullmatch(name) or name in ("out", "seed"):
                raise ValueError(
                    f"the name of a prepared run is used as ${name}: letters, digits and _ only, "
                    f"a letter first, and neither out nor seed. Got '{name}'"
                )
        both = [name for name in self.arms if name in self.prepare]
        if both:
            raise ValueError(f"'{both[0]}' is prepared and an arm too: give one another name")
        if self.baseline not in self.arms:
            near = near_name(self.baseline, self.arms)
            raise ValueError(
                f"baseline is '{self.baseline}', which is no arm.{near} "
                f"Arms: {', '.join(self.arms)}"
            )
        for names in (self.measure, self.fixed):
            folders = [folder_name(name) for name in names]
            if len(set(folders)) < len(folders) or "" in folders:
                raise ValueError(
                    "names become folders, so their letters and digits must differ. "
                    f"Got {', '.join(names)}"
                )
        return self

    def title_of(self, arm: str) -> str:
        """What to call an arm in a table."""
        return self.arms[arm].title or arm


def folder_name(name: str) -> str:
    """A free name as that of a folder: 'LFW, open set' is 'lfw_open_set'."""
    return "_".join(re.findall(r"[a-z0-9]+", name.lower()))


def read_design(path: Path) -> Design:
    """Read the design of a comparison. Raises RecipeError if it cannot be used."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"{path} cannot be read: {error}. Give the YAML file of a comparison."
        ) from error
    try:
        content = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise RecipeError(f"{path} is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise RecipeError(f"{path} must hold keys and values. Got {type(content).__name__}.")
    try:
        return Design.model_validate(content)
    except ValidationError as error:
        lines = dict.fromkeys(_said(fault) for fault in error.errors())
        raise RecipeError(f"{path} is no comparison:\n" + "\n".join(lines)) from error


class _Loader(yaml.SafeLoader):
    """Refuses a key that is given twice: of two arms of one name the first would be lost."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    given: set[str] = set()
    for key, _ in node.value:
        if key.value in given:
            raise yaml.constructor.ConstructorError(
                None, None, f"'{key.value}' is given twice", key.start_mark
            )
        given.add(key.value)
    loader.flatten_mapping(node)  # what `<<` brings in comes first and may be given again
    return {
        _name(loader.construct_object(key, deep=True)): loader.construct_object(value, deep=True)
        for key, value in node.value
    }


def _name(key: Any) -> Any:
    """A number as a name: a weight is a good name for an arm (`arms: {7: ..., 128: ...}`)."""
    return str(key) if isinstance(key, int | float) and not isinstance(key, bool) else key


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)

_SECTIONS: dict[str, type[_Section]] = {
    "prepare": Prepared,
    "arms": Arm,
    "measure": Benchmark,
    "fixed": Fixed,
}


def _said(fault: ErrorDetails) -> str:
    """One line on one fault."""
    place = [str(part) for part in fault["loc"] if part not in ("str", "dict[str,any]")]
    key = ".".join(place)
    if fault["type"] == "extra_forbidden":
        section = _SECTIONS.get(place[0], Design) if len(place) > 1 else Design
        allowed = [field.alias or name for name, field in section.model_fields.items()]
        return f"  {key}: no such key.{near_name(place[-1], allowed)} Allowed: {', '.join(allowed)}"
    if place[-1:] == ["[key]"]:
        return (
            f"  {place[0]}: a name must be text, got {fault['input']!r}; YAML takes on, off, yes "
            "and no for true and false: put such a name in quotes"
        )
    message = fault["msg"].removeprefix("Value error, ")
    found = "" if fault["type"] in ("missing", "value_error") else f" (got {fault['input']!r})"
    return f"  {key + ': ' if key else ''}{message}{found}"


def near_name(name: str, names: Iterable[str]) -> str:
    """A question that names the nearest of `names`, to end a sentence with; empty if none is."""
    near = difflib.get_close_matches(name, [*names], 1)
    return f" Did you mean '{near[0]}'?" if near else ""
