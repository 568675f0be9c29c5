"""Web applications in a thread, and one that speaks as much of S3 and SNS as the model lane needs."""

import asyncio
import hashlib
import socket
import threading
from typing import Any
from urllib.parse import parse_qs

import boto3
from aiohttp import web
from botocore.config import Config


class Served:
    """An application behind a real socket, in a thread of its own."""

    def __init__(self, app: web.Application) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.origin = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(app, ready), daemon=True)
        self._thread.start()
        assert ready.wait(10)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self, app: web.Application, ready: threading.Event) -> None:
        runner = web.AppRunner(app, shutdown_timeout=0)
        self._loop.run_until_complete(runner.setup())
        self._loop.run_until_complete(web.SockSite(runner, self._socket).start())
        ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()


class Aws:
    """Objects and published messages in memory.

    Objects of the bucket `closed` can be neither read nor written.
    """

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, dict[str, str]]] = {}
        self.published: list[tuple[str, str]] = []
        self.told = threading.Condition()
        app = web.Application(client_max_size=100_000_000)
        app.router.add_post("/", self._publish)
        app.router.add_get("/{bucket}/{key:.+}", self._get)
        app.router.add_put("/{bucket}/{key:.+}", self._put)
        self._served = Served(app)
        self.origin = self._served.origin
        self._clients: dict[str, Any] = {}

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables with which boto3 comes here."""
        return {
            "AWS_ENDPOINT_URL": self.origin,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, service: str) -> Any:
        """Return a boto3 client that comes here."""
        if service not in self._clients:
            self._clients[service] = client(service, self.origin)
        return self._clients[service]

    def close(self) -> None:
        for each in self._clients.values():
            each.close()
        self._served.close()

    async def _get(self, request: web.Request) -> web.Response:
        if request.match_info["bucket"] == "closed":
            return _refusal(403, "AccessDenied")
        body, headers = self.objects.get(_uri(request), (None, {}))
        if body is None:
            return _refusal(404, "NoSuchKey")
        etag = {"ETag": f'"{hashlib.sha256(body).hexdigest()}"'}
        return web.Response(body=body, content_type=headers["Content-Type"], headers=etag)

    async def _put(self, request: web.Request) -> web.Response:
        if request.match_info["bucket"] == "closed":
            return _refusal(403, "AccessDenied")
        assert "aws-chunked" not in request.headers.get("Content-Encoding", "")
        headers = {name: request.headers.get(name, "") for name in ("Content-Type", "Cache-Control")}
        self.objects[_uri(request)] = (await request.read(), headers)
        return web.Response(headers={"ETag": '"etag"'})

    async def _publish(self, request: web.Request) -> web.Response:
        sent = {name: values[0] for name, values in parse_qs(await request.text()).items()}
        assert sent["Action"] == "Publish"
        with self.told:
            self.published.append((sent["TopicArn"], sent["Message"]))
            self.told.notify_all()
        body = (
            '<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult><MessageId>m</MessageId>'
            "</PublishResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></PublishResponse>"
        )
        return web.Response(text=body, content_type="text/xml")


def client(service: str, origin: str) -> Any:
    """Return a boto3 client of a service at an origin, which does not try again."""
    session = boto3.session.Session(aws_access_key_id="key", aws_secret_access_key="secret", region_name="us-east-1")
    config = Config(retries={"total_max_attempts": 1}, read_timeout=20)
    return session.client(service, endpoint_url=origin, config=config)


def _uri(request: web.Request) -> str:
    return f"s3://{request.match_info['bucket']}/{request.match_info['key']}"


def _refusal(status: int, code: str) -> web.Response:
    body = f"<Error><Code>{code}</Code><Message>made to fail</Message></Error>"
    return web.Response(status=status, text=body, content_type="application/xml")
