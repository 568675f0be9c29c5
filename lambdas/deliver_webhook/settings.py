"""Settings of deliver_webhook."""

from backlot.settings import EnvironmentSettings


class Settings(EnvironmentSettings):
    """What deliver_webhook needs to know.

    Args:
        task_store: name of the table of tasks.
        insecure_hosts: `host:port`, separated by commas, of hosts that may be plain http or private.
        webhook_secret: name of the secret from which signing keys are made.
    """

    task_store: str
    insecure_hosts: str
    webhook_secret: str
