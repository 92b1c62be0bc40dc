"use strict";

// Tables: a button in each header sorts by that column; without this script they are plain tables.
for (const table of document.querySelectorAll("table[id]")) {
  const body = table.tBodies[0];
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    const numeric = header.classList.contains("number");
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => {
      const first = numeric ? "descending" : "ascending";
      const other = numeric ? "ascending" : "descending";
      const order = header.getAttribute("aria-sort") === first ? other : first;
      for (const each of headers) each.removeAttribute("aria-sort");
      header.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      body.append(...[...body.rows].sort((a, b) => compare(a.cells[column], b.cells[column], numeric, sign)));
    });
  });
}

// Cells without a number come last in either order.
function compare(a, b, numeric, sign) {
  if (!numeric) return sign * a.textContent.localeCompare(b.textContent);
  const missing = ("value" in b.dataset) - ("value" in a.dataset);
  return missing || (sign * (a.dataset.value - b.dataset.value) || 0);
}

// Histograms: all of them without this script, the chosen one with it.
const chooser = document.getElementById("choose");
if (chooser) {
  const show = () => {
    for (const choice of document.querySelectorAll(".choice")) choice.hidden = choice.dataset.choice !== chooser.value;
  };
  chooser.addEventListener("change", show);
  document.getElementById("chooser").hidden = false;
  show();
}

// Paper cannot be unfolded.
addEventListener("beforeprint", () => {
  for (const each of document.querySelectorAll("details")) each.open = true;
});

// Evolutions: a slider shows one step at a time; without this script the last one stands. What else a step
// has is written where the page has an element of its name.
for (const evolution of document.querySelectorAll(".evolution")) {
  const slider = evolution.querySelector("input");
  const frames = evolution.querySelectorAll(".frames li");
  const show = () => {
    const place = Number(slider.value);
    const { said, ...shown } = frames[place].dataset;
    for (const film of evolution.querySelectorAll(".film"))
      film.querySelectorAll("img").forEach((picture, each) => (picture.hidden = each !== place));
    for (const [name, text] of Object.entries(shown)) evolution.querySelector(`.${name}`).textContent = text;
    slider.setAttribute("aria-valuetext", said);
  };
  slider.addEventListener("input", show);
  slider.hidden = false;
  show();
}
