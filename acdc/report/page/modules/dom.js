// Elements made from text that stays text, and numbers as people read them.

/**
 * @typedef {Node | string | number | null | undefined | false} Child
 */

/**
 * An element; strings among its children become text, never markup.
 * @param {string} tag @param {Record<string, any>} [attributes] @param {...(Child | Child[])} children
 * @returns {HTMLElement}
 */
export function el(tag, attributes = {}, ...children) {
  return /** @type {HTMLElement} */ (filled(document.createElement(tag), attributes, children));
}

/** @param {string} tag @param {Record<string, any>} [attributes] @param {...(Child | Child[])} children */
export function svg(tag, attributes = {}, ...children) {
  return /** @type {SVGElement} */ (
    filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children)
  );
}

/** @param {Element} made @param {Record<string, any>} attributes @param {(Child | Child[])[]} children */
function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked") /** @type {any} */ (made)[name] = value;
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, String(value));
  }
  for (const child of children.flat()) {
    if (child !== null && child !== undefined && child !== false) made.append(child instanceof Node ? child : String(child));
  }
  return made;
}

/** @param {string} id */
export function byId(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

/** Put these in place of what is there. @param {Element} parent @param {...(Child | Child[])} children */
export function fill(parent, ...children) {
  parent.replaceChildren();
  filled(parent, {}, children);
}

/** Tell people who hear the page. @param {string} words */
export function say(words) {
  byId("said").textContent = words;
}

/** A text from a prompt or a record, in its own direction. @param {string} text @param {string} [kind] */
export function quoted(text, kind = "") {
  return el("bdi", { class: `text ${kind}` }, text);
}

/** @param {string} label @param {() => void} onclick @param {Record<string, any>} [attributes] */
export function button(label, onclick, attributes = {}) {
  return el("button", { type: "button", onclick, ...attributes }, label);
}

/**
 * A table; one with long texts in it becomes a block for each row where the window is narrow (`stacked`).
 * @param {string[]} head @param {(Child | Child[])[][]} rows @param {string} caption @param {string} [kind]
 */
export function table(head, rows, caption, kind = "") {
  return el(
    "div",
    { class: "wide", tabindex: 0, role: "region", "aria-label": caption },
    el(
      "table",
      { class: kind },
      el("caption", { class: "hidden" }, caption),
      el("thead", {}, el("tr", {}, head.map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell, at) => el("td", { "data-name": head[at] }, cell))))),
    ),
  );
}

/** @param {number | null | undefined} part */
export function percent(part) {
  return part === null || part === undefined ? "–" : `${(100 * part).toFixed(1)}%`;
}

/** @param {number | null | undefined} value */
export function number(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  return size === 0 || (size >= 0.01 && size < 1e4) ? value.toFixed(size >= 100 ? 0 : 2) : value.toPrecision(3);
}

/** @param {number | null | undefined} value */
export function signed(value) {
  return value === null || value === undefined ? "no score" : `${value < 0 ? "−" : "+"}${number(Math.abs(value))}`;
}

/** @param {number} count @param {string} noun */
export function counted(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

/** What a circuit keeps, with its interval. @param {import("./data.js").Faithfulness} judged */
export function keeps(judged) {
  const kept = judged.normalised;
  return `keeps ${percent(kept.value)} (95% CI ${percent(kept.low)} to ${percent(kept.high)})`;
}
