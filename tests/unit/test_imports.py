"""Imports point downwards only, and what leaves the process does so in one place."""

import ast
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: What a folder may import of the house, itself included; a folder that does not exist yet is held as soon as it does.
MAY_IMPORT = {
    "backlot": {"backlot"},
    "lambdas": {"backlot", "lambdas"},
    "containers": {"backlot", "containers"},
    "sagemaker_models": {"backlot", "sagemaker_models"},
    "client": {"client"},
    "cdk": {"backlot", "cdk"},
    "bench": {"backlot", "lambdas", "sagemaker_models", "cdk", "local", "bench"},
}
HOUSE = {*MAY_IMPORT, "local", "tests", "app"}

#: Where AWS is asked: by what is deployed, and by the operator's tools.
BOTO3 = (
    "backlot/aws",
    "cdk/destroy/account.py",
    "cdk/doctor/account.py",
    "cdk/publishing/bucket.py",
    "sagemaker_models/serving/storage.py",
)

#: Packages that one folder alone may import.
ONLY_IN = {
    "boto3": BOTO3,
    "botocore": BOTO3,
    "httpx": ("backlot/providers",),
    "httpcore": ("backlot/providers",),
    "aiohttp": ("backlot/comfyui", "containers/comfyui/worker"),
    "requests": (),
    "urllib3": (),
    "urllib.request": (),
    "http.client": (),
    "aws_cdk": ("cdk",),
    "constructs": ("cdk",),
    "simpy": ("cdk/capacity/fleet.py", "cdk/capacity/lane.py"),
    "matplotlib": ("cdk/capacity/plot.py",),
}

#: What the domain stands on besides the standard library; numpy is not in the layer yet.
DOMAIN = {"pydantic", "pydantic_core", "PIL"}
DOMAIN_ADAPTERS = {
    "backlot/aws": {"boto3", "botocore", "tenacity", "aws_lambda_powertools"},
    "backlot/providers": {"httpx", "httpcore", "nacl"},
    "backlot/comfyui": {"aiohttp"},
}

DEPLOYED = ("backlot", "lambdas", "containers", "sagemaker_models", "client")


def modules(*folders: str) -> list[Path]:
    return [path.relative_to(ROOT) for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


def imports(path: Path) -> Iterator[str]:
    """Yield what a module imports, wherever in it, with dots."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def lies_in(path: Path, *folders: str) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def strays(paths: list[Path], is_allowed: Callable[[Path, str], bool]) -> list[str]:
    """Return the imports that a rule does not allow."""
    return [f"{path}: {name}" for path in paths for name in imports(path) if not is_allowed(path, name)]


def test_modules_are_found_and_read():
    assert Path("backlot/aws/clients.py") in modules(*DEPLOYED)
    assert "boto3" in imports(Path("backlot/aws/clients.py"))
    assert strays([Path("backlot/aws/clients.py")], lambda _, name: name != "boto3") == [
        "backlot/aws/clients.py: boto3"
    ]


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_folder_imports_itself_and_what_lies_below(folder):
    def is_allowed(_: Path, name: str) -> bool:
        top = name.split(".", maxsplit=1)[0]
        return top not in HOUSE or top in MAY_IMPORT[folder]

    assert strays(modules(folder), is_allowed) == []


@pytest.mark.parametrize("package", ONLY_IN)
def test_package_is_imported_in_its_one_place(package):
    def is_allowed(path: Path, name: str) -> bool:
        return not within(name, package) or lies_in(path, *ONLY_IN[package])

    assert strays(modules(*DEPLOYED, "cdk"), is_allowed) == []


def test_domain_stands_on_few_packages():
    def is_allowed(path: Path, name: str) -> bool:
        allowed = DOMAIN | {"backlot"}
        for folder, packages in DOMAIN_ADAPTERS.items():
            if lies_in(path, folder):
                allowed |= packages
        return name.split(".", maxsplit=1)[0] in allowed | sys.stdlib_module_names

    assert strays(modules("backlot"), is_allowed) == []


def test_pure_functions_and_the_catalogue_import_no_adapter():
    def is_allowed(_: Path, name: str) -> bool:
        return not within(name, "backlot.aws") and not within(name, "backlot.providers")

    assert strays(modules("backlot/images", "backlot/operations"), is_allowed) == []


def test_functions_import_no_other_function():
    def is_allowed(path: Path, name: str) -> bool:
        return not within(name, "lambdas") or within(name, ".".join(path.parts[:2]))

    assert strays(modules("lambdas"), is_allowed) == []


def test_environment_is_read_in_the_settings_only():
    readers = {
        str(path)
        for path in modules(*DEPLOYED, "cdk")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.environb", "os.getenv")
    }
    imported = strays(modules(*DEPLOYED, "cdk"), lambda _, name: name not in ("os.environ", "os.environb", "os.getenv"))
    assert (readers, imported) == ({"backlot/settings.py"}, [])
