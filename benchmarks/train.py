"""A training step, and inference, of the same U-Net in Overtile and in PyTorch on this processor.

    python benchmarks/train.py [--repetitions 5] [--steps 6] [--precisions float32 bfloat16]

U-Net of width 32 and depth 4 on four RGB images of 256 x 256: padded convolutions, batch
normalisation, transposed convolutions, 2 classes, cross-entropy, Adam. Overtile's step is that of
`trainer.train`, its metric included; PyTorch's runs in `channels_last` with oneDNN on all cores, as
it is written (`eager`) and through `torch.compile`. PyTorch gets Overtile's weights and must give
the same answer with them and the same losses while it trains, or the script fails.

PyTorch is installed into an environment of its own, below `~/.cache/overtile`, by pip: its CPU
build is taken where pip's settings name a place that has it (PIP_FIND_LINKS, PIP_EXTRA_INDEX_URL).

Prints one JSON line: milliseconds (medians) and ratios, PyTorch's time over Overtile's. What is
compared takes turns, so that other work on the machine hits all alike. Takes about 15 minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WIDTH, DEPTH, SIDE, BATCH, CLASSES = 32, 4, 256, 4, 2
MEAN, DEVIATION = (110.0, 120.0, 130.0), (50.0, 60.0, 70.0)
TORCH = "torch==2.13.0"
RATE, MOMENTUM, EPSILON, ADAM_EPSILON = 1e-3, 0.98, 1e-3, 1e-7
GOALS = {"train_eager": 1.25, "train_compile": 1.0, "infer_eager": 1.0, "infer_compile": 1.0}
_ENVIRONMENT = Path("~/.cache/overtile/benchmark-torch").expanduser()
_PYTHONS = ("python3.11", "python3.12", "python3.13", "/usr/bin/python3.11", sys.executable)

# What a side is asked to do: `train` and `infer` take a number of times.
Tasks = dict[str, Callable[[int], Any]]


def batch() -> tuple[Any, Any]:
    """Images, float32 [N, H, W, 3], of bright discs, and their masks, uint8 [N, H, W]."""
    import numpy as np

    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE]
    centres = rng.uniform(SIDE * 0.3, SIDE * 0.7, (BATCH, 2))
    masks = np.stack([(y - a) ** 2 + (x - b) ** 2 < (SIDE / 4) ** 2 for a, b in centres])
    images = 80 + 90 * masks[..., None] + rng.normal(0, 30, (*masks.shape, 3))
    return images.astype(np.float32), masks.astype(np.uint8)


def overtile(precision: str, folder: Path) -> Tasks:
    """Trains as `trainer.train` does; leaves its first weights in `folder`."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")
    import keras
    import numpy as np
    import tensorflow as tf

    from components.records import Layout
    from trainer import strategy, train
    from trainer.config import AugmentConfig, ModelConfig, TrainConfig
    from trainer.input import untuned
    from trainer.losses import pixel_weights
    from trainer.statistics import Statistics

    settings = train.Settings(
        Layout(3, "uint8", ("ground", "disc")),
        ModelConfig(options={"width": WIDTH, "depth": DEPTH}),
        TrainConfig(learning_rate=RATE, schedule="constant", batch_size=BATCH),
        AugmentConfig(),
    )
    data = Statistics(MEAN, DEVIATION, (1, 1), (2, 2))
    policy = "float32" if precision == "float32" else "mixed_bfloat16"
    keras.utils.set_random_seed(1)
    with strategy.policy(policy), strategy.strategy().scope():
        model = train.compiled(settings, data)
    images, masks = batch()
    weights = pixel_weights(tf.constant(masks), tf.ones([CLASSES]))
    batches = untuned(tf.data.Dataset.from_tensors((images, masks, weights)).repeat())
    np.savez(folder / "weights.npz", *model.get_weights())

    @tf.function(reduce_retracing=True)
    def answer(images: Any) -> Any:
        return model(images, training=False)

    def fit(steps: int) -> list[float]:
        losses: list[float] = []
        told = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda _, logs: losses.append(float(logs["loss"]))
        )
        model.fit(batches, steps_per_epoch=steps, callbacks=[told], verbose=0)
        # Keras tells the mean since the epoch began.
        return [(n + 1) * one - n * (losses[n - 1] if n else 0) for n, one in enumerate(losses)]

    tensor = tf.constant(images)
    return {
        "answer": lambda _: np.save(folder / "overtile.npy", answer(tensor).numpy()),
        "train": fit,
        "infer": lambda times: [answer(tensor) for _ in range(times)] and None,
    }


