"use strict";
// The page's data, and the linear models in it: logits = offsets + the sum of one weight for each token at its position.

const ARRAYS = { F64: Float64Array, F32: Float32Array, U32: Uint32Array, U16: Uint16Array, I8: Int8Array };

/** A safetensors file: its arrays by name, and its metadata. */
function readSafetensors(buffer) {
  const start = 8 + Number(new DataView(buffer).getBigUint64(0, true));
  const { __metadata__: metadata, ...entries } = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, start - 8)));
  const arrays = {};
  for (const [name, { dtype, shape, data_offsets: [from, to] }] of Object.entries(entries)) {
    arrays[name] = { shape, values: new ARRAYS[dtype](buffer.slice(start + from, start + to)) };
  }
  return { arrays, metadata };
}

async function unpackData(packed) {
  const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const { arrays, metadata } = readSafetensors(await new Response(stream).arrayBuffer());
  const page = JSON.parse(metadata.page);
  const tokenizer = new Tokenizer(page.names, page.merges);
  const models = page.groups.map((figures, number) => new LinearModel(figures, (name) => arrays[`${number}.${name}`]));
  const books = new Map(Object.entries(page.books).map(([name, book]) => [name, new Rules(book, models.find((model) => model.name === name).words)]));
  const network = page.network.words && new OneLayerNetwork(page.network, (name) => arrays[`network.${name}`]);
  return { page, tokenizer, models, books, network };
}

function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0);
}

function centred(numbers) {
  const mean = sum(numbers) / numbers.length;
  return numbers.map((number) => number - mean);
}

function softmax(logits) {
  const largest = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - largest));
  const total = sum(powers);
  return powers.map((power) => power / total);
}

function largestSize(numbers) {
  return Math.max(...numbers.map(Math.abs));
}

class LinearModel {
  constructor(figures, array) {
    this.figures = figures;
    this.name = figures.name;
    this.words = figures.words;
    [this.positions, this.tokens, this.classes] = array("weights").shape;
    this.weights = array("weights").values;
    this.offsets = Array.from(array("offsets").values);
    this.counts = array("counts").values;
    this.examples = array("examples").values;
    this.labels = array("labels").values;
  }

  #of(values, position, token) {
    const first = ((position - 1) * this.tokens + token) * this.classes;
    return Array.from(values.subarray(first, first + this.classes));
  }

  /** Weights less their mean over the words, in nats; position 1 is the farthest, the last just before the word. */
  pushes(position, token) {
    return centred(this.#of(this.weights, position, token));
  }

  /** Before which words the token stood at the position, in the windows that were fitted. */
  seen(position, token) {
    return this.#of(this.counts, position, token);
  }

  /** The last tokens of a sentence with their positions; where there are fewer, the far positions stay empty. */
  align(tokens) {
    const last = tokens.slice(-this.positions);
    return last.map((token, place) => ({ token, position: this.positions - last.length + place + 1 }));
  }

  probabilities(aligned) {
    const logits = [...this.offsets];
    for (const { token, position } of aligned) {
      this.#of(this.weights, position, token).forEach((weight, word) => { logits[word] += weight; });
    }
    return softmax(logits);
  }

  /** Tokens with the largest weight at a position, the largest first. */
  strongest(position) {
    return this.#sorted((token) => largestSize(this.pushes(position, token)));
  }

  /** Tokens by the cosine between their centred weights, over all positions, and this token's. */
  similar(token) {
    const own = this.#profile(token);
    const size = Math.hypot(...own);
    if (size === 0) return [];
    return this.#sorted((other) => {
      if (other === token) return 0;
      const profile = this.#profile(other);
      const norm = Math.hypot(...profile);
      return norm === 0 ? 0 : sum(profile.map((push, place) => push * own[place])) / (norm * size);
    });
  }

  #profile(token) {
    return Array.from({ length: this.positions }, (_, place) => this.pushes(place + 1, token)).flat();
  }

  /** All tokens above zero by a score. */
  #sorted(score) {
    const scored = Array.from({ length: this.tokens }, (_, token) => ({ token, score: score(token) }));
    return scored.filter((one) => one.score > 1e-9).sort((one, other) => other.score - one.score || one.token - other.token);
  }

  /** Held-out windows of which `wanted(tokens)` holds, in turn one of each word that came. */
  inTurn(wanted) {
    const ofWord = this.words.map(() => []);
    this.labels.forEach((label, window) => { if (wanted(this.window(window))) ofWord[label].push(window); });
    const longest = Math.max(...ofWord.map((windows) => windows.length));
    return Array.from({ length: longest }, (_, turn) => ofWord.flatMap((windows) => windows.slice(turn, turn + 1))).flat();
  }

  window(number) {
    return Array.from(this.examples.subarray(number * this.positions, (number + 1) * this.positions));
  }
}
