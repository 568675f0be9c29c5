"""Large files that requests name: fetched once, checked, kept as long as there is room."""

import hashlib
import threading

import pytest

from sagemaker_models.serving.errors import Busy, RequestFault, ServerFault
from sagemaker_models.serving.files import FileCache
from sagemaker_models.serving.request import StoredFile
from sagemaker_models.serving.storage import Storage
from tests.serving.servers import Server

PREFIX = "s3://assets/models/toy/tasks/"


class Store:
    """Objects in memory, which counts what is downloaded."""

    def __init__(self):
        self.objects = {}
        self.downloads = []

    def put(self, name, text):
        self.objects[PREFIX + name] = text.encode()
        return StoredFile(uri=PREFIX + name, sha256=hashlib.sha256(text.encode()).hexdigest())

    def size(self, uri):
        return len(self.objects[uri]) if uri in self.objects else None

    def download(self, uri, path):
        self.downloads.append(uri.rpartition("/")[2])
        path.write_bytes(self.objects[uri])
        return hashlib.sha256(self.objects[uri]).hexdigest()


@pytest.fixture
def store():
    return Store()


def cache(store, tmp_path, limit_bytes=30, prefix=PREFIX):
    return FileCache(store, prefix, limit_bytes, tmp_path)


def here(tmp_path):
    return sorted(path.read_text() for path in tmp_path.glob("*/*"))


def test_hold_fetches_once_and_gives_the_same_file_again(store, tmp_path):
    files, wanted = cache(store, tmp_path), store.put("a", "first")
    first, second = files.hold("checkpoint", wanted), files.hold("checkpoint", wanted)
    assert (first.path.read_text(), first.sha256, second) == ("first", wanted.sha256, first)
    assert store.downloads == ["a"]


def test_hold_without_room_lets_the_file_go_that_was_used_longest_ago(store, tmp_path):
    files = cache(store, tmp_path)
    a, b, c = store.put("a", "a" * 10), store.put("b", "b" * 10), store.put("c", "c" * 11)
    for wanted in (a, b, a):
        files.let_go(files.hold("checkpoint", wanted))
    files.hold("checkpoint", c)
    assert here(tmp_path) == ["a" * 10, "c" * 11]
    files.hold("checkpoint", b)
    assert store.downloads == ["a", "b", "c", "b"]


def test_hold_never_takes_a_file_from_under_a_request(store, tmp_path):
    files = cache(store, tmp_path)
    held = files.hold("checkpoint", store.put("a", "a" * 20))
    with pytest.raises(Busy, match="other requests use"):
        files.hold("checkpoint", store.put("b", "b" * 11))
    assert held.path.exists()
    files.let_go(held)
    files.hold("checkpoint", store.put("b", "b" * 11))
    assert not held.path.exists()


@pytest.mark.parametrize(
    ("prefix", "name"), [("", "a"), ("s3://assets/models/other/", "a"), (PREFIX, "../secret"), (PREFIX, "a/../../x")]
)
def test_hold_outside_the_prefix_is_refused_before_anything_is_asked(store, tmp_path, prefix, name):
    wanted = store.put(name, "x")
    with pytest.raises(RequestFault, match="is not below") as raised:
        cache(store, tmp_path, prefix=prefix).hold("checkpoint", wanted)
    assert raised.value.code == "FileRefused"
    assert store.downloads == []


def test_hold_of_a_file_that_is_not_there_or_too_long_is_refused(store, tmp_path):
    files = cache(store, tmp_path)
    with pytest.raises(RequestFault, match="there is no object"):
        files.hold("checkpoint", StoredFile(uri=PREFIX + "none", sha256="0" * 64))
    with pytest.raises(RequestFault, match="31 bytes, 30 are allowed"):
        files.hold("checkpoint", store.put("long", "x" * 31))
    files.hold("checkpoint", store.put("longest", "x" * 30))


def test_hold_of_a_file_with_another_hash_is_refused_and_leaves_nothing(store, tmp_path):
    files = cache(store, tmp_path)
    wanted = store.put("a", "first")
    store.put("a", "other")
    with pytest.raises(RequestFault, match="has the hash"):
        files.hold("checkpoint", wanted)
    assert here(tmp_path) == []
    store.put("a", "first")
    assert files.hold("checkpoint", wanted).path.read_text() == "first"


def test_hold_by_several_threads_downloads_once(store, tmp_path):
    files, wanted = cache(store, tmp_path), store.put("a", "first")
    held = []
    threads = [threading.Thread(target=lambda: held.append(files.hold("c", wanted))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.downloads == ["a"]
    assert len(held) == 8


@pytest.fixture(scope="module")
def reader(aws, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reader")
    server = Server("Reader", folder, env=aws.environment, files_prefix=PREFIX, files_bytes=1_000_000)
    yield server.until_ready()
    server.close()


def put(aws, name, body):
    aws.objects[PREFIX + name] = (body, {"Content-Type": "application/octet-stream"})
    return {"uri": PREFIX + name, "sha256": hashlib.sha256(body).hexdigest()}


def test_request_that_names_a_file_gets_it_and_another_the_next_time(aws, reader):
    old, new = put(aws, "old", b"old" * 100_000), put(aws, "new", b"new")
    for file, text in ((old, "old" * 100_000), (new, "new"), (old, "old" * 100_000)):
        answer = reader.ask(files={"checkpoint": file}).json()
        assert answer.get("values") == {"texts": {"checkpoint": text}, "sha256": [file["sha256"]]}
    assert reader.ask().json()["values"] == {"texts": {}, "sha256": []}


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"other": {"uri": PREFIX + "a", "sha256": "0" * 64}}, "RequestInvalid"),
        ({"checkpoint": {"uri": PREFIX + "a", "sha256": "0"}}, "RequestInvalid"),
        ({"checkpoint": {"uri": PREFIX + "none", "sha256": "0" * 64}}, "FileRefused"),
        ({"checkpoint": {"uri": "s3://assets/faces/x", "sha256": "0" * 64}}, "FileRefused"),
    ],
)
def test_request_with_a_file_that_cannot_be_used_is_at_fault(reader, files, code):
    answer = reader.ask(files=files)
    assert (answer.status_code, answer.json()["error"]["code"]) == (200, code)
    assert reader.ask().status_code == 200


def test_storage_that_refuses_a_file_is_the_servers_fault(aws, start):
    server = start("Reader", env=aws.environment, files_prefix="s3://closed/").until_ready()
    answer = server.ask(files={"checkpoint": {"uri": "s3://closed/a", "sha256": "0" * 64}})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "StorageUnavailable")


def test_request_that_fails_gives_its_file_back(aws, start):
    server = start("Reader", env=aws.environment, files_prefix=PREFIX, files_bytes=1000).until_ready()
    first, second = put(aws, "first", b"1" * 900), put(aws, "second", b"2" * 900)
    assert server.ask(files={"checkpoint": first}, parameters={"fail": "raise"}).status_code == 500
    assert server.ask(files={"checkpoint": second}).json()["values"]["texts"] == {"checkpoint": "2" * 900}


def test_download_that_the_disk_refuses_is_the_servers_fault(aws, monkeypatch, tmp_path):
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    file = put(aws, "a", b"x")
    with pytest.raises(ServerFault):
        Storage().download(file["uri"], tmp_path / "no folder" / "a")
