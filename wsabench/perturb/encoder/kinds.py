"""The kinds of the family `encoder`: importing this module registers them.

`encoders` is a list of encoders' names; where it is said, also the words `fused` (all that are fused) and `context`.
All that is drawn comes from a generator of the lane's own, apart from the one that actions are drawn from.
"""

from wsabench.perturb.encoder import attention, embeddings, masks, own_play, places

__all__ = ["attention", "embeddings", "masks", "own_play", "places"]
