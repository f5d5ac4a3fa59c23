"""What is said about versions in more than one place."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
CONDA_NAMES = {
    "lightning-fabric": "pytorch-lightning",
    "matplotlib": "matplotlib-base",
    "torch": "pytorch",
}


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_conda_recipe_wants_what_the_package_wants():
    recipe = yaml.safe_load((ROOT / ".ci/conda/recipe.yaml").read_text(encoding="utf-8"))
    wanted = dict(
        re.fullmatch(r"([\w-]+)(>=[\d.]+)", entry).groups()
        for entry in project()["project"]["dependencies"]
    )
    in_conda = {CONDA_NAMES.get(name, name): version for name, version in wanted.items()}
    assert dict(entry.split(" ", 1) for entry in recipe["requirements"]["run"][1:]) == in_conda


def test_every_python_that_is_named_is_tried():
    config = project()
    named = re.findall(r":: (3\.\d+)", " ".join(config["project"]["classifiers"]))
    workflow = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text(encoding="utf-8"))
    tried = workflow["jobs"]["versions"]["strategy"]["matrix"]["env"]
    envs = [f"py{version.replace('.', '')}" for version in named]
    assert set(envs) <= set(config["tool"]["tox"]["env_list"])
    # .ci/run and "lowest" are the job of the oldest one
    assert set(envs[1:]) | {"lowest"} <= set(tried)
    assert config["tool"]["tox"]["env"]["lowest"]["base_python"] == [named[0]]
