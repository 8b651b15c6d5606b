from __future__ import annotations

import numpy as np
import pytest

from components.example_validator.comparing import difference, divergence, odds_ratio, size_ratio


def test_distances_by_hand() -> None:
    # Odds of 0.2 are 1/4, of 0.5 are 1: four times; a class that is nowhere stays finite.
    assert odds_ratio(np.array([0.2]), np.array([0.5])) == pytest.approx([4])
    assert np.isfinite(odds_ratio(np.array([0.0]), np.array([1.0]))).all()
    # The middle of (1, 0) and (1/2, 1/2) is (3/4, 1/4), whose entropy is 0.8113 bits; half of the
    # others' 0 and 1 bit are 0.5.
    assert divergence(np.array([1.0, 0]), np.array([0.5, 0.5])) == pytest.approx(0.3113, abs=1e-4)
    assert size_ratio(np.log([200.0]), np.log([100.0])) == pytest.approx([2])


def names(prefix: str, count: int, each: int = 1) -> list[str]:
    return [f"{prefix}{number // each}" for number in range(count)]


def test_chance_is_what_random_splits_show() -> None:
    rng = np.random.default_rng(1)
    one, other = rng.dirichlet([5, 5], 40), rng.dirichlet([5, 5], 15)
    found, chance = difference(one, other, (names("a", 40), names("b", 15)), odds_ratio)
    assert (found < chance).all()
    found, chance = difference(
        one, rng.dirichlet([2, 8], 15), (names("a", 40), names("b", 15)), odds_ratio
    )
    assert (found > chance).all()


def test_of_few_images_nothing_can_be_said() -> None:
    one, other = np.full((4, 2), [0.1, 0.9]), np.full((1, 2), [0.9, 0.1])
    found, chance = difference(one, other, (names("a", 4), names("b", 1)), odds_ratio)
    assert found[0] == pytest.approx(81)
    assert (found <= chance + 1e-9).all()


def test_images_of_one_group_are_one_draw() -> None:
    """Two films of forty frames: frame by frame they differ, film by film nobody can tell."""
    rng = np.random.default_rng(1)
    one, other = rng.dirichlet([80, 20], 40), rng.dirichlet([50, 50], 40)
    found, chance = difference(one, other, (names("a", 40), names("b", 40)), odds_ratio)
    assert (found > chance).all()
    found, chance = difference(one, other, (names("a", 40, 40), names("b", 40, 40)), odds_ratio)
    assert (found <= chance + 1e-9).all()
