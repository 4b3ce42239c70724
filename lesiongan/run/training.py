"""The loop that every training shares: epochs, a checkpoint after each, and going on from it."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from lesiongan.files.progress import progress
from lesiongan.files.telling import event, say
from lesiongan.run import checkpoints

if TYPE_CHECKING:
    from lesiongan.run.folders import ResultFolder


def train_epochs(
    place: "ResultFolder",
    epochs: int,
    state: list,
    columns: Sequence[str],
    train_epoch: Callable[[int], Iterable],
    after_epoch: Callable[[int, list[dict[str, float]]], object],
    kept: dict[str, Any],
    resuming: bool,
    title: str,
    images_of: Callable[[int], int],
) -> list[dict[str, float]]:
    """Train from the first epoch, or from the one after the checkpoint, and return the history.

    place: ResultFolder; state: Keras variables that a resumed training must have back, the
    optimizer's too; columns: names of what the history has of each epoch, the first being `epoch`
    and the last `seconds`; train_epoch: function of the epoch's number (from 0) to the values in
    between; after_epoch: function of that number and the history, whose time does not count; kept:
    {name: array} that it may change, saved and restored with the state; images_of: function of an
    epoch's number to the images it trains on. The history is a list of {column: float}.
    """
    history = []
    if resuming:
        shapes = {"history": (None, len(columns))} | {name: v.shape for name, v in kept.items()}
        found = checkpoints.load_state(place.checkpoint, state, shapes, place.training_key)
        history = [dict(zip(columns, h.tolist(), strict=True)) for h in found.pop("history")]
        kept.update(found)
        say(f"  resuming after epoch {len(history)}")
    bar = progress(epochs, len(history), title)
    for epoch in range(len(history), epochs):
        began = time.time()
        row = (epoch + 1, *train_epoch(epoch), time.time() - began)
        history.append(dict(zip(columns, map(float, row), strict=True)))
        after_epoch(epoch, history)
        past = [list(h.values()) for h in history]
        checkpoints.save_state(
            place.checkpoint, state, history=past, fingerprint=place.training_key, **kept
        )
        last = history[-1]
        speed = images_of(epoch) / max(last["seconds"], 1e-9)
        shown = [f"{name} {last[name]:.3f}" for name in columns[1:3]]
        bar.set_postfix_str(" ".join([*shown, f"{speed:.0f} images/s"]))
        bar.update()
        left = (epochs - epoch - 1) * sum(h["seconds"] for h in history) / len(history)
        rates = {"images_per_second": round(speed, 1), "seconds_left": round(left, 1)}
        event("epoch", training=title, of=epochs, **last | {"epoch": epoch + 1}, **rates)
    bar.close()
    return history
