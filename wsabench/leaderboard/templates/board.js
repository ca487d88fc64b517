"use strict";
// Filters: a row stays where it fits every control. Tiers are of all agents, so that they do not change.
const form = document.querySelector(".filters");
if (form) {
  const rows = [...document.querySelectorAll("tr[data-name]")];
  const count = document.querySelector("#count");
  const fits = (row) => {
    const of = (name) => form.elements[name].value;
    const words = of("text").toLowerCase().split(/\s+/).filter(Boolean);
    const text = `${row.dataset.name} ${row.dataset.games} ${row.dataset.kind}`.toLowerCase();
    const steps = row.dataset.budget;
    return words.every((word) => text.includes(word))
      && (!of("kind") || row.dataset.kind.split(", ").includes(of("kind")))
      && (!of("privileged") || row.dataset.privileged === of("privileged"))
      && (!of("external") || row.dataset.external === of("external"))
      && (!of("randomisation") || row.dataset.randomisation === of("randomisation"))
      && (!of("budget") || (of("budget") === "unknown" ? steps === "" : steps !== "" && Number(steps) <= Number(of("budget"))));
  };
  const update = () => {
    const above = new Map();  // by table, the tier of the last row that is shown
    for (const row of rows) {
      row.hidden = !fits(row);
      if (row.hidden) continue;
      const body = row.parentNode, tier = row.cells[0].textContent;
      row.classList.toggle("first", above.has(body) && above.get(body) !== tier);
      above.set(body, tier);
    }
    const shown = rows.filter((row) => !row.hidden).length;
    count.textContent = shown === rows.length ? "" : `${shown} of ${rows.length} rows shown; tiers are of all agents.`;
    hints();
  };
  form.addEventListener("input", update);
  form.addEventListener("reset", () => setTimeout(update));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
}
// A box that scrolls sideways says so.
function hints() {
  for (const box of document.querySelectorAll(".scroll")) {
    const hint = box.previousElementSibling;
    if (hint && hint.classList.contains("hint")) hint.classList.toggle("on", box.scrollWidth > box.clientWidth + 1);
  }
}
addEventListener("resize", hints);
addEventListener("toggle", hints, true);
hints();
