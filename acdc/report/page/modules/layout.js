// Where nodes and lines stand: rows and places from Python, as in the pictures, and lines led around boxes in their way.

import { GRAPH, SLOTS, boxName } from "./data.js";

/**
 * @typedef {{x: number, y: number}} Point
 * @typedef {{id: string, name: string, kind: string, span?: string, at: Point, fed: string[]}} Box  `name` is its node's
 * @typedef {{boxes: Map<number, Box>, labels: {text: string, of: "row" | "column", size: number, at: Point}[]}} Layout
 * @typedef {{from: Point, to: Point, bend: number}} Line
 */

export const [HEAD_WIDE, HEAD_HIGH, PORT_WIDE, PORT_HIGH] = [64, 24, 20, 15];
const ACROSS = 88;
const BY_SPAN = 76; // boxes of a column stand side by side, and columns apart

/**
 * The boxes of a size, and the labels of its rows and columns.
 * @param {number} size @param {import("./data.js").EdgeLine[]} lines @returns {Layout}
 */
export function layout(size, lines) {
  const columns = GRAPH.sizes[size].columns;
  /** @type {Map<number, Set<string>>} */
  const fed = new Map();
  /** @type {Set<number>} */
  const met = new Set();
  for (const { edge, end } of lines) {
    const [sender, , slot] = GRAPH.edges[edge];
    met.add(sender).add(end);
    if (slot) fed.set(end, (fed.get(end) ?? new Set()).add(slot));
  }
  /** @type {Layout} */
  const made = { boxes: new Map(), labels: [] };
  const rows = GRAPH.sizes[size].rows;
  const xs = rows.flatMap(([, places]) => places.map(([, x]) => x));
  const left = Math.min(...xs);
  const wide = Math.max(1, Math.max(...xs) - left);
  // more edges need more room between rows, and so do flat lines from column to column
  const up = Math.max(lines.length <= 100 ? 72 : 100, columns ? Math.min(140, (0.5 * BY_SPAN * wide) / rows.length) : 0);
  // tall circuits of many edges are stretched, so that their lines can be told apart
  const tall = (1.5 * rows.length * up) / (ACROSS * wide);
  const across = columns ? BY_SPAN : lines.length <= 100 ? ACROSS : ACROSS * Math.min(8, Math.max(1, tall));
  rows.forEach(([label, places], level) => {
    const there = places.filter(([node]) => met.has(node));
    if (label && there.length) made.labels.push({ text: label, of: "row", size: 11, at: { x: left * across - 100, y: -level * up } });
    for (const [node, x] of there) {
      const slots = SLOTS.filter((slot) => fed.get(node)?.has(slot));
      const at = { x: x * across, y: -level * up };
      const [name, kind, , span] = GRAPH.nodes[node];
      made.boxes.set(node, { id: boxName(node), name, kind, span, at, fed: slots });
    }
  });
  const spans = new Set([...made.boxes.values()].map((box) => box.span));
  const letters = Math.max(13, (BY_SPAN * wide) / 100); // large enough to be read where the whole drawing is shown
  let [end, lower] = [-Infinity, false];
  for (const [span, x] of (columns ?? []).filter(([span]) => spans.has(span))) {
    const half = (0.55 * letters * (span.length + 1)) / 2;
    lower = x * across - half < end && !lower; // a label that would run into the one before stands below it
    end = x * across + half;
    made.labels.push({ text: span, of: "column", size: letters, at: { x: x * across, y: HEAD_HIGH / 2 + (lower ? 2.8 : 1.5) * letters } });
  }
  return made;
}

/** Where the q, k or v of a head stands below its name. @param {Box} box @param {string} slot @returns {Point} */
export function port(box, slot) {
  const at = box.fed.indexOf(slot) - (box.fed.length - 1) / 2;
  return { x: box.at.x + at * PORT_WIDE, y: box.at.y + (HEAD_HIGH + PORT_HIGH) / 2 };
}

/**
 * A line from the top of its sender to the bottom of what it feeds; where there is room for it, bent around boxes.
 * @param {import("./data.js").EdgeLine} of @param {Layout} placed @param {boolean} around @returns {Line | null}
 */
export function line(of, placed, around) {
  const [sender, , slot] = GRAPH.edges[of.edge];
  const [start, end] = [placed.boxes.get(sender), placed.boxes.get(of.end)];
  if (!start || !end) return null;
  const below = slot ? port(end, slot) : end.at;
  const from = { x: start.at.x, y: start.at.y - HEAD_HIGH / 2 };
  const to = { x: below.x, y: below.y + (slot ? PORT_HIGH : HEAD_HIGH) / 2 + 2 };
  if (!around) return { from, to, bend: 0 };
  const others = [...placed.boxes.values()].filter((box) => box !== start && box !== end);
  const first = (of.edge % 2 ? 1 : -1) * 44;
  for (const bend of [0, first, -first, 2 * first, -2 * first, 3.4 * first, -3.4 * first]) {
    if (!others.some((box) => hits({ from, to, bend }, box))) return { from, to, bend };
  }
  return { from, to, bend: first };
}

/** The control point of a line, which is bent to the right of its way where `bend` is positive. @param {Line} of */
export function control({ from, to, bend }) {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const length = Math.hypot(dx, dy) || 1;
  return { x: (from.x + to.x) / 2 - (bend * dy) / length, y: (from.y + to.y) / 2 + (bend * dx) / length };
}

/** Whether a line passes through a box. @param {Line} of @param {Box} box */
function hits(of, box) {
  const middle = control(of);
  const low = (HEAD_HIGH / 2) + (box.fed.length ? PORT_HIGH : 0) + 4;
  for (let step = 1; step < 20; step += 1) {
    const t = step / 20;
    const [a, b, c] = [(1 - t) ** 2, 2 * t * (1 - t), t ** 2];
    const x = a * of.from.x + b * middle.x + c * of.to.x - box.at.x;
    const y = a * of.from.y + b * middle.y + c * of.to.y - box.at.y;
    if (Math.abs(x) < HEAD_WIDE / 2 + 4 && y > -HEAD_HIGH / 2 - 4 && y < low) return true;
  }
  return false;
}
