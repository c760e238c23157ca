// Notes at each cell the heading of its column, which own.css shows on a phone if there are more than two columns.
document.addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll("table.docutils")) {
    const headings = [...table.querySelectorAll("thead th")].map((cell) => cell.textContent.trim());
    for (const row of table.querySelectorAll("tbody tr"))
      [...row.children].forEach((cell, n) => {
        if (!cell.textContent.trim()) cell.classList.add("is-empty");
        else if (n > 0 && headings.length > 2 && headings[n]) cell.dataset.heading = headings[n];
      });
  }
});
