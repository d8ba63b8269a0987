"""What a run config says of a provider of the type `inline::meta-reference`."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from hitchpost.plugin import ConfigPath
from hitchpost_meta_reference.engine.settings import DeviceName, DtypeName, EngineSettings


class MetaReferenceInferenceConfig(BaseModel):
    """One model, and how its engine runs."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), use_attribute_docstrings=True)

    model: Annotated[str, Field(min_length=1)] = "Llama3.2-3B-Instruct"
    """Name that the model is served under; one of Meta's descriptors such as `Llama3.1-8B-Instruct` tells its prompt format too."""
    checkpoint_dir: ConfigPath | None = None
    """Folder with the checkpoint, in Meta's or in Hugging Face's format; absent: `~/.llama/checkpoints/MODEL`, each `:` of the name as `-`."""
    dtype: DtypeName | None = None
    """Of the weights: `float32`, `bfloat16` or `float16`; absent: as they were saved."""
    device: DeviceName | None = None
    """`cuda` or `cpu`; absent: `cuda` where there is one."""
    max_seq_len: Annotated[int, Field(ge=2)] | None = None
    """Tokens of prompt and answer together, and of a text that becomes a vector; absent: what the checkpoint was made for, at most 4096."""
    max_batch_size: Annotated[int, Field(ge=1, le=1024)] = 16
    """How many choices are generated at once; each takes cache for `max_seq_len` tokens."""
    torch_seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    """Makes requests without a seed repeatable, in the order in which they come."""
    start_timeout_s: Annotated[float, Field(gt=0)] = 600.0
    """How long loading may take."""
    heartbeat_timeout_s: Annotated[float, Field(gt=0)] = 10.0
    """An engine that is silent for so long is ended and started again."""
    step_timeout_s: Annotated[float, Field(gt=0)] = 120.0
    """An engine that computes one step for so long is ended and started again."""
    create_distributed_process_group: bool = True
    """Has no effect; accepted because run configs of llama-stack have it."""

    @property
    def checkpoint_folder(self) -> Path:
        """The folder that `checkpoint_dir` names, or its default."""
        folder = self.checkpoint_dir or Path("~/.llama/checkpoints") / self.model.replace(":", "-").replace("/", "-")
        return folder.expanduser().absolute()

    def engine_settings(self) -> EngineSettings:
        """What the engine process is told."""
        return EngineSettings(
            checkpoint_dir=str(self.checkpoint_folder),
            dtype=self.dtype,
            device=self.device,
            max_seq_len=self.max_seq_len,
            max_batch_size=self.max_batch_size,
            seed=self.torch_seed,
        )


__all__ = ["MetaReferenceInferenceConfig"]
