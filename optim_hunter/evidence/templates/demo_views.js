"use strict";
// What each part of the page shows of a model. Every function fills its own part anew.

const MOST_TOKENS = 10;
const BAR_HEIGHT = 26;

function fill(id, ...children) {
  document.getElementById(id).replaceChildren(...children);
}

function term(name, value, note) {
  return element("div", {}, element("dt", {}, name), element("dd", {}, element("b", {}, value), " ", element("small", {}, note)));
}

function showFigures({ figures }) {
  const { loss, right } = figures;
  fill("figures",
    term("held-out loss", `${loss.linear.toFixed(3)} nats`, `${loss.prior.toFixed(3)} from the words' frequencies alone`),
    term("right", percent(right.linear), `${percent(right.prior)} by always saying the most frequent`),
    term("weights other than 0", count(figures.nonzero), `of ${count(figures.weights)}; L1 price ${figures.l1} nats`),
    term("held-out windows", count(figures.held_out_windows),
      `of ${count(figures.held_out_stories)} stories; fitted to ${count(figures.fitted_windows)}`));
}

function positionName(position, positions) {
  const between = positions - position;
  if (between === 0) return `${position}: just before the word`;
  return `${position}: ${between} token${between === 1 ? "" : "s"} between it and the word`;
}

/** The boxes of a token, and the sentence that says what they show. */
function showBoxes(model, texts, token, position) {
  const pushes = model.pushes(position, token);
  const seen = model.seen(position, token);
  fill("boxes", ...pushes.map((push, word) => box(model, push, word, seen)));
  fill("verdict", ...verdict(model, texts[token], position, pushes, sum(seen)));
}

function box(model, push, word, seen) {
  const total = sum(seen);
  const usual = model.figures.fitted_words[word] / model.figures.fitted_windows;
  const share = total > 0 ? `came after it ${percent(seen[word] / total)} of the time, overall ${percent(usual)}` : `overall ${percent(usual)}`;
  return tint(element("li", { class: `box ${direction(push)}`, "data-word": model.words[word], "data-push": push },
    element("span", { class: "word" }, spaced(model.words[word])),
    element("span", { class: "number" }, signed(push)),
    element("span", { class: "way" }, way(push)),
    element("small", {}, share)), push);
}

function way(push) {
  if (direction(push) === "nothing") return "no weight";
  const odds = Math.exp(Math.abs(push));
  const factor = odds < 10 ? odds.toFixed(odds < 1.1 ? 2 : 1) : count(Math.round(odds));
  return push > 0 ? `▲ raises, odds × ${factor}` : `▼ lowers, odds ÷ ${factor}`;
}

function verdict(model, text, position, pushes, total) {
  const token = [element("q", {}, spaced(text)), position === model.positions ? " just before the word " : ` at position ${position} `];
  const found = ` It stood there in ${count(total)} of ${count(model.figures.fitted_windows)} fitted windows.`;
  if (direction(largestSize(pushes)) === "nothing") return [...token, "pushes no word of the group.", found];
  const most = pushes.indexOf(Math.max(...pushes));
  const least = pushes.indexOf(Math.min(...pushes));
  return [...token, "raises ", element("q", {}, spaced(model.words[most])), ` most (${signed(pushes[most])}) and lowers `,
    element("q", {}, spaced(model.words[least])), ` most (${signed(pushes[least])}).`, found];
}

/** Bars of every word over all positions; `choose(position)` is told of a click. */
function showProfile(model, token, chosen, choose) {
  const pushes = Array.from({ length: model.positions }, (_, place) => model.pushes(place + 1, token));
  const largest = Math.max(largestSize(pushes.flat()), 1e-9);
  fill("profile", ...model.words.map((word, place) => {
    const own = pushes.map((all) => all[place]);
    return element("div", { class: "row" }, element("span", { class: "word" }, spaced(word)),
      bars(word, own, largest, chosen, choose));
  }));
}

