"""Tasks by the names that the Hugging Face hub gives them, and the classes of transformers that serve them."""

from __future__ import annotations

from dataclasses import dataclass

from transformers.models.auto import modeling_auto

from transload.serialize.errors import UsageError


@dataclass(frozen=True)
class Task:
    """One task.

    Args:
        name: The hub's name.
        auto_class: The class of transformers that finds the architecture by the configuration.
        mapping: transformers' table of the architectures, by name.
        has_labels: Whether an output's last axis are the classes of the configuration's `id2label`.
    """

    name: str
    auto_class: str
    mapping: str
    has_labels: bool = False

    def architectures(self) -> frozenset[str]:
        """The names of every class that serves the task."""
        table = getattr(modeling_auto, self.mapping)
        names = (name if isinstance(name, tuple) else (name,) for name in table.values())
        return frozenset(name for group in names for name in group)


TEXT_GENERATION = Task("text-generation", "AutoModelForCausalLM", "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES")
TEXT_TO_TEXT = Task("text2text-generation", "AutoModelForSeq2SeqLM", "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES")
SPEECH_TO_TEXT = Task(
    "automatic-speech-recognition", "AutoModelForSpeechSeq2Seq", "MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES"
)
MULTIPLE_CHOICE = Task("multiple-choice", "AutoModelForMultipleChoice", "MODEL_FOR_MULTIPLE_CHOICE_MAPPING_NAMES")

TASKS = (
    TEXT_GENERATION,
    TEXT_TO_TEXT,
    SPEECH_TO_TEXT,
    Task("automatic-speech-recognition-ctc", "AutoModelForCTC", "MODEL_FOR_CTC_MAPPING_NAMES"),
    Task("fill-mask", "AutoModelForMaskedLM", "MODEL_FOR_MASKED_LM_MAPPING_NAMES"),
    Task(
        "text-classification",
        "AutoModelForSequenceClassification",
        "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES",
        has_labels=True,
    ),
    Task(
        "token-classification",
        "AutoModelForTokenClassification",
        "MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES",
        has_labels=True,
    ),
    Task("question-answering", "AutoModelForQuestionAnswering", "MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES"),
    MULTIPLE_CHOICE,
    Task(
        "image-classification",
        "AutoModelForImageClassification",
        "MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES",
        has_labels=True,
    ),
    Task(
        "image-segmentation",
        "AutoModelForSemanticSegmentation",
        "MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING_NAMES",
        has_labels=True,
    ),
    Task(
        "object-detection", "AutoModelForObjectDetection", "MODEL_FOR_OBJECT_DETECTION_MAPPING_NAMES", has_labels=True
    ),
    Task("depth-estimation", "AutoModelForDepthEstimation", "MODEL_FOR_DEPTH_ESTIMATION_MAPPING_NAMES"),
    Task(
        "audio-classification",
        "AutoModelForAudioClassification",
        "MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES",
        has_labels=True,
    ),
    Task("feature-extraction", "AutoModel", "MODEL_MAPPING_NAMES"),
)
"""In this order an architecture is looked for."""


def find_task(architecture: str, asked: str | None) -> Task | None:
    """The task that was asked for, or else the architecture's; None for an architecture that serves none of these.

    Raises:
        UsageError: there is no such task.
    """
    if asked is None:
        return next((task for task in TASKS if architecture in task.architectures()), None)
    found = next((task for task in TASKS if task.name == asked), None)
    if found is None:
        raise UsageError(f"Unknown task {asked!r}.", hint=f"Choose one of: {', '.join(task.name for task in TASKS)}.")
    return found
