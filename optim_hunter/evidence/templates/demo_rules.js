"use strict";
// Rule books: logits = intercepts + the sum of the shifts of all rules that fire.

class Rules {
  /** A book of `demo_rules.py`, and the words that its numbers are about. */
  constructor(book, words) {
    Object.assign(this, book, { words });
    this.sets = this.rules.map((rule) => rule.atoms.map(({ tokens }) => new Set(tokens)));
  }

  find(name) {
    return this.rules.find((rule) => rule.name === name);
  }

  /** Places in `tokens` that meet a rule's condition; null where it is not met. Position 1 is the last token. */
  met(number, tokens) {
    const places = this.rules[number].atoms.map(({ near, far }, atom) => {
      const first = Math.max(0, tokens.length - far);
      return Array.from({ length: Math.max(0, tokens.length - near + 1 - first) }, (_, step) => first + step)
        .filter((place) => this.sets[number][atom].has(tokens[place]));
    });
    return places.every((found) => found.length > 0) ? new Set(places.flat()) : null;
  }

  fired(tokens) {
    return this.rules.filter((_, number) => this.met(number, tokens) !== null);
  }

  probabilities(tokens) {
    return softmax(this.fired(tokens).reduce((logits, rule) => added(logits, rule.shifts), this.intercepts));
  }

  /** Rules whose name or sentence has the text in it, those with the largest gain first. */
  search(written) {
    const small = written.trim().toLowerCase();
    return this.rules.filter(({ name, sentence }) => `${name} ${sentence}`.toLowerCase().includes(small));
  }
}
