"""What the engine raises when a checkpoint, a tokenizer or a chat template can't be used."""


class CheckpointError(ValueError):
    """A checkpoint can't be served; the message names the file and what is wrong with it."""


class ChatTemplateError(ValueError):
    """A chat template is missing, refuses the conversation or exceeds its bounds."""


__all__ = ["ChatTemplateError", "CheckpointError"]
