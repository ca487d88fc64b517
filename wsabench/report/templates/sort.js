"use strict";
// Headings become buttons: first ascending, then descending, then the order of the run again. Missing values stay last.
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0], rows = [...body.rows], headers = [...table.tHead.rows[0].cells];
  if (rows.length < 2) continue;
  const value = (row, column) => {
    const text = row.cells[column].textContent.trim();
    if (text === "\u2013" || text === "") return null;
    if (headers[column].classList.contains("name")) return text;
    const number = parseFloat(text.replace("\u2212", "-").replace("<", ""));
    return Number.isNaN(number) ? text : number;
  };
  const compare = (a, b) => typeof a === "number" && typeof b === "number"
    ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
  headers.forEach((header, column) => {
    if ("unsorted" in header.dataset) return;
    const button = document.createElement("button");
    button.type = "button";
    button.title = "Sort by this column";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => {
      const order = { ascending: "descending", descending: null }[header.getAttribute("aria-sort")];
      const next = order === undefined ? "ascending" : order;
      headers.forEach((other) => other.removeAttribute("aria-sort"));
      if (next) header.setAttribute("aria-sort", next);
      table.classList.toggle("sorted", Boolean(next));
      const sign = next === "descending" ? -1 : 1;
      const sorted = next ? [...rows].sort((first, second) => {
        const a = value(first, column), b = value(second, column);
        if (a === null || b === null) return (a === null) - (b === null);
        return sign * compare(a, b);
      }) : rows;
      body.append(...sorted);
    });
  });
}
