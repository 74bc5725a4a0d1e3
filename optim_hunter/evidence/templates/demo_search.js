"use strict";
// The search for a token: a combobox with a list, by the pattern of the ARIA guide.

const MOST_OPTIONS = 40;

/** Tokens that a text asks for: itself first, then those that begin with it, then those that hold it. */
function findTokens(texts, written, order) {
  const wanted = written.replaceAll("↵", "\n").replaceAll("⇥", "\t");
  if (wanted === "") return order;
  const small = wanted.toLowerCase();
  const ranked = order.map((token) => ({ token, rank: matchRank(texts[token], wanted, small) }));
  return ranked.filter(({ rank }) => rank < 6).sort((one, other) => one.rank - other.rank).map(({ token }) => token);
}

function matchRank(text, wanted, small) {
  const bare = text.trimStart();
  if (text === wanted) return 0;
  if (bare === wanted) return 1;
  if (visible(text) === wanted) return 2;
  if (bare.toLowerCase() === small) return 3;
  if (bare.toLowerCase().startsWith(small)) return 4;
  return text.toLowerCase().includes(small) ? 5 : 6;
}

function foundText(found) {
  if (found === 0) return "no token of the vocabulary holds this";
  return `${count(found)} token${found === 1 ? "" : "s"}${found > MOST_OPTIONS ? `, the first ${MOST_OPTIONS} are listed` : ""}`;
}

class TokenSearch {
  /** `status` says how many were found; `ranking()` gives all tokens, the strongest first; `choose(token)` is told of a choice. */
  constructor(input, list, status, texts, ranking, choose) {
    Object.assign(this, { input, list, status, texts, ranking, choose, found: [], active: -1, current: null });
    input.addEventListener("input", () => this.open(input.value));
    input.addEventListener("click", () => this.open(""));
    input.addEventListener("focus", () => input.select());
    input.addEventListener("blur", () => this.close());
    input.addEventListener("keydown", (event) => this.#key(event));
    // before the blur that a click brings
    list.addEventListener("mousedown", (event) => this.#press(event));
  }

  show(token) {
    this.current = token;
    this.close();
  }

  open(written) {
    const found = findTokens(this.texts, written, this.ranking());
    this.found = found.slice(0, MOST_OPTIONS);
    this.list.replaceChildren(...this.found.map((token, place) => this.#option(token, place)));
    this.list.hidden = found.length === 0;
    this.input.setAttribute("aria-expanded", String(found.length > 0));
    this.status.textContent = foundText(found.length);
    this.#activate(found.length > 0 ? 0 : -1);
  }

  close() {
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
    this.status.textContent = "";
    this.input.value = this.current === null ? "" : visible(this.texts[this.current]);
  }

  #option(token, place) {
    return element("li", { role: "option", id: `option-${place}`, "data-place": place, "aria-selected": "false",
      "aria-label": spoken(this.texts[token]) }, spaced(this.texts[token]));
  }

  #activate(place) {
    this.list.children[this.active]?.setAttribute("aria-selected", "false");
    this.active = place;
    if (place < 0) return this.input.removeAttribute("aria-activedescendant");
    this.list.children[place].setAttribute("aria-selected", "true");
    this.list.children[place].scrollIntoView({ block: "nearest" });
    return this.input.setAttribute("aria-activedescendant", `option-${place}`);
  }

  #take(place) {
    if (place < 0 || place >= this.found.length) return;
    const token = this.found[place];
    this.show(token);
    this.choose(token);
  }

  /** Said once more and in other words, since a screen reader passes over a text that stays. */
  #tellNone() {
    this.status.textContent = `nothing chosen: no token of the vocabulary holds “${visible(this.input.value)}”`;
  }

  #press(event) {
    event.preventDefault();
    const option = event.target.closest("[data-place]");
    if (option) this.#take(Number(option.dataset.place));
  }

  #key(event) {
    const open = !this.list.hidden;
    const lost = !open && this.status.textContent !== "";
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && !open) this.open("");
    else if (step && this.found.length) this.#activate((this.active + step + this.found.length) % this.found.length);
    else if (event.key === "Enter" && open) this.#take(this.active);
    else if (event.key === "Enter" && lost) this.#tellNone();
    else if (event.key === "Escape" && (open || lost)) this.close();
    else return;
    event.preventDefault();
  }
}
