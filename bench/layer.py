"""Sizes of what is deployed: the layer, by package, and the functions' code."""

import io
import zipfile
from collections import Counter
from pathlib import Path

from bench.assets import function_asset, functions
from bench.figures import Figure, Section, Table
from bench.stand import Stand
from cdk.config import DEV
from cdk.packaging import host_platform, layer_directory

#: The layer unzipped, MB.
LAYER_BAR_MB = 60.0

#: Packages of the table that are named; all others are summed up.
NAMED = 10


def measure_layer(stand: Stand) -> Section:
    """Measure the layers of stage `local` and of AWS, and the code of each function."""
    layers = {f"AWS, python{DEV.platform.python} {DEV.platform.architecture}": layer_directory(DEV.platform)}
    layers[f"local, python{host_platform().python} {host_platform().architecture}"] = layer_directory(host_platform())
    figures = []
    for name, folder in layers.items():
        sizes = _sizes(folder)
        figures.append(Figure(f"layer unzipped, {name}", sum(sizes.values()) / 1e6, "MB", LAYER_BAR_MB))
        byte_code = sum(path.stat().st_size for path in folder.rglob("*.pyc"))
        figures.append(Figure("of which byte code", byte_code / 1e6, "MB"))
    codes = [function_asset(stand.place, name) for name in functions(stand.place)]
    rows = [
        (name, float(_zipped_bytes(code)) / 1e3, sum(_sizes(code).values()) / 1e3)
        for name, code in zip(functions(stand.place), codes, strict=True)
    ]
    tables = [
        _packages({name: _sizes(folder) for name, folder in layers.items()}),
        Table("code of the functions, kB", ("function", "zipped", "unzipped"), rows),
    ]
    return Section("What is deployed", figures, tables)


def _packages(layers: dict[str, Counter[str]]) -> Table:
    first = next(iter(layers.values()))
    named = [package for package, _ in first.most_common(NAMED)]
    rows = [(package, *(sizes[package] / 1e6 for sizes in layers.values())) for package in named]
    others = [(sizes.total() - sum(sizes[package] for package in named)) / 1e6 for sizes in layers.values()]
    return Table("the layer by package, MB", ("package", *layers), [*rows, ("others", *others)])


def _sizes(folder: Path) -> Counter[str]:
    """Return bytes by package; what pip writes about a package counts as the package's."""
    sizes: Counter[str] = Counter()
    root = folder / "python" if (folder / "python").is_dir() else folder
    for path in root.rglob("*"):
        if path.is_file():
            package = path.relative_to(root).parts[0].split("-")[0].removesuffix(".py").lower()
            sizes["pillow" if package in ("pil", "pillow.libs") else package] += path.stat().st_size
    return sizes


def _zipped_bytes(folder: Path) -> int:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return len(buffer.getvalue())
