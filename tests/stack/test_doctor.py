"""The doctor at a stage that is deployed."""

import pytest

from cdk.config import local_stage
from cdk.doctor.__main__ import diagnose
from cdk.doctor.account import AwsAccount
from cdk.doctor.findings import Level
from cdk.doctor.port import Machine
from local.deployment import context


class Session:
    """A session of the emulator's operator."""

    def __init__(self, studio):
        self.studio = studio

    def client(self, service, config):
        return self.studio.aws(service)


@pytest.fixture
def stage(studio):
    return local_stage(**context(studio.place))


@pytest.fixture
def account(studio):
    return AwsAccount(Session(studio))


def test_stage_that_works_has_no_problem(stage, account):
    findings = list(diagnose(stage, Machine(node="22.0.0", docker=False, cdk=True), lambda _: account))
    said = [finding.what for finding in findings]
    assert [finding.what for finding in findings if finding.level is Level.PROBLEM] == []
    assert not any(line.startswith("could not be looked at") for line in said)
    assert any(line.endswith("stacks stand") for line in said)
    assert {f"{name.upper()}_API_KEY is set" for name in ("dashscope", "ark")} <= set(said)
