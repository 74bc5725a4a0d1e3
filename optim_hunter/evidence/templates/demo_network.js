"use strict";
// The one-layer model: one attention layer whose query is the last token, one MLP, logits for the words of the page's rule books.

const LEAST_TERM = 1e-17;
const SURE = 6; // from here on erf is 1 to sixteen digits

/** By the series e^(−x²) · Σ 2ⁿ x^(2n+1) / (2n+1)!! (DLMF 7.6.2), of which no term takes back another. */
function erf(x) {
  if (Math.abs(x) > SURE) return Math.sign(x);
  let term = x;
  let total = x;
  for (let n = 1; Math.abs(term) > LEAST_TERM * Math.abs(total); n++) {
    term *= 2 * x * x / (2 * n + 1);
    total += term;
  }
  return 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) * total;
}

function gelu(x) {
  return x * (1 + erf(x / Math.SQRT2)) / 2;
}

/** A vector times a matrix. */
function times(vector, { shape: [rows, columns], at }) {
  const product = new Array(columns).fill(0);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) product[column] += vector[row] * at(row, column);
  }
  return product;
}

function added(one, other) {
  return one.map((number, place) => number + other[place]);
}

class OneLayerNetwork {
  /** `array(name)` gives the arrays that `demo_network.py` describes. */
  constructor({ heads, words }, array) {
    Object.assign(this, { heads, words, array });
    this.positions = array("position").shape[0];
    this.matrices = Object.fromEntries(["query", "key", "value", "output", "mlp_in", "mlp_out"].map((name) => [name, this.#matrix(name)]));
  }

  #matrix(name) {
    const { shape, values } = this.array(name);
    const scale = this.array(`${name}.scale`).values;
    return { shape, at: (row, column) => values[row * shape[1] + column] * scale[row] };
  }

  #embedding(token, place) {
    const [size, own, step] = [this.array("token.scale").values[token], this.array("own"), this.array("own.step").values[0]];
    const [, vocabulary, width] = own.shape;
    const first = (place * vocabulary + token) * width;
    return Array.from({ length: width }, (_, entry) => this.array("token").values[token * width + entry] * size
      + this.array("position").values[place * width + entry] + own.values[first + entry] * step);
  }

  /** What the heads write at the last position. */
  #attended(embedded) {
    const query = times(embedded.at(-1), this.matrices.query);
    const keys = embedded.map((symbol) => times(symbol, this.matrices.key));
    const values = embedded.map((symbol) => times(symbol, this.matrices.value));
    const size = query.length / this.heads;
    const mixed = Array.from({ length: this.heads }, (_, head) => {
      const part = (vector) => vector.slice(head * size, (head + 1) * size);
      const scores = keys.map((key) => sum(part(key).map((entry, place) => entry * query[head * size + place])) / Math.sqrt(size));
      return softmax(scores).reduce((written, weight, place) =>
        added(written, part(values[place]).map((entry) => entry * weight)), new Array(size).fill(0));
    });
    return times(mixed.flat(), this.matrices.output);
  }

  /** Probabilities among these words after a window of as many tokens as it has positions; null of a shorter one. */
  probabilities(tokens, words) {
    if (tokens.length < this.positions) return null;
    const embedded = tokens.slice(-this.positions).map((token, place) => this.#embedding(token, place));
    const read = added(embedded.at(-1), this.#attended(embedded));
    const neurons = added(times(read, this.matrices.mlp_in), this.array("mlp_bias").values).map(gelu);
    const residual = added(read, times(neurons, this.matrices.mlp_out));
    const { shape, values } = this.array("unembedding");
    const logits = added(times(residual, { shape, at: (row, column) => values[row * shape[1] + column] }), this.array("bias").values);
    return softmax(words.map((word) => logits[this.words.indexOf(word)]));
  }
}
