"use strict";
// The tab of rules: a sentence and who expects what after it, the book by gain, and where one rule fires.

const FEW_RULES = 15;

class RulesTab {
  /** `go(change)` changes the page's state. */
  constructor({ books, network, tokenizer, models }, go) {
    Object.assign(this, { books, network, tokenizer, models, go });
    this.fields = Object.fromEntries(["rules-sentence", "rules-search", "more-rules", "more-firing"].map((id) => [id, document.getElementById(id)]));
    this.shownRules = FEW_RULES;
    this.fields["rules-sentence"].addEventListener("input", (event) => go({ sentence: event.target.value }));
    this.fields["rules-search"].addEventListener("input", () => this.#list(FEW_RULES));
    this.fields["more-rules"].addEventListener("click", () => this.#list(5 * this.shownRules));
    this.fields["more-firing"].addEventListener("click", () => this.go({ most: 5 * this.state.most }));
  }

  get book() {
    return this.books.get(this.state.group);
  }

  get model() {
    return this.models.find((model) => model.name === this.state.group);
  }

  /** The rule of a name, or that with the largest gain. */
  get rule() {
    return this.book.find(this.state.rule) ?? this.book.rules[0];
  }

  /** Show what differs from the state before. */
  show(state, before) {
    this.state = state;
    const differs = (...names) => names.some((name) => before[name] !== state[name]);
    document.getElementById("book").hidden = !this.book;
    document.getElementById("no-book").hidden = Boolean(this.book);
    if (this.fields["rules-sentence"].value !== state.sentence) this.fields["rules-sentence"].value = state.sentence;
    if (!this.book) return;
    if (differs("group", "tab")) {
      showBook(this.book, this.model);
      this.#list(FEW_RULES);
    }
    if (differs("group", "tab", "sentence")) this.#sentence();
    document.getElementById("one-rule").hidden = !this.rule;
    if (this.rule && differs("group", "tab", "rule", "most")) {
      showFiring(this.book, this.rule, this.model, this.tokenizer, state.most, (tokens) => this.#ask(tokens));
    }
  }

  #sentence() {
    const tokens = this.tokenizer.encode(this.state.sentence.replace(/ +$/, ""));
    showExpected(this.book.words, this.#ask(tokens), tokens.length);
    showFired(this.book, tokens, (name) => this.#choose(name));
  }

  #ask(tokens) {
    return {
      rules: this.book.probabilities(tokens),
      linear: this.model.probabilities(this.model.align(tokens)),
      network: this.book.network ? this.network.probabilities(tokens, this.book.words) : null,
    };
  }

  #list(most) {
    this.shownRules = most;
    showRules(this.book, this.fields["rules-search"].value, most, (name) => this.#choose(name));
  }

  /** Go to where a rule fires. */
  #choose(name) {
    this.go({ rule: name });
    document.getElementById("rule-name").focus();
  }
}
