"""TLS: a host has to be who its name says."""

import datetime

import httpx
import pytest
import trustme

from backlot.errors import ImageHostUnavailable, ImageNotFetched
from tests.wire.conftest import certificate
from tests.wire.hosts import Host, answer, says
from tests.wire.pictures import PNG

NAME = "pictures.example"


def test_fetch_from_a_host_with_a_valid_certificate_gets_the_picture(internet):
    assert internet.serve(says(answer(PNG))) == PNG


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (certificate("other.example"), "Hostname mismatch"),
        (certificate("127.1.0.1"), "Hostname mismatch"),
        (certificate("*.pictures.example"), "Hostname mismatch"),
        (certificate(NAME, trustme.CA()), "unable to get local issuer certificate"),
        (certificate(NAME, not_after=datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC)), "certificate has expired"),
    ],
    ids=["other name", "its address", "only below", "other authority", "expired"],
)
def test_fetch_from_a_host_with_a_wrong_certificate_is_final_and_sends_nothing(internet, shown, words):
    host = internet.host(says(answer(PNG)), tls=shown)
    with pytest.raises(ImageNotFetched, match=f"its host's certificate is not valid .*{words}"):
        internet.get("/picture")
    assert host.heads == []


def test_fetch_trusts_public_authorities_only(internet):
    host = internet.host(says(answer(PNG)))
    with pytest.raises(ImageNotFetched, match="its host's certificate is not valid"):
        internet.get("/picture", verify=httpx.create_ssl_context())
    assert host.heads == []


def test_fetch_by_https_from_a_host_that_speaks_plain_text_is_unavailable(internet):
    host = Host(says(answer(PNG)), address="127.1.0.1", reads_head=False)
    internet.name(NAME, ["127.1.0.1"])
    with pytest.raises(ImageHostUnavailable, match="the connection failed"):
        internet.get(f"https://{NAME}:{host.port}/")
    host.close()
