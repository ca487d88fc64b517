"""The notebook of examples/ runs from its first cell to its last, and shows what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.extra, pytest.mark.e2e]

NOTEBOOK = Path(__file__).resolve().parents[2] / "examples" / "first_run.ipynb"


def test_the_notebook_runs_and_shows_table_progress_and_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOK.parents[1]))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook: Any = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert all(not cell.get("outputs") for cell in notebook.cells), "keep outputs out of the repository"
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=240, kernel_name="python3", resources=resources).execute()
    _, run, plot, notes, page = (cell.outputs for cell in notebook.cells if cell.cell_type == "code")
    texts = [output.get("data", {}).get("text/plain", "") for output in run]
    assert any("100%, 4/4 jobs, 8/8 episodes" in text for text in texts), texts
    assert sum("%, " in text for text in texts) == 1, "progress is one line that is drawn anew"
    assert any("<table" in output.get("data", {}).get("text/html", "") for output in run)
    assert any("image/png" in output.get("data", {}) for output in plot)
    assert any("seed" in output.get("text", "") for output in notes)
    assert "report.html" in page[0]["data"]["text/plain"]
    assert (tmp_path / "runs" / "first" / "report" / "report.html").is_file()
