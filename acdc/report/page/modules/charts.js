// The curve of sizes with their intervals, and a dot for every prompt, as drawings inside the page.

import { counted, keeps, number, quoted, svg } from "./dom.js";

/** @typedef {import("./data.js").Size} Size */
/** @typedef {import("./data.js").PromptOutcome} PromptOutcome */

const WIDE = 560;

/**
 * What circuits keep by their size: a dot and the interval of each measured one, the chosen one filled.
 * @param {Size[]} sizes @param {number} chosen @param {(size: number) => void} choose
 */
export function curve(sizes, chosen, choose) {
  const [high, left, right, top, bottom] = [150, 44, 12, 10, 30];
  const measured = sizes.map((size, index) => ({ size, index })).filter((one) => one.size.faithfulness);
  const kept = measured.map((one) => /** @type {any} */ (one.size.faithfulness).normalised);
  const lowest = Math.min(0, ...kept.map((one) => one.low));
  const highest = Math.max(1, ...kept.map((one) => one.high));
  const [first, last] = [Math.log(sizes[0].edges), Math.log(sizes[sizes.length - 1].edges)];
  /** @param {number} edges */
  const x = (edges) => left + ((WIDE - left - right) * (last > first ? (Math.log(edges) - first) / (last - first) : 0.5));
  /** @param {number} part */
  const y = (part) => top + ((high - top - bottom) * (highest - part)) / (highest - lowest);
  const line = measured.map((one, at) => `${at ? "L" : "M"}${x(one.size.edges)},${y(kept[at].value)}`).join("");
  return svg(
    "svg",
    { viewBox: `0 0 ${WIDE} ${high}`, class: "chart", role: "img", "aria-label": "What circuits keep, by their size" },
    ticks(lowest, highest).map((part) => [
      svg("line", { class: "grid", x1: left, x2: WIDE - right, y1: y(part), y2: y(part) }),
      svg("text", { x: left - 6, y: y(part) + 4, "text-anchor": "end" }, `${Math.round(100 * part)}%`),
    ]).flat(),
    spaced(measured.map((one) => one.size.edges), x).map((edges) =>
      svg("text", { x: x(edges), y: high - bottom + 16, "text-anchor": "middle" }, edges.toLocaleString("en")),
    ),
    svg("text", { x: WIDE - right, y: high - 2, "text-anchor": "end", class: "axis" }, "edges"),
    svg("path", { class: "line", d: line }),
    measured.map((one, at) =>
      svg(
        "g",
        { class: `point${one.index === chosen ? " chosen" : ""}${one.size.found ? " found" : ""}`, onclick: () => choose(one.index) },
        svg("title", {}, `${counted(one.size.edges, "edge")}: ${keeps(/** @type {any} */ (one.size.faithfulness))}`),
        svg("line", { x1: x(one.size.edges), x2: x(one.size.edges), y1: y(kept[at].low), y2: y(kept[at].high) }),
        svg("circle", { cx: x(one.size.edges), cy: y(kept[at].value), r: one.index === chosen ? 6 : 3.5 }),
        svg("rect", { class: "hit", x: x(one.size.edges) - 6, width: 12, y: top, height: high - top - bottom }),
      ),
    ),
  );
}

/**
 * A dot for every prompt, by a quantity; whoever points at one is told which prompt it is.
 * @param {PromptOutcome[]} prompts @param {(one: PromptOutcome) => number} of @param {string} label
 * @param {(index: number) => void} tell
 */
export function dots(prompts, of, label, tell) {
  const [high, left, right, ground] = [136, 18, 18, 92];
  const values = prompts.map(of);
  const [least, most] = [Math.min(...values, 0), Math.max(...values)];
  /** @param {number} value */
  const x = (value) => left + ((WIDE - left - right) * (most > least ? (value - least) / (most - least) : 0.5));
  /** @type {Map<number, number>} */
  const stacked = new Map();
  const placed = values
    .map((value, index) => ({ value, index }))
    .sort((one, other) => one.value - other.value)
    .map(({ value, index }) => {
      const bin = Math.round(x(value) / 9);
      const level = stacked.get(bin) ?? 0;
      stacked.set(bin, level + 1);
      return { value, index, level };
    });
  const tallest = Math.max(...stacked.values(), 1);
  const step = Math.min(9, (ground - 10) / tallest);
  return svg(
    "svg",
    { viewBox: `0 0 ${WIDE} ${high}`, class: "chart", role: "group", "aria-label": `${label}, a dot for every prompt` },
    svg("line", { class: "grid", x1: left, x2: WIDE - right, y1: ground + 6, y2: ground + 6 }),
    ticks(least, most).map((value) => svg("text", { x: x(value), y: ground + 20, "text-anchor": "middle" }, number(value))),
    svg("text", { x: WIDE - right, y: high - 1, "text-anchor": "end", class: "axis" }, label),
    placed.map(({ value, index, level }) => {
      const wrong = prompts[index].model_right && !prompts[index].circuit_right;
      const [cx, cy] = [x(value), ground - level * step];
      return svg(
        "g",
        {
          class: `prompt${wrong ? " wrong" : ""}`,
          tabindex: 0,
          role: "img",
          "aria-label": `${prompts[index].clean}: ${number(value)}${wrong ? ", the circuit is wrong" : ""}`,
          onmouseenter: () => tell(index),
          onfocus: () => tell(index),
        },
        svg("title", {}, prompts[index].clean),
        wrong ? svg("path", { d: `M${cx},${cy - 5}l5,9h-10z` }) : svg("circle", { cx, cy, r: 4 }),
      );
    }),
  );
}

/** Those of some sizes that have room for a number below them. @param {number[]} sizes @param {(size: number) => number} x */
function spaced(sizes, x) {
  /** @type {number[]} */
  const shown = [];
  for (const size of sizes) {
    if (!shown.length || x(size) - x(shown[shown.length - 1]) > 38) shown.push(size);
  }
  return shown;
}

/** @param {number} least @param {number} most */
function ticks(least, most) {
  const span = most - least || 1;
  const raw = span / 4;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((part) => part * power).find((part) => part >= raw) ?? raw;
  const found = [];
  for (let at = Math.ceil(least / step) * step; at <= most + 1e-9; at += step) found.push(Math.round(at / step) * step);
  return found;
}

/** A prompt with what is said on it. @param {PromptOutcome} one */
export function promptWords(one) {
  const said = one.circuit_right ? "right" : "wrong";
  return [
    quoted(one.clean, "prompt"),
    ` → the model says `,
    quoted(one.model, one.model_right ? "right" : "wrong"),
    `, the circuit `,
    quoted(one.circuit, said),
    ` (${said}); KL ${number(one.kl)} nats, metric ${number(one.metric.circuit)} (model ${number(one.metric.full)}, ablated ${number(one.metric.none)})`,
  ];
}

