"""Which messages of a socket a transcript keeps."""

from tests.comfyui.recorder import Message


def nothing(_: Message) -> bool:
    """Keep no message of a socket whose messages come in another order each time, or tell nothing new."""
    return False


def of_prompts(message: Message) -> bool:
    """Keep what is said of a prompt, not of the queue, which two threads change at once."""
    return message["type"] != "status"


def beginnings_and_ends(message: Message) -> bool:
    """Keep when prompts begin and end, and nothing of the nodes between."""
    begins_or_ends = message["type"].startswith("execution_") and message["type"] != "execution_cached"
    return begins_or_ends or message["data"].get("node", "") is None


def of_the_sampler(message: Message) -> bool:
    """Keep what is said of the sampler's steps."""
    return message["type"] == "progress" or message["type"].startswith("binary")
