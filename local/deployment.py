"""Deploys stage `local`: the real `cdk bootstrap` and `cdk deploy`, against the emulator."""

import hashlib
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from local.emulator import client
from local.environment import inherited, real_key
from local.place import ACCOUNT, REGION, ROOT, Place
from local.processes import stamp_of

#: What a synthesis depends on; anything else may change without a new one.
SOURCES = ("backlot", "lambdas", "stepfunctions", "cdk", "app.py", "cdk.json", "requirements/layer.txt")

#: Keys of the stand-ins; a real one from the environment takes its place and turns the stage to the real provider.
STAND_IN_KEYS = {"dashscope": "sk-stand-in-dashscope", "ark": "stand-in-ark-key", "fal": "stand-in:fal-key"}

#: With what the stand-in of the mask asset service knows us; the real one is the studio's own, and not for trying out.
MASK_SECRET = "stand-in-mask-component-secret"  # noqa: S105

#: The variable that brings a real key, and the real endpoint that goes with it.
REAL_PROVIDERS = {
    "dashscope": ("DASHSCOPE_API_KEY", "dashscope_base_url", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"),
    "ark": ("ARK_API_KEY", "ark_base_url", "https://ark.cn-beijing.volces.com/api/v3"),
    "fal": ("FAL_KEY", "fal_base_url", "https://queue.fal.run"),
}


class DeploymentFailed(Exception):
    """A command of the CDK failed; the message says where its log is."""


@dataclass(frozen=True)
class Outputs:
    """What the deployed stacks say about themselves.

    Args:
        values: outputs of all stacks, by name.
    """

    values: dict[str, str]

    def __getitem__(self, name: str) -> str:
        return self.values[name]


def context(place: Place) -> dict[str, Any]:
    """Return what stage `local` is made of, see `cdk.config.local_stage`."""
    real = {argument: url for variable, argument, url in REAL_PROVIDERS.values() if real_key(variable)}
    return {
        "front_door": place.front_door,
        "stand_ins": place.stand_ins,
        "python": place.python,
        "architecture": place.architecture,
        **real,
    }


def synthesise(place: Place) -> bool:
    """Synthesise the assembly if anything that it is made of has changed; tell whether that was so.

    Raises:
        DeploymentFailed: the app cannot be synthesised.
    """
    stamp = place.folder / "assembly.sha256"
    digest = _digest(place)
    if place.assembly.exists() and stamp.exists() and stamp.read_text() == digest:
        return False
    stamp.unlink(missing_ok=True)
    arguments = ["--quiet", "--output", str(place.assembly)]
    chosen = ["-c", "stage=local", "-c", f"local={json.dumps(context(place))}"]
    _cdk(place, "synth", *arguments, *chosen)
    stamp.write_text(digest)
    return True


def deploy(place: Place) -> Outputs:
    """Bootstrap the account if that was not done, and deploy the assembly.

    Raises:
        DeploymentFailed: a command failed.
    """
    synthesised = synthesise(place)
    deployed = place.run / "outputs.json"
    if deployed.exists() and not synthesised:
        return read_outputs(place)
    bootstrap(place)
    deploy_assembly(place)
    put_provider_keys(place)
    return read_outputs(place)


def bootstrap(place: Place) -> None:
    """Bootstrap the account if that was not done.

    Raises:
        DeploymentFailed: the command failed.
    """
    if not _is_bootstrapped(place):
        _cdk(place, "bootstrap", f"aws://{ACCOUNT}/{REGION}", "--app", str(place.assembly))


def deploy_assembly(place: Place) -> None:
    """Deploy the prepared assembly.

    Raises:
        DeploymentFailed: the command failed.
    """
    outputs = place.run / "outputs.json"
    outputs.unlink(missing_ok=True)
    written = place.run / "outputs.partial"
    _cdk(
        place,
        *("deploy", "--all", "--app", str(place.assembly), "--require-approval", "never"),
        # A change set of an emulator tells nobody anything, and takes as long as the deployment.
        *("--method", "direct", "--concurrency", "4", "--progress", "events", "--outputs-file", str(written)),
    )
    written.rename(outputs)


def read_outputs(place: Place) -> Outputs:
    """Read what the last deployment said."""
    stacks = json.loads((place.run / "outputs.json").read_text())
    return Outputs({name: value for stack in stacks.values() for name, value in stack.items()})


def api_key(place: Place, outputs: Outputs, name: str = "studio") -> str:
    """Return the value of an API key, as an operator reads it from API Gateway."""
    key_id = outputs[f"ApiKeyId{name.capitalize()}"]
    return str(client(place, "apigateway").get_api_key(apiKey=key_id, includeValue=True)["value"])


def put_provider_keys(place: Place) -> None:
    """Put the providers' keys into their secrets, as an operator does after a first deployment."""
    for provider, stand_in in STAND_IN_KEYS.items():
        key = real_key(REAL_PROVIDERS[provider][0]) or stand_in
        client(place, "secretsmanager").put_secret_value(SecretId=f"backlot/local/{provider}", SecretString=key)
    client(place, "secretsmanager").put_secret_value(SecretId="backlot/local/mask-assets", SecretString=MASK_SECRET)


def _is_bootstrapped(place: Place) -> bool:
    try:
        client(place, "cloudformation").describe_stacks(StackName="CDKToolkit")
    except ClientError:
        return False
    return True


def _cdk(place: Place, verb: str, *arguments: str) -> None:
    log = place.logs / f"cdk-{verb}.log"
    command = [str(ROOT / "node_modules" / ".bin" / "cdk"), verb, *arguments, "--no-notices", "--no-version-reporting"]
    environment = {
        **inherited(),
        **place.client_environment,
        "CDK_HOME": str(ROOT / ".build" / "cdk-home"),
        "CDK_DISABLE_CLI_TELEMETRY": "true",
        "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "1",
        "PYTHONPATH": str(ROOT),
    }
    with log.open("wb") as written:
        done = subprocess.run(command, cwd=ROOT, env=environment, stdout=written, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        raise DeploymentFailed(f"cdk {verb} failed; {log} ends with: {' / '.join(lines[-3:])}")


def _digest(place: Place) -> str:
    made_of = json.dumps([context(place), stamp_of(*SOURCES)], sort_keys=True)
    return hashlib.sha256(made_of.encode()).hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file for people to read."""
    path.write_text(json.dumps(value, indent=2) + "\n")
