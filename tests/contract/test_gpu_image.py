"""The image of the GPU lane: made of what it needs, pinned, and as the task expects it. Nothing here needs Docker."""

import ast
import json
import re
import sys
from pathlib import PurePosixPath

import pytest

from cdk.constructs.gpu_hosts import WORKER_UID
from cdk.constructs.gpu_worker import COMFYUI_CODE, COMFYUI_COMMAND, COMFYUI_FOLDER, CONTENTS, DOCKERFILE
from cdk.packaging import ROOT

RECIPE = (ROOT / DOCKERFILE).read_text().replace("\\\n", " ")
LOCK = (ROOT / "requirements" / "worker.txt").read_text()

#: Distributions whose modules have other names.
MODULES = {
    "aws-lambda-powertools": "aws_lambda_powertools",
    "pillow": "PIL",
    "pydantic-core": "pydantic_core",
    "pynacl": "nacl",
}


def every(name: str) -> list[str]:
    return re.findall(rf"^{name} (.+)$", RECIPE, re.MULTILINE)


def copied() -> list[str]:
    """Return what is copied from the repository."""
    lines = [line.split() for line in every("COPY") if not line.startswith("--from")]
    return [source.rstrip("/") for line in lines for source in line[:-1]]


def test_image_stands_on_one_cuda_release_that_is_named_exactly():
    bases = {line.split()[0] for line in every("FROM")}
    (base,) = bases
    assert re.fullmatch(r"nvidia/cuda:\d+\.\d+\.\d+-base-ubuntu24\.04", base)


def test_comfyui_and_custom_nodes_are_pinned_to_commits():
    (argument,) = every("ARG")
    assert re.fullmatch(r"COMFYUI_COMMIT=[0-9a-f]{40}", argument)
    lines = (ROOT / "containers/comfyui/custom_nodes.txt").read_text().splitlines()
    for line in lines:
        assert line.startswith("#") or re.fullmatch(r"https://\S+ [0-9a-f]{40}", line), line


def test_packages_are_installed_by_their_hashes_and_nothing_else_is():
    installs = [command for run in every("RUN") for command in run.split(";") if "pip install" in command]
    (install,) = installs
    assert {"--require-hashes", "--no-deps", "requirements/worker.txt"} <= set(install.split())
    assert LOCK.count("==") == len(re.findall(r"^\S+==\S+ \\$", LOCK, re.MULTILINE))


def test_lock_is_for_the_python_and_the_platform_of_the_image():
    # torch asks for setuptools from Python 3.12 on, and for CUDA's libraries on Linux.
    assert {"setuptools", "nvidia-cuda-runtime-cu12"} <= set(re.findall(r"^([a-z0-9-]+)==", LOCK, re.MULTILINE))
    assert "platform x86_64-manylinux_2_28 --python-version 3.12" in (ROOT / "Makefile").read_text()


def test_torch_has_the_cuda_of_the_base_image():
    (version,) = re.findall(r"^nvidia-cuda-runtime-cu12==(\d+\.\d+)", LOCK, re.MULTILINE)
    assert f"nvidia/cuda:{version}." in RECIPE


def test_lock_agrees_with_that_of_development_where_both_have_a_package():
    def versions(text: str) -> dict[str, str]:
        return dict(re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", text, re.MULTILINE))

    development, worker = versions((ROOT / "requirements/dev.txt").read_text()), versions(LOCK)
    ours = ("aiohttp", "aws-lambda-powertools", "boto3", "botocore", "httpx", "pillow", "pydantic", "tenacity")
    assert {name: worker[name] for name in ours} == {name: development[name] for name in ours}


def test_image_is_made_of_what_is_copied_and_nothing_else(assembly):
    folders = [path for path in assembly.folder.glob("asset.*") if (path / DOCKERFILE).exists()]
    assert len(folders) == (0 if assembly.stage.emulated else 1)
    for folder in folders:
        files = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
        assert [name for name in files if not name.startswith(CONTENTS) or name.endswith(".pyc")] == []
        assert [source for source in copied() if not (folder / source).exists()] == []


def test_publishing_a_model_does_not_change_the_image():
    assert not [path for path in CONTENTS if "containers/comfyui/models.yaml".startswith(path) and path.endswith("l")]
    assert "containers/comfyui" not in CONTENTS


@pytest.mark.parametrize("package", ["worker", "models", "workflows"])
def test_image_holds_all_of_ours_that_it_imports_and_its_lock_the_rest(package):
    known = {MODULES.get(name, name) for name in re.findall(r"^([A-Za-z0-9_.-]+)==", LOCK, re.MULTILINE)}
    for path in (ROOT / "containers/comfyui" / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [each.name for each in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                top, inner = name.split(".")[0], name.replace(".", "/")
                ours = top in ("backlot", "containers") and inner.startswith((*tuple(copied()), "containers/comfyui"))
                assert ours or top in known | sys.stdlib_module_names, f"{path}: {name}"


def test_no_library_may_ask_a_hub():
    variables = dict(word.split("=", 1) for word in every("ENV")[0].split())
    assert {variables[name] for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "DO_NOT_TRACK")} == {"1"}


def test_worker_is_no_root_and_owns_what_the_host_mounts():
    assert every("USER") == [str(WORKER_UID)]
    assert f"--chown={WORKER_UID}:{WORKER_UID} {COMFYUI_FOLDER}/ {COMFYUI_FOLDER}/" in RECIPE


def test_command_starts_what_is_installed():
    assert json.loads(every("ENTRYPOINT")[0]) == ["python", "-m", "containers.comfyui.worker"]
    assert f" {COMFYUI_CODE}/main.py " in COMFYUI_COMMAND
    assert f'fetch https://github.com/Comfy-Org/ComfyUI "${{COMFYUI_COMMIT}}" {COMFYUI_CODE}' in RECIPE
    made = next(run for run in every("RUN") if "mkdir -p" in run).split()
    given = [word for word in COMFYUI_COMMAND.split() if word.startswith("/") and not word.endswith(".py")]
    assert {PurePosixPath(path) for path in given} <= {PurePosixPath(path) for path in [*made, COMFYUI_FOLDER]}
    for folder in ("custom_nodes", "input", "models", "output", "temp", "user"):
        assert any(word.rstrip(";") == f"{COMFYUI_FOLDER}/{folder}" for word in made)
