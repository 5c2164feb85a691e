"""The names of the architectures: `timm/…` for one member of each family, `transformers/…` for model types."""

from __future__ import annotations

from pathlib import Path

from benchmarks.architectures.timm_models import SETTINGS

MODEL_TYPES = Path(__file__).with_name("model_types.txt").read_text().split()

NAMES = (*(f"timm/{name}" for name in SETTINGS), *(f"transformers/{name}" for name in MODEL_TYPES))
