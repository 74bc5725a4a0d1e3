"use strict";
// Byte-level BPE as `tokenizers` does it: pieces by a pattern, bytes as letters, merges by rank.

// White_Space, not \s: the latter has U+FEFF and lacks U+0085.
const PIECES = new RegExp([
  "'s|'t|'re|'ve|'m|'ll|'d", " ?\\p{L}+", " ?\\p{N}+", " ?[^\\p{White_Space}\\p{L}\\p{N}]+",
  "\\p{White_Space}+(?!\\P{White_Space})", "\\p{White_Space}+",
].join("|"), "gu");
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

function isLetterOfItself(byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte !== 173);
}

/** The letter of each byte: its own if it is printed, else one from U+0100 on. */
function byteLetters() {
  let hidden = 0;
  return Array.from({ length: 256 }, (_, byte) =>
    String.fromCodePoint(isLetterOfItself(byte) ? byte : 256 + hidden++));
}

/** Text in which no character hides or reorders others. */
function visible(text) {
  const named = { "\n": "↵", "\t": "⇥" };
  return text.replace(INVISIBLE, (character) =>
    named[character] ?? `⟨U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
}

class Tokenizer {
  /** `names` are the tokens in the byte alphabet, `merges` pairs of tokens, the first to be merged first. */
  constructor(names, merges) {
    this.size = names.length;
    const ofName = new Map(names.map((name, token) => [name, token]));
    const letters = byteLetters();
    const ofLetter = new Map(letters.map((letter, byte) => [letter, byte]));
    this.ofByte = letters.map((letter) => ofName.get(letter));
    this.bytes = names.map((name) => Uint8Array.from(name, (letter) => ofLetter.get(letter)));
    this.merged = new Map(merges.map(([left, right], rank) =>
      [left * this.size + right, { rank, token: ofName.get(names[left] + names[right]) }]));
    this.texts = this.bytes.map((bytes) => this.#textOf(bytes));
    this.ofText = new Map(this.texts.map((text, token) => [text, token]).reverse());
  }

  /** A token that is part of a character is named by its bytes: `⟨E2 80⟩`. */
  #textOf(bytes) {
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      return `⟨${[...bytes].map((byte) => byte.toString(16).toUpperCase().padStart(2, "0")).join(" ")}⟩`;
    }
  }

  /** Tokens of a text; a lone surrogate counts as U+FFFD. */
  encode(text) {
    const pieces = text.replace(/\p{Surrogate}/gu, "\uFFFD").match(PIECES) ?? [];
    return pieces.flatMap((piece) => this.#encodePiece(piece));
  }

  #encodePiece(piece) {
    let tokens = Array.from(new TextEncoder().encode(piece), (byte) => this.ofByte[byte]);
    for (let merge = this.#firstMerge(tokens); merge; merge = this.#firstMerge(tokens)) {
      tokens = this.#mergeAll(tokens, merge);
    }
    return tokens;
  }

  #mergeOf(left, right) {
    return this.merged.get(left * this.size + right);
  }

  #firstMerge(tokens) {
    let first = null;
    for (let place = 1; place < tokens.length; place++) {
      const merge = this.#mergeOf(tokens[place - 1], tokens[place]);
      if (merge && (first === null || merge.rank < first.rank)) first = merge;
    }
    return first;
  }

  #mergeAll(tokens, merge) {
    const joined = [];
    for (let place = 0; place < tokens.length; place++) {
      if (place + 1 < tokens.length && this.#mergeOf(tokens[place], tokens[place + 1]) === merge) {
        joined.push(merge.token);
        place++;
      } else joined.push(tokens[place]);
    }
    return joined;
  }

  decode(tokens) {
    const bytes = tokens.flatMap((token) => [...this.bytes[token]]);
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(bytes));
  }
}