function bars(word, pushes, largest, chosen, choose) {
  const furthest = pushes.reduce((best, push, place) => (Math.abs(push) > Math.abs(pushes[best]) ? place : best), 0);
  const told = direction(pushes[furthest]) === "nothing" ? "no weight at any position"
    : `largest weight ${signed(pushes[furthest])} at position ${furthest + 1}`;
  const picture = svg("svg", { viewBox: `0 0 ${10 * pushes.length} ${2 * BAR_HEIGHT}`, preserveAspectRatio: "none", role: "img",
    "aria-label": `${visible(word)}: ${told}` }, svg("rect", { class: "chosen", x: 10 * (chosen - 1), width: 10, y: 0, height: 2 * BAR_HEIGHT }));
  pushes.forEach((push, place) => {
    const height = Math.abs(push) / largest * (BAR_HEIGHT - 1);
    picture.append(svg("rect", { class: direction(push), x: 10 * place + 1.5, width: 7, height, y: push > 0 ? BAR_HEIGHT - height : BAR_HEIGHT }));
  });
  picture.append(svg("line", { x1: 0, x2: 10 * pushes.length, y1: BAR_HEIGHT, y2: BAR_HEIGHT }));
  picture.addEventListener("click", (event) => {
    const { left, width } = picture.getBoundingClientRect();
    choose(Math.min(pushes.length, 1 + Math.floor((event.clientX - left) / width * pushes.length)));
  });
  return picture;
}

function wordHeads(model) {
  return model.words.map((word) => element("th", { scope: "col" }, spaced(word)));
}

/** A table of tokens with a score each and their weights at a position, below the heading `name`; `choose(token)` is told of a click. */
function tokenTable(name, model, texts, position, score, rows, choose) {
  const head = element("tr", {}, element("th", { scope: "col" }, "token"), element("th", { scope: "col" }, score), ...wordHeads(model));
  const body = rows.map(({ token, value }) => element("tr", {},
    element("th", { scope: "row" }, tokenButton(texts[token], () => choose(token))),
    element("td", {}, value), ...model.pushes(position, token).map(pushCell)));
  return element("table", { "aria-labelledby": name }, element("thead", {}, head), element("tbody", {}, ...body));
}

function tokenButton(text, click) {
  return element("button", { type: "button", class: "token", "aria-label": spoken(text), click }, spaced(text));
}

function showStrongest(model, texts, position, choose) {
  const rows = model.strongest(position).slice(0, MOST_TOKENS)
    .map(({ token }) => ({ token, value: count(sum(model.seen(position, token))) }));
  fill("strongest", rows.length ? tokenTable("strongest-heading", model, texts, position, "seen", rows, choose)
    : element("p", { class: "note" }, "No token has a weight here."));
}

function showSimilar(model, texts, token, position, choose) {
  const rows = model.similar(token).slice(0, MOST_TOKENS).map(({ token: other, score }) => ({ token: other, value: score.toFixed(2) }));
  const about = "By the cosine between the weights of two tokens over all positions and words, each less its mean over the words. "
    + `The numbers on the right are the weights at position ${position}.`;
  if (rows.length) fill("similar", element("p", { class: "note" }, about), tokenTable("similar-heading", model, texts, position, "cosine", rows, choose));
  else fill("similar", element("p", { class: "note" }, "This token has no weight at any position, so that none is similar."));
}

/** Held-out windows that have the token at the position, with the word that came in bold. */
function showExamples(model, tokenizer, token, position, most) {
  const windows = model.inTurn((tokens) => tokens[position - 1] === token);
  const there = model.labels.length;
  const all = there === model.figures.held_out_windows ? "held-out windows" : "held-out windows in this page";
  document.getElementById("examples-about").textContent = windows.length === 0
    ? `None of the ${count(there)} ${all} has this token here.`
    : `${count(windows.length)} of the ${count(there)} ${all} have it here: one of each word in turn, the probability is what the model gave to the word that came.`;
  document.getElementById("more").hidden = windows.length <= most;
  fill("examples", ...windows.slice(0, most).map((window) => example(model, tokenizer, model.window(window), model.labels[window], position)));
}

