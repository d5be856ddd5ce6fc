"""The design of a comparison: arms, seeds, what is measured; one YAML file.

    title: What a teacher gives
    names: {data: ../faces}            # texts that values name as $data
    recipe: pocketnet_nano             # a shipped recipe, a file, or a recipe written out here
    set: {data.train: [$data/train], epochs: 5}    # changes for all, by dotted key
    seeds: 3                           # 0, 1, 2; or a list
    prepare:                           # trained first; others name it as $teacher
      teacher: {recipe: iresnet_nano, set: {epochs: 10}}
    arms:
      alone: {}
      taught: {title: embedding distillation, teacher: $teacher}
    baseline: alone                    # else the first arm
    measure:
      LFW: {path: $data/lfw_pairs.txt, images: $data/lfw112}
    fixed: {raw pixels: pixels}        # measured beside, never trained

In values, `$out` is the comparison's folder and, in a run, `$seed` its seed and the name of a
prepared run that one's folder; a dollar sign itself is `$$`. Paths are relative to the current
folder.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from pocketface.compare.names import folder_name, near_name
from pocketface.preprocessing import Preprocessing

PIXELS = "pixels"
"""The fixed network that is none: the pixels themselves as an embedding."""

_FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
_DOLLAR_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_TAKEN = ("prepared", "fixed", "figures", "logs")
"""Folders that a comparison makes beside those of its arms."""


class Section(BaseModel):
    """A part of a design: it cannot be changed, and an unknown key is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Arm(Section):
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


class Benchmark(Section):
    """A pair set, or the folder of IJB-B, IJB-C or MegaFace, as `pocketface evaluate` takes it.

    Attributes:
        path: of the set.
        images: the folder of the images of a pair list.
        figure: which of the set's figures is compared, as its report calls it; none: the first,
            which for pairs is the accuracy.
    """

    path: str
    images: str | None = None
    figure: str | None = None


class Fixed(Section):
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


class Design(Section):
    """A whole comparison; see the module's example.

    `names` are texts by the name that values give them; `flip` and `replicates` are as in
    `pocketface evaluate`.
    """

    title: str
    names: dict[str, str] = Field(default_factory=dict)
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
        given = {"baseline": first, **content}
        if type(given["baseline"]) in (int, float):  # as names of arms may be, see `design_file`
            given["baseline"] = str(given["baseline"])
        return given

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
        for name in (*self.names, *self.prepare):
            if not _DOLLAR_NAME.fullmatch(name) or name in ("out", "seed"):
                raise ValueError(
                    f"values name it as ${name}: letters, digits and _ only, a letter first, and "
                    f"neither out nor seed. Got '{name}'"
                )
        twice = [name for name in self.names if name in self.prepare]
        if twice:
            raise ValueError(f"${twice[0]} is among 'names' and prepared: give one another name")
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
