"""The text encoder's processor without its video part, which is the only one that needs torchvision."""

from pathlib import Path
from typing import Any

from transformers import Qwen2Tokenizer, Qwen2VLImageProcessorPil, Qwen2VLProcessor
from transformers.processing_utils import ProcessorMixin


class PictureProcessor(Qwen2VLProcessor):
    """Turns a text with marks for pictures, and the pictures, into the text encoder's input.

    Args:
        image_processor: by Pillow and numpy.
        tokenizer: that knows the marks.
    """

    # transformers reads this signature to know what a processor is made of, and loads a video part if it is named.
    def __init__(self, image_processor: Any = None, tokenizer: Any = None) -> None:
        self.image_token, self.video_token = "<|image_pad|>", "<|video_pad|>"
        self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
        self.video_token_id = tokenizer.convert_tokens_to_ids(self.video_token)
        ProcessorMixin.__init__(self, image_processor, tokenizer)


def load_processor(base: Path) -> PictureProcessor:
    """Load it from the published folders `processor` and `tokenizer`, whatever class their files name."""
    tokenizer = Qwen2Tokenizer.from_pretrained(base / "tokenizer", local_files_only=True)
    image_processor = Qwen2VLImageProcessorPil.from_pretrained(base / "processor", local_files_only=True)
    return PictureProcessor(image_processor, tokenizer)
