"""The tree of errors: names, codes, sentences, and how an error is described of which only the name is left."""

import re

import pytest

from backlot import errors
from backlot.errors import BacklotError, CallerError, DefectError, TransientError, Unexpected, error_class

KINDS = (CallerError, TransientError, DefectError)
LEAVES = [leaf for kind in KINDS for leaf in kind.__subclasses__()]

by_name = pytest.mark.parametrize("error", LEAVES, ids=lambda error: error.__name__)


def placeholders(error: type[BacklotError]) -> set[str]:
    return set(re.findall(r"\{(\w+)", error.sentence))


@by_name
def test_error_with_its_fields_has_a_sentence_without_gaps(error):
    raised = error(**dict.fromkeys(placeholders(error), "x"))

    assert str(raised)
    assert "{" not in str(raised)
    assert raised.fields.keys() == placeholders(error)


@by_name
def test_error_of_which_only_the_name_is_known_has_a_meaning_without_gaps(error):
    assert error.meaning()
    assert "{" not in error.meaning()
    assert "\n" not in error.meaning()


@by_name
def test_error_is_found_by_its_name(error):
    assert error_class(error.__name__) is error


@by_name
def test_error_is_retried_by_clients_only_if_that_can_help(error):
    assert not (issubclass(error, CallerError) and error.retry)
    assert not (issubclass(error, TransientError) and not error.retry)


def test_errors_have_codes_of_their_own():
    assert len({error.code() for error in LEAVES}) == len(LEAVES)


@pytest.mark.parametrize(
    ("name", "code"),
    [("NoFaceFound", "NO_FACE_FOUND"), ("ImageUrlRefused", "IMAGE_URL_REFUSED"), ("Aborted", "ABORTED")],
)
def test_code_of_an_error_is_its_name_in_capitals(name, code):
    assert getattr(errors, name).code() == code


@pytest.mark.parametrize(
    "name", [None, "", "NoSuchError", "States.Runtime", "Lambda.Unknown", "SQS.SdkClientException"]
)
def test_error_class_of_a_foreign_name_is_unexpected(name):
    assert error_class(name) is Unexpected


@pytest.mark.parametrize("name", ["BacklotError", "CallerError", "TransientError", "DefectError"])
def test_error_class_of_a_name_that_only_groups_others_is_unexpected(name):
    assert error_class(name) is Unexpected


@pytest.mark.parametrize("name", ["States.Timeout", "States.HeartbeatTimeout"])
def test_error_class_of_a_time_out_of_step_functions_is_timed_out(name):
    assert error_class(name) is errors.TimedOut


def test_tree_in_the_docstring_is_the_tree():
    drawn = re.findall(r"(?:├──|└──) (\w+)", errors.__doc__)
    assert drawn == [
        name for kind in KINDS for name in (kind.__name__, *(leaf.__name__ for leaf in kind.__subclasses__()))
    ]


def test_fields_with_braces_are_repeated_as_they_are():
    assert str(errors.ImageNotFetched(reason="{0} {x}")) == "The image cannot be fetched: {0} {x}"
