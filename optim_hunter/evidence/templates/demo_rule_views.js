"use strict";
// What the tab of rules shows. Every function fills its own part anew.

const WHO = { rules: "rule book", linear: "linear model", network: "one-layer model" };

/** Losses of all who answer, and the share of the gap between frequencies and network that the rules close. */
function showBook(book, { figures }) {
  const lost = (name, loss, note) => term(name, `${loss.toFixed(3)} nats`, note);
  fill("book-figures",
    lost("rule book", book.loss, gapNote(book, figures)),
    lost("linear model", figures.loss.linear, `${count(figures.nonzero)} weights other than 0`),
    ...(book.network ? [lost("one-layer model", book.network.unrounded, networkNote(book.network))] : []),
    lost("words' frequencies", figures.loss.prior, `${count(figures.held_out_windows)} held-out windows`));
}

function gapNote(book, { loss }) {
  const rules = `${count(book.rules.length)} rule${book.rules.length === 1 ? "" : "s"}`;
  if (!book.network) return rules;
  return `${rules} close ${percent((loss.prior - book.loss) / (loss.prior - book.network.unrounded))} of the gap to the one-layer model`;
}

/** The loss is of the model as it is, the probabilities that the page shows are of its rounded numbers. */
function networkNote({ change }) {
  return "of all next tokens, read among these words; rounded to bytes for this page: no probability moves by more than "
    + `${(Math.ceil(10000 * change) / 100).toFixed(2)} points in the held-out windows`;
}

/** What each model expects after a sentence; `said` has null for one that was not asked. */
function showExpected(words, said, length) {
  const asked = Object.entries(said).filter(([, chances]) => chances !== null);
  fill("expected", ...words.map((word, place) => element("li", { "data-word": word },
    element("span", { class: "word" }, spaced(word)),
    element("ul", { class: "who" }, ...asked.map(([who, chances]) => whoBar(who, chances[place]))))));
  fill("rules-likely", "Most likely: ", ...asked.flatMap(([who, chances], place) => {
    const likeliest = chances.indexOf(Math.max(...chances));
    return [place ? "; " : "", `${WHO[who]} `, element("q", {}, spaced(words[likeliest])), ` ${percent(chances[likeliest])}`];
  }), ".");
  document.getElementById("rules-sentence-about").textContent = "Spaces at the end do not count, since each word brings its own."
    + (said.network === null ? ` ${count(length)} token${length === 1 ? "" : "s"}: the one-layer model is asked from 16 on.` : "");
}

function whoBar(who, chance) {
  const filled = element("span", { class: `filled ${who}` });
  filled.style.width = `${100 * chance}%`;
  return element("li", { "data-who": who, "data-probability": chance }, element("span", { class: "name" }, WHO[who]),
    element("span", { class: "track" }, filled), element("span", { class: "number" }, `${(100 * chance).toFixed(1)}\u00a0%`));
}

/** The rules that fire in a window, as a sum. */
function showFired(book, tokens, choose) {
  const fired = book.fired(tokens);
  document.getElementById("fired-about").textContent =
    `${count(fired.length)} of ${count(book.rules.length)} rules fire. What they add to the words' logits, in nats:`;
  const rows = fired.map((rule) => ({ place: rule.gain.toFixed(3), head: ruleHead(rule, choose), numbers: rule.shifts, kind: "one" }));
  const first = { place: "", head: "without any rule", numbers: book.intercepts, kind: "offset" };
  fill("fired", sumTable("fired-heading", ["gain", "rule"], book.words, [first, ...rows], book.probabilities(tokens)));
}

function ruleHead({ name, sentence }, choose) {
  return element("div", { class: "rule" }, element("button", { type: "button", class: "token", click: () => choose(name) }, visible(name)),
    element("small", {}, visible(sentence)));
}

/** The rules that a search finds, the first `most` of them. */
function showRules(book, written, most, choose) {
  const found = book.search(written);
  document.getElementById("rules-found").textContent = `${count(found.length)} of ${count(book.rules.length)} rules`;
  document.getElementById("more-rules").hidden = found.length <= most;
  const heads = ["rule", "gain", "90 % interval", "fires in", ...book.words.map(spaced)];
  const head = element("tr", {}, ...heads.map((one) => element("th", { scope: "col" }, one)));
  const body = found.slice(0, most).map((rule) => element("tr", {}, element("th", { scope: "row" }, ruleHead(rule, choose)),
    element("td", {}, rule.gain.toFixed(4)), element("td", {}, `${signed(rule.low, 4)} to ${signed(rule.high, 4)}`),
    element("td", {}, percent(rule.fires)), ...rule.shifts.map(pushCell)));
  fill("rules", element("table", { "aria-labelledby": "rules-heading" }, element("thead", {}, head), element("tbody", {}, ...body)));
}

/** A rule's condition with all its tokens, of which the sentence may leave some out. */
function showCondition({ atoms }, texts) {
  fill("rule-condition", ...atoms.map(({ tokens, where }, number) => element("li", {}, number ? "together with " : "",
    tokens.length > 1 ? "one of: " : "",
    ...tokens.flatMap((token, place) => [place ? ", " : "", element("q", {}, spaced(texts[token]))]), `, ${visible(where)}`)));
}

/** Held-out windows in which a rule fires, in turn one of each word that came; what meets its condition is marked. */
function showFiring(book, rule, model, tokenizer, most, ask) {
  const number = book.rules.indexOf(rule);
  const windows = model.inTurn((tokens) => book.met(number, tokens) !== null);
  fill("rule-name", visible(rule.name));
  fill("rule-sentence", visible(rule.sentence));
  showCondition(rule, tokenizer.texts);
  document.getElementById("firing-about").textContent = `It fires in ${count(windows.length)} of ${count(model.labels.length)} held-out `
    + `windows here, one of each word in turn. It gains ${rule.gain.toFixed(4)} nats a window (90 % interval ${signed(rule.low, 4)} to `
    + `${signed(rule.high, 4)}), over all held-out windows. Beside each: the probability of the word that came.`;
  document.getElementById("more-firing").hidden = windows.length <= most;
  fill("firing", ...windows.slice(0, most).map((window) => {
    const [tokens, label] = [model.window(window), model.labels[window]];
    const told = Object.entries(ask(tokens)).filter(([, chances]) => chances).map(([who, chances]) => `${WHO[who]} ${percent(chances[label])}`);
    return element("li", {}, windowText(tokenizer, tokens, book.met(number, tokens), model.words[label]), " ",
      element("small", {}, told.join(", ")));
  }));
}
