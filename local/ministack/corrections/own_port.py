"""MiniStack with TLS also takes port 443 of the machine; several checkouts side by side must not."""

from ministack import app


def apply() -> None:
    """Let it believe that 443 is taken."""
    app._port_is_bindable = lambda *_: False
