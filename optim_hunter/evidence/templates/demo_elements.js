"use strict";
// Elements and numbers as they are written. Text comes into the page as text alone.

/** An element; children are elements or text, attributes with a function are listeners. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value !== null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function svg(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Text of a token or word with its spaces made visible. */
function spaced(text) {
  const shown = visible(text).split(/( )/).filter((part) => part !== "");
  return element("span", { class: "text" },
    ...shown.map((part) => (part === " " ? element("span", { class: "space" }, " ") : part)));
}

/** How a token is read aloud. */
function spoken(text) {
  const named = { ",": "comma", ".": "full stop", "\n": "line break", " ": "space", "!": "exclamation mark", "?": "question mark",
    '"': "double quote", "'": "apostrophe", ":": "colon", ";": "semicolon", "-": "hyphen" };
  if (named[text]) return named[text];
  return text.startsWith(" ") ? `${spoken(text.slice(1))}, with a space before it` : visible(text);
}

/** `+4.02`, `−1.26`; `0` for exactly none, which L1 makes of most weights. */
function signed(number, digits = 2) {
  if (Math.abs(number) < 1e-12) return "0";
  return (number > 0 ? "+" : "−") + Math.abs(number).toFixed(digits);
}

function percent(share) {
  return `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)}\u00a0%`;
}

function count(number) {
  return number.toLocaleString("en-GB");
}

function direction(number) {
  if (Math.abs(number) < 1e-12) return "nothing";
  return number > 0 ? "raises" : "lowers";
}

/** A coloured cell of a table: the number says what the colour says. */
function pushCell(push) {
  const cell = element("td", { class: `push ${direction(push)}` }, direction(push) === "nothing" ? "·" : signed(push));
  if (direction(push) === "nothing") cell.setAttribute("aria-label", "0");
  return tint(cell, push);
}

/** The colour's strength, full from three nats on. */
function tint(made, push) {
  made.style.setProperty("--strength", `${(100 * Math.min(1, Math.sqrt(Math.abs(push) / 3))).toFixed(0)}%`);
  return made;
}
