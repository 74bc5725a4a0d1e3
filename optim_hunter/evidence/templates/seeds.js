"use strict";
(() => {
  const known = {};

  // Prompts and answers are unpacked once, when somebody first looks at a seed.
  function exchanges() {
    known.told ??= unpack(document.getElementById("exchanges").textContent);
    return known.told;
  }

  async function unpack(packed) {
    const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }

  function element(name, content, kind) {
    const made = document.createElement(name);
    if (content !== undefined) made.textContent = content;
    if (kind) made.className = kind;
    return made;
  }

  function heading(label) {
    const cell = element("th", label);
    cell.scope = "col";
    return cell;
  }

  function number(value) {
    if (value === null) return "–";
    const shown = Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(4)));
    return shown.replace("-", "−");
  }

  function promptOf(exchange, prompts) {
    const folded = element("details", undefined, "prompt");
    folded.append(element("summary", "prompt"));
    folded.addEventListener("toggle", () => {
      if (folded.open && !folded.querySelector("pre")) folded.append(element("pre", prompts[exchange[0]]));
    });
    return folded;
  }

  function rowOf([seed, values, note], exchange, prompts, told) {
    const row = element("tr");
    const name = element("th", seed);
    name.scope = "row";
    row.append(name, ...values.map((value) => element("td", number(value), "figure-column")));
    if (told) {
      const asked = element("td");
      if (exchange) asked.append(promptOf(exchange, prompts));
      row.append(element("td", exchange?.[2] ?? "–", "answer"), element("td", exchange?.[1] ?? "–"), asked);
    }
    row.append(element("td", note ?? "", "note"));
    return row;
  }

  async function fill(folded) {
    const seeds = JSON.parse(document.querySelector(`script[data-of="${folded.dataset.seeds}"]`).textContent);
    const { prompts, exchanges: all } = await exchanges();
    const told = Object.hasOwn(all, seeds.exchanges ?? "") ? all[seeds.exchanges] : null;
    const table = element("table"), head = element("tr"), body = element("tbody");
    const columns = ["Seed", ...seeds.names, ...(told ? ["Answer", "Truth", ""] : []), ""];
    head.append(...columns.map(heading));
    body.append(...seeds.rows.map((row) => rowOf(row, told?.[row[0]], prompts, told)));
    table.append(element("thead"), body);
    table.tHead.append(head);
    const scroll = element("div", undefined, "scroll");
    scroll.append(table);
    folded.append(scroll);
  }

  for (const folded of document.querySelectorAll("details.seeds")) {
    folded.addEventListener("toggle", () => {
      if (!folded.open || folded.dataset.state) return;
      folded.dataset.state = "filling";
      fill(folded).then(() => { folded.dataset.state = "filled"; }, (error) => {
        folded.dataset.state = "failed";
        folded.append(element("p", `The table could not be made (${error}); its numbers are in the source of this page.`));
      });
    });
  }
})();
