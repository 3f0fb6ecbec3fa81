// Tables of more than three columns know the name of the column in every cell, which site.css shows on a phone.
for (const table of document.querySelectorAll(".md-typeset table")) {
  const names = [...table.querySelectorAll("thead th")].map((head) => head.textContent.trim());
  if (names.length > 3) {
    table.classList.add("lines");
    for (const row of table.querySelectorAll("tbody tr")) {
      [...row.cells].forEach((cell, column) => cell.setAttribute("data-head", names[column]));
    }
  }
}
