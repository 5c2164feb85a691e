"""Building the model of a folder, from its files alone."""

from __future__ import annotations

from typing import Any

import transformers

from transload.convert.error_lines import first_line
from transload.convert.torch.quiet import quiet
from transload.convert.torch.transformers.folder import Folder
from transload.convert.torch.transformers.tasks import Task
from transload.serialize.errors import SourceError, UnsupportedError

SHOWN = 5
"""How many names of weights a message lists."""


def load_model(folder: Folder, task: Task | None) -> tuple[transformers.PreTrainedModel, tuple[str, ...]]:
    """The model in eval mode, as the task or else the configuration says; and notes for the user.

    Nothing is fetched, and no code but that of transformers runs.

    Raises:
        UnsupportedError: this transformers has no such architecture, or none for the task.
        SourceError: files are damaged, or weights are missing which transformers would fill with random numbers.
    """
    if task is None or folder.architecture in task.architectures():
        builder: Any = getattr(transformers, folder.architecture, None)
        if builder is None:
            raise UnsupportedError(
                f"transformers {transformers.__version__} has no architecture {folder.architecture!r}.",
                where=str(folder.path),
                hint="Name a task with --task, or install a transformers that has it.",
            )
    else:
        builder = getattr(transformers, task.auto_class)
    # What the files hold decides what is raised here.
    try:
        with quiet():
            model, found = builder.from_pretrained(
                folder.path, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
    except Exception as error:
        raise SourceError(f"transformers cannot read the model: {first_line(error)}", where=str(folder.path)) from error
    if missing := sorted(found["missing_keys"]):
        raise SourceError(
            f"The folder has no values for {len(missing)} weights of {type(model).__name__}: {_some(missing)}.",
            where=str(folder.path),
            hint="Convert it for the task that it was trained for; leave --task out for the architecture's own.",
        )
    notes = [f"Converted as {type(model).__name__}" + (f", {task.name}." if task else ".")]
    if unused := sorted(found["unexpected_keys"]):
        notes.append(f"{type(model).__name__} makes no use of {len(unused)} weights in the folder: {_some(unused)}.")
    return model.eval(), tuple(notes)


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
