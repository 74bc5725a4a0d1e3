"use strict";
(() => {
  const table = document.querySelector("#evidence table.claims");
  const controls = document.getElementById("filter");
  if (!table || !controls) return;
  const rows = [...table.tBodies].filter((body) => body.dataset.sort);
  const keys = new Map(rows.map((body) => [body, JSON.parse(body.dataset.sort)]));
  const words = new Map(rows.map((body) => [body, body.textContent.toLowerCase()]));
  const buttons = [...table.querySelectorAll("thead button")];
  const text = controls.querySelector("input");
  const choices = [...controls.querySelectorAll("select")];

  function fits(body) {
    return text.value.toLowerCase().split(/\s+/).every((word) => words.get(body).includes(word)) &&
      choices.every((choice) => !choice.value || body.dataset[choice.name] === choice.value);
  }

  // A claim's name and statement stand once over its rows, as long as they are neighbours.
  function nameOnce() {
    let before = null;
    for (const body of table.tBodies) {
      if (body.hidden || !keys.has(body)) continue;
      body.classList.toggle("same", keys.get(body).claim === before);
      before = keys.get(body).claim;
    }
  }

  function show() {
    for (const body of rows) body.hidden = !fits(body);
    const shown = rows.filter((body) => !body.hidden).length;
    controls.querySelector("output").textContent =
      shown === rows.length ? `all ${rows.length} verdicts` : `${shown} of ${rows.length} verdicts`;
    nameOnce();
  }

  function compare(first, second) {
    if (first === second) return 0;
    if (first === null || second === null) return first === null ? Infinity : -Infinity;
    return first < second ? -1 : 1;
  }

  // What has no value stays last, whichever way the others are sorted.
  function signed(order, sign) {
    return Number.isFinite(order) ? sign * order : order;
  }

  function sort(button) {
    const heading = button.closest("th");
    const next = { none: "ascending", ascending: "descending", descending: "none" }[heading.getAttribute("aria-sort")];
    for (const other of buttons) other.closest("th").setAttribute("aria-sort", "none");
    heading.setAttribute("aria-sort", next);
    const sign = next === "descending" ? -1 : 1;
    const column = button.dataset.column;
    const order = next === "none" ? rows : [...rows].sort((first, second) =>
      signed(compare(keys.get(first)[column], keys.get(second)[column]), sign));
    table.append(...order);
    nameOnce();
  }

  controls.hidden = false;
  controls.addEventListener("input", show);
  controls.querySelector("button").addEventListener("click", () => {
    text.value = "";
    for (const choice of choices) choice.value = "";
    show();
  });
  for (const button of buttons) {
    button.disabled = false;
    button.addEventListener("click", () => sort(button));
  }
  show();
})();
