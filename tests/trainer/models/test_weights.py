from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from components.errors import InputError
from trainer.models import weights


def model(units: int = 2) -> keras.Model:
    inputs = keras.Input((3,))
    x = keras.layers.Dense(4, name="first")(inputs)
    return keras.Model(inputs, keras.layers.Dense(units, name="second")(x))


@pytest.mark.parametrize("file", ["weights.h5", "whole.h5", "whole.keras"])
def test_layers_by_name_from_each_kind_of_file(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved, other = model(), model()
    path = tmp_path / file
    if file == "weights.h5":
        # `.weights.h5` would be of another format.
        path = tmp_path / "some.h5"
        saved.save_weights(path)
    else:
        saved.save(path)
    found = weights.read(str(path))
    weights.assign(other, found)
    for one, same in zip(saved.get_weights(), other.get_weights(), strict=True):
        assert np.array_equal(one, same)


def test_a_file_without_names_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.weights.h5"
    model().save_weights(path)
    with pytest.raises(InputError, match=r"have no names; save it as \.keras or \.h5"):
        weights.read(str(path))


def test_what_is_no_keras_file_is_refused(tmp_path: Path) -> None:
    for name in ("some.h5", "some.keras"):
        path = tmp_path / name
        path.write_text("not weights")
        with pytest.raises(InputError, match=f"{name} cannot be read as Keras weights"):
            weights.read(str(path))
    with pytest.raises(InputError, match=r"model\.options\.weights: there is no file none\.h5"):
        weights.read("none.h5")


def test_nothing_is_assigned_unless_all_fits() -> None:
    given, wanted = weights.of_model(model(units=5)), model(units=2)
    before = wanted.get_weights()
    with pytest.raises(ValueError, match=r"layer second has weights .*\(4, 5\).*\(4, 2\)"):
        weights.assign(wanted, given)
    del given["second"]
    with pytest.raises(ValueError, match="it has no layer second"):
        weights.assign(wanted, given)
    assert all(np.array_equal(one, other) for one, other in zip(before, wanted.get_weights()))
    weights.assign(wanted, given, optional=["second"])
    assert np.array_equal(wanted.get_layer("first").get_weights()[0], given["first"][0])
    assert np.array_equal(wanted.get_layer("second").get_weights()[0], before[2])
