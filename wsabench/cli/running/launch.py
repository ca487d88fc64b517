"""x"""


def launch(*a): ...
