"""What the operator is told when a model is not published."""


class NotPublished(Exception):
    """Nothing was published; the message is a sentence for the operator."""
