// Which edges are shown: those of the size, as far as the filters let them through, and what leads through a node.

import { DATA, EDGE_NUMBER, GRAPH, membersOf, nodeName, roleOf, strength } from "./data.js";
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
 * Every edge on a path through any of these nodes, or through any of these edges.
 * @param {string[]} names @param {number[]} among @returns {Set<number>}
 */
export function through(names, among) {
  /** @type {Map<number, number[]>} */
  const into = new Map();
  /** @type {Map<number, number[]>} */
  const outOf = new Map();
  for (const edge of among) {
    const [sender, receiver] = GRAPH.edges[edge];
    if (!outOf.has(sender)) outOf.set(sender, []);
    if (!into.has(receiver)) into.set(receiver, []);
    outOf.get(sender)?.push(edge);
    into.get(receiver)?.push(edge);
  }
  /** @type {Set<number>} */
  const found = new Set();
  /** @param {number} start @param {Map<number, number[]>} along @param {0 | 1} end */
  const follow = (start, along, end) => {
    const [waiting, seen] = [[start], new Set([start])];
    for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
      for (const edge of along.get(node) ?? []) {
        found.add(edge);
        const next = GRAPH.edges[edge][end];
        if (!seen.has(next)) waiting.push(next);
        seen.add(next);
      }
    }
  };
  for (const name of names) {
    const edge = EDGE_NUMBER.get(name);
    if (edge !== undefined) found.add(edge);
    const node = GRAPH.nodes.findIndex((one) => one[0] === name);
    const [down, up] = edge === undefined ? [node, node] : [GRAPH.edges[edge][0], GRAPH.edges[edge][1]];
    if (down >= 0) follow(down, into, 0);
    if (up >= 0) follow(up, outOf, 1);
  }
  return found;
}

/** The edges into and out of a node, among these. @param {number} node @param {number[]} among */
export function around(node, among) {
  return {
    incoming: among.filter((edge) => GRAPH.edges[edge][1] === node),
    outgoing: among.filter((edge) => GRAPH.edges[edge][0] === node),
  };
}

