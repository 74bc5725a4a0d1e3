"use strict";
// The page's state, its controls, and the address that holds it.

const FIRST_SENTENCE = "Once upon a time there was a little girl named Lily. She wanted to play outside,";
const FIRST_TAB = "linear";
const FEW_EXAMPLES = 10;
const LONGEST_SENTENCE = 2000;
const REST = 300; // ms without a change, after which the address is written: browsers refuse many writes at once

/** A notice at the top of the page; an empty text removes it. */
function tell(text) {
  const notice = document.getElementById("notice");
  notice.hidden = text === "";
  notice.textContent = text;
}

class Demo {
  constructor(data) {
    const { page, tokenizer, models, books } = data;
    Object.assign(this, { page, tokenizer, models, waiting: null, behind: false });
    this.fields = Object.fromEntries(["group", "token", "tokens", "found", "position", "sentence", "more"].map((id) => [id, document.getElementById(id)]));
    this.search = new TokenSearch(this.fields.token, this.fields.tokens, this.fields.found, tokenizer.texts,
      () => this.ranking(), (token) => this.go({ token }));
    this.tabs = new Tabs(document.getElementById("tabs"), (tab) => this.go({ tab }));
    document.getElementById("tabs").hidden = books.size === 0;
    this.rulesTab = new RulesTab(data, (change) => this.go(change));
    this.fillControls();
    this.restore();
    this.listen();
  }

  fillControls() {
    this.fields.group.replaceChildren(...this.models.map((model) =>
      element("option", { value: model.name }, `${visible(model.name)}: ${visible(model.words.map((word) => word.trim()).join(", "))}`)));
    this.fields.position.max = this.models[0].positions;
    const { corpus, tokenizer_sha256: tokenizer } = this.page;
    document.getElementById("about").textContent = `Corpus: ${visible(corpus.name)}, ${count(corpus.stories)} stories, sha256 ${corpus.sha256.slice(0, 16)}…; `
      + `tokenizer: byte-level BPE of ${count(this.tokenizer.size)} tokens, sha256 ${tokenizer.slice(0, 16)}…. `
      + "80 % of the stories are for fitting, 10 % chose the L1 price, 10 % are held out for the losses and the examples. Made by optim-hunter demo.";
  }

  listen() {
    this.fields.group.addEventListener("change", () => this.go({ group: this.fields.group.value, rule: null }));
    this.fields.position.addEventListener("input", () => this.go({ position: Number(this.fields.position.value) }));
    this.fields.sentence.addEventListener("input", () => this.go({ sentence: this.fields.sentence.value }));
    this.fields.more.addEventListener("click", () => this.go({ most: 5 * this.state.most }));
    document.addEventListener("focusout", () => this.writeAddress());
    addEventListener("hashchange", () => this.restore());
  }

  get model() {
    return this.models.find((model) => model.name === this.state.group);
  }

  /** All tokens, those with the largest weights at the position first. */
  ranking() {
    const strong = this.model.strongest(this.state.position).map(({ token }) => token);
    const held = new Set(strong);
    return [...strong, ...this.tokenizer.texts.keys()].filter((token, place) => place < strong.length || !held.has(token));
  }

  /** Change part of the state; the rest of it stays, but for how many examples are shown. */
  go(change) {
    const before = this.state;
    this.state = { ...before, most: FEW_EXAMPLES, ...change };
    this.show(before);
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.writeAddress(), REST);
  }

  /** Write the address, if it is behind what is shown. */
  writeAddress() {
    if (this.waiting === null) return;
    clearTimeout(this.waiting);
    this.waiting = null;
    try {
      history.replaceState(null, "", `#${this.address()}`);
      if (this.behind) tell("");
      this.behind = false;
    } catch (error) {
      this.behind = true;
      tell(`The browser refused to change the address (${error.name}): it does not show the last of your changes.`);
    }
  }

  address() {
    const { group, token, position, sentence, tab, rule } = this.state;
    const asked = { group, token: this.tokenizer.texts[token], position, ...(tab === FIRST_TAB ? {} : { tab }), ...(rule ? { rule } : {}), sentence };
    return new URLSearchParams(asked).toString();
  }

  /** The state that the address holds; what it lacks or has wrong is as at first, and the latter is said. */
  restore() {
    const asked = new URLSearchParams(location.hash.slice(1));
    const wrong = [];
    const read = (name, valid, first) => {
      if (!asked.has(name)) return first();
      const found = valid(asked.get(name));
      if (found === undefined) wrong.push(`${name} “${visible(asked.get(name).slice(0, 80))}”`);
      return found ?? first();
    };
    const group = read("group", (name) => this.models.find((model) => model.name === name)?.name, () => this.models[0].name);
    const positions = this.models[0].positions;
    const position = read("position", (text) => (/^\d{1,3}$/.test(text) && text >= 1 && text <= positions ? Number(text) : undefined), () => positions);
    this.state = { group, position, most: FEW_EXAMPLES };
    this.state.token = read("token", (text) => this.tokenizer.ofText.get(text), () => this.tokenizer.ofText.get(",") ?? this.ranking()[0]);
    this.state.tab = read("tab", (name) => (this.tabs.names.includes(name) ? name : undefined), () => FIRST_TAB);
    this.state.rule = read("rule", (name) => this.rulesTab.books.get(group)?.find(name)?.name, () => null);
    this.state.sentence = read("sentence", (text) => text.slice(0, LONGEST_SENTENCE), () => FIRST_SENTENCE);
    tell(wrong.length === 0 ? "" : `The address asks for what this page does not have: ${wrong.join(", ")}.`);
    this.show();
  }

  /** Show what differs from the state before. */
  show(before = {}) {
    const { group, token, position, sentence, most, tab } = this.state;
    const { model, tokenizer: { texts } } = this;
    const differs = (...names) => names.some((name) => before[name] !== this.state[name]);
    const choose = (other) => this.go({ token: other });
    this.fillFields();
    if (differs("group")) showFigures(model);
    if (differs("group", "token", "position")) {
      showBoxes(model, texts, token, position);
      showProfile(model, token, position, (place) => this.go({ position: place }));
      showStrongest(model, texts, position, choose);
      showSimilar(model, texts, token, position, choose);
    }
    if (differs("group", "token", "position", "most")) showExamples(model, this.tokenizer, token, position, most);
    if (differs("group", "sentence")) {
      showSentence(model, texts, this.tokenizer.encode(sentence.replace(/ +$/, "")), (other, place) => this.go({ token: other, position: place }));
    }
    this.tabs.show(tab);
    if (tab !== FIRST_TAB) this.rulesTab.show(this.state, before);
    document.body.dataset.group = group;
  }

  fillFields() {
    const { group, token, position, sentence } = this.state;
    this.fields.group.value = group;
    this.search.show(token);
    this.fields.position.value = position;
    const name = positionName(position, this.models[0].positions);
    this.fields.position.setAttribute("aria-valuetext", name);
    document.getElementById("position-name").textContent = name;
    if (this.fields.sentence.value !== sentence) this.fields.sentence.value = sentence;
  }
}

unpackData(document.getElementById("data").textContent).then(
  (data) => { window.demo = new Demo(data); },
  (error) => tell(`The page's data could not be read (${error}): a browser from 2023 on is needed, and the whole file.`));
