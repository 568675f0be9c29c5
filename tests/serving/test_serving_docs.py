"""docs/serving.md says what the code says."""

import re
from pathlib import Path

from local.place import ROOT
from sagemaker_models.serving import metrics
from sagemaker_models.serving.settings import Settings

TEXT = (ROOT / "docs" / "serving.md").read_text()


def test_every_setting_is_documented_with_its_default():
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \|([^|]*)\|", TEXT, re.MULTILINE))
    documented = {name: default.strip().strip("`").replace(",", "") for name, default in rows.items()}
    defaults = {name.upper(): field.default for name, field in Settings.model_fields.items()}
    assert documented == {
        name: f"{default:g}" if isinstance(default, float) else str(default) for name, default in defaults.items()
    }


def test_every_metric_is_documented():
    names = [metrics.INVOCATIONS, metrics.ERRORS, metrics.ERRORS_BY_CODE, *metrics.TIMES.values()]
    assert [name for name in names if f"`{name}`" not in TEXT] == []


def test_every_code_of_the_server_is_documented():
    sources = "".join(path.read_text() for path in Path(ROOT, "sagemaker_models", "serving").glob("*.py"))
    codes = set(re.findall(r"(?:RequestFault|BodyRefused|BodyTooLong|ServerFault|Busy)\(\s*\"(\w+)\"", sources))
    assert {"RequestInvalid", "OutOfMemory", "StorageUnavailable"} <= codes
    assert [code for code in sorted(codes) if f"`{code}`" not in TEXT] == []
