import numpy as np

from components.display import borders, colours, displayable


def test_a_class_without_a_colour_takes_the_next_of_the_palette() -> None:
    names = ["Background", "a", "b", "c"]
    assert colours(names, {"b": "#010203"}) == [
        None,
        (0xE6, 0x9F, 0x00),
        (1, 2, 3),
        (0x56, 0xB4, 0xE9),
    ]


def test_many_classes_have_colours_of_their_own() -> None:
    found = colours([str(number) for number in range(40)], {})
    assert len(set(found)) == 40


def test_a_chosen_colour_is_not_given_to_another_class() -> None:
    # The palette begins with #e69f00, which the membrane has already; the cell gets the next.
    assert colours(["membrane", "cell"], {"membrane": "#E69F00"}) == [
        (0xE6, 0x9F, 0x00),
        (0x56, 0xB4, 0xE9),
    ]


def test_seven_channels_are_shown_by_the_first_three() -> None:
    image = np.zeros((1, 2, 7), np.uint16)
    image[0, 1, :3] = 1000
    image[..., 6] = 60000  # of no say in how the others are stretched
    # Percentiles 0.5 and 99.5 of three zeros and three thousands are 0 and 1000.
    assert displayable(image).tolist() == [[[0, 0, 0], [255, 255, 255]]]


def test_borders_have_two_sides() -> None:
    mask = np.array([[0, 0, 1, 1]])
    assert borders(mask).tolist() == [[False, True, True, False]]
