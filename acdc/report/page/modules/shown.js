// Which edges are shown: those of the size, as far as the filters let them through, and what leads through a node.

import { BOXES, DATA, EDGE_NUMBER, GRAPH, linesOf, membersOf, nodeName, roleOf, strength } from "./data.js";
import { view } from "./state.js";

/** The edges that the repair of a prompt puts back, by name. @returns {string[]} */
export function repairing() {
  const one = DATA.attack?.diagnosis?.[view.repair];
  return one ? one.together.map((/** @type {{edge: string}} */ back) => back.edge) : [];
}

/** @type {{of: import("./state.js").View | null, edges: number[]}} */
let lastChosen = { of: null, edges: [] };

/** The edges of the chosen size that the filters let through, strongest first. */
export function filtered() {
  if (lastChosen.of !== view) lastChosen = { of: view, edges: chosenEdges() };
  return lastChosen.edges;
}

function chosenEdges() {
  const members = membersOf(view.size);
  const least = view.least * strongest(members);
  return members.filter((edge) => {
    const [sender, receiver, slot, , often] = GRAPH.edges[edge];
    return (
      strength(edge) >= least &&
      (often ?? 1) >= view.often &&
      view.slots.includes(slot ?? "-") &&
      onSide(edge) &&
      (!view.roles.length || [sender, receiver].some((node) => view.roles.includes(roleOf(nodeName(node)))))
    );
  });
}

/** @param {number} edge */
function onSide(edge) {
  const side = GRAPH.sides?.[edge];
  return !side || view.side === "either" || side === view.side;
}

/** @param {number[]} edges */
export function strongest(edges) {
  return edges.reduce((most, edge) => Math.max(most, strength(edge)), 0) || 1;
}

/**
 * Every line, by number, on a path through any of these nodes or boxes, or through any of these edges.
 * @param {string[]} names @param {import("./data.js").EdgeLine[]} among @returns {Set<number>}
 */
export function through(names, among) {
  /** @type {Map<number, import("./data.js").EdgeLine[]>} */
  const into = new Map();
  /** @type {Map<number, import("./data.js").EdgeLine[]>} */
  const outOf = new Map();
  for (const line of among) {
    const sender = GRAPH.edges[line.edge][0];
    if (!outOf.has(sender)) outOf.set(sender, []);
    if (!into.has(line.end)) into.set(line.end, []);
    outOf.get(sender)?.push(line);
    into.get(line.end)?.push(line);
  }
  /** @type {Set<number>} */
  const found = new Set();
  /** @param {number[]} starts @param {boolean} up */
  const follow = (starts, up) => {
    const [waiting, seen] = [[...starts], new Set(starts)];
    for (let box = waiting.pop(); box !== undefined; box = waiting.pop()) {
      for (const line of (up ? outOf : into).get(box) ?? []) {
        found.add(line.number);
        const next = up ? line.end : GRAPH.edges[line.edge][0];
        if (!seen.has(next)) waiting.push(next);
        seen.add(next);
      }
    }
  };
  for (const name of names) {
    const edge = EDGE_NUMBER.get(name);
    const lines = edge === undefined ? [] : linesOf([edge], view.size);
    lines.forEach((line) => found.add(line.number));
    const boxes = BOXES.get(name) ?? [];
    follow(edge === undefined ? boxes : [GRAPH.edges[edge][0]], false);
    follow(edge === undefined ? boxes : lines.map((line) => line.end), true);
  }
  return found;
}

/** The edges into and out of a node, among these. @param {string} node @param {number[]} among */
export function around(node, among) {
  return {
    incoming: among.filter((edge) => nodeName(GRAPH.edges[edge][1]) === node),
    outgoing: among.filter((edge) => nodeName(GRAPH.edges[edge][0]) === node),
  };
}
