"""Continue or translate texts with a package of a language model, with neither PyTorch nor transformers: numpy alone.

python generate.py model.tload --text "Once upon a time" --text "Far away" --count 40
python generate.py model.tload --ids 5,17,3 --ids 8,9 --count 40 --temperature 0.8 --top-k 20 --seed 1

A package with `prefill` and `decode` continues the texts; one with `encode` and `decode` makes new ones of them. Texts
need the package `tokenizers` and a tokenizer.json in the package; token ids need nothing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import transload as tl
from transload.serialize import open_package

Array = np.ndarray[Any, Any]
Choose = Callable[[Array], Array]
"""From the logits of the last tokens, float[batch, vocabulary], to the next tokens, int64[batch]."""


def choose_best(logits: Array) -> Array:
    """The likeliest token of each row."""
    return np.asarray(logits.argmax(-1), np.int64)


def make_sampler(temperature: float, top_k: int | None, seed: int) -> Choose:
    """Draws each row's token by its probability, from the `top_k` likeliest."""
    rng = np.random.default_rng(seed)

    def choose(logits: Array) -> Array:
        scores = logits.astype(np.float64) / temperature
        if top_k is not None and top_k < scores.shape[-1]:
            scores[scores < np.partition(scores, -top_k)[:, -top_k, None]] = -np.inf
        # The largest of scores plus Gumbel noise is a draw from their softmax.
        return np.asarray((scores + rng.gumbel(size=scores.shape)).argmax(-1), np.int64)

    return choose


def pad_left(rows: Sequence[Sequence[int]], pad: int) -> tuple[Array, Array]:
    """Token ids and mask, int64[batch, longest]: what hides the padding before the shorter texts."""
    longest = max(len(row) for row in rows)
    ids = np.full((len(rows), longest), pad, np.int64)
    mask = np.zeros_like(ids)
    for number, row in enumerate(rows):
        ids[number, longest - len(row) :] = row
        mask[number, longest - len(row) :] = 1
    return ids, mask


def generate(
    prefill: tl.Model,
    decode: tl.Model,
    ids: Array,
    mask: Array,
    count: int,
    choose: Choose = choose_best,
    stop: Iterable[int] = (),
    pad: int = 0,
) -> Array:
    """Up to `count` further tokens for each row, int64[batch, count]; rows that have stopped go on with `pad`."""

    def step(token: Array | None) -> Array:
        nonlocal mask, outputs
        if token is not None:
            mask = np.concatenate((mask, np.ones_like(token)), 1)
            outputs = decode(**_inputs(decode, token, mask), past_key_values=outputs["present"])
        return np.asarray(outputs["logits"][:, -1])

    outputs = prefill(**_inputs(prefill, ids, mask))
    return _choose_tokens(step, len(ids), count, choose, stop, pad)


def generate_from(
    encode: tl.Model,
    decode: tl.Model,
    ids: Array,
    mask: Array,
    start: int,
    count: int,
    choose: Choose = choose_best,
    stop: Iterable[int] = (),
    pad: int = 0,
) -> Array:
    """As `generate`, by an encoder-decoder: texts that begin after the token `start`."""
    source = encode(input_ids=ids, attention_mask=mask)["present"]
    heads, _, width = source[0]["encoder"]["key"].shape[1:]
    nothing = np.zeros((len(ids), heads, 0, width), source[0]["encoder"]["key"].dtype)
    past = [{"decoder": {"key": nothing, "value": nothing}} for _ in source]

    def step(token: Array | None) -> Array:
        nonlocal past
        token = np.full((len(ids), 1), start) if token is None else token
        layers = [{**layer, **each} for layer, each in zip(past, source, strict=True)]
        outputs = decode(input_ids=token, encoder_attention_mask=mask, past_key_values=layers)
        past = outputs["present"]
        return np.asarray(outputs["logits"][:, -1])

    return _choose_tokens(step, len(ids), count, choose, stop, pad)


def _choose_tokens(
    step: Callable[[Array | None], Array], rows: int, count: int, choose: Choose, stop: Iterable[int], pad: int
) -> Array:
    """Ask for logits and choose tokens in turn; `step` takes the last tokens, None at first, int64[batch, 1]."""
    stopped = np.zeros(rows, bool)
    tokens = np.zeros((rows, 0), np.int64)
    last = None
    while tokens.shape[1] < count and not stopped.all():
        last = np.where(stopped, pad, choose(step(last)))[:, None]
        tokens = np.concatenate((tokens, last), 1)
        stopped |= np.isin(last[:, 0], list(stop))
    return tokens


def _inputs(model: tl.Model, ids: Array, mask: Array) -> dict[str, Array]:
    """What the component takes of ids, mask and positions, which count from each row's first real token."""
    positions = np.maximum(mask.cumsum(1) - 1, 0)[:, -ids.shape[1] :]
    known = {"input_ids": ids, "attention_mask": mask, "position_ids": positions}
    return {name: array for name, array in known.items() if name in model.interface.inputs}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the continuation of each text, as text or as token ids."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path)
    parser.add_argument("--text", action="append", default=[], help="a text to continue; repeat for a batch")
    parser.add_argument("--ids", action="append", default=[], help="token ids instead, between commas")
    parser.add_argument("--count", type=int, default=40, help="how many tokens at most")
    parser.add_argument("--temperature", type=float, help="draw tokens instead of taking the likeliest")
    parser.add_argument("--top-k", type=int, help="draw from this many of the likeliest")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    if bool(given.text) == bool(given.ids):
        parser.error("give --text or --ids")

    package = open_package(given.package)
    rows = [[int(word) for word in text.split(",")] for text in given.ids]
    if given.text:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_str(package.read_asset("tokenizer.json").decode())
        rows = [tokenizer.encode(text).ids for text in given.text]
    settings = json.loads(package.read_asset("generation_config.json"))
    stop = settings.get("eos_token_id") or []
    pad = settings.get("pad_token_id") or 0
    choose = make_sampler(given.temperature, given.top_k, given.seed) if given.temperature else choose_best
    stop = stop if isinstance(stop, list) else [stop]
    decode = tl.load(given.package, "decode")
    ids, mask = pad_left(rows, pad)
    if "encode" in package.component_names:
        start = settings["decoder_start_token_id"]
        encode = tl.load(given.package, "encode")
        tokens = generate_from(encode, decode, ids, mask, start, given.count, choose, stop, pad)
    else:
        prefill = tl.load(given.package, "prefill")
        tokens = generate(prefill, decode, ids, mask, given.count, choose, stop, pad)
    for row in tokens.tolist():
        print(tokenizer.decode(row) if given.text else ",".join(map(str, row)))


if __name__ == "__main__":
    main()
