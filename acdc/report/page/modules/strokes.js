// Lines and colours: what is true of the pictures is true of the page (`acdc/graphs/drawing/strokes.py`).

import { GRAPH, strength } from "./data.js";

/**
 * @typedef {{color: string, width: number, style: "solid" | "dashed" | "dotted"}} Stroke
 */

/** The colours of the page, as its stylesheet has them for light and dark. */
export function colours() {
  const style = getComputedStyle(document.documentElement);
  /** @param {string} name */
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    ...{ ink: of("ink"), faint: of("faint"), ground: of("ground"), line: of("line"), focus: of("focus") },
    ...{ box: of("box"), mlp: of("mlp"), end: of("end"), endText: of("end-text"), group: of("group") },
    ...{ q: of("slot-q"), k: of("slot-k"), v: of("slot-v"), none: of("no-score"), repair: of("repair") },
    positive: [of("positive-weak"), of("positive-strong")],
    negative: [of("negative-weak"), of("negative-strong")],
  };
}

/** @typedef {ReturnType<typeof colours>} Colours */

/**
 * How an edge is drawn among so many others.
 * @param {number} edge @param {number} most the largest |score| that is shown @param {number} count
 * @param {Colours} colour @returns {Stroke}
 */
export function stroke(edge, most, count, colour) {
  const widest = Math.max(1.2, Math.min(4.5, 4.5 * (30 / Math.max(count, 1)) ** 0.25));
  const side = GRAPH.sides?.[edge];
  if (side === "first") return { color: colour.negative[1], width: 0.6 * widest, style: "dashed" };
  if (side === "second") return { color: colour.positive[1], width: widest, style: "solid" };
  if (side === "both") return { color: colour.none, width: 0.5 * widest, style: "solid" };
  const [, , , score, often] = GRAPH.edges[edge];
  const dotted = often !== undefined && often < 0.5;
  if (score === null) return { color: colour.none, width: 0.4 * widest, style: dotted ? "dotted" : "solid" };
  const part = Math.round(64 * Math.sqrt(Math.min(strength(edge) / most, 1))) / 64;
  const [weak, strong] = score < 0 ? colour.negative : colour.positive;
  return {
    color: mixed(weak, strong, part),
    width: widest * (0.2 + 0.8 * part),
    style: dotted ? "dotted" : score < 0 ? "dashed" : "solid",
  };
}

/** @type {Map<string, string>} */
const MIXED = new Map();

/** @param {string} weak @param {string} strong @param {number} part */
function mixed(weak, strong, part) {
  const key = `${weak}${strong}${part}`;
  const known = MIXED.get(key) ?? between(weak, strong, part);
  MIXED.set(key, known);
  return known;
}

/** @param {string} weak @param {string} strong @param {number} part */
function between(weak, strong, part) {
  /** @param {string} colour */
  const channels = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  const [from, to] = [channels(weak), channels(strong)];
  return `rgb(${from.map((channel, at) => Math.round(channel + (to[at] - channel) * part)).join(",")})`;
}
