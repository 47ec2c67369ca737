// What a node does on example prompts: where a head looks, as text and as a map, and the tokens that it promotes.

import { DATA } from "./data.js";
import { el, fill, number, percent, quoted, table } from "./dom.js";

const chosen = { prompt: 0, side: "clean", query: -1 };

/** @param {string} node */
export function examplesOf(node) {
  const examples = DATA.examples;
  const patterns = examples?.heads[node];
  const promoted = examples?.promotes[node];
  const room = el("div", {});
  if (!examples || (!patterns && !promoted)) return room;
  const redraw = () =>
    fill(
      room,
      el("h3", {}, "On example prompts"),
      chooser(examples, Boolean(patterns), redraw),
      patterns ? attention(examples, patterns, redraw) : null,
      promoted ? tokens(promoted[chosen.prompt] ?? []) : null,
    );
  redraw();
  return room;
}

/** @param {import("./data.js").Examples} examples @param {boolean} sides @param {() => void} redraw */
function chooser(examples, sides, redraw) {
  const number = el(
    "select",
    { "aria-label": "Prompt", onchange: (/** @type {any} */ event) => again({ prompt: Number(event.target.value), query: -1 }) },
    examples.prompts.map((one, index) =>
      el("option", { value: String(index) }, `${index + 1}: …${one.clean.slice(-9).join("")}`),
    ),
  );
  /** @type {any} */ (number).value = String(chosen.prompt);
  /** @param {Partial<typeof chosen>} change */
  const again = (change) => {
    Object.assign(chosen, change);
    redraw();
  };
  const names = ["clean", "corrupt", "difference"];
  return el(
    "div",
    { class: "row" },
    number,
    sides &&
      names.map((name) =>
        el("label", {}, el("input", { type: "radio", name: "side", value: name, checked: chosen.side === name, onchange: () => again({ side: name }) }), name),
      ),
  );
}

/**
 * The tokens of the prompt, coloured by how much the chosen query looks at each, above the whole pattern.
 * @param {import("./data.js").Examples} examples @param {[string, string | null][]} patterns @param {() => void} redraw
 */
function attention(examples, patterns, redraw) {
  const prompt = examples.prompts[chosen.prompt];
  const [clean, corrupt] = patterns[chosen.prompt].map((text) => (text === null ? null : rowsOf(text)));
  if (!clean) return null;
  if (chosen.side !== "clean" && !corrupt) return el("p", { class: "faint" }, "No pattern was measured for the corrupt prompt.");
  const words = (chosen.side === "corrupt" ? prompt.corrupt : prompt.clean) ?? prompt.clean;
  const pattern = chosen.side === "clean" ? clean : chosen.side === "corrupt" ? corrupt ?? clean : minus(clean, corrupt ?? clean);
  const query = chosen.query >= 0 && chosen.query < pattern.length ? chosen.query : pattern.length - 1;
  return el(
    "div",
    {},
    el("p", { class: "faint" }, "Where it looks from the outlined token; choose another to look from."),
    el(
      "p",
      { class: "heat" },
      words.slice(0, pattern.length).map((word, at) => {
        const share = pattern[query][at] ?? 0;
        const token = el("button", { type: "button", class: at === query ? "query" : "", title: `${percent(share)} of the attention` }, quoted(word));
        token.addEventListener("click", () => {
          chosen.query = at;
          redraw();
        });
        shade(token, share);
        return token;
      }),
    ),
    map(pattern, words),
  );
}

/** The whole pattern: a row for every query, from the first token down. @param {number[][]} pattern @param {string[]} words */
function map(pattern, words) {
  const canvas = /** @type {HTMLCanvasElement} */ (el("canvas", { width: pattern.length, height: pattern.length, class: "pattern", role: "img" }));
  canvas.setAttribute("aria-label", "Attention of every token (rows) to every token (columns)");
  const context = canvas.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  pattern.forEach((row, query) =>
    row.forEach((share, key) => {
      if (!context) return;
      context.globalAlpha = Math.min(1, Math.abs(share));
      context.fillStyle = style.getPropertyValue(share < 0 ? "--negative-strong" : "--positive-strong").trim();
      context.fillRect(key, query, 1, 1);
    }),
  );
  canvas.addEventListener("mousemove", (event) => {
    const [key, query] = [event.offsetX / canvas.clientWidth, event.offsetY / canvas.clientHeight].map((part) => Math.floor(part * pattern.length));
    if (pattern[query]?.[key] !== undefined) canvas.title = `${words[query]} → ${words[key]}: ${percent(pattern[query][key])}`;
  });
  return canvas;
}

/** @param {HTMLElement} token @param {number} share */
function shade(token, share) {
  token.style.setProperty("--share", `${Math.round(Math.min(1, Math.abs(share)) * 70)}%`);
  token.classList.toggle("less", share < 0);
}

/** Two digits for each share of a row, in hundredths; the rows of one prompt one after the other. @param {string} text */
function rowsOf(text) {
  return text.split(" ").map((row) => {
    const shares = [];
    for (let at = 0; at < row.length; at += 2) shares.push(parseInt(row.slice(at, at + 2), 36) / 1000);
    return shares;
  });
}

/** @param {number[][]} one @param {number[][]} other */
function minus(one, other) {
  return one.map((row, query) => row.map((share, key) => share - (other[query]?.[key] ?? 0)));
}

/** @param {[string, number][]} promoted */
function tokens(promoted) {
  return el(
    "div",
    {},
    el("h4", {}, "Tokens that it promotes there"),
    table(["token", "logit"], promoted.map(([token, logit]) => [quoted(token), `+${number(logit)}`]), "Promoted tokens"),
  );
}
