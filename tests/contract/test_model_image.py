"""The models' image: made of what the server needs, for the platforms of its models."""

import fnmatch
import json
import re
from pathlib import Path, PurePosixPath

from cdk.constructs.model_image import CONTENTS, DOCKERFILE
from cdk.model_config import LightModel
from cdk.packaging import ROOT
from tests.contract.model_stages import ODD, checkpoints_of, models_of, stage_with


def test_image_is_made_of_what_the_server_needs_and_nothing_else(assembly):
    files = {
        path.relative_to(folder).as_posix()
        for folder in assembly.folder.glob("asset.*")
        if (folder / DOCKERFILE).exists()
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert bool(files) is not assembly.stage.emulated
    assert {name for name in files if not name.startswith(CONTENTS)} == set()
    assert not [name for name in files if name.endswith(".pyc")]


def test_image_holds_all_of_ours_that_models_import():
    seen, left = set(), [path.relative_to(ROOT).as_posix() for path in (ROOT / "sagemaker_models").rglob("*.py")]
    while left:
        path = left.pop()
        seen.add(path)
        names = re.findall(r"^\s*(?:from|import) (backlot[\w.]*)", (ROOT / path).read_text(), re.MULTILINE)
        modules = [name.replace(".", "/") for name in names]
        files = {f"{name}.py" if (ROOT / f"{name}.py").exists() else f"{name}/__init__.py" for name in modules}
        left += files - seen
    assert "backlot/settings.py" in seen
    assert {path for path in seen if not path.startswith(CONTENTS)} == set()


def test_dockerfile_copies_nothing_that_is_not_sent_to_docker():
    lines = re.findall(r"^COPY (?!--from)(.+)$", (ROOT / DOCKERFILE).read_text(), re.MULTILINE)
    words = [[word for word in line.split() if not word.startswith("--")] for line in lines]
    sources = {source.rstrip("/") for line in words for source in line[:-1]}
    sent = {above for each in CONTENTS for above in (each, *map(str, PurePosixPath(each).parents))}
    assert "sagemaker_models" in sources
    kept = {source for source in sources if fnmatch.filter(sent, source) or source.startswith(CONTENTS)}
    assert kept == sources


def test_image_is_built_for_the_platform_by_the_dockerfiles_own_argument(assembly):
    images = [
        image["source"]
        for path in assembly.folder.glob("*models.assets.json")
        for image in json.loads(path.read_text())["dockerImages"].values()
    ]
    models = {} if assembly.stage.emulated else assembly.stage.models
    platforms = sorted({model.platform for model in models.values()})
    arguments = set(re.findall(r"^ARG (\w+)", (ROOT / DOCKERFILE).read_text(), re.MULTILINE))
    for image in images:
        assert image["platform"] == "linux/amd64"
        assert set(image["dockerBuildArgs"]) == {"DEVICE"} <= arguments
    assert sorted(image["dockerBuildArgs"]["DEVICE"] for image in images) == platforms


def test_index_of_smaller_wheels_is_for_the_image_of_cpus_alone():
    index = "https://wheels.example/cpu"
    light = LightModel(
        **{**ODD.model_dump(exclude={"inference_ami"}), "platform": "cpu", "instance_types": ("ml.c7i.xlarge",)}
    )
    stage = stage_with(odd=ODD, light=light).model_copy(update={"torch_cpu_index": index})
    stack = models_of(stage, checkpoints_of(stage))
    assembly = stack.node.root.synth()
    (assets,) = (path for path in Path(assembly.directory).glob("models.assets.json"))
    images = json.loads(assets.read_text())["dockerImages"].values()
    arguments = [image["source"]["dockerBuildArgs"] for image in images]
    assert sorted(arguments, key=str) == [{"DEVICE": "cpu", "TORCH_INDEX_URL": index}, {"DEVICE": "cuda"}]
