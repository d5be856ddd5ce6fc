"""Designs: what they may say, and what is said of those that cannot be used."""

from pathlib import Path

import pytest
import yaml

from pocketface.compare.design_file import read_design
from pocketface.compare.names import filled, folder_name
from pocketface.compare.plan import plan_runs
from pocketface.compare.seeds import FEWEST
from pocketface.errors import RecipeError
from pocketface.models.genotype import CIFAR10, PRESETS

REPO = Path(__file__).resolve().parents[2]

LEAST = {
    "title": "x",
    "recipe": "pocketnet_nano",
    "seeds": 2,
    "arms": {"a": {}, "b": {"set": {"epochs": 3}}},
    "measure": {"LFW": {"path": "lfw.txt", "images": "lfw"}},
}


@pytest.fixture
def read(tmp_path):
    def from_content(**entries):
        path = tmp_path / "arms.yaml"
        content = {k: v for k, v in (LEAST | entries).items() if v is not None}
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return read_design(path)

    return from_content


@pytest.fixture
def plan(read):
    def from_content(**entries):
        return {run.name: run for run in plan_runs(read(**entries), Path("out"))}

    return from_content


def test_the_least_design(read):
    design = read()
    assert design.baseline == "a"
    assert design.seeds == (0, 1)
    assert design.title_of("b") == "b"
    assert list(design.measure) == ["LFW"]


def test_the_example_of_the_module(tmp_path):
    import pocketface.compare.design as module

    text = (module.__doc__ or "").split("one YAML file.")[1].split("In values")[0]
    (tmp_path / "arms.yaml").write_text(text)
    design = read_design(tmp_path / "arms.yaml")
    assert set(design.arms) == {"alone", "taught"}
    assert design.prepare["teacher"].recipe == "iresnet_nano"
    names = [run.name for run in plan_runs(design, tmp_path)]
    assert names[:3] == ["teacher, seed 0", "alone, seed 0", "taught, seed 0"]


def test_the_example_of_the_docs(tmp_path):
    lines = (REPO / "docs" / "compare.md").read_text().splitlines()
    first = lines.index("    title: What a teacher gives")
    end = next(n for n, line in enumerate(lines) if n > first and line.startswith("An arm"))
    (tmp_path / "arms.yaml").write_text("\n".join(line[4:] for line in lines[first:end]))
    design = read_design(tmp_path / "arms.yaml")
    assert list(design.arms) == ["alone", "taught", "steps", "other_cell"]
    assert design.fixed["MobileFaceNet"].preprocessing is not None


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"arm": {}}, "arm: no such key. Did you mean 'arms'?"),
        ({"arms": {"a": {"sett": {}}}}, "arms.a.sett: no such key. Did you mean 'set'?"),
        ({"measure": {"m": {"pth": "x"}}}, "measure.m.pth: no such key. Did you mean 'path'?"),
        ({"prepare": {"t": {"seeds": 1}}}, "prepare.t.seeds: no such key. Did you mean 'seed'?"),
        ({"fixed": {"f": {"weight": "w"}}}, "fixed.f.weight: no such key. Did you mean 'weights'?"),
        ({"baseline": "aa"}, "baseline is 'aa', which is no arm. Did you mean 'a'? Arms: a, b"),
        ({"seeds": 0}, "seeds: give how many seeds, at least 1"),
        ({"seeds": [1, 1]}, "list of different whole numbers from 0 on. Got [1, 1]"),
        ({"seeds": "many"}, "Got 'many'"),
        ({"seeds": True}, "Got True"),
        ({"seeds": None}, "seeds: Field required"),
        ({"arms": {}}, "arms: Dictionary should have at least 1 item"),
        ({"arms": {"a/b": {}}}, "Got 'a/b'; its title may be anything"),
        ({"arms": {"figures": {}}}, "none of prepared, fixed, figures, logs"),
        ({"arms": {True: {}}}, "a name must be text, got True"),
        ({"prepare": {"my-teacher": {}}}, "name it as $my-teacher: letters, digits and _ only"),
        ({"names": {"seed": "x"}}, "neither out nor seed. Got 'seed'"),
        ({"names": {"t": "x"}, "prepare": {"t": {}}}, "$t is among 'names' and prepared"),
        ({"prepare": {"out": {}}}, "neither out nor seed"),
        ({"prepare": {"b": {}}}, "'b' is prepared and an arm too"),
        ({"measure": {"A b": "x", "a_B": "y"}}, "letters and digits must differ. Got A b, a_B"),
        ({"replicates": 0}, "replicates: Input should be greater than or equal to 10 (got 0)"),
    ],
)
def test_what_cannot_be_used(read, entries, message):
    with pytest.raises(RecipeError) as caught:
        read(**entries)
    assert "arms.yaml is no comparison:\n" in str(caught.value)
    assert message in str(caught.value)


