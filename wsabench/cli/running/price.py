"""x"""


def write_price(*a, **k): ...
