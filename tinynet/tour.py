"""A first look at tinynet, in a minute: `python -m tinynet tour`.

Every number that it prints was measured in that run.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tinynet import plot, random
from tinynet.check import check_ops
from tinynet.data import Digits, load_digits
from tinynet.derivations import perceptron
from tinynet.explanation.graph import Value, trace
from tinynet.metrics import accuracy, confusion_matrix
from tinynet.models.mlp import MLP, MLPConfig
from tinynet.nn import Flatten, Linear, Module, Sequential
from tinynet.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from tinynet.ops.creation import tensor
from tinynet.ops.elementwise import sigmoid
from tinynet.optim import Adam
from tinynet.tensor import Tensor
from tinynet.train import History, evaluate, fit

_WIDTH = 88
_PAIR = (3, 5)


def run(out: str = "tinynet-tour", *, quick: bool = False) -> dict[str, Any]:
    """Give the tour: text to the terminal, pictures into the folder `out`. Returns what was
    measured.

    quick   fewer repetitions and epochs, for a look that takes seconds; the accuracies are then
            lower
    """
    start = time.perf_counter()
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    print("tinynet: the mathematics under deep learning, derived, checked, made fast, and seen")
    measured: dict[str, Any] = {}
    measured |= _tape(folder)
    measured |= _check(1 if quick else 4)
    measured |= _perceptron()
    measured |= _neuron(folder, 10 if quick else 60)
    measured |= _digits(folder, splits=1 if quick else 5, epochs=8 if quick else 40)
    measured["seconds"] = time.perf_counter() - start
    _what_next(folder, measured["seconds"])
    return measured


def _title(number: int, text: str) -> None:
    print(f"\n{number}. {text}\n{'-' * _WIDTH}")


def _save(ax: Any, path: Path) -> None:
    ax.figure.savefig(path)


# -- 1 and 2: the engine ---------------------------------------------------------------------------


def _tape(folder: Path) -> dict[str, Any]:
    _title(1, "An expression, its tape, its gradient")
    w, b = (tensor(v, requires_grad=True, name=n) for n, v in (("w", -1.5), ("b", 0.5)))

    def loss(w: Any, b: Any) -> Any:
        return (sigmoid(2.0 * w + b) - 1.0) ** 2

    y = loss(w, b)
    print(
        "One neuron with input 2 and target 1: L = (sigmoid(2 w + b) − 1)², at w = −1.5, b = 0.5."
    )
    print("Going forward, every op is written down on the tape:\n")
    for line in tape_lines(y):
        print("   " + line)
    _save(plot.tape(y), folder / "tape.png")
    y.backward()
    print(f"\nL = {y.item():.4f}. Going back along the tape, the chain rule gives the gradient;")
    print("moving each number a little, by ±0.001, and looking at L must give the same:\n")
    h, worst = 1e-3, 0.0
    with_w = (loss(-1.5 + h, 0.5) - loss(-1.5 - h, 0.5)) / (2 * h)
    with_b = (loss(-1.5, 0.5 + h) - loss(-1.5, 0.5 - h)) / (2 * h)
    for leaf, moved in ((w, with_w), (b, with_b)):
        assert leaf.grad is not None
        worst = max(worst, abs(leaf.grad.item() - float(moved)))
        taped, moved = leaf.grad.item(), float(moved)
        print(f"   dL/d{leaf.name}   by the tape {taped:9.6f}   by differences {moved:9.6f}")
    return {"tape_error": worst}


def tape_lines(y: Tensor) -> Iterator[str]:
    """The tape of a small expression as text: each leaf and each step, with its shape and what it
    was made from.
    """
    for value in trace(y).values:
        step = value.made_by
        used = [x.name if isinstance(x, Value) else f"{x:g}" for x in step.inputs] if step else []
        origin = f"{step.title} of {' and '.join(used)}" if step else "leaf"
        yield f"{value.name:<5} {value.shape!s:<5} {origin}"


def _check(cases: int) -> dict[str, Any]:
    _title(2, "Is it right? Every op against differences")
    reports = list(check_ops(seed=0, cases=cases))
    judged = [r for r in reports if not math.isnan(r.first)]
    print("The worst relative error of first and second derivatives, at random arguments:\n")
    wide = max(len(r.name) for r in judged)
    cells = [f"{r.name:<{wide}}{r.first:8.0e}{r.second:8.0e}" for r in judged]
    columns = 100 // (wide + 19)
    rows = -(-len(cells) // columns)
    head = f"{'op':<{wide}}{'first':>8}{'second':>8}"
    print("   " + "   ".join([head] * min(columns, len(cells))))
    for i in range(rows):
        print("   " + "   ".join(cells[i::rows]))
    failed = [r.name for r in reports if not r.ok]
    others = len(reports) - len(judged)
    print(f"\n{len(judged)} ops have derivatives, {others} have none (comparisons and such).")
    print(f"Wrong: {', '.join(failed) or 'none'}.")
    return {"ops": len(judged), "failed": failed}


# -- 3 and 4: one neuron ---------------------------------------------------------------------------


def _pair() -> tuple[Digits, Digits]:
    """Training and test images of two digits."""
    return load_digits(scaled=True).only(*_PAIR).split(0.2, seed=0)


def _perceptron() -> dict[str, Any]:
    _title(3, f"The perceptron (Rosenblatt, 1958) learns to tell {_PAIR[0]} from {_PAIR[1]}")
    train, test = ((_flat(part), _signs(part)) for part in _pair())
    found = perceptron.fit(*train)
    bound = perceptron.mistake_bound(*train, found.w, found.b)
    right = float(np.mean(perceptron.predict(test[0], found.w, found.b) == test[1]))
    n = len(train[1])
    print(f"{n} images of 8 × 8 pixels. The rule looks at one at a time, and changes its weights")
    if found.converged:
        print(f"only where it is wrong. After {found.mistakes} mistakes it makes none any more.")
        print(f"Novikoff's theorem: at most {bound:,.0f}, that is (R/γ)² for the plane found.")
    else:
        print(f"only where it is wrong. It made {found.mistakes} mistakes and found no plane.")
    print(f"On {len(test[1])} images that it never saw: {100 * right:.1f} % right.")
    return {"mistakes": found.mistakes, "bound": bound, "perceptron": right}


def _flat(part: Digits) -> Any:
    return part.images.array.reshape(len(part), -1).astype(np.float64)


def _signs(part: Digits) -> Any:
    return np.where(part.labels.array == _PAIR[1], 1, -1)


def _neuron(folder: Path, epochs: int) -> dict[str, Any]:
    _title(4, "The same by gradients: a logistic neuron")
    train, test = _pair()
    random.manual_seed(0)
    model = Sequential(Flatten(), Linear(64, 1), Flatten(0))
    fit(
        model,
        (train.images, Tensor((train.labels.array == _PAIR[1]).astype(np.float32))),
        loss=binary_cross_entropy_with_logits,
        optimizer=Adam(model.parameters(), lr=0.02),
        epochs=epochs,
        seed=0,
    )
    scores = model(test.images).detach().array
    right = accuracy(scores > 0, (test.labels.array == _PAIR[1]).astype(np.int64))
    print("It minimises the binary cross-entropy, and answers by a probability:")
    print(f"{100 * right:.1f} % right on the images that it never saw.")
    print(f"neuron.png shows its 64 weights: purple speaks for {_PAIR[1]}, orange for {_PAIR[0]}.")
    panels = plot.weights(model[1].weight, titles=[f"{_PAIR[1]} or {_PAIR[0]}?"])
    _save(panels[0], folder / "neuron.png")
    return {"neuron": right}


# -- 5: a network ----------------------------------------------------------------------------------


def train_reader(
    train: Digits,
    test: Digits,
    *,
    epochs: int = 40,
    lr: float = 4e-3,
    seed: int = 0,
) -> tuple[Module, History, float]:
    """(model, history, accuracy on the test images). The test images are looked at, never learned
    from.
    """
    random.manual_seed(seed)
    model = MLP(MLPConfig())
    history = fit(
        model,
        (train.images, train.labels),
        loss=cross_entropy,
        optimizer=Adam(model.parameters(), lr=lr),
        epochs=epochs,
        validation=(test.images, test.labels),
        metrics=[accuracy],
    )
    scores = evaluate(model, (test.images, test.labels), metrics=[accuracy])
    return model, history, scores["accuracy"]


def _digits(folder: Path, splits: int, epochs: int) -> dict[str, Any]:
    _title(5, "A network with a hidden layer reads all ten digits")
    digits = load_digits(scaled=True)
    print(f"64 pixels → 128 neurons → 10 classes; {epochs} epochs of Adam; a fifth is held out:\n")
    scores = []
    for seed in range(splits):
        model, history, score = train_reader(
            *digits.split(0.2, seed=seed), epochs=epochs, seed=seed
        )
        scores.append(score)
        _score(f"a random fifth, seed {seed}", score)
        if seed == 0:
            _save(history.plot()[0], folder / "learning_curves.png")
    mean = float(np.mean(scores))
    if splits > 1:
        _score(f"mean of these {splits}", mean)
    train, test = digits.split_in_file_order(0.2)
    model, _, other = train_reader(train, test, epochs=epochs)
    _score("the last fifth in the file's order", other)
    print(
        "\nWhy do they differ? 13 people wrote these digits, and the file keeps the digits of one"
    )
    print("hand near each other. A random split shows the network every hand; the end of the file")
    print("holds hands that it hardly saw. Ask which of the two an accuracy was measured on.")
    _draw(folder, model, test)
    return {"accuracies": scores, "mean_accuracy": mean, "file_order_accuracy": other}


def _score(what: str, accuracy: float) -> None:
    print(f"   {what:<36}{100 * accuracy:6.1f} % right", flush=True)


def _draw(folder: Path, model: Any, test: Digits) -> None:
    """What the network that was tested on other hands confuses, misreads, and looks at."""
    model.eval()
    predictions = model(test.images).detach().array.argmax(axis=1)
    labels = test.labels.array
    matrix = confusion_matrix(predictions, labels, classes=10)
    _save(plot.confusion_matrix(matrix), folder / "confusion_matrix.png")
    wrong = np.flatnonzero(predictions != labels)[:24]
    if len(wrong):
        panels = plot.images(test.images.array[wrong], labels[wrong], predictions[wrong])
        _save(panels[0], folder / "misread.png")
    first = model.hidden.weight.detach().array
    strongest = np.argsort(-np.abs(model.output.weight.detach().array).sum(axis=0))[:32]
    _save(plot.weights(first[strongest])[0], folder / "weights.png")


_PICTURES = {
    "tape.png": "the tape of the expression in 1",
    "neuron.png": "the weights of the logistic neuron",
    "learning_curves.png": "loss and accuracy by epoch (in training, dropout makes it harder)",
    "confusion_matrix.png": "which digits of other hands it confuses",
    "misread.png": "some that it misread",
    "weights.png": "the 32 hidden neurons with the most influence",
}


def _what_next(folder: Path, seconds: float) -> None:
    _title(6, "What next")
    print(f"Pictures, in {folder.resolve()}:\n")
    for name, what in _PICTURES.items():
        if (folder / name).exists():
            print(f"   {name:<22} {what}")
    print("\nRead   python -m tinynet where cross_entropy     a formula, its derivation, its code")
    print("Check  python -m tinynet check                   every op, with its formula")
    print("Train  python -m tinynet train                   systems, on real data")
    print(
        "Time   python -m tinynet bench                   beside the other engines on this machine"
    )
    print(f"\nThis tour took {seconds:.0f} seconds.")
