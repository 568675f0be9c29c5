"""Statuses: final ones, and those that may be another in a minute."""

import pytest

from backlot.errors import ImageHostUnavailable, ImageNotFetched, TransientError
from tests.wire.hosts import answer, says
from tests.wire.pictures import PNG


def test_fetch_of_a_200_gets_the_picture(internet):
    assert internet.serve(says(answer(PNG))) == PNG


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (201, ImageNotFetched),
        (204, ImageNotFetched),
        (206, ImageNotFetched),
        (304, ImageNotFetched),
        (400, ImageNotFetched),
        (401, ImageNotFetched),
        (403, ImageNotFetched),
        (404, ImageNotFetched),
        (407, ImageNotFetched),
        (408, ImageHostUnavailable),
        (410, ImageNotFetched),
        (418, ImageNotFetched),
        (425, ImageHostUnavailable),
        (429, ImageHostUnavailable),
        (451, ImageNotFetched),
        (499, ImageNotFetched),
        (500, ImageHostUnavailable),
        (502, ImageHostUnavailable),
        (503, ImageHostUnavailable),
        (504, ImageHostUnavailable),
        (599, ImageHostUnavailable),
        (999, ImageHostUnavailable),
    ],
)
def test_fetch_of_another_status_names_it_and_is_retried_only_if_it_may_change(internet, status, error):
    body = b"" if status in (204, 304) else PNG
    with pytest.raises(error, match=f"HTTP {status}$") as caught:
        internet.serve(says(answer(body, status)))
    assert isinstance(caught.value, TransientError) is (error is ImageHostUnavailable)


@pytest.mark.parametrize("status", [404, 429, 503])
def test_fetch_of_a_refusal_does_not_wait_for_its_body(internet, hasty, status):
    def script(peer) -> None:
        peer.send(answer(status=status, Content_Length="9000000"))
        peer.fall_silent()

    with pytest.raises((ImageNotFetched, ImageHostUnavailable), match=f"HTTP {status}$"):
        internet.serve(script)


def test_fetch_of_a_picture_after_an_interim_answer_gets_it(internet):
    assert internet.serve(says(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + answer(PNG))) == PNG
