"""From bytes of the console's memory to the numbers they stand for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def decode(ram_byte: npt.NDArray[np.uint8], encoding: str) -> npt.NDArray[np.float64]:
    """Return the numbers that bytes stand for, float64, same shape.

    Args:
        ram_byte: Bytes of one address.
        encoding: As in the RAM map: `signed`, `bcd`, `bit N`, `bitfield` (its number of set bits), all else as it is.
    """
    word = encoding.split(" ")[0].casefold()
    if word == "signed":
        return ram_byte.view(np.int8).astype(np.float64)
    if word == "bcd":
        return ((ram_byte >> 4) * 10.0 + (ram_byte & 15)).astype(np.float64)
    if word == "bit":
        return ((ram_byte >> int(encoding.split(" ")[1])) & 1).astype(np.float64)
    if word == "bitfield":
        return np.bitwise_count(ram_byte).astype(np.float64)
    return ram_byte.astype(np.float64)
