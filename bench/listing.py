"""How long a page of a listing takes, by how many tasks there are.

The emulator sorts an owner's whole partition on each query; DynamoDB keeps it sorted. What the emulator takes for that
is measured beside the pages, by the same query asked directly, and left out of the figure.
"""

import time
import uuid
from typing import Any

from boto3.dynamodb.types import TypeSerializer

from backlot.aws.dynamodb import Table as DynamoTable
from backlot.aws.task_store import MAX_READ, OWNER_INDEX, READ_AT_ONCE, TaskStore
from backlot.tasks import Status, Task
from bench.figures import Figure, Section, Table, p50
from bench.stand import Stand, timed

#: How many tasks there are in the first and in the second round, and how many pages are timed in each.
FEW, MANY, PAGES = 100, 10_000, 15

#: DynamoDB takes so many items in one write.
BATCH = 25

#: A page of many tasks may take so much longer than one of few; noise, and no more than that.
RATIO_BAR = 1.5

#: Name of the row of what is no page.
DIRECTLY = "the emulator's query of 100 tasks, asked directly"

_serialize = TypeSerializer().serialize


def measure_listing(stand: Stand) -> Section:
    """Time pages of a listing while there are few tasks and while there are many, by an owner who has made them all."""
    store = TaskStore(DynamoTable(stand.aws("dynamodb"), "task_store", "task_id"))
    owner = _owner(stand, store)
    rounds = {}
    there = 0
    for number in (FEW, MANY):
        _add(stand, owner, number - there)
        there = number
        rounds[number] = _time_pages(stand) | {DIRECTLY: _time_query(stand, owner)}
    rows: list[tuple[Any, ...]] = [
        (name, *(rounds[number][name] for number in rounds), rounds[MANY][name] / rounds[FEW][name])
        for name in rounds[FEW]
    ]
    ours = {number: times["the first page"] - times[DIRECTLY] for number, times in rounds.items()}
    first = ours[MANY] / ours[FEW]
    return Section(
        f"Listing, pages of 20, {FEW} and {MANY} tasks",
        [
            Figure(f"first page of {MANY} tasks without the emulator's query", ours[MANY], "ms"),
            Figure(f"the same of {MANY} by that of {FEW} tasks", first, "", RATIO_BAR),
        ],
        [Table(f"ms, medians of {PAGES}", ("page", str(FEW), str(MANY), "ratio"), rows)],
    )


def _owner(stand: Stand, store: TaskStore) -> str:
    """Return the id of the stand's API key."""
    task = store.get(stand.submit("face-mask", {"image_url": stand.upload("astronaut.png")}))
    if task is None:
        raise RuntimeError("the submitted task is not in the table")
    return task.owner


def _add(stand: Stand, owner: str, number: int) -> None:
    """Write records of completed tasks, a second apart; none of them has failed."""
    dynamodb, now_ms = stand.aws("dynamodb"), time.time_ns() // 1_000_000
    for begin in range(0, number, BATCH):
        records = [
            Task.submitted(
                task_id=str(uuid.uuid4()),
                operation="face-mask",
                owner=owner,
                request={"image_url": "s3://bucket/key", "face_index": 0},
                now_ms=now_ms - 1000 * index,
                days=1,
            )
            .model_copy(update={"status": Status.COMPLETED})
            .record()
            for index in range(begin, min(begin + BATCH, number))
        ]
        items = [{name: _serialize(value) for name, value in record.items()} for record in records]
        dynamodb.batch_write_item(RequestItems={"task_store": [{"PutRequest": {"Item": item}} for item in items]})


def _time_pages(stand: Stand) -> dict[str, float]:
    """Return medians, milliseconds: the first page, a page in the middle, and one that finds nothing."""
    middle = _page(stand, limit=100)["next_cursor"] or ""
    kinds: dict[str, dict[str, Any]] = {
        "the first page": {"limit": 20},
        "a page behind 100 tasks": {"limit": 20, "cursor": middle},
        f"a page for which none is found among {MAX_READ} at most": {"limit": 20, "status": "failed"},
    }
    medians = {}
    for name, query in kinds.items():
        samples = []
        for _ in range(PAGES):
            with timed() as timer:
                _page(stand, **{key: value for key, value in query.items() if value})
            samples.append(timer.seconds * 1000)
        medians[name] = p50(samples)
    return medians


def _time_query(stand: Stand, owner: str) -> float:
    """Return the median of the query that a first page needs, milliseconds."""
    dynamodb = stand.aws("dynamodb")
    samples = []
    for _ in range(PAGES):
        with timed() as timer:
            found = dynamodb.query(
                TableName="task_store",
                IndexName=OWNER_INDEX,
                KeyConditionExpression="#owner = :owner",
                ExpressionAttributeNames={"#owner": "owner"},
                ExpressionAttributeValues={":owner": {"S": owner}},
                ScanIndexForward=False,
                Limit=READ_AT_ONCE,
            )
        if len(found["Items"]) != READ_AT_ONCE:
            raise RuntimeError(f"the query found {len(found['Items'])} tasks, not {READ_AT_ONCE}")
        samples.append(timer.seconds * 1000)
    return p50(samples)


def _page(stand: Stand, **query: Any) -> dict[str, Any]:
    answer = stand.http.get("/api/v1/tasks", params=query)
    answer.raise_for_status()
    page: dict[str, Any] = answer.json()
    return page
