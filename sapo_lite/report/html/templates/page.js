"use strict";
// Filters of the table of rows. Without this script all rows are shown.
const form = document.querySelector(".filters");
if (form) {
  const rows = [...document.querySelectorAll(".rows tbody tr")];
  const filters = [...form.querySelectorAll("[data-filter]")];
  const apply = () => {
    const wanted = Object.fromEntries(filters.map((f) => [f.dataset.filter, f.value]));
    const text = wanted.text.toLowerCase();
    let shown = 0;
    for (const row of rows) {
      const fits = ["task", "stage", "change"].every((k) => !wanted[k] || row.dataset[k] === wanted[k]);
      row.hidden = !(fits && row.textContent.toLowerCase().includes(text));
      shown += !row.hidden;
    }
    form.querySelector("output").textContent = `${shown} of ${rows.length} rows`;
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  apply();
}
// On paper everything is open that is printed, and as it was before on the screen afterwards.
const closed = [...document.querySelectorAll("details:not(.screen)")].filter((d) => !d.open);
window.addEventListener("beforeprint", () => closed.forEach((d) => (d.open = true)));
window.addEventListener("afterprint", () => closed.forEach((d) => (d.open = false)));
