"""What a run would take, before anything of it is played: jobs, hours with a range, disk and memory."""

from wsabench.evaluation.pricing.price import Price, price

__all__ = ["Price", "price"]
