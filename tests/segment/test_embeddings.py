"""What is kept of pictures, by several threads at once."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from sagemaker_models.segment.embeddings import Embedding, EmbeddingCache


def embedding(numbers=25):
    return Embedding((torch.zeros(numbers), torch.zeros(numbers, dtype=torch.bfloat16)), 1, 1)


def keys(cache, *wanted):
    """Return which of some keys are kept, without making any."""

    def refuse():
        raise LookupError

    found = []
    for key in wanted:
        try:
            cache.get(key, refuse)
        except LookupError:
            continue
        found.append(key)
    return found


def test_size_counts_all_maps_in_their_types():
    assert embedding(25).size_bytes == 25 * 4 + 25 * 2


def test_get_makes_once_and_keeps():
    cache, made = EmbeddingCache(1000), embedding()
    assert cache.get("a", lambda: made) == (made, False)
    assert cache.get("a", lambda: pytest.fail("made again")) == (made, True)
    assert cache.describe() == {"pictures": 1, "bytes": 150, "limit_bytes": 1000}


def test_get_beyond_the_limit_forgets_what_was_used_longest_ago():
    cache = EmbeddingCache(450)
    for key in "abc":
        cache.get(key, embedding)
    cache.get("a", embedding)
    cache.get("d", embedding)
    assert keys(cache, *"abcd") == ["a", "c", "d"]
    assert cache.describe()["bytes"] == 450


@pytest.mark.parametrize("limit_bytes", [0, 149])
def test_get_of_what_is_larger_than_the_limit_keeps_nothing(limit_bytes):
    cache = EmbeddingCache(limit_bytes)
    assert cache.get("a", embedding)[1] is False
    assert cache.describe() == {"pictures": 0, "bytes": 0, "limit_bytes": limit_bytes}


def test_get_that_fails_keeps_nothing_and_lets_the_next_one_make():
    cache = EmbeddingCache(1000)

    def fail():
        raise ValueError("unreadable")

    with pytest.raises(ValueError, match="unreadable"):
        cache.get("a", fail)
    assert cache.get("a", embedding)[1] is False


def test_get_of_the_same_picture_in_two_threads_makes_once():
    cache, begun, go, made = EmbeddingCache(1000), threading.Event(), threading.Event(), []

    def make():
        made.append(threading.get_ident())
        begun.set()
        assert go.wait(60)
        return embedding()

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(cache.get, "a", make)
        assert begun.wait(60)
        second = threads.submit(cache.get, "a", make)
        go.set()
        results = [first.result(60), second.result(60)]
    assert len(made) == 1
    assert [kept for _, kept in results] == [False, True]
    assert results[0][0] is results[1][0]


def test_get_of_a_known_picture_does_not_wait_for_another_that_is_made():
    cache, begun, go = EmbeddingCache(1000), threading.Event(), threading.Event()
    cache.get("known", embedding)

    def make():
        begun.set()
        assert go.wait(60)
        return embedding()

    with ThreadPoolExecutor(1) as threads:
        other = threads.submit(cache.get, "new", make)
        assert begun.wait(60)
        assert cache.get("known", embedding)[1] is True
        assert not other.done()
        go.set()
        other.result(60)
