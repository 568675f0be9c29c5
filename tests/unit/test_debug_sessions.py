"""Debug sessions: who sees which, what they are called, and what becomes of large ones."""

import base64
import io
import json
import zipfile

import pytest

from backlot.assets import debug_prefix
from lambdas.serve_api.artmancer.pictures import MAX_PICTURE_BYTES
from tests.unit.api import CONTEXT, event
from tests.unit.fakes import NOW_MS
from tests.unit.pictures import plain

NAMES = [f"20261121_1000{second:02d}_0000000{second}" for second in range(3)]


@pytest.fixture
def sessions(api):
    """Keep three sessions of one key and one of another."""
    for second in range(3):
        keep(api, "key-1", second)
    keep(api, "key-2", 9)
    return NAMES


def keep(api, owner, number):
    task_id, created_ms = f"{number:08x}-0000-4000-8000-000000000000", NOW_MS + number * 1000
    prefix = debug_prefix(owner, task_id, created_ms)
    told = {
        "success": number != 1,
        "task_type": "removal",
        "created_at": f"2026-11-21T10:00:{number:02d}.000+00:00",
        "generation_time": 2.5,
    }
    api.objects.kept |= {
        f"{prefix}metadata.json": json.dumps(told).encode(),
        f"{prefix}lora_debug.log": b"engine: qwen-edit\n",
        f"{prefix}01_condition.png": plain(8, 8),
        f"{prefix}02_condition.png": plain(9, 9),
    }


def whole(api, path, **parts):
    """Return status, headers and body, whatever it is."""
    answer = api.app.resolve(event("GET", path, **parts), CONTEXT)
    headers = {name: values[0] for name, values in answer["multiValueHeaders"].items()}
    return answer["statusCode"], headers, base64.b64decode(answer["body"]) if answer["isBase64Encoded"] else b""


def test_sessions_are_listed_newest_first_and_only_ones_own(api, sessions):
    listed = api.get("/api/debug/sessions").json()
    assert (listed["enabled"], listed["total"]) == (True, 3)
    assert [each["session_name"] for each in listed["sessions"]] == sessions[::-1]
    assert listed["sessions"][1] == {
        "session_name": sessions[1],
        "created_at": "2026-11-21T10:00:01.000+00:00",
        "success": False,
        "task_type": "removal",
        "generation_time": 2.5,
        "num_images": 2,
    }
    assert api.get("/api/debug/sessions", key_id="key-3").json() == {"enabled": True, "sessions": [], "total": 0}


def test_session_that_says_nothing_of_itself_is_listed_by_its_name(api, sessions):
    del api.objects.kept[f"debug/key-1/{sessions[2]}/metadata.json"]
    entry = api.get("/api/debug/sessions").json()["sessions"][0]
    assert (entry["created_at"], entry["success"], entry["num_images"]) == ("2026-11-21T10:00:02+00:00", None, 2)


def test_session_shows_what_it_has(api, sessions):
    body = api.get(f"/api/debug/sessions/{sessions[0]}").json()
    assert body["session_name"] == sessions[0]
    assert body["metadata"]["task_type"] == "removal"
    assert body["lora_log"] == "engine: qwen-edit\n"
    assert body["image_files"] == ["01_condition.png", "02_condition.png"]


def test_picture_of_a_session_is_sent_and_a_long_one_linked(api, sessions):
    path = f"/api/debug/sessions/{sessions[0]}/images/01_condition.png"
    status, headers, body = whole(api, path)
    assert (status, headers["Content-Type"], body) == (200, "image/png", plain(8, 8))
    assert headers["Cache-Control"] == "private, no-store"

    api.objects.kept[f"debug/key-1/{sessions[0]}/01_condition.png"] = bytes(MAX_PICTURE_BYTES + 1)
    status, headers, _ = whole(api, path)
    assert status == 302
    assert headers["Location"].startswith(f"https://assets.s3.example/debug/key-1/{sessions[0]}/01_condition.png?")


