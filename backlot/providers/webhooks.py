"""Sends webhooks to hosts that clients name, without letting them reach what is not public."""

import ssl

import httpcore
import httpx

from backlot.callbacks import WebhookFailed
from backlot.errors import ImageUrlRefused
from backlot.image_urls import ImageUrlPolicy
from backlot.providers.pinned import AddressRefused, Deadline, HostRefused, HostUnavailable, PinnedBackend

#: The whole attempt, and a single read or connect, seconds. Standard Webhooks advises 15 to 30.
TOTAL_S, IDLE_S = 20.0, 15.0


class WebhookPoster:
    """Posts one message at a time, and follows no redirect.

    Args:
        policy: which hosts are allowed.
        verify: TLS settings; the default trusts the public authorities.
    """

    def __init__(self, policy: ImageUrlPolicy, *, verify: ssl.SSLContext | None = None) -> None:
        self._policy = policy
        self._verify = verify or httpx.create_ssl_context()

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        """Send a message and return the status of the answer, whose body is not read.

        Raises:
            WebhookFailed: the URL or its address is refused (final), or the host does not answer.
        """
        deadline = Deadline(TOTAL_S)
        try:
            self._policy.check_foreign(url)
            parsed = httpx.URL(url)
            sent = {
                **headers,
                "Host": parsed.netloc.decode("ascii"),
                "User-Agent": "Backlot/1 (webhook)",
                "Connection": "close",
            }
            with (
                httpcore.ConnectionPool(
                    ssl_context=self._verify,
                    network_backend=PinnedBackend(self._policy, deadline),
                    max_keepalive_connections=0,
                ) as pool,
                pool.stream(
                    "POST",
                    httpcore.URL(
                        scheme=parsed.raw_scheme, host=parsed.raw_host, port=parsed.port, target=parsed.raw_path
                    ),
                    headers=list(sent.items()),
                    content=body,
                    extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), IDLE_S)},
                ) as response,
            ):
                return response.status
        except (ImageUrlRefused, AddressRefused, httpx.InvalidURL, httpcore.UnsupportedProtocol) as error:
            raise WebhookFailed(f"the URL is refused: {error}", is_final=True) from error
        except (HostRefused, HostUnavailable) as error:
            raise WebhookFailed(str(error)) from error
        except httpcore.TimeoutException as error:
            raise WebhookFailed(f"no answer within {TOTAL_S if deadline.is_over else IDLE_S:g} s") from error
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise WebhookFailed(f"the connection failed ({str(error)[:120]})") from error
