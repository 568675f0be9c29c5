"""The error catalogue of the IdentityLens app."""

import pytest

from backlot import errors, identity_errors
from backlot.identity_errors import CATALOGUE, LANGUAGES, identity_error, language

#: Codes, Turkish words and retry flags as the old server's documents have them.
OLD = {
    1001: ("Referans görüntüde yüz algılanamadı", "Lütfen yüzünüzün net göründüğü bir fotoğraf çekin", False),
    1002: ("Görüntü kalitesi yetersiz", "Daha iyi ışıklandırma ile tekrar deneyin", True),
    2001: ("İşlem zaman aşımına uğradı", "Lütfen tekrar deneyin", True),
    2002: ("İstek limiti aşıldı", "Lütfen birkaç saniye bekleyin", True),
    3001: ("İçerik güvenlik kontrolünden geçemedi", "Lütfen farklı bir sahne deneyin", False),
}


def test_catalogue_says_in_turkish_what_the_old_server_said():
    said = {entry.code: (entry.message["tr"], entry.action["tr"], entry.retry) for entry in CATALOGUE}
    assert said.pop(4001)[1:] == ("Lütfen tekrar deneyin", True)
    assert said == OLD


def test_every_entry_speaks_every_language_in_words_of_its_own():
    for entry in CATALOGUE:
        for words in (entry.message, entry.action):
            assert set(words) == set(LANGUAGES)
            assert len(set(words.values())) == len(LANGUAGES)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.NoFaceFound, 1001),
        (errors.FaceUnfit, 1002),
        (errors.ImageTooLarge, 1002),
        (errors.ProviderTimedOut, 2001),
        (errors.ModelTimedOut, 2001),
        (errors.TimedOut, 2001),
        (errors.ProviderThrottled, 2002),
        (errors.ContentRefused, 3001),
        (errors.ProviderRefused, 4001),
        (errors.MaybePaid, 4001),
        (errors.Unexpected, 4001),
    ],
)
def test_errors_of_ours_have_a_code_of_theirs(error, code):
    assert identity_error(error).code == code


def test_picture_that_cannot_be_used_says_what_helps():
    problems = ("dark", "bright", "blurred", "small", "unread")
    actions = {identity_error(errors.FaceUnfit, problem).action["en"] for problem in problems}
    assert len(actions) == len(problems)
    assert identity_error(errors.FaceUnfit, "capture") == identity_errors.LOW_QUALITY
    assert identity_error(errors.NoFaceFound, "dark") == identity_errors.NO_FACE


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, "tr"),
        ("", "tr"),
        ("en", "en"),
        ("en-GB,en;q=0.9", "en"),
        ("tr-TR,en;q=0.9", "tr"),
        ("en;q=0.3, tr;q=0.8", "tr"),
        ("de, en;q=0.5", "en"),
        ("de", "tr"),
        ("*", "tr"),
        ("en;q=0", "tr"),
        ("en;q=x;;,", "tr"),
    ],
)
def test_language_is_the_most_wanted_one_that_is_spoken(header, expected):
    assert language(header) == expected