def test_session_is_downloaded_whole_and_a_long_one_linked(api, sessions):
    path = f"/api/debug/sessions/{sessions[0]}/download"
    status, headers, body = whole(api, path)
    assert (status, headers["Content-Type"]) == (200, "application/zip")
    assert sessions[0] in headers["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.namelist() == ["01_condition.png", "02_condition.png", "lora_debug.log", "metadata.json"]
        assert archive.read("02_condition.png") == plain(9, 9)

    api.objects.kept[f"debug/key-1/{sessions[0]}/01_condition.png"] = bytes(MAX_PICTURE_BYTES + 1)
    status, headers, _ = whole(api, path)
    assert status == 302
    assert f"debug/key-1/{sessions[0]}/session.zip" in api.objects.kept
    # The archive is no file of the session, and goes with it.
    assert len(api.get(f"/api/debug/sessions/{sessions[0]}").json()["image_files"]) == 2
    api.call("DELETE", f"/api/debug/sessions/{sessions[0]}")
    assert not [key for key in api.objects.kept if sessions[0] in key]


@pytest.mark.parametrize(
    "name",
    ["..", "%2e%2e", "%2E%2E%2Fkey-2", "%252e%252e", "20261121_100000", "20261121_100000_0000000G", "x" * 500, "a%00b"],
)
@pytest.mark.parametrize("rest", ["", "/images/01_condition.png", "/download"])
def test_name_that_is_none_is_not_found(api, sessions, name, rest):
    answer = api.get(f"/api/debug/sessions/{name}{rest}")
    assert answer.status == 404
    assert "base64" not in answer.text


@pytest.mark.parametrize(
    "image",
    ["metadata.json", "..%2f..%2fmetadata.json", "%2e%2e", "03_condition.png", "session.zip", "01_condition.PNG"],
)
def test_picture_that_is_none_is_not_found(api, sessions, image):
    assert api.get(f"/api/debug/sessions/{sessions[0]}/images/{image}").status == 404


@pytest.mark.parametrize(
    ("method", "rest"), [("GET", ""), ("GET", "/images/01_condition.png"), ("GET", "/download"), ("DELETE", "")]
)
def test_session_of_another_key_is_not_found(api, sessions, method, rest):
    before = set(api.objects.kept)
    answer = api.call(method, f"/api/debug/sessions/{sessions[0]}{rest}", key_id="key-2")
    assert (answer.status, answer.json()["detail"]) == (404, f"Debug session '{sessions[0]}' not found")
    assert set(api.objects.kept) == before


def test_session_is_deleted_with_all_of_it(api, sessions):
    assert api.call("DELETE", f"/api/debug/sessions/{sessions[1]}").json() == {
        "success": True,
        "session_name": sessions[1],
    }
    assert api.get(f"/api/debug/sessions/{sessions[1]}").status == 404
    assert api.get("/api/debug/sessions").json()["total"] == 2


@pytest.mark.parametrize(
    ("query", "deleted", "kept"), [(None, 0, 3), ({"keep_last_n": "1"}, 2, 1), ({"keep_last_n": "0"}, 3, 0)]
)
def test_cleanup_keeps_the_newest_ones_own(api, sessions, query, deleted, kept):
    answer = api.post("/api/debug/cleanup", None, query=query).json()
    assert answer == {"enabled": True, "deleted": deleted, "kept": kept}
    left = [each["session_name"] for each in api.get("/api/debug/sessions").json()["sessions"]]
    assert left == sessions[::-1][:kept]
    assert api.get("/api/debug/sessions", key_id="key-2").json()["total"] == 1


@pytest.mark.parametrize("number", ["-1", "x", "1.5", "9" * 12, ""])
def test_cleanup_of_no_number_deletes_nothing(api, sessions, number):
    answer = api.post("/api/debug/cleanup", None, query={"keep_last_n": number})
    assert (answer.status, answer.json()["detail"][0]["loc"]) == (422, ["query", "keep_last_n"])
    assert api.get("/api/debug/sessions").json()["total"] == 3


def test_status_tells_how_much_is_kept(api, sessions):
    api.objects.kept[f"debug/key-1/{sessions[0]}/01_condition.png"] = bytes(3 * 2**20)
    status = api.get("/api/debug/status").json()
    assert (status["enabled"], status["total_sessions"], status["total_size_mb"]) == (True, 3, 3.0)


@pytest.mark.parametrize("path", ["/api/debug/sessions", "/api/debug/status", f"/api/debug/sessions/{NAMES[0]}"])
def test_sessions_are_shown_to_nobody_without_a_key(api, sessions, path):
    assert api.get(path, key_id=None).status == 403