def test_files_that_are_no_designs(tmp_path):
    path = tmp_path / "arms.yaml"
    with pytest.raises(RecipeError, match="cannot be read"):
        read_design(path)
    path.write_text("- a\n")
    with pytest.raises(RecipeError, match=r"must hold keys and values. Got list"):
        read_design(path)
    path.write_text("a: [")
    with pytest.raises(RecipeError, match="is not YAML"):
        read_design(path)


def test_an_arm_given_twice_is_refused_but_not_what_is_merged_in(tmp_path):
    path = tmp_path / "arms.yaml"
    text = yaml.safe_dump(LEAST).replace("  b:", "  a:")
    path.write_text(text)
    with pytest.raises(RecipeError, match="'a' is given twice"):
        read_design(path)
    arms = "arms:\n  a: &a {title: one, set: {epochs: 2}}\n  7: {<<: *a, title: two}\n"
    given = yaml.safe_dump(LEAST | {"arms": None, "baseline": 7})
    path.write_text(given.replace("arms: null\n", arms))
    design = read_design(path)
    assert design.baseline == "7"
    assert (design.arms["7"].title, design.arms["7"].changes) == ("two", {"epochs": 2})


def test_runs_go_seed_by_seed_after_what_is_prepared(plan):
    runs = plan(prepare={"t": {}, "own": {"seed": "each"}}, seeds=[4, 2])
    assert list(runs) == [
        *["t, seed 0"],
        *["own, seed 4", "a, seed 4", "b, seed 4"],
        *["own, seed 2", "a, seed 2", "b, seed 2"],
    ]
    assert runs["b, seed 2"].folder == Path("out/b/seed_2")
    assert runs["own, seed 2"].folder == Path("out/prepared/own/seed_2")
    assert [run.recipe.seed for run in runs.values()] == [0, 4, 4, 4, 2, 2, 2]


def test_changes_for_all_then_an_arms_own(plan):
    runs = plan(
        set={"epochs": 5, "optimiser.learning_rate": 0.2, "distill.teacher": "w"},
        arms={
            "a": {"set": {"distill": None}},
            "b": {"set": {"epochs": 3}, "teacher": "v", "init": "i"},
            "c": {"recipe": "iresnet_nano", "set": {"optimiser": {"learning_rate": 0.3}}},
        },
        seeds=1,
    )
    a, b, c = (runs[f"{name}, seed 0"].recipe for name in "abc")
    assert (a.epochs, a.distill, a.optimiser.learning_rate) == (5, None, 0.2)
    assert b.distill is not None
    assert (b.epochs, b.distill.teacher, b.model.init) == (3, Path("v"), Path("i"))
    assert c.model.architecture.startswith("iresnet")
    assert (c.epochs, c.optimiser.learning_rate) == (5, 0.3)


def test_a_recipe_written_out(plan):
    recipe = {"model": {"architecture": "pocketnet_nano"}, "epochs": 4, "head": None}
    with pytest.raises(RecipeError, match=r"arms.a: the recipe cannot be used"):
        plan(recipe=recipe)
    del recipe["head"]
    runs = plan(recipe=recipe, set={"model.options.cells": 4, "schedule.kind": "cosine"})
    assert runs["a, seed 1"].recipe.model.options == {"cells": 4}
    assert runs["b, seed 1"].recipe.epochs == 3
    with pytest.raises(RecipeError, match=r"'epochs.x' cannot be set: 'epochs' is a value"):
        plan(recipe=recipe, set={"epochs.x": 4})


