"""Whether an agent's attention still learns."""

from __future__ import annotations

from wsabench.agents.fused import FusedAgent
from wsabench.agents.network import ActorCritic


def attention_is_dead(model: ActorCritic) -> bool:
    """Tell whether the last backward pass brought no gradient to the layer that scores encoders.

    With the paper's ReLU before the softmax this happens when all pre-activations are negative: all scores are 0, the
    weights are uniform, and no step leads out. A minibatch may by chance have such a gradient; attention is dead when
    all of an update have.

    Args:
        model: After `loss.backward()`, before its gradients are cleared.

    Returns:
        False for agents without a scoring layer that learns and for those that fuse a single encoder, whose weight is
        always 1.
    """
    if not isinstance(model, FusedAgent) or len(model.encoder_names) < 2:
        return False
    score = getattr(model.fusion, "score", None)
    return score is not None and (score.weight.grad is None or not bool(score.weight.grad.any()))
