"""The image's recipe, held against the repository: nothing here needs a Docker engine."""

import ast
import json
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from local.environment import inherited
from local.place import ROOT
from sagemaker_models.serving.settings import Settings

FOLDER = ROOT / "containers" / "model_server"

#: Distributions whose modules have other names.
MODULES = {"pydantic-core": "pydantic_core", "python-dateutil": "dateutil", "typing-extensions": "typing_extensions"}


def instructions() -> list[tuple[str, str]]:
    """Return the recipe's instructions and their arguments, lines put together."""
    lines = (FOLDER / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    stripped = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return [(line.split(" ", 1)[0], " ".join(line.split()[1:])) for line in stripped]


def every(name: str) -> list[str]:
    return [arguments for instruction, arguments in instructions() if instruction == name]


def only(name: str) -> str:
    (arguments,) = every(name)
    return arguments


def copies() -> list[tuple[list[str], str]]:
    """Return what is copied from the repository into the image itself, and where to."""
    _, _, image = (FOLDER / "Dockerfile").read_text().partition("slim-bookworm")
    copied = [each.split() for each in every("COPY") if each in " ".join(image.split())]
    return [(parts[:-1], parts[-1]) for parts in copied if not parts[0].startswith("--from")]


def locked(lock: str) -> dict[str, str]:
    """Return packages and versions of a lock."""
    text = (ROOT / "requirements" / lock).read_text()
    return dict(re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", text, re.MULTILINE))


def test_base_image_is_pinned_to_the_python_of_the_locks():
    compiler, image = every("FROM")
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", image)
    assert compiler == image.replace("-slim", "") + " AS kernels"


def test_kernels_are_compiled_from_what_is_copied_for_them(tmp_path):
    """The compiler's stage has no package of the locks."""
    sources = [each.split() for each in every("COPY") if each.split()[-1].startswith("/build/")]
    for source, target in sources:
        place = tmp_path / target.removeprefix("/build/")
        if source.endswith("/"):
            shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__", "built"))
        else:
            place.mkdir(parents=True)
            shutil.copy(ROOT / source, place)
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    command = [sys.executable, "-S", "-m", "sagemaker_models.schp.native"]
    subprocess.run(command, cwd=tmp_path, env=inherited(), check=True)
    (built,) = (tmp_path / "sagemaker_models" / "schp" / "native" / "built").glob("*.so")
    assert built.stat().st_size > 0


def test_everything_that_is_copied_exists_and_reaches_the_builder():
    ignored = (FOLDER / "Dockerfile.dockerignore").read_text().splitlines()
    allowed = [line.strip("!/") for line in ignored if line.startswith("!")]
    for sources, _ in copies():
        for source in sources:
            if "*" not in source:
                assert (ROOT / source).exists(), source
            assert any(source.strip("/") == folder or fnmatch(source, f"{folder}/*") for folder in allowed), source


def test_what_is_copied_is_enough_to_start_the_entry_point(tmp_path):
    for sources, target in copies():
        for source in sources:
            if source.endswith("/"):
                shutil.copytree(ROOT / source, tmp_path / target, ignore=shutil.ignore_patterns("__pycache__"))
    entry, command = json.loads(only("ENTRYPOINT")), json.loads(only("CMD"))
    assert entry[0] == "python"
    started = subprocess.run(
        [sys.executable, *entry[1:], *command, "--help"],
        cwd=tmp_path,
        env=inherited() | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--weights" in started.stdout


def test_server_imports_only_what_its_lock_installs():
    allowed = {MODULES.get(name, name) for name in locked("serving.txt")} | sys.stdlib_module_names
    files = [*sorted((ROOT / "sagemaker_models" / "serving").glob("*.py")), ROOT / "backlot" / "settings.py"]
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [each.name for each in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                assert name.split(".")[0] in allowed | {"backlot", "sagemaker_models"}, f"{path}: {name}"


def test_models_import_only_what_their_lock_installs():
    named = {"pillow": "PIL", "pyyaml": "yaml", "opencv-python-headless": "cv2"} | MODULES
    installed = {named.get(name, name.replace("-", "_")) for name in locked("models.txt")} | {"torch"}
    allowed = installed | sys.stdlib_module_names | {"backlot", "sagemaker_models"}
    strays = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / "sagemaker_models").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [each.name for each in node.names]
            if isinstance(node, ast.Import)
            else []
        )
        if name.split(".")[0] not in allowed
    }
    assert strays == set()


def test_lock_of_the_server_agrees_with_that_of_development():
    development = locked("dev.txt")
    assert {name: development.get(name) for name in locked("serving.txt")} == locked("serving.txt")
    assert locked("serving.txt").items() <= locked("models.txt").items()


def test_packages_are_installed_by_their_hashes():
    installs = [each for each in every("RUN") if "pip install" in each]
    assert installs
    commands = [each.strip() for each in installs[0].split(";") if "pip install" in each]
    assert [each for each in commands if "--require-hashes --no-deps" not in each and "torch==" not in each] == []
    versions = {word for each in commands for word in each.split() if word.startswith("torch==")}
    assert versions == {re.search(r"torch==\S+", (ROOT / "Makefile").read_text())[0]}


@pytest.mark.parametrize(
    ("device", "index", "torch"),
    [
        ("cpu", "", "torch==2.13.0"),
        ("cpu", "https://wheels.example/cpu", "--no-deps --index-url https://wheels.example/cpu torch==2.13.0"),
        ("cuda", "", "torch==2.13.0"),
        ("cuda", "https://wheels.example/cpu", "torch==2.13.0"),
    ],
)
def test_torch_comes_with_what_its_wheel_needs(tmp_path, device, index, torch):
    """The wheels of the package index need CUDA's libraries on every machine; only others do without."""
    for name in ("python", "useradd"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {tmp_path}/called\n')
        (tmp_path / name).chmod(0o755)
    (script,) = (each for each in every("RUN") if "pip install" in each)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "DEVICE": device, "TORCH_INDEX_URL": index}
    subprocess.run(["/bin/sh", "-c", script], env=environment, check=True)
    locked_ones, torchs, tried, user = (tmp_path / "called").read_text().splitlines()
    assert "--require-hashes --no-deps -r requirements/models.txt" in locked_ones
    assert torchs.partition("--disable-pip-version-check ")[2] == torch
    assert tried == "python -c import torch"
    assert user.startswith("useradd")


@pytest.mark.parametrize("name", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "DIFFUSERS_OFFLINE"])
def test_no_library_may_ask_a_hub(name):
    assert f"{name}=1" in only("ENV").split()


def test_server_answers_where_sagemaker_asks():
    assert int(only("EXPOSE")) == Settings.model_fields["server_port"].default == 8080
    assert Settings.model_fields["weights_folder"].default == Path("/opt/ml/model")
    assert only("USER") != "root"


def test_every_variable_that_the_image_sets_for_the_server_is_one_of_its_settings():
    set_by_the_image = {word.split("=")[0] for word in only("ENV").split()}
    assert set_by_the_image & Settings.variables() == {"MODEL_CLASS"}