def pytorch(precision: str, folder: Path, compiled: bool) -> Tasks:
    """The same in PyTorch, from the weights that Overtile's side left."""
    import numpy as np
    import torch
    from torch import nn
    from torch.nn import functional

    torch.set_num_threads(len(os.sched_getaffinity(0)))

    class Twice(nn.Sequential):
        def __init__(self, before: int, width: int) -> None:
            super().__init__(
                *(
                    layer
                    for channels in (before, width)
                    for layer in (
                        nn.Conv2d(channels, width, 3, padding=1, bias=False),
                        nn.BatchNorm2d(width, eps=EPSILON, momentum=1 - MOMENTUM),
                        nn.ReLU(inplace=True),
                    )
                )
            )

    class UNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            widths = [WIDTH * 2**level for level in range(DEPTH + 1)]
            self.down = nn.ModuleList(map(Twice, [3, *widths], widths))
            self.up, self.join = nn.ModuleList(), nn.ModuleList()
            for width in reversed(widths[:-1]):
                self.up.append(nn.ConvTranspose2d(2 * width, width, 2, stride=2))
                self.join.append(Twice(2 * width, width))
            self.last = nn.Conv2d(WIDTH, CLASSES, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            skips = []
            for level, block in enumerate(self.down):
                x = block(functional.max_pool2d(x, 2) if level else x)
                skips.append(x)
            for up, join, skip in zip(self.up, self.join, skips[-2::-1]):
                x = join(torch.cat([skip, up(x)], 1))
            with torch.autocast("cpu", enabled=False):
                return self.last(x.float())

    net = UNet().to(memory_format=torch.channels_last)
    with np.load(folder / "weights.npz") as file:
        # Keras's kernels are [h, w, in, out], those of transposed convolutions [h, w, out, in].
        given = [torch.from_numpy(file[name]) for name in file.files]
    with torch.no_grad():
        values = iter(given)
        for module in _in_order(net):
            if isinstance(module, nn.BatchNorm2d):
                wanted = (module.weight, module.bias, module.running_mean, module.running_var)
            else:
                wanted = tuple(one for one in (module.weight, module.bias) if one is not None)
            for parameter in wanted:
                value = next(values)
                parameter.copy_(value.permute(3, 2, 0, 1) if value.ndim == 4 else value)
    assert next(values, None) is None, "all of Overtile's weights have a place in PyTorch's"
    images, masks = batch()
    pixels = (
        torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    )
    labels = torch.from_numpy(masks).long()
    mean, deviation = (torch.tensor(one).view(1, 3, 1, 1) for one in (MEAN, DEVIATION))
    optimizer = torch.optim.Adam(net.parameters(), RATE, eps=ADAM_EPSILON, fused=True)

    def forward(pixels: torch.Tensor) -> torch.Tensor:
        normal = (pixels - mean) / deviation
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            return net(normal)

    def loss_of(pixels: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(forward(pixels), labels, ignore_index=255)

    if compiled:
        forward_once, loss_of = torch.compile(forward), torch.compile(loss_of)
    else:
        forward_once = forward

    def fit(steps: int) -> list[float]:
        net.train()
        losses = []
        for _ in range(steps):
            optimizer.zero_grad()
            loss = loss_of(pixels, labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    def infer(times: int) -> torch.Tensor:
        net.eval()
        with torch.inference_mode():
            return [forward_once(pixels) for _ in range(times)][-1]

    name = "compile" if compiled else "eager"
    return {
        "answer": lambda _: np.save(folder / name, infer(1).permute(0, 2, 3, 1).numpy()),
        "train": fit,
        "infer": lambda times: infer(times) is None,
    }


def _in_order(net: Any) -> list[Any]:
    """Its layers that have weights, in the order of Keras's."""
    found = []
    blocks = [*net.down, *(one for pair in zip(net.up, net.join) for one in pair), net.last]
    for block in blocks:
        found += [
            module for module in block.modules() if getattr(module, "weight", None) is not None
        ]
    return found


def serve(side: str, precision: str, folder: Path) -> None:
    """Does what standard input asks for, a line a task, and tells how long it took."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    tasks = (
        overtile(precision, folder)
        if side == "overtile"
        else pytorch(precision, folder, side == "compile")
    )
    for line in sys.stdin:
        name, times = line.split()
        began = time.perf_counter()
        told = tasks[name](int(times))
        seconds = time.perf_counter() - began
        print(json.dumps({"seconds": seconds, "losses": told or []}), file=answers)


class Side:
    """A process of its own for each of what is compared."""

    def __init__(self, python: str, name: str, precision: str, folder: Path) -> None:
        command = [python, __file__, "--side", name, precision, str(folder)]
        pipe = subprocess.PIPE
        self.name, self.precision = name, precision
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    def do(self, task: str, times: int = 1) -> dict[str, Any]:
        """What it tells of a task: `seconds`, and of training `losses`."""
        print(task, times, file=self.process.stdin, flush=True)
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            sys.exit(f"{self.name} in {self.precision} ended before it did `{task}`; see above")
        return json.loads(line)

    def close(self) -> None:
        """Ends the process."""
        with self.process:  # which ends where there is no more to read
            pass


def torch_python() -> str:
    """The Python of an environment with PyTorch, which is made where there is none."""
    python = _ENVIRONMENT / "bin" / "python"
    works = [str(python), "-c", f"import torch; assert torch.__version__[:6] == '{TORCH[7:]}'"]
    if python.exists() and subprocess.run(works, capture_output=True).returncode == 0:
        return str(python)
    print(f"# installing {TORCH} into {_ENVIRONMENT}", file=sys.stderr)
    shutil.rmtree(_ENVIRONMENT, ignore_errors=True)
    last = "there is no Python for it"
    for base in _PYTHONS:
        made = [base, "-m", "venv", str(_ENVIRONMENT)]
        # Setuptools is what `torch.compile` calls the C++ compiler with.
        fill = [str(python), "-m", "pip", "install", "--quiet", TORCH, "numpy", "setuptools"]
        try:
            for command in (made, fill, works):
                subprocess.run(command, check=True, capture_output=True, text=True)
            return str(python)
        except (OSError, subprocess.CalledProcessError) as error:
            last = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[-1]
            shutil.rmtree(_ENVIRONMENT, ignore_errors=True)
    sys.exit(f"PyTorch could not be installed, so there is nothing to compare with: {last}")


def check(folder: Path, precision: str, losses: dict[str, list[float]]) -> dict[str, Any]:
    """Whether it is the same network on both sides, and learns; exits where it does not."""
    import numpy as np

    ours = np.load(folder / "overtile.npy")
    tolerance = 1e-3 if precision == "float32" else 0.05
    told: dict[str, Any] = {}
    for name in ("eager", "compile"):
        off = float(np.abs(np.load(folder / f"{name}.npy") - ours).max() / np.abs(ours).max())
        told[f"largest_difference_{name}"] = round(off, 6)
        if off > tolerance:
            sys.exit(f"{precision}: {name} answers otherwise than Overtile, by {off:.4f}")
        first = abs(losses[name][0] / losses["overtile"][0] - 1)
        if first > tolerance:
            sys.exit(f"{precision}: the first loss of {name} is another, by {first:.4f}")
    for name, each in losses.items():
        told[f"loss_{name}"] = [round(each[0], 4), round(each[-1], 4)]
        if not each[-1] < 0.5 * each[0]:
            sys.exit(f"{precision}: {name} does not learn: its loss went {each[0]} to {each[-1]}")
    return told


def compare(python: str, precision: str, repetitions: int, steps: int) -> dict[str, Any]:
    """Medians in milliseconds, and PyTorch's over Overtile's."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sides = []
        losses: dict[str, list[float]] = {}
        taken: dict[str, list[float]] = {}
        try:
            for name in ("overtile", "eager", "compile"):
                side = Side(
                    sys.executable if name == "overtile" else python, name, precision, folder
                )
                sides.append(side)
                side.do("answer")  # before it trains
                losses[name] = side.do("train", 2)["losses"]
                side.do("infer", 2)
            for _ in range(repetitions):
                for task in ("train", "infer"):
                    for side in sides:
                        told = side.do(task, steps)
                        losses[side.name] += told["losses"]
                        key = f"{task}_{side.name}"
                        taken.setdefault(key, []).append(told["seconds"] / steps)
        finally:
            for side in sides:
                side.close()
        print(f"# {precision}, seconds: {json.dumps(taken)}", file=sys.stderr)
        medians = {key: statistics.median(each) for key, each in taken.items()}
        ratios = {
            f"{task}_{name}": round(medians[f"{task}_{name}"] / medians[f"{task}_overtile"], 2)
            for task in ("train", "infer")
            for name in ("eager", "compile")
        }
        return {
            "milliseconds": {key: round(1000 * each) for key, each in medians.items()},
            "ratios": ratios,
            "reached": all(ratios[key] >= goal for key, goal in GOALS.items()),
            **check(folder, precision, losses),
        }


def main() -> None:
    """Compares in each precision."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6, help="in a row, of each repetition")
    parser.add_argument("--precisions", nargs="*", default=["float32", "bfloat16"])
    parser.add_argument("--python", help="of an environment that has PyTorch already")
    parser.add_argument("--side", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        name, precision, folder = options.side
        return serve(name, precision, Path(folder))
    python = options.python or torch_python()
    load = os.getloadavg()[0]
    told = {
        precision: compare(python, precision, options.repetitions, options.steps)
        for precision in options.precisions
    }
    print(
        json.dumps(
            {
                "benchmark": "train",
                "cores": len(os.sched_getaffinity(0)),
                "load": round(load, 1),
                **told,
            }
        )
    )


if __name__ == "__main__":
    main()
