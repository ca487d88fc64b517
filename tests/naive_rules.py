"""The rule language once more, slow and obvious: walks the tree with Python's own integers. Oracle of the compiler."""

import numpy as np

from wsabench.perturb.rules import RamPatchStage, compile_rule
from wsabench.perturb.rules.syntax import Binary, Byte, Call, Compare, Frame, Logic, LoopIndex, Number, Random, Unary

OPERATORS = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "//": lambda x, y: x // y,
    "%": lambda x, y: x % y,
    "&": lambda x, y: x & y,
    "|": lambda x, y: x | y,
    "^": lambda x, y: x ^ y,
    "<<": lambda x, y: x << y,
    ">>": lambda x, y: x >> y,
    "<": lambda x, y: x < y,
    "<=": lambda x, y: x <= y,
    ">": lambda x, y: x > y,
    ">=": lambda x, y: x >= y,
    "==": lambda x, y: x == y,
    "!=": lambda x, y: x != y,
    "-x": lambda x: -x,
    "~x": lambda x: ~x,
    "not x": lambda x: not x,
    "min": min,
    "max": max,
    "abs": abs,
}
MASK = 2**64 - 1


class SplitMix64:
    """Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators", figure 3 with Stafford's mix 13."""

    def __init__(self, seed: int):
        self.state = seed

    def draw(self) -> int:
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)


class NaiveRule:
    """One rule from reset on; `before_frame` changes a list of 128 bytes."""

    def __init__(self, rule, reset, seed=0):
        self.rule = rule
        self.reset = list(reset)
        self.prev = list(reset)
        self.random = SplitMix64(seed)
        self.frame = 0

    def before_frame(self, ram):
        self.ram = ram
        for statement in self.rule.statements:
            if self.frame % statement.every == 0 and statement.at in (None, self.frame):
                for i in range(statement.first, statement.last + 1):
                    self.run(statement, i)
        self.prev = list(ram)
        self.frame += 1

    def run(self, statement, i):
        if statement.condition is not None and not self.value(statement.condition, i):
            return
        value = self.value(statement.value, i)
        if statement.operator != "=":
            value = OPERATORS[statement.operator.removesuffix("=")](self.ram[i], value)
        self.ram[i] = value % 256

    def value(self, tree, i):  # noqa: C901, one branch for each node
        match tree:
            case Number(value):
                return value
            case Frame():
                return self.frame
            case LoopIndex():
                return i
            case Byte(bank, index):
                return {"ram": self.ram, "prev": self.prev, "reset": self.reset}[bank][self.value(index, i)]
            case Random(low, high):
                return low + ((self.random.draw() >> 32) * (high - low + 1) >> 32)
            case Unary(operator, operand):
                return int(OPERATORS[f"{operator} x" if operator == "not" else f"{operator}x"](self.value(operand, i)))
            case Binary(operator, left, right):
                x = self.value(left, i)
                return OPERATORS[operator](x, self.value(right, i))
            case Logic("and", left, right):
                return int(bool(self.value(left, i) and self.value(right, i)))
            case Logic("or", left, right):
                return int(bool(self.value(left, i) or self.value(right, i)))
            case Compare(first, rest):
                x = self.value(first, i)
                for operator, operand in rest:
                    y = self.value(operand, i)
                    if not OPERATORS[operator](x, y):
                        return 0
                    x = y
                return 1
            case Call(function, arguments):
                return OPERATORS[function](*(self.value(argument, i) for argument in arguments))


class FakeConsole:
    """128 bytes that count how often they are read and written."""

    def __init__(self, ram):
        self.ram = np.array(ram, np.uint8)
        self.num_reads = 0
        self.writes = []

    def getRAM(self, ram):
        ram[:] = self.ram
        self.num_reads += 1

    def setRAM(self, index, value):
        self.ram[index] = value
        self.writes.append((index, value))


def stream_seed(seed):
    """What a stage draws from `np.random.default_rng(seed)` as the beginning of its own stream."""
    return int(np.random.default_rng(seed).integers(0, 2**64, dtype=np.uint64))


def assert_same(rule, ram, changes, seed=0):
    """Play frames with both; `changes` has for each frame what the game itself does: a list of (address, value)."""
    console = FakeConsole(ram)
    state = RamPatchStage(compile_rule(rule)).start_ram(np.random.default_rng(seed), console)
    naive = NaiveRule(rule, console.ram.tolist(), stream_seed(seed))
    for frame, change in enumerate(changes):
        for address, value in change:
            console.ram[address] = value
        before = console.ram.tolist()
        expected = list(before)
        naive.before_frame(expected)
        console.writes.clear()
        state.apply(console)
        assert console.ram.tolist() == expected, frame
        assert len(console.writes) == sum(x != y for x, y in zip(before, expected, strict=True)), frame