function example(model, tokenizer, tokens, label, position) {
  const probabilities = model.probabilities(model.align(tokens));
  const likeliest = probabilities.indexOf(Math.max(...probabilities));
  const told = likeliest === label ? percent(probabilities[label])
    : `${percent(probabilities[label])}, rather ${visible(model.words[likeliest].trim())} ${percent(probabilities[likeliest])}`;
  return element("li", {}, windowText(tokenizer, tokens, new Set([position - 1]), model.words[label]), " ",
    element("small", { class: likeliest === label ? "right" : "wrong" }, told));
}

/** A window with the tokens at some places marked, and the word that came. Tokens between marks are decoded together. */
function windowText(tokenizer, tokens, marked, word) {
  const parts = [];
  let start = 0;
  for (const place of [...marked].sort((one, other) => one - other)) {
    parts.push(visible(tokenizer.decode(tokens.slice(start, place))), element("mark", {}, visible(tokenizer.texts[tokens[place]])));
    start = place + 1;
  }
  return element("span", { class: "window" }, "…", ...parts, visible(tokenizer.decode(tokens.slice(start))), element("b", {}, visible(word)));
}

/** The probabilities of a sentence, and the sum of weights that they come from. */
function showSentence(model, texts, tokens, choose) {
  const aligned = model.align(tokens);
  const probabilities = model.probabilities(aligned);
  document.getElementById("sentence-about").textContent = sentenceNote(model, tokens.length);
  fill("probabilities", ...probabilities.map((probability, word) => bar(model.words[word], probability)));
  const likeliest = probabilities.indexOf(Math.max(...probabilities));
  fill("likely", "Most likely: ", element("q", {}, spaced(model.words[likeliest])), `, ${percent(probabilities[likeliest])}.`);
  const rows = aligned.map(({ token, position }) => ({ place: String(position), kind: "one", numbers: model.pushes(position, token),
    head: tokenButton(texts[token], () => choose(token, position)) }));
  const offset = { place: "", head: "offset", numbers: centred(model.offsets), kind: "offset" };
  fill("sum", sumTable("sum-heading", ["position", "token"], model.words, [offset, ...rows], probabilities));
}

function sentenceNote(model, length) {
  const spaces = "Spaces at the end do not count, since each word brings its own.";
  const empty = model.positions - length;
  if (empty < 0) return `${count(length)} tokens: the last ${model.positions} count. ${spaces}`;
  if (empty === 0) return `${model.positions} tokens: one at each position. ${spaces}`;
  return `${length} token${length === 1 ? "" : "s"}: the far ${empty} position${empty === 1 ? " is" : "s are"} empty and add nothing. The model never saw `
    + `such a window: it was fitted where ${model.positions} tokens of a story stand before the word. ${spaces}`;
}

function bar(word, probability) {
  const filled = element("span", { class: "filled" });
  filled.style.width = `${100 * probability}%`;
  return element("li", { "data-word": word, "data-probability": probability }, element("span", { class: "word" }, spaced(word)),
    element("span", { class: "track" }, filled), element("span", { class: "number" }, `${(100 * probability).toFixed(1)}\u00a0%`));
}

/** Numbers for each word, row by row, their sum, and the probabilities that it makes; `heads` are of the first two columns. */
function sumTable(name, heads, words, rows, probabilities) {
  const row = ({ place, head, kind }, cells) => element("tr", { class: kind }, element("td", {}, place), element("th", { scope: "row" }, head), ...cells);
  const total = (head, cells) => row({ place: "", head, kind: "total" }, cells.map((text) => element("td", {}, text)));
  const totals = words.map((_, word) => sum(rows.map(({ numbers }) => numbers[word])));
  const head = element("tr", {}, ...[...heads, ...words.map(spaced)].map((one) => element("th", { scope: "col" }, one)));
  return element("table", { class: "sum", "aria-labelledby": name }, element("thead", {}, head),
    element("tbody", {}, ...rows.map((one) => row(one, one.numbers.map(pushCell)))),
    element("tfoot", {}, total("sum", totals.map((one) => signed(one))), total("probability", probabilities.map(percent))));
}
