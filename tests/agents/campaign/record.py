"""Record how a campaign's own code acts: `CLONE/.venv/bin/python tests/agents/campaign/record.py AGENT ...`.

Run it in the clone's folder with files that the campaign handed over, in a folder GAME beside GAME/encoders. Entries of
`actions.json` are written beside this file; those that stand there stay. It uses the frozen commit's code alone, not
that of the checkout that it lies in.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import torch

from wsabench.agents import load_agent

HERE = Path(__file__).resolve().parent
NEAR = 0.01  # half precision of embeddings moves logits by less


def main() -> None:
    torch.set_num_threads(1)
    frames = np.load(HERE / "observations.npz")["frames"]
    windows = np.lib.stride_tricks.sliding_window_view(frames, 4, axis=0)
    stacks = torch.from_numpy(np.ascontiguousarray(windows.transpose(0, 3, 1, 2)))
    file = HERE / "actions.json"
    entries = json.loads(file.read_text(encoding="utf-8"))
    for path in map(Path, sys.argv[1:]):
        policy = load_agent(path)
        with torch.no_grad():
            parts = [policy._model(policy._model.prepare(part, policy._bank)).logits for part in stacks.split(100)]
        logits = torch.cat(parts)
        best = logits.topk(2, dim=1).values
        entries[f"{path.parent.name}/{path.name}"] = {
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "near": int((best[:, 0] - best[:, 1] < NEAR).sum()) if policy._bank is not None else 0,
            "actions": "".join(format(action, "x") for action in logits.argmax(dim=1).tolist()),
        }
    file.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
