"""What the command lines share."""

import argparse


def at_least_one(text: str) -> int:
    """A number of things of which there must be some, for `add_argument(type=…)`."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is too few: give 1 or more")
    return number