def test_dollar_names(plan):
    runs = plan(
        names={"faces": "/faces"},
        set={"data.people": "$faces/people.json"},
        prepare={"t": {"set": {"data.licence": "$$1 for $seed"}}, "own": {"seed": "each"}},
        arms={
            "a": {"teacher": "$t", "set": {"distill.cache": "$out/cache"}},
            "b": {"init": "${own}/last.safetensors", "set": {"data.train": ["x_$seed"]}},
        },
    )
    a, b = runs["a, seed 1"], runs["b, seed 1"]
    assert a.recipe.distill is not None
    assert a.recipe.distill.teacher == Path("out/prepared/t/seed_0")
    assert a.recipe.distill.cache == Path("out/cache")
    assert a.needs == (Path("out/prepared/t/seed_0"),)
    assert b.recipe.model.init == Path("out/prepared/own/seed_1/last.safetensors")
    assert b.recipe.data.train == (Path("x_1"),)
    assert b.recipe.data.people == Path("/faces/people.json")
    assert b.needs == (Path("out/prepared/own/seed_1"),)
    assert runs["t, seed 0"].recipe.data.licence == "$1 for 0"


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        ({"teacher": "$u"}, r"arms.a: '\$u' names \$u, which is nothing here. Known: .*\$t"),
        ({"teacher": "$ t"}, r"write \$\$ for the sign itself"),
        ({"set": {"seed": 3}}, "arms.a: a seed is not set by key"),
        ({"set": {"epoch": 3}}, "arms.a: .*\n.*epoch: no such key; did you mean 'epochs'"),
        ({"recipe": "pocketnet_xs"}, "arms.a: no recipe 'pocketnet_xs'"),
        ({"genotype": "cell.json"}, "arms.a: cell.json holds no genotype"),
    ],
)
def test_recipes_that_cannot_be_made(plan, arm, message):
    with pytest.raises(RecipeError, match=message):
        plan(prepare={"t": {}}, arms={"a": arm})


def test_what_is_prepared_knows_only_what_is_before_it(plan):
    with pytest.raises(RecipeError, match=r"prepare.t: '\$u' names \$u"):
        plan(prepare={"t": {"teacher": "$u"}, "u": {}})
    runs = plan(prepare={"u": {}, "t": {"teacher": "$u"}})
    assert runs["t, seed 0"].needs == (Path("out/prepared/u/seed_0"),)


def test_a_teacher_for_all_but_the_teacher_itself(plan):
    runs = plan(set={"distill.teacher": "$t"}, prepare={"t": {"set": {"distill": None}}})
    assert runs["t, seed 0"].recipe.distill is None
    assert runs["a, seed 1"].needs == (Path("out/prepared/t/seed_0"),)


def test_genotypes_by_preset_and_by_file(plan, tmp_path):
    CIFAR10.save(tmp_path / "cell_1.json")
    runs = plan(
        seeds=[1],
        arms={"a": {"genotype": "cifar10"}, "b": {"genotype": f"{tmp_path}/cell_$seed.json"}},
    )
    assert runs["a, seed 1"].recipe.model.options["genotype"] == "cifar10"
    assert runs["b, seed 1"].recipe.model.options["genotype"] == CIFAR10.to_dict()


@pytest.mark.parametrize(
    "path", sorted((REPO / "experiments").glob("*.yaml")), ids=lambda p: p.stem
)
def test_the_experiments_can_be_planned(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    design = read_design(path)
    for arm in design.arms.values():  # cells that are searched before
        if arm.genotype is not None and arm.genotype not in PRESETS:
            for seed in design.seeds:
                words = design.names | {"seed": str(seed)}
                CIFAR10.save(tmp_path / filled(arm.genotype, words))
    runs = plan_runs(design, tmp_path)
    assert len(design.seeds) >= FEWEST
    assert len(runs) >= len(design.seeds) * len(design.arms)


def test_folder_names():
    assert folder_name("LFW, open set (3,000)") == "lfw_open_set_3_000"
