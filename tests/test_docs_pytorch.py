"""The page about PyTorch: every line of its tables, run on both sides."""

from __future__ import annotations

import inspect
import re
import threading
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pages
import pytest

import tinynet as tn

TEXT = (pages.DOCS / "pytorch.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading."""
    table = TEXT.split(f"## {heading}\n")[1].split("\n## ")[0]
    return [
        [cell.strip() for cell in line.split("|")]
        for line in re.findall(r"^\|(.+)\|$", table, re.MULTILINE)
    ][2:]


def captioned(caption: str) -> list[str]:
    """The code blocks under this caption."""
    return [
        code.split("\n\n", 1)[1]
        for code in re.findall(r"```\{code-block\} python\n(.*?)```", TEXT, re.DOTALL)
        if code.startswith(f":caption: {caption}\n")
    ]


def test_the_cells_run_and_show_what_the_text_says() -> None:
    printed, names = pages.run(TEXT)
    shown = printed["weights-both-ways"]
    assert "1.num_batches_tracked  int64    ()" in shown
    assert "the same answers: True" in shown
    assert "a zip archive, as torch.save" in shown
    assert list(names["other"].state_dict()) == list(names["model"].state_dict())


def test_the_tests_it_names_are_there() -> None:
    named = re.findall(r"`(tests/\w+\.py)`", TEXT)
    assert len(named) > 5
    assert all((pages.DOCS.parent / name).is_file() for name in named)


def program(caption: str) -> str:
    """The program of the page, with the imports of one side."""
    return captioned(caption)[0] + captioned("both")[0]


def test_the_program_learns() -> None:
    names: dict[str, Any] = {}
    exec(program("tinynet"), names)
    assert names["loss"].item() < 0.01


# -- with PyTorch ----------------------------------------------------------------------------------


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch")


@pytest.mark.peers
def test_the_program_has_the_same_losses_from_the_same_weights(torch: Any) -> None:
    """The first weights of PyTorch's run are given to ours."""
    theirs, ours = program("PyTorch"), program("tinynet")
    given: dict[str, Any] = {}
    exec(theirs.split("optimizer =")[0], given)
    weights = {name: w.numpy().copy() for name, w in given["model"].state_dict().items()}
    losses = []
    for source, library in ((theirs, torch), (ours, tn)):
        names = {"weights": {name: library.from_numpy(w) for name, w in weights.items()}}
        exec(source.replace("optimizer =", "model.load_state_dict(weights)\noptimizer =", 1), names)
        losses.append(names["loss"].item())
    assert losses[1] == pytest.approx(losses[0], rel=1e-2)


def arguments(function: Any) -> list[tuple[str, Any]]:
    old = ("self", "size_average", "reduce")  # the two that PyTorch has deprecated
    return [
        (p.name, p.default)
        for p in inspect.signature(function).parameters.values()
        if p.name not in old and p.kind is not p.VAR_KEYWORD
    ]


@pytest.mark.peers
def test_layers_have_pytorchs_arguments(torch: Any) -> None:
    compared = 0
    for name in tn.nn.__all__:
        ours, theirs = getattr(tn.nn, name), getattr(torch.nn, name, None)
        if not inspect.isclass(ours) or theirs is None or name in ("Module", "Hardtanh"):
            continue  # Hardtanh has two more, deprecated names there
        wanted = arguments(theirs)
        if [argument for argument, _ in wanted] == ["args"]:  # PyTorch's does not say
            continue
        assert [argument for argument, _ in arguments(ours)] == [a for a, _ in wanted], name
        for (argument, a), (_, b) in zip(arguments(ours), wanted, strict=True):
            same = a == b or (a, b) == ((), None) or a.__name__ == b.__name__
            assert same, f"{name}({argument}={a!r}), not {b!r}"
        compared += 1
    assert compared > 110


def numpy_functions(torch: Any, _: Path) -> None:
    x = tn.ones(2, requires_grad=True)
    np.sum(np.exp(x)).backward()
    np.testing.assert_allclose(x.grad, np.exp(np.ones(2)), rtol=1e-6)
    with pytest.raises(RuntimeError):
        np.exp(torch.ones(2, requires_grad=True))


def numpy_variance(torch: Any, _: Path) -> None:
    x = [1.0, 2.0, 3.0]
    assert np.var(tn.tensor(x)).item() == pytest.approx(2 / 3)
    assert tn.tensor(x).var().item() == torch.tensor(x).var().item() == 1.0
    with pytest.raises(TypeError):
        np.var(torch.tensor(x))


def shapes(torch: Any, _: Path) -> None:
    assert type(tn.ones(2, 3).shape) is tuple
    assert type(torch.ones(2, 3).shape) is torch.Size
    assert issubclass(torch.Size, tuple)
    assert tn.ones(2, 3).numel() == torch.ones(2, 3).numel() == 6


def random_numbers(torch: Any, _: Path) -> None:
    for library in (tn, torch):
        library.manual_seed(0)
    assert abs(tn.randn(5).numpy() - torch.randn(5).numpy()).max() > 0.01


def views(torch: Any, _: Path) -> None:
    assert tn.tensor([[1, 2], [3, 4]]).t().view(4).tolist() == [1, 3, 2, 4]
    with pytest.raises(RuntimeError, match="reshape"):
        torch.tensor([[1, 2], [3, 4]]).t().view(4)


def sixteen_bits(torch: Any, folder: Path) -> None:
    from safetensors.torch import save_file

    with pytest.raises(AttributeError, match="bfloat16"):
        _ = tn.bfloat16
    save_file({"w": torch.tensor([1.5], dtype=torch.bfloat16)}, folder / "w.safetensors")
    w = tn.load(folder / "w.safetensors")["w"]
    assert (w.dtype, w.tolist()) == (tn.float32, [1.5])


def files(torch: Any, folder: Path) -> None:
    from safetensors.torch import load_file

    tn.save({"w": tn.tensor([1.0, 2.0])}, folder / "ours.safetensors")
    assert load_file(folder / "ours.safetensors")["w"].tolist() == [1.0, 2.0]
    torch.save({"w": torch.ones(2)}, folder / "theirs.pt")
    with pytest.raises(tn.errors.FileFormatError, match="never unpickles"):
        tn.load(folder / "theirs.pt")


class Where(tn.data.Dataset):
    """Each sample is the thread that read it."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, i: int) -> int:
        return threading.get_ident()


def loaders(torch: Any, _: Path) -> None:
    (batch,) = tn.data.DataLoader(Where(), batch_size=4, num_workers=1)
    assert set(batch.tolist()).isdisjoint({threading.get_ident()})
    assert "multiprocessing" in torch.utils.data.DataLoader.__module__ or hasattr(
        torch.utils.data.DataLoader([1]), "multiprocessing_context"
    )


def printed_models(torch: Any, _: Path) -> None:
    assert repr(tn.nn.Linear(3, 2)) == repr(torch.nn.Linear(3, 2)) + "  # 8 parameters"


def errors(torch: Any, _: Path) -> None:
    with pytest.raises(tn.errors.ShapeError, match=r"(?s)expected.*got") as e:
        tn.ones(2, 3) @ tn.ones(2, 3)
    assert isinstance(e.value, RuntimeError)
    with pytest.raises(RuntimeError):
        torch.ones(2, 3) @ torch.ones(2, 3)


def named(torch: Any, _: Path) -> None:
    assert "name='w'" in repr(tn.tensor(3.0, name="w"))
    with pytest.raises(TypeError):
        torch.tensor(3.0, name="w")


DIFFERENT: list[Callable[[Any, Path], None]] = [
    numpy_functions,
    numpy_variance,
    shapes,
    random_numbers,
    views,
    sixteen_bits,
    files,
    loaders,
    printed_models,
    errors,
    named,
]


def test_every_difference_has_its_test() -> None:
    assert len(rows("What differs, and why")) == len(DIFFERENT)


@pytest.mark.peers
@pytest.mark.parametrize(
    ("row", "differs"),
    list(zip(rows("What differs, and why"), DIFFERENT, strict=True)),
    ids=[function.__name__ for function in DIFFERENT],
)
def test_a_difference_is_one(row: list[str], differs: Any, torch: Any, tmp_path: Path) -> None:
    assert len(row) == 3
    differs(torch, tmp_path)


def test_what_is_not_here() -> None:
    names = ["compile", "jit", "distributed", "sparse", "fft", "ao"]
    assert not [name for name in names if hasattr(tn, name)]
    assert not [name for name in ("svd", "eigh", "eig") if hasattr(tn.linalg, name)]
    assert not [name for name in tn.nn.__all__ if name.startswith("Lazy")]


@pytest.mark.peers
def test_other_names_are_there(torch: Any) -> None:
    """Whatever a row names exists on its side."""
    for theirs, ours in rows("The same thing under another name"):
        for text in (theirs, ours):
            for path in re.findall(r"(?<![\w.])(?:tn|torch)(?:\.\w+)+", text):
                parts = path.split(".")[1:]
                side: Any = tn if path.startswith("tn") else torch
                things = accumulate(
                    parts, lambda thing, part: getattr(thing, part, None), initial=side
                )
                assert None not in list(things), path


@pytest.mark.peers
def test_other_names_give_the_same(torch: Any) -> None:
    x = np.array([0.5, -1.0, 2.0])
    ours, theirs = tn.tensor(x), torch.tensor(x)
    twin = torch.autograd.functional
    for a, b in (
        (tn.func.jacrev(lambda x: x**2)(ours), twin.jacobian(lambda x: x**2, theirs)),
        (
            tn.func.hessian(lambda x: (x**3).sum())(ours),
            twin.hessian(lambda x: (x**3).sum(), theirs),
        ),
        (tn.func.vmap(tn.sin)(ours), torch.vmap(torch.sin)(theirs)),
    ):
        np.testing.assert_allclose(a.numpy(), b.numpy())
    x = tn.tensor(x, requires_grad=True)
    tn.utils.checkpoint.checkpoint(tn.sin, x).sum().backward()
    np.testing.assert_allclose(x.grad, np.cos(x.detach()))


@pytest.mark.peers
def test_weights_both_ways(torch: Any, tmp_path: Path) -> None:
    """The blocks of the page as they stand, there and back."""
    network = "nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2)).eval()"
    theirs, ours = eval(network, {"nn": torch.nn}), eval(network, {"nn": tn.nn})
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("f4")

    def same() -> bool:
        a, b = ours(tn.tensor(x)).detach().numpy(), theirs(torch.tensor(x)).detach().numpy()
        return np.allclose(a, b, rtol=1e-5, atol=1e-6)

    def run(code: str, model: Any) -> None:
        exec(code.replace("weights.safetensors", str(tmp_path / "w.safetensors")), {"model": model})

    there, here = (captioned(caption)[1] for caption in ("PyTorch", "tinynet"))
    imports, their_out, their_in = re.split(r"# out\n|# in\n", there)
    ours_imports, our_in, our_out = re.split(r"# out\n|# in\n", here)
    assert not same()
    run(imports + their_out, theirs)
    run(ours_imports + our_in, ours)
    assert same()
    for w in ours.parameters():
        w.data.add_(1)
    assert not same()
    run(ours_imports + our_out, ours)
    run(imports + their_in, theirs)
    assert same()

    ours, names = eval(network, {"nn": tn.nn}), {"torch": torch, "theirs": theirs}
    ((to_ours, to_theirs),) = re.findall(r"```python\n(ours\..+)\n(theirs\..+)\n```", TEXT)
    exec(to_ours, names | {"ours": ours})
    assert same()
    exec(to_theirs, names | {"ours": ours})
    ours[0].weight.data.add_(1)  # they copy
    assert not same()


@pytest.mark.peers
def test_an_optimiser_goes_on_here(torch: Any) -> None:
    results = []
    w = torch.tensor([1.0, -2.0], requires_grad=True)
    theirs = torch.optim.Adam([w], lr=0.1)
    for _ in range(3):
        (w**2).sum().backward()
        theirs.step()
    ours = tn.tensor(w.detach().numpy(), requires_grad=True)
    optimizer = tn.optim.Adam([ours], lr=0.1)
    optimizer.load_state_dict(theirs.state_dict())
    for x, step in ((w, theirs), (ours, optimizer)):
        step.zero_grad()
        (x**2).sum().backward()
        step.step()
        results.append(x.detach().numpy())
    np.testing.assert_allclose(*results, rtol=1e-6)


@pytest.mark.peers
def test_arrays_both_ways(torch: Any) -> None:
    tensor = torch.tensor([1.0, 2.0], dtype=torch.float64)
    copied, shared = tn.tensor(tensor), tn.from_numpy(tensor.numpy())
    tensor += 1
    assert (copied.dtype, copied.tolist(), shared.tolist()) == (tn.float64, [1, 2], [2, 3])
    assert torch.from_numpy(shared.numpy()).tolist() == [2, 3]


def test_an_array_of_another_library_keeps_its_dtype() -> None:
    class Foreign:
        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            return np.ones(2, np.float64)

    assert tn.tensor(Foreign()).dtype == tn.float64
