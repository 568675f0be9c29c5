"""DynamoDB: items as plain dictionaries, and conditional writes whose refusal is a value."""

from dataclasses import dataclass
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import BotoCoreError, ClientError

_serialize = TypeSerializer().serialize
_deserialize = TypeDeserializer().deserialize


@dataclass(frozen=True)
class Refused:
    """A write whose condition did not hold.

    Args:
        item: the item as it stands, None if there is none.
    """

    item: dict[str, Any] | None


class Table:
    """One table with a partition key.

    Args:
        client: a boto3 DynamoDB client.
        name: the table's name.
        key: name of its partition key.
    """

    def __init__(self, client: Any, name: str, key: str) -> None:
        self._client = client
        self._name = name
        self._key = key

    def get(self, key: str) -> dict[str, Any] | None:
        """Read an item, strongly consistent."""
        answer = self._client.get_item(TableName=self._name, Key={self._key: {"S": key}}, ConsistentRead=True)
        return _plain(answer.get("Item"))

    def insert(self, item: dict[str, Any]) -> Refused | None:
        """Write a new item; refused if one with its key exists."""
        try:
            self._client.put_item(
                TableName=self._name,
                Item={name: _serialize(value) for name, value in item.items()},
                ConditionExpression="attribute_not_exists(#key)",
                ExpressionAttributeNames={"#key": self._key},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self._client.exceptions.ConditionalCheckFailedException as error:
            return Refused(_plain(error.response.get("Item")))
        return None

    def update(
        self, key: str, update: str, *, condition: str, values: dict[str, Any], names: dict[str, str] | None = None
    ) -> dict[str, Any] | Refused:
        """Change an item if a condition holds.

        Args:
            update: the update expression.
            condition: the condition expression.
            values: plain values of the `:` placeholders of both.
            names: values of the `#` placeholders of both, if there are any; DynamoDB refuses an empty map.

        Returns:
            The item as it is after the write, or the refusal.
        """
        try:
            answer = self._client.update_item(
                TableName=self._name,
                Key={self._key: {"S": key}},
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeValues={name: _serialize(value) for name, value in values.items()},
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **({"ExpressionAttributeNames": names} if names else {}),
            )
        except self._client.exceptions.ConditionalCheckFailedException as error:
            return Refused(_plain(error.response.get("Item")))
        return _plain(answer["Attributes"]) or {}

    def query(
        self, index: str, condition: str, *, names: dict[str, str], values: dict[str, Any], limit: int
    ) -> list[dict[str, Any]]:
        """Read the first items of an index that a key condition names, oldest first."""
        answer = self._client.query(
            TableName=self._name,
            IndexName=index,
            KeyConditionExpression=condition,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues={name: _serialize(value) for name, value in values.items()},
            Limit=limit,
        )
        return [item for item in map(_plain, answer["Items"]) if item is not None]

    def count(self, index: str, condition: str, *, having: str, names: dict[str, str], values: dict[str, Any]) -> int:
        """Count the items of an index that a key condition names and a filter lets through."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._name,
            IndexName=index,
            KeyConditionExpression=condition,
            FilterExpression=having,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues={name: _serialize(value) for name, value in values.items()},
            Select="COUNT",
        )
        return sum(int(page["Count"]) for page in pages)

    def page(
        self, index: str, partition: dict[str, str], *, after: dict[str, Any] | None, limit: int
    ) -> tuple[list[dict[str, Any]], bool]:
        """Read the last items of a partition of an index, newest first.

        Args:
            index: its name.
            partition: name and value of its partition key.
            after: keys of the item behind which to begin, in the index and in the table.
            limit: how many at most.

        Returns:
            The items, and whether there may be more.
        """
        ((name, value),) = partition.items()
        answer = self._client.query(
            TableName=self._name,
            IndexName=index,
            KeyConditionExpression="#partition = :value",
            ExpressionAttributeNames={"#partition": name},
            ExpressionAttributeValues={":value": _serialize(value)},
            ScanIndexForward=False,
            Limit=limit,
            **({"ExclusiveStartKey": {key: _serialize(each) for key, each in after.items()}} if after else {}),
        )
        return [item for item in map(_plain, answer["Items"]) if item is not None], "LastEvaluatedKey" in answer

    def is_reachable(self) -> bool:
        """Tell whether the table can be read."""
        try:
            self.get("health")
        except (ClientError, BotoCoreError):
            return False
        return True


def _plain(item: dict[str, Any] | None) -> dict[str, Any] | None:
    return {name: _deserialize(value) for name, value in item.items()} if item else None
